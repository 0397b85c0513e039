-- Forgets a user; grants that were given before start nothing (rules/leave.py).
--
-- ARGV[2]  by whom and why: tail (ledger.lua)
-- Returns  I6 now · events

-- include preamble
-- include ledger
-- include rules
-- include grants

local ledger, newest = open_ledger(call('GET', KEYS[1])), 0
lapse_all(ledger)
for _, seat in ipairs(ledger.seats) do newest = math.max(newest, open_seat(seat).generation) end
for _, mark in ipairs(ledger.marks) do newest = math.max(newest, mark.generation) end
while #ledger.seats > 0 do dismiss(ledger, 1, ENDED, ARGV[2]) end
ledger.marks = newest > 0 and { new_mark(NOBODYS, newest, ENDED, now, now + expiry_ms, NO_TAIL) } or {}
ledger.own_limit, ledger.limit_till, ledger.limit_ended, ledger.spent = NO_LIMIT, 0, true, 0
save(ledger)
local grants = open_grants()
grants.dead, grants.revoked = {}, math.max(grants.revoked, now, newest)
grants.revoked_until = math.max(grants.revoked_until, now + grant_ms)
save_grants(grants)
return pack('<I6', now) .. packed_events()
