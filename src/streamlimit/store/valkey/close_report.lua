-- Closes a bucket: its sketches become numbers, and it counts no more users. The second time: nothing.
--
-- KEYS[1]  the bucket (report.lua); behind it the two sketches of each value
-- ARGV[1]  the first value; behind it the others
-- Returns  how many values were closed
--
-- A closed value's field: admissions, refusals, refused users, users, most sessions at once, milliseconds at the limit. A
-- bucket that is closed as a whole is written anew: the server packs a hash tightly only as long as it never was large.

-- include clock

local call, bucket, closed = redis.call, KEYS[1], 0

local function close(value, users, refused)
  local old = { 0, 0, call('PFCOUNT', refused), call('PFCOUNT', users), 0, 0 }
  local before, at = call('HGET', bucket, 'c' .. value), 0
  for number in (before or ''):gmatch('%d+') do
    at = at + 1
    old[at] = tonumber(number)
  end
  local new = call('HMGET', bucket, 'a' .. value, 'r' .. value, 'p' .. value, 'l' .. value)
  local admissions, refusals, peak, at_limit_ms = unpack(new)
  local numbers = { old[1] + admissions, old[2] + refusals, old[3], old[4], math.max(old[5], peak), old[6] + at_limit_ms }
  call('HSET', bucket, 'c' .. value, (('%.0f,'):rep(5) .. '%.0f'):format(unpack(numbers)))
  call('HDEL', bucket, 'a' .. value, 'r' .. value, 'p' .. value, 'l' .. value)
end

for at = 1, #ARGV - 1 do
  if call('HEXISTS', bucket, 'p' .. ARGV[at]) == 1 then
    close(ARGV[at], KEYS[2 * at], KEYS[2 * at + 1])
    closed = closed + 1
  end
  call('DEL', KEYS[2 * at], KEYS[2 * at + 1])
end
local fields, is_open = call('HGETALL', bucket), false
for at = 1, #fields, 2 do is_open = is_open or fields[at]:byte() == ('p'):byte() end
if closed > 0 and not is_open then
  local left_ms = call('PTTL', bucket)
  call('DEL', bucket)
  call('HSET', bucket, unpack(fields))
  call('PEXPIRE', bucket, left_ms)
end
return closed
