-- Puts events into their users' histories. Twice is once.
--
-- KEYS[1…] the history of each event, a sorted set by time
-- ARGV[1]  how many events one keeps; it is cut by one event in eight, for more are never shown
-- ARGV[2]  for how long it is kept after the last one, in seconds
-- ARGV[3…] when each event happened, in ms, and behind that the event, packed
-- Returns  nothing

for i = 1, #KEYS do
  local key, at = KEYS[i], ARGV[2 * i + 1]
  redis.call('ZADD', key, at, ARGV[2 * i + 2])
  if at % 8 == 0 then redis.call('ZREMRANGEBYRANK', key, 0, -ARGV[1] - 1) end
  redis.call('EXPIRE', key, ARGV[2])
end
