-- Puts an event into its user's history. Twice is once.
--
-- KEYS[1]  the history, a sorted set by time
-- ARGV[1]  how many events it keeps
-- ARGV[2]  for how long it is kept after the last one, in seconds
-- ARGV[3]  when the event happened, in ms
-- ARGV[4]  the event, packed
-- Returns  nothing

redis.call('ZADD', KEYS[1], ARGV[3], ARGV[4])
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -ARGV[1] - 1)
redis.call('EXPIRE', KEYS[1], ARGV[2])
