-- Ends a session for its viewer: the seat is free at once, with one event (rule 6; rules/leave.py).
--
-- ARGV[2]  what to end: B session id · B its grant dies, too · I6 generation · B state · tail (ledger.lua: by, reason)
--          With a generation it has happened before, and was forgotten: to that very seat, also past its time.
-- Returns  I6 now · events

-- include preamble
-- include ledger
-- include rules
-- include grants

local id, kills, generation, state, from = unpack('<Bc0BI6B', ARGV[2])
local ledger = open_ledger(call('GET', KEYS[1]))
local seat = find(ledger, id)
if seat then open_seat(seat) end
if generation > 0 and not (seat and seat.generation == generation) then return pack('<I6', now) .. packed_events() end
if kills == 1 and not seat then
  local newest = now - 1 -- in this very millisecond a new one may be given
  for _, mark in ipairs(ledger.marks) do
    if mark.id == id then newest = math.max(newest, mark.generation) end
  end
  kill(id, newest, 0)
elseif kills == 1 and seat.given == 1 then
  kill(id, seat.generation, 1)
end
if generation == 0 then lapse_all(ledger) end
local _, place = find(ledger, id)
if place then dismiss(ledger, place, state, ARGV[2]:sub(from)) end
if #events > 0 then save(ledger) end
return pack('<I6', now) .. packed_events()
