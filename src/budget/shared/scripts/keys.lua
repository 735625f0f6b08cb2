-- Writes callers' keys, all or none, each only where it stands as it was read.
--
-- KEYS  keys, mark of the last change
-- ARGV  a new mark; for each key: id, record as read (empty where there was none), record
-- Answer: nothing, or the id and the record of the first key that stands otherwise.

for place = 2, #ARGV, 3 do
  local found = redis.call('HGET', KEYS[1], ARGV[place]) or ''
  if found ~= ARGV[place + 1] then return {ARGV[place], found} end
end
for place = 2, #ARGV, 3 do redis.call('HSET', KEYS[1], ARGV[place], ARGV[place + 2]) end
redis.call('SET', KEYS[2], ARGV[1])
return {}
