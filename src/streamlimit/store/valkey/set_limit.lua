-- Gives the user a limit of their own, or none. Sessions with a seat stay.
--
-- ARGV[2]  I2 the limit, 65535 for none · I6 how long it holds in ms (0: for good) · I6 its end as it was said (0: not)
--          the note
-- Returns  I6 now

-- include preamble
-- include ledger

local limit, lasts, said, note = unpack('<I2I6I6', ARGV[2])
local ledger = open_ledger(call('GET', KEYS[1]))
ledger.own_limit, ledger.limit_till, ledger.limit_ended = limit, lasts > 0 and now + lasts or 0, limit == NO_LIMIT
if limit ~= NO_LIMIT then
  call('HSET', LIMITS, user_of(LEDGER), pack('<I2I6I6', limit, ledger.limit_till, said) .. ARGV[2]:sub(note))
end
save(ledger)
return pack('<I6', now)
