-- What stands before every script that goes by the time: ARGV[1] is the time in ms, or empty for the server's clock.

local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- What no number of 64 bits can hold stays at the highest.
local function bump(key, field, amount)
  local answer = redis.pcall('HINCRBY', key, field, amount)
  if type(answer) ~= 'table' or not answer.err then return answer end
  if not string.find(answer.err, 'overflow') then error(answer.err) end
  redis.call('HSET', key, field, '9223372036854775807')
end

