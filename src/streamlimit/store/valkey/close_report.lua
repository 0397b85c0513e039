-- Makes numbers of a bucket's sketches, for good: it takes no more users. Again: nothing is left to do.
--
-- KEYS[1]  the bucket (report.lua); behind it the two sketches of each value
-- ARGV[1]  the first value; behind it the others
-- Returns  how many values were closed

-- include clock

local call, closed = redis.call, 0
for at = 1, #ARGV - 1 do
  local users, refused = KEYS[2 * at], KEYS[2 * at + 1]
  if call('HSETNX', KEYS[1], 'u' .. ARGV[at], call('PFCOUNT', users)) == 1 then
    call('HSET', KEYS[1], 'f' .. ARGV[at], call('PFCOUNT', refused))
    closed = closed + 1
  end
  call('DEL', users, refused)
end
return closed
