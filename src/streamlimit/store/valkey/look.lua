-- Has the shard anything to claim? Called for each shard, each second; changes nothing.
--
-- KEYS[1]  the endpoint's queues in the shard (deliveries.lua)
-- KEYS[2]  the shard's outbox
-- ARGV[3]  the time in ms, in tests
-- Returns  1 or 0

if redis.call('EXISTS', KEYS[2]) == 1 then return 1 end
local first = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]
if not first then return 0 end
local now = tonumber(ARGV[3]) or redis.call('TIME')[1] * 1000 + 999
return tonumber(first) <= now and 1 or 0
