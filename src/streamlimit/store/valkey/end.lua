-- The viewer stops: the seat is free at once, with one event (rule 6; rules/leave.py).
--
-- KEYS[1]  the user's ledger
-- KEYS[2]  the shard's sweep index
-- KEYS[3]  the shard's outbox, where anything is subscribed
-- ARGV[1]  the policy (codec.py)
-- ARGV[2]  what to end: B session id · tail (ledger.lua: by, reason)
-- ARGV[3]  the time in ms, in tests
-- Returns  I6 now · events

-- include preamble
-- include ledger
-- include rules

local id, from = unpack('<Bc0', ARGV[2])
local ledger = open_ledger(call('GET', KEYS[1]))
lapse_all(ledger)
local _, place = find(ledger, id)
if place then dismiss(ledger, place, ENDED, ARGV[2]:sub(from)) end
if #events > 0 then save(ledger) end
return pack('<I6', now) .. told()
