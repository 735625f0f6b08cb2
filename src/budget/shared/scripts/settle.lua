-- Settles what is held under an id, once: what was held is given back, what was spent is counted and written on the bill.
--
-- KEYS  held, index, ended, hours, usage of the hour, listed, listed in all; then a counter for each line
-- ARGV  now (empty: by the server's clock), id, "1" where the gateway knows that the id is held, "1" where this is asked
--       again after an answer that did not arrive, "1" where another gateway's call is settled, ms to remember ids, hour in
--       ms, ms to keep usage, listed call (or ""), how many of those to keep, number of usage fields; then a name and an
--       amount for each usage field; then four for each line: slice ("start:end:leaves"), held, charged, ms to keep
-- Answer: 1 where it has taken effect, 0 where the id had been settled before.
--
-- An id that is not held was never reserved (the store did not answer then), or has been settled. The first is remembered,
-- so that neither a reservation that arrives late nor a second settlement finds it new.

local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

local row = redis.call('HDEL', KEYS[1], ARGV[2]) == 1
if not row then
  if redis.call('EXISTS', KEYS[3]) == 1 then return 0 end
  if ARGV[3] == '1' and ARGV[4] == '1' then return 0 end
end
if not row or ARGV[5] == '1' then redis.call('SET', KEYS[3], '1', 'PX', ARGV[6]) end

local function bump(key, field, amount)
  local answer = redis.pcall('HINCRBY', key, field, amount)
  if type(answer) == 'table' and answer.err then redis.call('HSET', key, field, '9223372036854775807') end
end

local FIXED, PER_LINE, KEYS_BEFORE = 11, 4, 7
local fields = tonumber(ARGV[11])
if fields > 0 then
  for field = 1, fields do
    bump(KEYS[5], ARGV[FIXED + field * 2 - 1], ARGV[FIXED + field * 2])
  end
  redis.call('PEXPIRE', KEYS[5], ARGV[8])
  redis.call('ZADD', KEYS[4], ARGV[7], ARGV[7])
end
if ARGV[9] ~= '' then
  redis.call('RPUSH', KEYS[6], ARGV[9])
  redis.call('LTRIM', KEYS[6], -tonumber(ARGV[10]), -1)
  redis.call('INCR', KEYS[7])
end

for line = 1, #KEYS - KEYS_BEFORE do
  local at, key = FIXED + fields * 2 + (line - 1) * PER_LINE, KEYS[KEYS_BEFORE + line]
  local slice, held, charged, keep = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], tonumber(ARGV[at + 4])
  if row and held ~= '0' then bump(key, slice .. ':r', '-' .. held) end
  if charged ~= '0' then bump(key, slice .. ':s', charged) end
  if redis.call('PTTL', key) == -1 then redis.call('PEXPIRE', key, keep) end
  if redis.call('EXISTS', key) == 1 then redis.call('ZADD', KEYS[2], now, key) end
end
return 1
