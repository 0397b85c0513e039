-- Claims the count of live sessions for one worker, unless it was made lately.
--
-- KEYS[1]  when that was done
-- ARGV[1]  the time in ms
-- ARGV[2]  how long it is enough, in ms
-- Returns  when it was done last (0: never), or nothing where that is enough

-- include clock

local last, at = tonumber(redis.call('GET', KEYS[1]) or 0), tonumber(ARGV[1])
if last <= at and at - last < tonumber(ARGV[2]) then return nil end
redis.call('SET', KEYS[1], ARGV[1])
return last
