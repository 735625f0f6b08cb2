-- Holds every line of a booking or none.
--
-- KEYS  held, leases, index, ended, epoch; then a counter for each line
-- ARGV  now, epoch, id, gateway, lease in ms, row; then seven for each line:
--       window start, window end, slice ("start:end:leaves"), amount, limit, "1" where the limit refuses, ms to keep
-- Answer: a word, the server's time in ms, and four for each line: spent, reserved, when it eases ("" where nothing counts),
--       "1" where it fits. The words: ok; full (a line does not fit); moved (a slice is not the open one: ask again with
--       this time); ended (the id has been settled); lost (the counts are not those that the gateway knew).
--
-- Amounts are decimal strings of up to 19 digits, and a Lua number is exact up to 2^53: sums are kept in two parts.

if redis.call('GET', KEYS[5]) ~= ARGV[2] then return { 'lost', tostring(now) } end
if redis.call('EXISTS', KEYS[4]) == 1 then return { 'ended', tostring(now) } end

local BILLION = 1000000000
local FIXED, PER_LINE, KEYS_BEFORE = 6, 7, 5
local lines = #KEYS - KEYS_BEFORE

local function parts(text)
  local digits = #text
  if digits <= 9 then return 0, tonumber(text) end
  return tonumber(string.sub(text, 1, digits - 9)), tonumber(string.sub(text, digits - 8))
end

local function add(sum, text)
  local high, low = parts(text)
  sum.high, sum.low = sum.high + high, sum.low + low
  if sum.low >= BILLION then sum.high, sum.low = sum.high + 1, sum.low - BILLION end
end

local function show(sum)
  if sum.high == 0 then return string.format('%d', sum.low) end
  return string.format('%d%09d', sum.high, sum.low)
end

local function above(sum, text)
  local high, low = parts(text)
  return sum.high > high or (sum.high == high and sum.low > low)
end

for line = 1, lines do
  local starts, ends = string.match(ARGV[FIXED + (line - 1) * PER_LINE + 3], '^(%d+):(%d+):')
  if now < tonumber(starts) or now >= tonumber(ends) then return { 'moved', tostring(now) } end
end

local answer, fits = { 'ok', tostring(now) }, true
local states, stale = {}, {}
for line = 1, lines do
  local at, key = FIXED + (line - 1) * PER_LINE, KEYS[KEYS_BEFORE + line]
  local first, last = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local state = { spent = { high = 0, low = 0 }, reserved = { high = 0, low = 0 }, eases = nil }
  -- Where there is nothing but the open slice, which is most of the time, nothing has to be taken apart.
  local slice = ARGV[at + 3]
  local own = redis.call('HMGET', key, slice .. ':s', slice .. ':r')
  if redis.call('HLEN', key) == (own[1] and 1 or 0) + (own[2] and 1 or 0) then
    add(state.spent, own[1] or '0')
    add(state.reserved, own[2] or '0')
    if (own[1] or '0') ~= '0' or (own[2] or '0') ~= '0' then
      state.eases = tonumber(string.match(slice, ':(%d+)$'))
    end
  else
    local fields = redis.call('HGETALL', key)
    local reserved_in = {}
    for place = 1, #fields, 2 do
      local slice, what = string.match(fields[place], '^(.*):(.)$')
      if what == 'r' and fields[place + 1] ~= '0' then reserved_in[slice] = true end
    end
    for place = 1, #fields, 2 do
      local slice, what = string.match(fields[place], '^(.*):(.)$')
      local starts, ends, leaves = string.match(slice, '^(%d+):(%d+):(%d+)$')
      starts, ends, leaves = tonumber(starts), tonumber(ends), tonumber(leaves)
      if first <= starts and ends <= last then
        add(what == 's' and state.spent or state.reserved, fields[place + 1])
        if fields[place + 1] ~= '0' and (not state.eases or leaves < state.eases) then state.eases = leaves end
      elseif leaves + 3600000 < now and not reserved_in[slice] then
        stale[#stale + 1] = { key, fields[place] }
      end
    end
  end
  states[line] = state
end

local known = redis.call('HEXISTS', KEYS[1], ARGV[3]) == 1
for line = 1, lines do
  local at, state = FIXED + (line - 1) * PER_LINE, states[line]
  local amount, limit, refuses = ARGV[at + 4], ARGV[at + 5], ARGV[at + 6]
  local after = { high = state.reserved.high, low = state.reserved.low }
  add(after, show(state.spent))
  add(after, amount)
  state.fits = known or amount == '0' or refuses ~= '1' or not above(after, limit)
  fits = fits and state.fits
end

if fits and not known then
  for _, field in ipairs(stale) do redis.call('HDEL', field[1], field[2]) end
  for line = 1, lines do
    local at, key, state = FIXED + (line - 1) * PER_LINE, KEYS[KEYS_BEFORE + line], states[line]
    local slice, amount, keep = ARGV[at + 3], ARGV[at + 4], tonumber(ARGV[at + 7])
    bump(key, slice .. ':r', amount)
    add(state.reserved, amount)
    if amount ~= '0' then
      local leaves = tonumber(string.match(slice, ':(%d+)$'))
      if not state.eases or leaves < state.eases then state.eases = leaves end
    end
    local left = redis.call('PTTL', key)
    if left < keep then redis.call('PEXPIRE', key, keep) end
    redis.call('ZADD', KEYS[3], now, key)
  end
  redis.call('HSET', KEYS[1], ARGV[3], ARGV[6])
  redis.call('ZADD', KEYS[2], now + tonumber(ARGV[5]), ARGV[4])
end

if not fits then answer[1] = 'full' end
for line = 1, lines do
  local state = states[line]
  answer[#answer + 1] = show(state.spent)
  answer[#answer + 1] = show(state.reserved)
  answer[#answer + 1] = state.eases and string.format('%d', state.eases) or ''
  answer[#answer + 1] = state.fits and '1' or '0'
end
return answer
