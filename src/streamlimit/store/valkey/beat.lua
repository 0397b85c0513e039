-- Admits and confirms a heartbeat (rules 1, 2, 3 and 5; rules/beat.py). Only the shortcuts, without taking
-- the ledger apart: a session with a seat on that stream, a new one where there is room, a refusal where no session
-- gives way. In any other case nothing is changed, and the worker calls admit.lua and confirm.lua.
--
-- ARGV[2]  the ask: I6 place + 1 (codec.py) · I6 generation of the grant + 1 (0: no grant) · B purpose · B may start
--          B session id · B lease id · B replace · B play · I4 client · I2 limit · I2 cap for this type of device
--          B stream id · B kind · I2 device · B plan
-- Returns  new, all as asked: 1 · B 0 · I6 now · I2 limit · I2 live · I6 expires at · I6 spent (rules/visits.py)
--          existing: 2 · B 0 · I6 now · I2 limit · I2 live · seat · events · I6 0
--          refused: 5 limit · B 0 · I6 now · I2 0 · I2 0 · the ledger
--          not here: nothing

-- include preamble
-- include visits
-- include question

local STARTED = 1
local NEW, EXISTING, LIMIT = 1, 2, 5
if purpose == CHECK then return '' end
local no_grant = granted == 0 and purpose == LEASE

local seats_end = at
for _ = 1, marks do -- of others they change nothing
  local length, other = unpack('<I2Bc0', value, at)
  if other == id or other == '' then return '' end
  at = at + length
end

if found then
  local expires, last, its_sequence, ahead, has, given, its_limit, its_plan, its_segment, positions, after =
    unpack('<I6I6I6I6xxxxxxxxxxxxxxxxxxxBBI2Bc0I2c0B', value, found + 3 + #id)
  for _ = 1, positions do
    local length = unpack('<B', value, after)
    after = after + length + 11
  end
  -- A reservation has open leases; with a position asked for, what two players did before may count.
  local its_play = has % 4 >= 2 and value:sub(found + size - 8, found + size - 1) or ''
  local is_simple = last > 0 and ((has % 2 == 0 and has < 8) or point == 0) and (given == 1 or no_grant)
    and (play == '' or play == its_play)
  if plan ~= '' or asked ~= NO_LIMIT or own_limit ~= NO_LIMIT or its_plan == '' or its_limit >= 32768 then
    is_simple = is_simple and seat_limit == its_limit and (plan == its_plan or (plan == '' and asked == NO_LIMIT))
  end
  if not is_simple or unpack('<Bc0', value, after) ~= stream then return '' end
  if now > last then last = now end
  ahead = buffer_ms > 0 and math.min(math.max(ahead, now), now + buffer_ms) or 0
  expires = math.max(expires, math.max(ahead, now) + expiry_ms)
  local patch = pack('<I6I6I6I6', expires, last, its_sequence, ahead)
  call('SETRANGE', KEYS[1], found + 2 + #id, patch)
  return pack('<BBI6I2I2', EXISTING, 0, now, limit, live) .. value:sub(found, found + 2 + #id) .. patch
    .. value:sub(found + 27 + #id, found + size - 1) .. '\0\0\0\0\0\0\0\0'
end

local over_limit, reclaim, enforces, subscribed, outbox_most = unpack('<BBBBI4', ARGV[1], 33)
if may_start == 0 or not (no_grant or has_none_dead()) then return '' end
if live < limit then
  if live < seats or limit_till > 0 or type_cap ~= NO_LIMIT or stream_cap ~= NO_LIMIT or play ~= '' then return '' end
  if visit_wait(spent, limit) > 0 then return '' end
  if device ~= '' and reclaim == 2 then return '' end -- its device's other session goes
  local expires, user = now + expiry_ms, nil
  local rest = pack('<Bc0I6I6I6I6I6I4I6I3BBI2Bc0I2BBc0I2', #id, id, expires, now, 0, buffer_ms > 0 and now or 0, 0, 0, now, 0,
    0, no_grant and 0 or 1, seat_limit, #plan, plan, 0, 0, #stream, stream, #device) .. device
  local seat = pack('<I2', #rest + 2) .. rest
  if subscribed % 4 >= 2 then -- to `started`
    if call('LLEN', KEYS[3]) >= outbox_most then return '' end
    user = KEYS[1]:sub(#KEYS[2])
    call('RPUSH', KEYS[3], pack('<I2', #user) .. user .. pack('<BBI6I2', STARTED, 0, now, 0) .. seat)
  end
  if filed == 0 or expires < filed then
    filed = expires
    call('ZADD', KEYS[2], filed, user or KEYS[1]:sub(#KEYS[2]))
  end
  local paid
  spent, paid = paid_visit(spent, limit)
  local header = pack('<I2I6I2B', own_limit, filed, seats + 1, marks + (paid > 0 and 128 or 0))
  local before = value and value:sub(12, seats_end - 1) or ''
  local after = (value and value:sub(seats_end, value_end) or '') .. (paid > 0 and pack('<I6', spent) or '')
  call('SET', KEYS[1], header .. before .. seat .. after)
  return pack('<BBI6I2I2I6I6', NEW, 0, now, limit, live + 1, expires, paid)
elseif replace == '' then
  local id_length = device == '' and 0 or unpack('<I2', device)
  local has_seat = value and id_length > 0 and value:find(device:sub(1, id_length + 1), 12, true)
  if over_limit == 0 and enforces == 1 and not has_seat then
    return pack('<BBI6I2I2', LIMIT, 0, now, 0, 0) .. (value or '')
  end
end
return ''
