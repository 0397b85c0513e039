-- Lets a terminated session, or all of the user's, come back at once (rule 12; rules/leave.py).
--
-- ARGV[2]  whom: B session id (empty: all)
-- Returns  I6 now · I2 how many could not

-- include preamble
-- include ledger
-- include rules

local id = unpack('<Bc0', ARGV[2])
local ledger, kept, forgiven = open_ledger(call('GET', KEYS[1])), {}, {}
for _, mark in ipairs(ledger.marks) do
  local is_meant = mark.state == TERMINATED and mark.till > now and (id == '' or mark.id == id)
  local where = is_meant and forgiven or kept
  where[#where + 1] = mark
end
ledger.marks = kept
for _, mark in ipairs(forgiven) do -- that it left stays known: no receipt of its old seat seats it again
  remember(ledger, new_mark(mark.id, mark.generation, ENDED, mark.since, mark.till, NO_TAIL))
end
if #forgiven > 0 then save(ledger) end
return pack('<I6I2', now, #forgiven)
