-- One user's ledger: its packed form, reading, changing and writing it, and its events.
--
-- A script says `-- include ledger` where it needs this; scripts.py puts the text there. Redis has no other way
-- to share code between scripts, and runs what stands here at every call (some microseconds), so a
-- script includes it only after its shortcuts. Needs preamble.lua.
--
--   ledger  I2 own limit (65535: none) · I6 filed: the user's score in the sweep index (0: not there)
--           I2 number of seats · B number of marks (+ 128: spent, + 64: the own limit ends) · the seats, oldest first
--           the marks, oldest first · where it ends: I6 when the own limit ends
--           and, with spent: I6 when the budget of visits is whole again
--   limits  a hash of the shard, by user, of own limits: I2 the limit · I6 when it ends (0: never)
--           I6 the end as it was said, by the wall clock (0: not) · the note
--   seat    I2 length of all · B session id · then what a receipt overwrites in place:
--           I6 expires at · I6 last activity (0: none) · I6 sequence + 1 (0: none) · I6 ahead until · I6 placed at
--           I4 move · I6 generation · I3 generation − started at · B has · B given a grant? · I2 limit (+ 32768: the user's own)
--           B plan · I2 segment
--           B number of positions, each: B kind · I6 place · I4 crc of the client
--           and what stays: B stream id · I2 device, and, each only where `has` says so:
--           (1) I6 revives · B left, each: B stream id · I6 at · B returns, each: I6 at · B leases, each: B lease id
--           (8) B repeats, each: I6 at · B changes, each: I6 at · B stream paid for (0: none) · I6 at · B play
--           (2) the play: I4 low · I4 high, eight bytes; and (4) the session is locked to it
--   device  I2 length of the id + 1 (0: none) · id · where it is more than an id: B type · name
--   mark    I2 length of all · B session id · I6 until · I6 generation · B state · I6 at · tail
--   tail    B by · I2 reason · B by session id · I2 by device
--   events  I2 number, each:
--           B type · B why · I6 at · I2 tail (where `why` is IN_TAIL) · seat
--
-- `B x`, `I2 x` before a string: its length. Times are milliseconds in six bytes. Ids, kinds and devices are
-- what codec.py made of them: here they are only compared and copied.

local LEDGER, DUE, OUTBOX = KEYS[1], KEYS[2], KEYS[3]
local LIMITS = DUE:sub(1, -4) .. 'limits' -- few calls need it: it is not among the keys that each is sent with
local HEADER, SPENT, ENDS = 12, 128, 64
local LOOK_AGAIN_MS = 60000
local NO_PLAY = ''
local STARTED, MOVED, EXPIRED, ENDED, TERMINATED, ABANDONED = 1, 2, 3, 4, 5, 6
local IN_TAIL, IDLE, RAN_OUT, NOTHING_RECEIVED = 1, 2, 3, 4

local idle_victim_ms, over_limit, reclaims_device, enforces, subscribed, outbox_most, grant_ms =
  unpack('<I4BBBBI4I6', ARGV[1], 29)

local events = {}

-- The user whose ledger it is: what follows the shard's part of the key, which is as long in every key (keys.py).
local function user_of(ledger_key)
  return ledger_key:sub(#DUE)
end

-- include intake

-- One event: into the answer, and into the outbox where someone subscribed.
local function add_event(kind, why, tail, seat)
  local event = pack('<BI6I2', why, now, #tail) .. tail .. seat
  if math.floor(subscribed / 2 ^ kind) % 2 == 1 then
    local user = user_of(LEDGER)
    put(OUTBOX, outbox_most, kind, pack('<I2', #user) .. user .. string.char(kind) .. event)
  end
  events[#events + 1] = string.char(kind) .. event
end

-- A seat or a mark whose time lies further ahead than any may be is passed over.
local function mended(packed, id, time)
  if time <= far then return time, packed end
  return now, packed:sub(1, 3 + #id) .. pack('<I6', now) .. packed:sub(10 + #id)
end

-- The value of a ledger's key (false: none) as a table; seats and marks stay packed, with what finding them needs.
local function open_ledger(value)
  local ledger = { own_limit = NO_LIMIT, limit_till = 0, filed = 0, seats = {}, marks = {}, spent = 0 }
  if not value then return ledger end
  local seats, marks
  ledger.own_limit, ledger.filed, seats, marks = unpack('<I2I6I2B', value)
  local tail = #value - 5
  if marks >= SPENT then
    marks, ledger.spent, tail = marks - SPENT, unpack('<I6', value, tail), tail - 6
    if ledger.spent > now + math.max(far - now, burst_ms + 60000) then ledger.spent = 0 end
  end
  if marks >= ENDS then
    marks, ledger.limit_till = marks - ENDS, unpack('<I6', value, tail)
    if ledger.limit_till <= now then
      ledger.own_limit, ledger.limit_till, ledger.limit_ended = NO_LIMIT, 0, true
    end
  end
  local at = HEADER
  for i = 1, seats do
    local size, id, expires, last = unpack('<I2Bc0I6I6', value, at)
    local seat = { id = id, last = last }
    seat.expires, seat.packed = mended(value:sub(at, at + size - 1), id, expires)
    ledger.seats[i] = seat
    at = at + size
  end
  for i = 1, marks do
    local size, id, till, generation, state, since, by = unpack('<I2Bc0I6I6BI6Bc0', value, at)
    local mark = { id = id, generation = generation, state = state, since = since, by = by }
    mark.till, mark.packed = mended(value:sub(at, at + size - 1), id, till)
    ledger.marks[i] = mark
    at = at + size
  end
  return ledger
end

-- Writes the ledger. An index entry that is early enough stays: the sweep corrects it, not each receipt.
-- A blank ledger is removed; its entry in the index is left to the sweep, too.
local function save(ledger)
  local parts, earliest = { '' }, nil
  for _, seat in ipairs(ledger.seats) do
    parts[#parts + 1] = seat.packed
    if not earliest or seat.expires < earliest then earliest = seat.expires end
  end
  for _, mark in ipairs(ledger.marks) do
    parts[#parts + 1] = mark.packed
    if not earliest or mark.till < earliest then earliest = mark.till end
  end
  if ledger.limit_ended then call('HDEL', LIMITS, user_of(LEDGER)) end
  local ends = ledger.limit_till > 0
  if ends then
    parts[#parts + 1] = pack('<I6', ledger.limit_till)
  end
  local has_spent = ledger.spent > now
  if has_spent then
    parts[#parts + 1] = pack('<I6', ledger.spent)
    earliest = earliest or ledger.spent
  end
  if ends then
    earliest = earliest or math.min(ledger.limit_till, now + LOOK_AGAIN_MS)
  end
  if not earliest and ledger.own_limit == NO_LIMIT then
    call('DEL', LEDGER)
    return
  end
  if earliest and (ledger.filed == 0 or earliest < ledger.filed) then
    ledger.filed = earliest
    call('ZADD', DUE, earliest, user_of(LEDGER))
  end
  local marks = #ledger.marks + (has_spent and SPENT or 0) + (ends and ENDS or 0)
  parts[1] = pack('<I2I6I2B', ledger.own_limit, ledger.filed, #ledger.seats, marks)
  call('SET', LEDGER, table.concat(parts))
end

-- The seat of a session, be it past its time or not, and its place among the seats.
local function find(ledger, id)
  for i, seat in ipairs(ledger.seats) do
    if seat.id == id then return seat, i end
  end
end

-- How many seats count: one past its time counts for nothing, swept or not (rule 7).
local function count_live(ledger)
  local live = 0
  for _, seat in ipairs(ledger.seats) do
    if seat.expires > now then live = live + 1 end
  end
  return live
end

-- Reads *count* strings from *at*, each with a number after it; returns them and where they end.
local function strings_and_numbers(packed, count, at)
  local found = {}
  for i = 1, count do
    local text, number
    text, number, at = unpack('<Bc0I6', packed, at)
    found[i] = { text, number }
  end
  return found, at
end

-- Reads moments from *at*, which their number stands before; returns them and where they end.
local function times(packed, at)
  local found, count = {}, nil
  count, at = unpack('<B', packed, at)
  for i = 1, count do
    found[i], at = unpack('<I6', packed, at)
  end
  return found, at
end

local function pack_times(times_)
  local parts = { string.char(#times_) }
  for i, at in ipairs(times_) do
    parts[i + 1] = pack('<I6', at)
  end
  return table.concat(parts)
end

-- Unpacks all of a seat into its table.
local function open_seat(seat)
  local packed, at, has, count, late = seat.packed, nil, nil, nil, nil
  seat.sequence, seat.ahead, seat.placed, seat.move, seat.generation, late, has, seat.given, seat.limit, seat.plan,
    seat.segment, count, at = unpack('<I6I6I6I4I6I3BBI2Bc0I2c0B', packed, 16 + #seat.id)
  seat.started = seat.generation - late
  seat.positions, seat.left, seat.returns, seat.leases, seat.revives = {}, {}, {}, {}, 0
  seat.repeats, seat.changes, seat.paid, seat.paid_at, seat.paid_play = {}, {}, '', 0, NO_PLAY
  seat.play = has % 4 >= 2 and packed:sub(-8) or NO_PLAY
  seat.locked = has % 8 >= 4
  for i = 1, count do
    local kind, reached, client
    kind, reached, client, at = unpack('<Bc0I6I4', packed, at)
    seat.positions[i] = { kind, reached, client }
  end
  seat.stream, seat.device, at = unpack('<Bc0I2c0', packed, at)
  if has % 2 == 1 then
    seat.revives, count, at = unpack('<I6B', packed, at)
    seat.left, at = strings_and_numbers(packed, count, at)
    seat.returns, at = times(packed, at)
    count, at = unpack('<B', packed, at)
    for i = 1, count do
      seat.leases[i], at = unpack('<Bc0', packed, at)
    end
  end
  if has >= 8 then
    seat.repeats, at = times(packed, at)
    seat.changes, at = times(packed, at)
    seat.paid, seat.paid_at, seat.paid_play = unpack('<Bc0I6Bc0', packed, at)
  end
  return seat
end

local function pack_extras(seat)
  local parts = { pack('<I6B', seat.revives, #seat.left) }
  for _, left in ipairs(seat.left) do
    parts[#parts + 1] = pack('<Bc0I6', #left[1], left[1], left[2])
  end
  parts[#parts + 1] = pack_times(seat.returns)
  parts[#parts + 1] = pack('<B', #seat.leases)
  for _, lease in ipairs(seat.leases) do
    parts[#parts + 1] = pack('<Bc0', #lease, lease)
  end
  return table.concat(parts)
end

-- Packs what open_seat (or a rule) put into the table.
local function pack_seat(seat)
  local extras, has = '', 0
  if seat.revives + #seat.left + #seat.returns + #seat.leases > 0 then extras, has = pack_extras(seat), 1 end
  if #seat.repeats + #seat.changes + #seat.paid > 0 then
    extras = extras .. pack_times(seat.repeats) .. pack_times(seat.changes)
      .. pack('<Bc0I6Bc0', #seat.paid, seat.paid, seat.paid_at, #seat.paid_play, seat.paid_play)
    has = has + 8
  end
  if seat.play ~= NO_PLAY then has = has + 2 end
  if seat.locked then has = has + 4 end
  local positions = {}
  for i, position in ipairs(seat.positions) do
    positions[i] = pack('<Bc0I6I4', #position[1], position[1], position[2], position[3])
  end
  local late = math.min(math.max(seat.generation - seat.started, 0), 2 ^ 24 - 1)
  local rest = pack('<Bc0', #seat.id, seat.id)
    .. pack('<I6I6I6I6I6I4I6I3BBI2Bc0I2', seat.expires, seat.last, seat.sequence, seat.ahead, seat.placed, seat.move,
      seat.generation, late, has, seat.given, seat.limit, #seat.plan, seat.plan, #seat.segment)
    .. seat.segment .. string.char(#positions) .. table.concat(positions)
    .. pack('<Bc0I2', #seat.stream, seat.stream, #seat.device) .. seat.device .. extras .. seat.play
  seat.packed = pack('<I2', #rest + 2) .. rest
  return seat.packed
end

-- Removes every seat past its time, with its event; each change of a ledger does so (rule 7).
local function lapse_all(ledger)
  local kept = {}
  for _, seat in ipairs(ledger.seats) do
    if seat.expires > now then
      kept[#kept + 1] = seat
    elseif seat.last == 0 then
      add_event(ABANDONED, RAN_OUT, '', seat.packed)
    else
      add_event(EXPIRED, IDLE, '', seat.packed)
    end
  end
  ledger.seats = kept
end

-- All events of this call: I2 number · the events.
local function packed_events()
  return pack('<I2', #events) .. table.concat(events)
end
