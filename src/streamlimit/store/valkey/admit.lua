-- Admits a session: existing ones before new ones, then the limit (rules 1, 2, 3, 8, 12; rules/admit.py).
--
-- ARGV[2]  the ask: I6 place + 1 (codec.py) · I6 generation of the grant + 1 (0: no grant) · B purpose · B may start
--          B session id · B lease id · B replace · B play · I4 client · I2 limit · I2 cap for this type of device
--          B stream id · B kind · I2 device · B plan
-- Returns  admitted: 1 new or 2 existing · B would refuse · I6 now · I2 limit · I2 live · seat · events · I6 spent, where paid
--          admitted without a seat: 3 a check, 4 beyond what a dry run records · B would refuse · I6 now
--          I2 limit · I2 live
--          refused: 5 limit, 6 shared, 7 grant expired, 8 terminated, 9 grant ended, 10 too many visits · B 0 · I6 now
--          I2 0 · I2 0 · the ledger
--          (`would refuse` is 0 or, in a dry run, one of the refusals)

-- include preamble
-- include visits
-- include question

local SEAT = 2
local NEW, EXISTING, NOT_PAID = 1, 2, ('\0'):rep(6)
local gives_grant = (granted > 0 or purpose == SEAT) and 1 or 0

-- The plan and limit under which a session with a seat is admitted; a request that names neither leaves them unchanged.
local function terms(its_plan, its_limit)
  if plan ~= '' or asked ~= NO_LIMIT then return plan, seat_limit end
  return its_plan, its_plan ~= '' and own_limit == NO_LIMIT and its_limit < 32768 and its_limit or seat_limit
end

-- The shortcuts, without taking the ledger apart: a session with a seat is admitted by one read, a new one is put behind
-- the others where there is room. Everything else is below.
if marks == 0 and found then
  local last, has, given, its_limit, its_plan, _, positions, after =
    unpack('<I6xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxBBI2Bc0I2c0B', value, found + 9 + #id)
  for _ = 1, positions do after = after + value:byte(after) + 11 end
  local new_plan, new_limit = terms(its_plan, its_limit)
  local is_no_news = purpose == CHECK or
    ((given == 1 or (granted == 0 and purpose == LEASE)) and new_plan == its_plan and new_limit == its_limit)
  local its_play = has % 4 >= 2 and value:sub(found + size - 8, found + size - 1) or ''
  local is_same = its_play == play or (play == '' and lease == '') or max_returns == 0
  local is_simple = has % 2 == 0 and has < 8 and is_same and unpack('<Bc0', value, after) == stream
  if is_simple and is_no_news and (last > 0 or purpose ~= LEASE) then
    return pack('<BBI6I2I2', EXISTING, 0, now, limit, live) .. value:sub(found, found + size - 1) .. '\0\0' .. NOT_PAID
  end
elseif marks == 0 and limit_till == 0 and live == seats and live < limit and may_start == 1 and purpose ~= CHECK and type_cap == NO_LIMIT
  and stream_cap == NO_LIMIT and visit_wait(spent, limit) == 0
  and (device == '' or ARGV[1]:byte(34) < 2) -- no session gives way to its device's new one
  and ((granted == 0 and purpose == LEASE) or has_none_dead())
then
  local expires = now + start_ms
  local rest = pack('<Bc0I6I6I6I6I6I4I6I3BBI2Bc0I2BBc0I2', #id, id, expires, 0, 0, 0, 0, 0, now, 0,
    purpose == LEASE and 1 or 0, gives_grant, seat_limit, #plan, plan, 0, 0, #stream, stream, #device) .. device
  if purpose == LEASE then rest = rest .. pack('<I6BBBBc0', 0, 0, 0, 1, #lease, lease) end
  local seat = pack('<I2', #rest + 2) .. rest
  if filed == 0 or expires < filed then
    filed = expires
    call('ZADD', KEYS[2], filed, KEYS[1]:sub(#KEYS[2]))
  end
  local paid
  spent, paid = paid_visit(spent, limit)
  local header = pack('<I2I6I2B', own_limit, filed, seats + 1, paid > 0 and 128 or 0)
  local budget = paid > 0 and pack('<I6', spent) or ''
  call('SET', KEYS[1], (value and header .. value:sub(12, value_end) or header) .. seat .. budget)
  return pack('<BBI6I2I2', NEW, 0, now, limit, live + 1) .. seat .. '\0\0' .. pack('<I6', paid)
elseif marks == 0 and not found and live >= limit and may_start == 1 and replace == ''
  and (granted == 0 or has_none_dead())
then
  -- Refused, unless the policy lets someone give way or the device has a seat already. Players ask again and again.
  local over_limit, _, enforces = unpack('<BBB', ARGV[1], 33)
  local id_length = device == '' and 0 or unpack('<I2', device)
  local has_seat = value and id_length > 0 and value:find(device:sub(1, id_length + 1), 12, true)
  if over_limit == 0 and enforces == 1 and not has_seat then
    return pack('<BBI6I2I2', 5, 0, now, 0, 0) .. (value or '')
  end
end

-- include ledger
-- include rules
-- include grants

local CHECKED, UNRECORDED = 3, 4
local LIMIT, SHARED, GRANT_EXPIRED, IS_TERMINATED, GRANT_ENDED, TOO_MANY_VISITS = 5, 6, 7, 8, 9, 10
local REFUSE, REPLACE_OLDEST, LEASES_KEPT = 0, 2, 32
local SILENT, ALWAYS = 1, 2
local ledger = open_ledger(value)
local has_changed, would_refuse, paid = false, 0, 0
-- A heartbeat without a play is of the current one; a request for a playback URL has none yet (rules/plays.py).
local named = play ~= '' or (lease ~= '' and purpose ~= SEAT)
if not named then play = nil end

local function seated(code, seat, count)
  if has_changed then save(ledger) end
  return pack('<BBI6I2I2', code, would_refuse, now, limit, count) .. seat.packed .. packed_events() .. pack('<I6', paid)
end

-- Has the session, which has a seat, to pay (rules/visits.py)?
local function is_visit(seat)
  local breaks = breaks_lock(seat, play, now)
  if burst_ms == 0 or (stream == seat.stream and not breaks) then return false end
  if seat.paid ~= stream or (breaks and seat.paid_play ~= play) then return true end
  return now - seat.paid_at >= segment_ms
end

-- Pays a visit, where there is budget for it.
local function pay()
  ledger.spent, paid = paid_visit(ledger.spent, limit)
  return paid > 0
end

local function unseated(code)
  return pack('<BBI6I2I2', code, would_refuse, now, limit, live)
end

-- Restarts the silence after which a terminated session is forgiven (for the fiftieth of X on top see admit.py).
local function prolong_mark(mark)
  if mark.till >= now + expiry_ms then return end
  mark.till = now + expiry_ms + (segment_ms - segment_ms % 50) / 50
  mark.packed = mark.packed:sub(1, 3 + #id) .. pack('<I6', mark.till) .. mark.packed:sub(10 + #id)
  save(ledger)
end

local function is_shared(seat)
  if max_returns == 0 then return false end
  if is_locked_out(seat, play, now) then return true end
  if stream ~= seat.stream then return #recent(seat.returns, now) >= max_returns and is_return(seat, stream, now) end
  if is_change(seat, play, now) or #recent(seat.repeats, now) < max_returns then return false end
  return is_repeat(seat, kind, point, client)
end

-- Adds a lease to a reservation, whose life is prolonged.
local function open_lease(seat)
  for _, open in ipairs(seat.leases) do
    if open == lease then return end
  end
  seat.leases[#seat.leases + 1] = lease
  if #seat.leases > LEASES_KEPT then table.remove(seat.leases, 1) end
  seat.expires = math.max(seat.expires, now + start_ms)
  pack_seat(seat)
  has_changed = true
end

local function admit_sitting(seat)
  if purpose == LEASE and seat.last == 0 then open_lease(seat) end
  if seat.given == 0 and gives_grant == 1 and purpose ~= CHECK then
    seat.given, has_changed = 1, true
    pack_seat(seat)
  end
  if purpose ~= CHECK and is_visit(seat) and pay() then
    seat.paid, seat.paid_at, seat.paid_play, has_changed = stream, now, play or NO_PLAY, true
    pack_seat(seat)
  end
  local new_plan, new_limit = terms(seat.plan, seat.limit)
  if purpose ~= CHECK and (new_plan ~= seat.plan or new_limit ~= seat.limit) then
    seat.plan, seat.limit, has_changed = new_plan, new_limit, true
    pack_seat(seat)
  end
  return seated(EXISTING, seat, live)
end

local function silent_since(seat)
  return seat.last == 0 and seat.started or seat.last
end

-- The live seats whose end makes room in every one of *full*.
local function candidates(full)
  local chosen = {}
  for _, seat in ipairs(ledger.seats) do
    local counts = seat.expires > now and not seat.goes
    for _, scope in ipairs(full) do
      counts = counts and scope.counts(seat)
    end
    if counts then chosen[#chosen + 1] = seat end
  end
  return chosen
end

-- The first of *among* with the lowest *measure*.
local function lowest(among, measure)
  local best
  for _, seat in ipairs(among) do
    if not best or measure(seat) < measure(best) then best = seat end
  end
  return best
end

-- The asking device's old sessions, where the policy is *reclaim*, that were silent for so long: what a crashed player
-- leaves behind, or, where a device holds one seat, all of them.
local function of_its_device(among, reclaim, silent_ms)
  local own_id, chosen = device_parts(device), {}
  if reclaims_device ~= reclaim or not own_id then return chosen end
  for _, seat in ipairs(among) do
    if device_parts(seat.device) == own_id and now - silent_since(seat) >= silent_ms then
      chosen[#chosen + 1] = seat
    end
  end
  return chosen
end

-- The session to be replaced: the one the viewer named, the device's own old one, else as `over_limit` says.
local function victim(among)
  for _, seat in ipairs(among) do
    if seat.id == replace then return seat end
  end
  local own = lowest(of_its_device(among, SILENT, segment_ms), silent_since)
  if own or over_limit == REFUSE then return own end
  if over_limit == REPLACE_OLDEST then
    return lowest(among, function(seat) return seat.started end)
  end
  local longest = lowest(among, silent_since)
  return longest and now - silent_since(longest) >= idle_victim_ms and longest or nil
end

local function reserve()
  local generation = now
  for _, mark in ipairs(ledger.marks) do -- an ended session back in the same millisecond is another one
    if mark.id == id or mark.id == NOBODYS then generation = math.max(generation, mark.generation + 1) end
  end
  if gives_grant == 1 then generation = math.max(generation, newest_dead(id) + 1) end -- its grant is younger than dead ones
  local seat = {
    id = id, stream = stream, device = device, expires = now + start_ms, last = 0, sequence = 0, ahead = 0,
    placed = 0, move = 0, generation = generation, started = now, segment = '', positions = {}, revives = 0, left = {},
    returns = {}, repeats = {}, changes = {}, paid = '', paid_at = 0, paid_play = NO_PLAY, play = NO_PLAY, locked = false,
    leases = purpose == LEASE and { lease } or {}, given = gives_grant, plan = plan, limit = seat_limit,
  }
  pack_seat(seat)
  ledger.seats[#ledger.seats + 1] = seat
  return seat
end

local function replace_seat(going)
  local _, place = find(ledger, going.id)
  local reason = 'replaced by another session of this user'
  local tail = pack('<Bc0I2c0Bc0I2', 6, 'viewer', #reason, reason, #id, id, #device) .. device
  dismiss(ledger, place, TERMINATED, tail)
end

local function seat_new(going)
  lapse_all(ledger)
  for _, seat in ipairs(going) do replace_seat(seat) end
  local seat = reserve()
  has_changed = true
  pay()
  return seated(NEW, seat, #ledger.seats)
end

-- The sessions that the new one replaces though seats are free: one device, one seat.
local function going_anyway()
  if reclaims_device ~= ALWAYS or device == '' then return {} end
  local among = {}
  for _, seat in ipairs(ledger.seats) do
    if seat.expires > now then among[#among + 1] = open_seat(seat) end
  end
  local going = of_its_device(among, ALWAYS, -math.huge)
  for _, seat in ipairs(going) do seat.goes = true end
  return going
end

-- The answer, or nothing and the code of the refusal.
local function admit_new()
  if may_start == 0 then return nil, GRANT_EXPIRED end
  if granted > 0 and granted - 1 <= newest_dead(id) then return nil, GRANT_ENDED end
  local going = going_anyway()
  local full = full_scopes(ledger, limit, stream, type_cap, device)
  if #full > 0 then
    local one = victim(candidates(full))
    if not one then return nil, LIMIT end
    for _, scope in ipairs(full) do -- one less makes no room where a limit was lowered below the number of seats
      if scope.taken > scope.limit then return nil, LIMIT end
    end
    going[#going + 1] = one
  end
  if visit_wait(ledger.spent, limit) > 0 then return nil, TOO_MANY_VISITS end
  if purpose == CHECK then return unseated(CHECKED) end
  return seat_new(going)
end

local function decide()
  local mark, seat = mark_of(ledger, id, TERMINATED), find(ledger, id)
  if mark then
    prolong_mark(mark)
    return nil, IS_TERMINATED
  end
  if not seat or seat.expires <= now then return admit_new() end
  if is_shared(open_seat(seat)) then return nil, SHARED end
  if is_visit(seat) and visit_wait(ledger.spent, limit) > 0 then return nil, TOO_MANY_VISITS end
  return admit_sitting(seat)
end

-- In a dry run a refused session gets a seat beyond the limit, and the answer says so.
local function admit_anyway(code)
  local seat = find(ledger, id)
  would_refuse = code
  if seat and seat.expires > now then return admit_sitting(open_seat(seat)) end
  if purpose == CHECK then return unseated(CHECKED) end
  if live >= DRY_RUN_SEATS then return unseated(UNRECORDED) end
  return seat_new({})
end

local answer, refusal = decide()
if answer then return answer end
if enforces == 0 and refusal ~= GRANT_EXPIRED and refusal ~= GRANT_ENDED then return admit_anyway(refusal) end
return pack('<BBI6I2I2', refusal, 0, now, 0, 0) .. (call('GET', KEYS[1]) or '')
