-- What every script needs first: the time, and the numbers of the policy that the quick ways use.
--
-- The server's clock decides, one for all workers; only a test hands in another one.

local now = tonumber(ARGV[3])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + (time[2] - time[2] % 1000) / 1000
end
local expiry_ms, buffer_ms, max_sessions = struct.unpack('<I4I4I2', ARGV[1])
