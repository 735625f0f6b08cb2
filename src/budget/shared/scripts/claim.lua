-- Notes that a threshold has been told of.
--
-- KEYS  the threshold, pending
-- ARGV  ms to keep, threshold as a webhook has to be told of it (empty: no webhook), now in ms
-- Answer: 1 where it is new.

if not redis.call('SET', KEYS[1], '1', 'NX', 'PX', ARGV[1]) then return 0 end
if ARGV[2] ~= '' then redis.call('HSET', KEYS[2], ARGV[2], ARGV[3]) end
return 1
