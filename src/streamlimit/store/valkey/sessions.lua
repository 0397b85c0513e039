-- Ledgers as they are, and the time at which they are: the caller unpacks them. Changes nothing.
--
-- KEYS[1]  the first user's ledger; more may follow, all of one shard
-- ARGV[1]  the policy (codec.py)
-- ARGV[2]  nothing
-- ARGV[3]  the time in ms, in tests
-- Returns  a list: I6 now, then each ledger or nothing

local answer = redis.call('MGET', unpack(KEYS))

-- include preamble

table.insert(answer, 1, pack('<I6', now))
return answer
