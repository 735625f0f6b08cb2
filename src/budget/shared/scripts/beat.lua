-- Renews a gateway's lease, and tells what has changed.
--
-- KEYS  leases, epoch, changes
-- ARGV  now, gateway (empty: only looks), lease in ms, epoch to begin with where there is none
-- Answer: the server's time in ms, the epoch, the number of changes, and the gateways whose lease has ended.

if ARGV[4] ~= '' then redis.call('SET', KEYS[2], ARGV[4], 'NX') end
local ended = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. now, 'LIMIT', 0, 64)
if ARGV[2] ~= '' then redis.call('ZADD', KEYS[1], now + tonumber(ARGV[3]), ARGV[2]) end
local answer = { tostring(now), redis.call('GET', KEYS[2]) or '', tostring(redis.call('LLEN', KEYS[3])) }
for _, gateway in ipairs(ended) do
  if gateway ~= ARGV[2] then answer[#answer + 1] = gateway end
end
return answer
