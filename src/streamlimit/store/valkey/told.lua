-- May a refusal be told to the feed? Dates it, unless one of the same session was told a short while ago.
--
-- KEYS[1]  until when the session is not told of again
-- ARGV[1]  how long it is quiet, in ms
-- ARGV[2]  nothing
-- ARGV[3]  the time in ms, in tests
-- Returns  the time in ms, or nothing where it was told of already

-- include clock

now = tonumber(ARGV[3]) or now
local till = redis.call('GET', KEYS[1])
if till and tonumber(till) > now then return nil end
redis.call('SET', KEYS[1], now + ARGV[1], 'PX', ARGV[1])
return now
