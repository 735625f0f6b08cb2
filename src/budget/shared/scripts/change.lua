-- Writes a change of a budget down; what it resets counts no more from this instant on.
--
-- KEYS  changes, index; then each counter to reset
-- ARGV  now, change
-- Answer: the number of changes. One that is asked for twice, word for word and with its id, is written once.

for _, made in ipairs(redis.call('LRANGE', KEYS[1], -20, -1)) do
  if made == ARGV[2] then return redis.call('LLEN', KEYS[1]) end
end
for place = 3, #KEYS do
  for _, field in ipairs(redis.call('HKEYS', KEYS[place])) do
    local starts, leaves, what = string.match(field, '^(%d+):%d+:(%d+):(.)$')
    if what == 's' and tonumber(starts) <= now and now < tonumber(leaves) then
      redis.call('HSET', KEYS[place], field, '0')
    end
  end
  redis.call('ZADD', KEYS[2], now, KEYS[place])
end
return redis.call('RPUSH', KEYS[1], ARGV[2])
