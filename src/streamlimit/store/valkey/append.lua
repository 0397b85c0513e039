-- Appends events to the feed.
--
-- KEYS[1]  the feed, a stream
-- ARGV[1]  how many entries it keeps, about
-- ARGV[2]  how many events follow
-- ARGV[3…] the events, packed
-- Returns  nothing

for i = 3, 2 + ARGV[2] do
  redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', 'e', ARGV[i])
end
