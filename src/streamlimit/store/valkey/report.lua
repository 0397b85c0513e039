-- Adds what a worker counted to a bucket of the reports, unless it is there already.
--
-- A bucket is a hash, with a field of a letter and a value of its group for each number: a admissions, r refusals,
-- l milliseconds at the limit, p most sessions at once. Users and refused users are sketches (HyperLogLog), keys of their
-- own. Once a value is closed (close_report.lua) all six are one field, c. Beside them: n, how many values there are, and
-- for each worker b, the number of its last batch.
--
-- KEYS[1]  the bucket; behind it the two sketches of each count, and those of "other"
-- ARGV[1]  the worker
-- ARGV[2]  I6 number of the batch · I2 most values · I6 when the bucket is forgotten, in ms
-- ARGV[3]  the first count: its value; behind it I4 admissions · I4 refusals · I4 peak · I6 milliseconds at the limit, and
--          as one argument each the digests of users and of refused users; then the next count's
-- Returns  1, or 0 where the batch, or a later one of the worker, was there already

-- include clock

local call, bucket = redis.call, KEYS[1]
local number, most, forgotten_at = struct.unpack('<I6I2I6', ARGV[2])
if number <= tonumber(call('HGET', bucket, 'b' .. ARGV[1]) or 0) then return 0 end

local function add_digests(sketch, packed)
  if #packed == 0 then return end
  local digests = {}
  for from = 1, #packed, 8 do digests[#digests + 1] = packed:sub(from, from + 7) end
  call('PFADD', sketch, unpack(digests))
  call('PEXPIREAT', sketch, forgotten_at)
end

local function is_there(field) return call('HEXISTS', bucket, field) == 1 end

call('HSET', bucket, 'b' .. ARGV[1], number)
call('PEXPIREAT', bucket, forgotten_at)
for at = 3, #ARGV - 4, 4 do
  local value, sketch = ARGV[at], (at + 1) / 2
  if not is_there('p' .. value) and not is_there('c' .. value) and tonumber(call('HGET', bucket, 'n') or 0) >= most then
    value, sketch = 'other', #KEYS - 1
  end
  local is_closed = is_there('c' .. value)
  if call('HSETNX', bucket, 'p' .. value, 0) == 1 and not is_closed then call('HINCRBY', bucket, 'n', 1) end
  local admissions, refusals, peak, at_limit_ms = struct.unpack('<I4I4I4I6', ARGV[at + 1])
  call('HINCRBY', bucket, 'a' .. value, admissions)
  call('HINCRBY', bucket, 'r' .. value, refusals)
  call('HINCRBY', bucket, 'l' .. value, at_limit_ms)
  if peak > tonumber(call('HGET', bucket, 'p' .. value)) then call('HSET', bucket, 'p' .. value, peak) end
  if not is_closed then -- a number cannot tell whom it has counted
    add_digests(KEYS[sketch], ARGV[at + 2])
    add_digests(KEYS[sketch + 1], ARGV[at + 3])
  end
end
return 1
