-- Takes out all of some users that is past its time, and files each of them anew (rule 7, the sweep; rules/leave.py).
-- Of many callers one finds the seats there and gets the events; for the others there is nothing left to do.
--
-- Nearly every user has either nothing that is past its time (it was prolonged) or nothing else. Neither is taken
-- apart, and the index is changed and what is blank removed by one command for all of them.
--
-- KEYS[1]  a user's ledger
-- KEYS[2]  the shard's sweep index
-- KEYS[3]  the shard's outbox
-- KEYS[4]  another user's ledger of this shard, and so on
-- ARGV[1]  the policy (codec.py)
-- ARGV[2]  I2 how many of the shard's users who are due next to name
-- ARGV[3]  the time in ms, in tests
-- Returns  a list: I6 now · a list with one answer a user · a list of users who are due next
--          '' no event · B WHOLE · the ledger: all its seats went · B SOME · the events

local spread = unpack

-- include preamble
-- include ledger

local WHOLE, SOME = '\1', '\2'
local function wants(kind)
  return math.floor(subscribed / 2 ^ kind) % 2 == 1
end
local is_wanted = wants(EXPIRED) or wants(ABANDONED)
local answers, blank, unfiled, filed = {}, {}, {}, {}

-- The first and the last time at which anything of a ledger lapses; seats and marks both begin so.
local function lapses(value, count)
  local at, first, last = HEADER, nil, nil
  for _ = 1, count do
    local size, _, time = unpack('<I2Bc0I6', value, at)
    if time > far then time = now end
    if not first or time < first then first = time end
    if not last or time > last then last = time end
    at = at + size
  end
  return first, last
end

-- Some of it is past its time, or the events are wanted.
local function take_apart(value)
  local ledger, marks = open_ledger(value), {}
  events = {}
  for _, mark in ipairs(ledger.marks) do
    if mark.till > now then marks[#marks + 1] = mark end
  end
  lapse_all(ledger)
  ledger.marks, ledger.filed = marks, 0 -- so that `save` files the user under the time that is true now
  save(ledger)
  if ledger.filed == 0 then unfiled[#unfiled + 1] = user_of(LEDGER) end
  return #events > 0 and SOME .. packed_events() or ''
end

local function expire(value)
  if not value then
    unfiled[#unfiled + 1] = user_of(LEDGER)
    return ''
  end
  local own_limit, _, seats, marks = unpack('<I2I6I2B', value)
  local is_spent = marks >= SPENT and unpack('<I6', value, #value - 5) > now
  marks = marks % ENDS
  local first, last = lapses(value, seats + marks)
  if first and first > now then
    call('SETRANGE', LEDGER, 2, pack('<I6', first))
    filed[#filed + 1], filed[#filed + 2] = first, user_of(LEDGER)
    return ''
  end
  if is_wanted or is_spent or own_limit ~= NO_LIMIT or (last and last > now) then return take_apart(value) end
  blank[#blank + 1], unfiled[#unfiled + 1] = LEDGER, user_of(LEDGER)
  return seats > 0 and WHOLE .. value or ''
end

local ledgers = {}
for i, key in ipairs(KEYS) do
  if i == 1 or i > 3 then ledgers[#ledgers + 1] = key end
end
for i, value in ipairs(call('MGET', spread(ledgers))) do
  LEDGER = ledgers[i]
  answers[i] = expire(value)
end
if #blank > 0 then call('DEL', spread(blank)) end
if #unfiled > 0 then call('ZREM', DUE, spread(unfiled)) end
if #filed > 0 then call('ZADD', DUE, spread(filed)) end
local following = unpack('<I2', ARGV[2])
return { pack('<I6', now), answers, call('ZRANGEBYSCORE', DUE, '-inf', now, 'LIMIT', 0, following) }
