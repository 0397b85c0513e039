-- Gives the user a limit of their own, or none. Whoever sits stays.
--
-- KEYS[1]  the user's ledger
-- KEYS[2]  the shard's sweep index
-- ARGV[1]  the policy (codec.py)
-- ARGV[2]  I2 the limit, 65535 for none
-- ARGV[3]  the time in ms, in tests
-- Returns  I6 now

-- include preamble
-- include ledger

local ledger = open_ledger(call('GET', KEYS[1]))
ledger.own_limit = unpack('<I2', ARGV[2])
save(ledger)
return pack('<I6', now)
