-- Confirms a receipt: prolongs the session, moves it, or seats it again (rules 3, 5, 6, 8; rules/confirm.py).
--
-- ARGV[2]  the receipt: I6 generation · I4 move · I6 generation of the grant + 1 (0: no grant) · B has or is given a grant
--          I6 admitted at · I4 age ms · B session id · B play · I6 place + 1 (codec.py) · I4 play ms · I4 ends ms
--          I2 segment · I4 client · I2 limit · I2 cap for this type of device · B stream id · B kind · I2 device · B plan
-- Returns  confirmed: 1 · I6 now · I2 limit · I2 live · seat · events
--          where the receipt says: 3 · I6 now · I2 limit · I2 live · I6 expires at · I6 last activity
--          I3 generation − started at · I2 its limit · B plan · device
--          where it was, by a heartbeat: 4 · as 3 up to the device · B play · I6 sequence + 1 · I2 segment · device
--          gone: 2 · I6 now · I2 limit · I2 live · B state · the mark or nothing

-- include preamble

local generation, move, granted, gives_grant, admitted, age_ms, id, play, point, play_ms, ends_ms, segment, client, asked,
  type_cap, stream, kind, from = unpack('<I6I4I6BI6I4Bc0Bc0I6I4I4I2c0I4I2I2Bc0Bc0', ARGV[2])
local sequence = (point + 63 - (point - 1) % 64) / 64 -- of the segment, + 1
local value = call('GET', KEYS[1])

local own_limit, filed, seats = NO_LIMIT, 0, 0
if value then
  local marks
  own_limit, filed, seats, marks = unpack('<I2I6I2B', value)
  if marks % 128 >= 64 and unpack('<I6', value, #value - (marks >= 128 and 11 or 5)) <= now then own_limit = NO_LIMIT end
end
-- include seats

-- The shortcuts, without taking the ledger apart. The next segment of the same stream, its name as long as the last
-- one's, and the heartbeat: numbers, segment and position are overwritten where they stand, one read and one
-- small write. The first segment: the seat is written anew among the others. Everything else is below.
local expires, last, its_sequence, ahead, placed, its_move, its_generation, late, has, given, its_limit, its_plan
local its_segment, positions, place
if found and age_ms == 0 and ends_ms == 0 then
  expires, last, its_sequence, ahead, placed, its_move, its_generation, late, has, given, its_limit, its_plan,
    its_segment, positions, place = unpack('<I6I6I6I6I6I4I6I3BBI2Bc0I2c0B', value, found + 3 + #id)
end
if its_generation == generation and its_move == move then
  local is_first, position, is_repeat, after, whose = last == 0, nil, false, place, client
  for _ = 1, positions do
    local its_kind, reached, its_client, next_one = unpack('<Bc0I6I4', value, after)
    if its_kind == kind then
      position = after + #kind
      if client == 0 then whose = its_client end
      is_repeat = point - 1 <= reached and its_client ~= 0 and whose ~= its_client
    end
    after = next_one
  end
  local its_stream, device = unpack('<Bc0I2c0', value, after)
  local ahead_until = now
  if buffer_ms > 0 then
    ahead = math.min(math.max(ahead, now) + play_ms, now + buffer_ms)
    ahead_until = math.max(ahead, now)
  else
    ahead = 0
  end
  if is_first or ahead_until + expiry_ms > expires then expires = ahead_until + expiry_ms end
  if now > last then last = now end

  local its_play = has % 4 >= 2 and value:sub(found + size - 8, found + size - 1) or ''
  local is_media = segment ~= '' or sequence > 0
  local is_next = its_stream == stream and has % 2 == 0 and has < 8 and not is_first
  is_next = is_next and (its_play == play or (play == '' and not is_media) or (max_returns == 0 and its_play == ''))
  if is_next and not is_media then
    local patch = pack('<I6I6I6I6', expires, last, its_sequence, ahead)
    call('SETRANGE', KEYS[1], found + 2 + #id, patch)
    return pack('<BI6I2I2I6I6I3I2Bc0Bc0I6I2', 4, now, limit, live, expires, last, late, its_limit, #its_plan, its_plan,
      #its_play, its_play, its_sequence, #its_segment) .. its_segment .. device
  elseif is_next and segment ~= '' and #segment == #its_segment and position and sequence > 0 and not is_repeat
    and admitted >= placed
  then
    call('SETRANGE', KEYS[1], found + 2 + #id,
      pack('<I6I6I6I6I6I4I6I3BBI2Bc0I2', expires, last, sequence, ahead, admitted, move, generation, late, has,
        given, its_limit, #its_plan, its_plan, #segment)
      .. segment .. value:sub(place - 1, position) .. pack('<I6I4', point - 1, whose))
    return pack('<BI6I2I2I6I6I3I2Bc0', 3, now, limit, live, expires, last, late, its_limit, #its_plan, its_plan) .. device
  elseif is_first and its_stream == stream and positions == 0 and sequence > 0 and expires >= filed and has < 2
    and not KEYS[3] then
    local its_play = max_returns > 0 and play or ''
    local rest = pack('<Bc0I6I6I6I6I6I4I6I3BBI2Bc0I2', #id, id, expires, last, segment == '' and 0 or sequence, ahead,
      segment == '' and 0 or admitted, move, generation, late, its_play == '' and 0 or 2, given, its_limit,
      #its_plan, its_plan, #segment) .. segment .. pack('<BBc0I6I4Bc0I2', 1, #kind, kind, point - 1, client,
      #stream, stream, #device) .. device .. its_play
    local seat = pack('<I2', #rest + 2) .. rest
    call('SET', KEYS[1], value:sub(1, found - 1) .. seat .. value:sub(found + size))
    return pack('<BI6I2I2', 1, now, limit, live) .. seat .. pack('<I2BBI6I2', 1, 1, 0, now, 0) .. seat
  end
end

-- include visits
-- include ledger
-- include rules
-- include grants

local STREAMS_REMEMBERED, FORGIVEN_SEGMENTS = 2, 3
local device, plan = unpack('<I2c0Bc0', ARGV[2], from)
local ledger = open_ledger(value)
local received = math.max(now - age_ms, math.min(admitted, now)) -- not before the lease, whatever an edge's clock says
if play == NO_PLAY and segment == '' and sequence == 0 then play = nil end -- of a heartbeat that names none

local function note_position(seat)
  for _, position in ipairs(seat.positions) do
    if position[1] == kind then
      position[2] = point - 1
      if client ~= 0 then position[3] = client end -- 0: unknown
      return
    end
  end
  seat.positions[#seat.positions + 1] = { kind, point - 1, client }
end

-- Counts a return or a repeat; only as many are kept as can matter.
local function with_one_more(moments)
  local kept = recent(moments, received)
  kept[#kept + 1] = received
  while #kept > max_returns + 1 do table.remove(kept, 1) end
  return kept
end

-- A seek counts as one repeat, whatever else is fetched from that address.
local function note_repeat(seat)
  seat.repeats = with_one_more(seat.repeats)
  for _, position in ipairs(seat.positions) do position[3] = client end
end

-- Makes the play that received the current one. False: it is an older one that had lost the session before.
local function take_over(seat)
  if #seat.changes > 0 and seat.changes[#seat.changes] <= received - expiry_ms then seat.changes = {} end
  if not play or max_returns == 0 or (play == seat.play and has_begun(seat)) then return true end
  if not is_change(seat, play, received) then
    seat.locked, seat.changes = false, {}
  elseif is_older(play, seat.play)
    and (seat.locked or (#seat.changes > 0 and admitted < seat.changes[#seat.changes])) then
    return false
  else
    seat.changes = recent(seat.changes, received)
    seat.changes[#seat.changes + 1] = received
    if seat.locked or #seat.changes >= max_returns then seat.locked, seat.changes = true, {} end
  end
  if seat.play ~= play then seat.play, seat.positions = play, {} end
  return true
end

-- Gives the visit back, once, if the stream was watched to its end (rules/visits.py).
local function give_back(seat)
  local paid, paid_at = seat.paid, seat.paid_at
  if paid == '' and seat.move == 0 and seat.revives == 0 then paid, paid_at = seat.stream, seat.started end -- by starting
  if burst_ms == 0 or paid ~= seat.stream or paid_at == 0 then return end
  if received - paid_at < ends_ms - FORGIVEN_SEGMENTS * segment_ms then return end
  ledger.spent = math.max(ledger.spent - visit_cost(limit), 0)
  seat.paid, seat.paid_at, seat.paid_play = seat.stream, 0, NO_PLAY
end

-- Remembers the stream that the session is about to leave.
local function note_left(seat)
  local kept = {}
  for _, left in ipairs(seat.left) do
    if left[2] > received - 2 * segment_ms and left[1] ~= seat.stream then kept[#kept + 1] = left end
  end
  kept[#kept + 1] = { seat.stream, received }
  if #kept > STREAMS_REMEMBERED then table.remove(kept, 1) end
  seat.left = kept
end

-- Sets the session's position to that of its newest receipt. Is that another stream?
local function follow(seat)
  local moved = stream ~= seat.stream
  if not take_over(seat) then return false end
  if moved then
    if is_return(seat, stream, received) then seat.returns = with_one_more(seat.returns) end
    note_left(seat)
    seat.stream, seat.move = stream, seat.move + 1
    seat.segment, seat.sequence, seat.positions = '', 0, {}
  elseif admitted < seat.placed then
    return false -- of requests that overlapped the later one says where the player is
  elseif is_repeat(seat, kind, point, client) then
    note_repeat(seat)
  end
  if segment ~= '' then seat.segment, seat.sequence, seat.placed = segment, sequence, admitted end
  if sequence > 0 then note_position(seat) end
  return moved
end

-- Sets the expiry: n·X from the receipt, or from the end of the buffered media, `buffer_seconds` at most (rule 6).
local function prolong(seat)
  seat.ahead = buffer_ms > 0 and math.min(math.max(seat.ahead, received) + play_ms, received + buffer_ms) or 0
  seat.expires = math.max(seat.expires, math.max(seat.ahead, received) + expiry_ms)
end

-- Writes the receipt into the seat; a stale lease (an older move or seat) counts as activity alone.
local function settle(seat)
  local is_first, moved = seat.last == 0, false
  if generation == seat.generation and move == seat.move then
    moved = follow(seat)
    if ends_ms > 0 and stream == seat.stream then give_back(seat) end
  end
  seat.last = math.max(seat.last, received)
  seat.leases = {}
  if is_first then seat.expires = received end -- from here on the reservation's own time does not count
  prolong(seat)
  pack_seat(seat)
  if is_first then
    add_event(STARTED, 0, '', seat.packed)
  elseif moved then
    add_event(MOVED, 0, '', seat.packed)
  end
end

local function confirmed(seat)
  save(ledger)
  return pack('<BI6I2I2', 1, now, limit, count_live(ledger)) .. seat.packed .. packed_events()
end

local function is_gone()
  return pack('<BI6I2I2', 2, now, limit, live) .. gone(ledger, id, generation)
end

-- A seat of a new generation that remembers the old one: its other receipts are this session's too.
local function revive()
  local seat = {
    id = id, stream = stream, device = device, expires = now, last = 0, sequence = 0, ahead = 0, placed = 0, move = 0,
    generation = math.max(now, generation + 1), started = now, segment = '', positions = {},
    revives = generation, left = {}, returns = {}, repeats = {}, changes = {}, paid = '', paid_at = 0,
    paid_play = NO_PLAY, play = NO_PLAY, locked = false, leases = {}, given = gives_grant, plan = plan, limit = seat_limit,
  }
  ledger.seats[#ledger.seats + 1] = seat
  return seat
end

local function is_of(seat)
  return generation == seat.generation or generation == seat.revives
end

-- Would a new session be given a seat here, without replacing another?
local function has_room()
  if enforces == 0 then return live < DRY_RUN_SEATS end
  return #full_scopes(ledger, limit, stream, type_cap, device) == 0
end

-- Seats a session again that expired while its segment was delivered, if there is room (rule 3).
-- With a receipt in time but reported late (rule 11), it counts as having held its seat, unless another took it.
local function seat_again(old)
  local why = gone(ledger, id, generation)
  if #why > 1 or age_ms >= expiry_ms or not has_room() then return is_gone() end
  if old and is_of(open_seat(old)) and received < old.expires then
    settle(old)
    return confirmed(old)
  end
  if granted > 0 and granted - 1 <= newest_dead(id) then
    return pack('<BI6I2I2B', 2, now, limit, live, ENDED)
  end
  lapse_all(ledger)
  local seat = revive()
  generation, move = seat.generation, 0
  settle(seat)
  return confirmed(seat)
end

local seat = find(ledger, id)
if not seat or seat.expires <= now then return seat_again(seat) end
if not is_of(open_seat(seat)) then return is_gone() end
settle(seat)
return confirmed(seat)
