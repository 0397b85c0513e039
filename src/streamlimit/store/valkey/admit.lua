-- May this session be issued a segment? Existing before new, then the limit (rules 1, 2, 3, 8, 12; rules/admit.py).
--
-- KEYS[1]  the user's ledger
-- KEYS[2]  the shard's sweep index
-- KEYS[3]  the shard's outbox, where anything is subscribed
-- ARGV[1]  the policy (codec.py)
-- ARGV[2]  the ask: B purpose · B may start · I2 limit · I6 sequence + 1 · I4 client · B session id · B stream id
--          B lease id · B kind · B replace · I2 device
-- ARGV[3]  the time in ms, in tests
-- Returns  admitted: 1 new or 2 existing · I6 now · I2 limit · I2 live · seat · events
--          a check that would be admitted: 3 · I6 now · I2 limit · I2 live · events (none)
--          refused: 4 limit, 5 shared, 6 grant expired, 7 terminated · I6 now · I2 limit · I2 live · the ledger

-- include preamble

local LEASE, CHECK = 1, 3
local purpose, may_start, asked, sequence, client, id, stream, lease, kind, replace, device =
  struct.unpack('<BBI2I6I4Bc0Bc0Bc0Bc0Bc0I2c0', ARGV[2])
local value = redis.call('GET', KEYS[1])

-- The quick ways, without taking the ledger apart. Who sits is admitted by one read; a new session is put behind the
-- others where there is room. Everything else is below.
local own_limit, filed, seats, marks = 65535, 0, 0, 0
if value then own_limit, filed, seats, marks = struct.unpack('<I2I6I2B', value) end
local at, live, found, size = 12, 0, nil, nil
for _ = 1, seats do
  local length, other, expires = struct.unpack('<I2Bc0I6', value, at)
  if expires > now then
    live = live + 1
    if other == id then found, size = at, length end
  end
  at = at + length
end
local limit = own_limit
if limit == 65535 then limit = asked == 65535 and max_sessions or asked end

if marks == 0 and found then
  local last, extras = struct.unpack('<I6xxxxxxxxxxxxxxxxxxxxxxxxxB', value, found + 9 + #id)
  if extras == 0 and (last > 0 or purpose ~= LEASE) then
    return struct.pack('<BI6I2I2', 2, now, limit, live) .. value:sub(found, found + size - 1) .. '\0\0'
  end
elseif marks == 0 and live == seats and live < limit and may_start == 1 and purpose ~= CHECK then
  local start_ms = struct.unpack('<I4', ARGV[1], 15)
  local expires = now + start_ms
  local rest = struct.pack('<Bc0I6I6I6I6I4I6I3BI2BBc0I2', #id, id, expires, 0, 0, 0, 0, now, 0,
    purpose == LEASE and 1 or 0, 0, 0, #stream, stream, #device) .. device
  if purpose == LEASE then rest = rest .. struct.pack('<I6BBBBc0', 0, 0, 0, 1, #lease, lease) end
  local seat = struct.pack('<I2', #rest + 2) .. rest
  if filed == 0 or expires < filed then
    filed = expires
    redis.call('ZADD', KEYS[2], filed, KEYS[1]:sub(#KEYS[2]))
  end
  local header = struct.pack('<I2I6I2B', own_limit, filed, seats + 1, 0)
  redis.call('SET', KEYS[1], value and header .. value:sub(12) .. seat or header .. seat)
  return struct.pack('<BI6I2I2', 1, now, limit, live + 1) .. seat .. '\0\0'
end

-- include ledger

local REFUSE, REPLACE_OLDEST = 0, 2
local ledger = open_ledger(value)

local function refused(code)
  return pack('<BI6I2I2', code, now, limit, live) .. (value or '')
end

-- 410, and the silence that it takes to be forgiven starts anew (written at most once per X/4).
local function refuse_terminated(mark)
  if mark.till < now + expiry_ms then
    mark.till = silent_until()
    mark.packed = mark.packed:sub(1, 3 + #id) .. pack('<I6', mark.till) .. mark.packed:sub(10 + #id)
    save(ledger)
    value = redis.call('GET', KEYS[1])
  end
  return refused(7)
end

local function is_shared(seat)
  local recent = 0
  for _, returned in ipairs(seat.returns) do
    if returned > now - expiry_ms then recent = recent + 1 end
  end
  if max_returns == 0 or recent < max_returns then return false end
  if stream ~= seat.stream then return is_return(seat, stream, now) end
  return is_repeat(seat, kind, sequence, client)
end

local function open_lease(seat)
  for _, open in ipairs(seat.leases) do
    if open == lease then return end
  end
  seat.leases[#seat.leases + 1] = lease
  if #seat.leases > LEASES_KEPT then table.remove(seat.leases, 1) end
  seat.expires = math.max(seat.expires, now + start_ms)
  pack_seat(seat)
  save(ledger)
end

local function admit_sitting(seat)
  open_seat(seat)
  if is_shared(seat) then return refused(5) end
  if purpose == LEASE and seat.last == 0 then open_lease(seat) end
  return pack('<BI6I2I2', 2, now, limit, live) .. seat.packed .. '\0\0'
end

local function silent_since(seat)
  return seat.last == 0 and seat.started or seat.last
end

-- The id in a device, as codec.py packs it: I2 length + 1 (0: none) · id · the rest.
local function device_id(packed)
  if packed == '' then return nil end
  local length = unpack('<I2', packed)
  return length > 0 and packed:sub(1, length + 1) or nil
end

-- The first of the live seats that *counts* and has the lowest *measure*.
local function lowest(measure, counts)
  local best, least
  for place, seat in ipairs(ledger.seats) do
    if seat.expires > now and counts(seat) then
      local measured = measure(seat)
      if not best or measured < least then best, least = place, measured end
    end
  end
  return best
end

local function always() return true end

-- Who gives way: the one the viewer named, the device's own old session, else as `over_limit` says.
local function victim()
  for place, seat in ipairs(ledger.seats) do
    open_seat(seat)
    if seat.expires > now and seat.id == replace then return place end
  end
  local own_id = reclaims_device == 1 and device_id(device)
  local own = own_id and lowest(silent_since, function(seat)
    return device_id(seat.device) == own_id and now - silent_since(seat) >= segment_ms
  end)
  if own or over_limit == REFUSE then return own or nil end
  if over_limit == REPLACE_OLDEST then
    return lowest(function(seat) return seat.started end, always)
  end
  local longest = lowest(silent_since, always)
  return longest and now - silent_since(ledger.seats[longest]) >= idle_victim_ms and longest or nil
end

local function reserve()
  local generation = now
  for _, mark in ipairs(ledger.marks) do -- an ended session back in the same millisecond is another one
    if mark.id == id then generation = math.max(generation, mark.generation + 1) end
  end
  local seat = {
    id = id, stream = stream, device = device, expires = now + start_ms, last = 0, sequence = 0, ahead = 0,
    move = 0, generation = generation, started = now, segment = '', positions = {}, revives = 0, left = {},
    returns = {}, leases = purpose == LEASE and { lease } or {},
  }
  pack_seat(seat)
  ledger.seats[#ledger.seats + 1] = seat
  return seat
end

local function replace_seat(going)
  local leaving = ledger.seats[going]
  lapse_all(ledger)
  local _, place = find(ledger, leaving.id)
  local reason = 'replaced by another session of this user'
  local tail = pack('<Bc0I2c0Bc0I2', 6, 'viewer', #reason, reason, #id, id, #device) .. device
  dismiss(ledger, place, TERMINATED, tail)
end

local function admit_new()
  if may_start == 0 then return refused(6) end
  local going
  if live >= limit then
    going = victim()
    if not going or live > limit then return refused(4) end -- one going makes no room where a limit was lowered
  end
  if purpose == CHECK then return pack('<BI6I2I2I2', 3, now, limit, live, 0) end
  if going then replace_seat(going) else lapse_all(ledger) end
  local seat = reserve()
  save(ledger)
  return pack('<BI6I2I2', 1, now, limit, #ledger.seats) .. seat.packed .. told()
end

local mark = mark_of(ledger, id, TERMINATED)
if mark then return refuse_terminated(mark) end
local seat = find(ledger, id)
if seat and seat.expires > now then return admit_sitting(seat) end
return admit_new()
