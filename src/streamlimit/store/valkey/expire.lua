-- Takes out all of one user that is past its time, and files the user anew (rule 7, the sweep; rules/leave.py).
-- Of many callers one finds the seats there and is told; for the others there is nothing left to do.
--
-- KEYS[1]  the user's ledger
-- KEYS[2]  the shard's sweep index
-- KEYS[3]  the shard's outbox, where anything is subscribed
-- ARGV[1]  the policy (codec.py)
-- ARGV[2]  nothing
-- ARGV[3]  the time in ms, in tests
-- Returns  I6 now · events

-- include preamble
-- include ledger

local ledger = open_ledger(redis.call('GET', KEYS[1]))
local marks = {}
for _, mark in ipairs(ledger.marks) do
  if mark.till > now then marks[#marks + 1] = mark end
end
lapse_all(ledger)
ledger.marks = marks
ledger.filed = 0 -- so that `save` files the user under the time that is true now
save(ledger)
if ledger.filed == 0 then redis.call('ZREM', KEYS[2], KEYS[1]:sub(#KEYS[2])) end
return pack('<I6', now) .. told()
