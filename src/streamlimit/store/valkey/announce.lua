-- Dates refusals for the feed, but those of sessions that had one a short while ago.
--
-- KEYS     of each, until when its session is announced no more
-- ARGV[1]  how long it is quiet, in ms
-- ARGV[2]  nothing
-- ARGV[3]  the time in ms, in tests
-- Returns  of each the time in ms, or nothing where one was announced already

-- include clock

now = tonumber(ARGV[3]) or now
local times = {}
for i, key in ipairs(KEYS) do
  local till = redis.call('GET', key)
  times[i] = not (till and tonumber(till) > now) and now
  if times[i] then redis.call('SET', key, now + ARGV[1], 'PX', ARGV[1]) end
end
return times
