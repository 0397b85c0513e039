-- What every script needs first: the time, and the numbers of the policy that the quick ways use.
--
-- The server's clock decides, one for all workers; only a test hands in another one.

local pack, unpack = struct.pack, struct.unpack
local now = tonumber(ARGV[3])
if not now then
  local time = redis.call('TIME')
  local ms = time[2] / 1000
  now = time[1] * 1000 + ms - ms % 1
end
local expiry_ms, buffer_ms, max_sessions, start_ms, stream_cap = unpack('<I4I4I2I4I2', ARGV[1])
