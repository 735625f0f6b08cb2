-- Settles what is held under an id, once: what was held is given back, what was spent is counted and written on the bill.
--
-- KEYS  held, index, ended, hours, usage of the hour, listed, listed in all, leases; then a counter for each line
-- ARGV  now, id, "1" where the gateway knows that the id is held, "1" where this was asked
--       for so long ago that an ended id may have been forgotten, "1" where the call of a dead gateway is settled, ms to remember
--       the id, hour in ms, ms to keep usage, listed call (or ""), how many of those to keep, number of usage fields, gateway;
--       then a name and an amount for each usage field; then four for each line: slice ("start:end:leaves"), held, charged,
--       ms to keep
-- Answer: 1 where it has taken effect, 0 where the id had been settled before, or the gateway turns out to be alive.
--
-- A settled id is remembered, so that neither a reservation that arrives late nor a second settlement finds it new. An id
-- that is neither held nor remembered was never reserved (the store did not answer then), or its reservation is lost.


if ARGV[5] == '1' then
  local lease = redis.call('ZSCORE', KEYS[8], ARGV[12])
  if lease and tonumber(lease) >= now then return 0 end
end
local row = redis.call('HDEL', KEYS[1], ARGV[2]) == 1
if not row then
  if redis.call('EXISTS', KEYS[3]) == 1 then return 0 end
  if ARGV[3] == '1' and ARGV[4] == '1' then return 0 end
end
redis.call('SET', KEYS[3], '1', 'PX', ARGV[6])

local FIXED, PER_LINE, KEYS_BEFORE = 12, 4, 8
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
  -- Less than nothing is held only after a count stood at the highest.
  if row and held ~= '0' and (bump(key, slice .. ':r', '-' .. held) or 0) < 0 then
    redis.call('HSET', key, slice .. ':r', '0')
  end
  if charged ~= '0' then bump(key, slice .. ':s', charged) end
  if redis.call('PTTL', key) == -1 then redis.call('PEXPIRE', key, keep) end
  if redis.call('EXISTS', key) == 1 then redis.call('ZADD', KEYS[2], now, key) end
end
return 1
