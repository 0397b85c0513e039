-- Puts a refusal into the outbox, unless one of the same session is there or went out a short while ago.
--
-- KEYS[1]  the shard's outbox
-- KEYS[2]  until when no refusal of the session becomes an event
-- ARGV[1]  I4 most events in the shard's outbox · I4 how long it is quiet, in ms
-- ARGV[2]  I2 user · B type · the event but for its time
-- ARGV[3]  the time in ms, in tests
-- Returns  the time in ms, or nothing where one of the session became an event already

-- include clock
-- include intake

now = tonumber(ARGV[3]) or now
local most, quiet = struct.unpack('<I4I4', ARGV[1])
local till = redis.call('GET', KEYS[2])
if till and tonumber(till) > now then return nil end
redis.call('SET', KEYS[2], now + quiet, 'PX', quiet)
local head = 3 + struct.unpack('<I2', ARGV[2])
put(KEYS[1], most, ARGV[2]:byte(head), ARGV[2]:sub(1, head) .. struct.pack('<I6', now) .. ARGV[2]:sub(head + 1))
return now
