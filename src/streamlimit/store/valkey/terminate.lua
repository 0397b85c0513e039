-- An operator terminates one session, or all of the user's; refused until silent for n·X (rule 12; rules/leave.py).
--
-- ARGV[2]  what to terminate: B session id (empty: all) · tail (ledger.lua: by, reason)
-- Returns  I6 now · events

-- include preamble
-- include ledger
-- include rules

local id, from = unpack('<Bc0', ARGV[2])
local tail = ARGV[2]:sub(from)
local ledger = open_ledger(call('GET', KEYS[1]))
lapse_all(ledger)
if id == '' then
  while #ledger.seats > 0 do dismiss(ledger, 1, TERMINATED, tail) end
else
  local _, place = find(ledger, id)
  if place then dismiss(ledger, place, TERMINATED, tail) end
end
if #events > 0 then save(ledger) end
return pack('<I6', now) .. packed_events()
