-- Removes all that is past its time of some users, and updates their due times (rule 7, the sweep; rules/leave.py).
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
--          '' no event · the ledger: all its seats went · a list: the events

local spread, byte = unpack, string.byte

-- include preamble

local users = {}
for i, key in ipairs(KEYS) do
  if i == 1 or i > 3 then users[#users + 1] = key end
end
local values = call('MGET', spread(users))
local answers, blank, unfiled, filed, mixed = {}, {}, {}, {}, {}
local AFTER_TAG = #KEYS[2] -- where the user begins in each ledger's key (ledger.lua, user_of)

-- Is anybody subscribed to expired (bit 3) or abandoned (bit 6) sessions?
local subscribers = byte(ARGV[1], 36)
local is_wanted = math.floor(subscribers / 8) % 2 == 1 or math.floor(subscribers / 64) % 2 == 1

-- The first and the last time at which one of so many seats and marks lapses; both begin alike (ledger.lua).
local function lapses(value, count)
  local at, first, last = 12, nil, nil
  for _ = 1, count do
    local low, high, id = byte(value, at, at + 2)
    local time = unpack('<I6', value, at + 3 + id)
    if time > far then time = now end
    if not first or time < first then first = time end
    if not last or time > last then last = time end
    at = at + low + 256 * high
  end
  return first, last
end

-- The answer for a user whose ledger need not be taken apart; nil: it must be.
local function expire(key, value)
  local low, high, _, _, _, _, _, _, seats, more, marks = byte(value, 1, 11)
  local keeps_more = low + 256 * high ~= NO_LIMIT
  if marks >= 128 then -- a budget that is spent
    keeps_more = keeps_more or unpack('<I6', value, #value - 5) > now
  end
  seats = seats + 256 * more
  local first, last = lapses(value, seats + marks % 64)
  if first and first > now then
    call('SETRANGE', key, 2, pack('<I6', first))
    filed[#filed + 1], filed[#filed + 2] = first, key:sub(AFTER_TAG)
    return ''
  end
  if is_wanted or keeps_more or (last and last > now) then return nil end
  blank[#blank + 1], unfiled[#unfiled + 1] = key, key:sub(AFTER_TAG)
  return seats > 0 and value or ''
end

for i, key in ipairs(users) do
  local value = values[i]
  if not value then
    unfiled[#unfiled + 1], answers[i] = key:sub(AFTER_TAG), ''
  else
    answers[i] = expire(key, value)
    if not answers[i] then mixed[#mixed + 1] = i end
  end
end

local function file_all()
  if #blank > 0 then call('DEL', spread(blank)) end
  if #unfiled > 0 then call('ZREM', KEYS[2], spread(unfiled)) end
  if #filed > 0 then call('ZADD', KEYS[2], spread(filed)) end
  local following = call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, (unpack('<I2', ARGV[2])))
  return { pack('<I6', now), answers, following }
end

if #mixed == 0 then return file_all() end

-- include ledger

-- All of them are read before the first is changed: where one cannot be read nothing has happened yet (mend.lua).
local ledgers = {}
for _, i in ipairs(mixed) do ledgers[i] = open_ledger(values[i]) end

-- Some of it is past its time, or the events are wanted.
local function take_apart(ledger)
  local marks = {}
  events = {}
  for _, mark in ipairs(ledger.marks) do
    if mark.till > now then marks[#marks + 1] = mark end
  end
  lapse_all(ledger)
  ledger.marks, ledger.filed = marks, 0 -- so that `save` files the user under the time that is true now
  save(ledger)
  if ledger.filed == 0 then unfiled[#unfiled + 1] = user_of(LEDGER) end
  return #events > 0 and { packed_events() } or ''
end

for _, i in ipairs(mixed) do
  LEDGER = users[i]
  answers[i] = take_apart(ledgers[i])
end
return file_all()
