-- Forgets a name whose key is gone: a gateway without calls, a counter whose time is over.
--
-- KEYS  sorted set of names, key of the name
-- ARGV  name

if redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
return redis.call('ZREM', KEYS[1], ARGV[1])
