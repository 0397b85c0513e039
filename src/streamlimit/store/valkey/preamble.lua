-- The common beginning of scripts that change a user's ledger: the time, and the numbers of the policy that the shortcuts
-- use. The server's clock decides, one for all workers; only a test passes another one. Each such script is called with
--
-- KEYS[1]  the user's ledger
-- KEYS[2]  the shard's sweep index
-- KEYS[3]  the shard's outbox, where anything is subscribed
-- ARGV[1]  the policy (codec.py)
-- ARGV[2]  what it is asked, as its header says
-- ARGV[3]  the time in ms, in tests

-- include clock

if #ARGV > 3 then now = tonumber(ARGV[3]) end
local call, pack, unpack = redis.call, struct.pack, struct.unpack
local expiry_ms, buffer_ms, max_sessions, start_ms, stream_cap, segment_ms, max_returns, burst_ms =
  unpack('<I4I4I2I4I2I4I2I6', ARGV[1])
-- What would lapse later than that was written before the clock went back: it is passed.
local far = now + math.max(expiry_ms, start_ms) + buffer_ms + 60000
-- As a limit: there is none.
local NO_LIMIT = 65535
