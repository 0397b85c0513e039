-- Adds what a worker counted to one bucket of the reports, or to several, unless it is there already.
--
-- A bucket is a hash, with a field of a letter and a value of its group for each number: a admissions, r refusals,
-- l milliseconds at the limit, p most sessions at once. Users and refused users are sketches (HyperLogLog), keys of their
-- own. Once a value is closed (close_report.lua) all six are one field, c. Beside them: n, how many values there are, and
-- for each worker b, the number of its last batch.
--
-- KEYS[1…] each bucket; behind it the two sketches of each count, and those of "other"
-- ARGV[1]  the worker
-- ARGV[2]  I6 number of the batch · I2 most values · I2 buckets · I6 when each is forgotten, in ms
-- ARGV[3]  the first count: its value; behind it I4 admissions · I4 refusals · I4 peak · I6 milliseconds at the limit, and
--          as one argument each the digests of users and of refused users; then the next count's
-- Returns  in how many buckets the batch, or a later one of the worker, was not yet

-- include clock

local call, unpacked, last, added = redis.call, {}, 'b' .. ARGV[1], 0
local number, most, buckets, at_forgotten = struct.unpack('<I6I2I2', ARGV[2])

-- The digests of an argument, made once for all buckets.
local function digests(at)
  local found = unpacked[at]
  if not found then
    found = {}
    local packed = ARGV[at]
    for from = 1, #packed, 8 do found[#found + 1] = packed:sub(from, from + 7) end
    unpacked[at] = found
  end
  return found
end

-- Adds to the bucket whose keys begin behind *first*.
local function add(first, forgotten_at)
  local bucket, width = KEYS[first + 1], #KEYS / buckets

  local function add_digests(sketch, at)
    if #ARGV[at] == 0 then return end
    call('PFADD', sketch, unpack(digests(at)))
    call('PEXPIREAT', sketch, forgotten_at)
  end

  for at = 3, #ARGV - 4, 4 do
    local value, sketch = ARGV[at], (at + 1) / 2
    local function is_there(letter) return call('HEXISTS', bucket, letter .. value) == 1 end
    if not is_there('p') and not is_there('c') and tonumber(call('HGET', bucket, 'n') or 0) >= most then
      value, sketch = 'other', width - 1
    end
    local is_closed = is_there('c')
    if call('HSETNX', bucket, 'p' .. value, 0) == 1 and not is_closed then call('HINCRBY', bucket, 'n', 1) end
    local admissions, refusals, peak, at_limit_ms = struct.unpack('<I4I4I4I6', ARGV[at + 1])
    call('HINCRBY', bucket, 'a' .. value, admissions)
    call('HINCRBY', bucket, 'r' .. value, refusals)
    call('HINCRBY', bucket, 'l' .. value, at_limit_ms)
    if peak > tonumber(call('HGET', bucket, 'p' .. value)) then call('HSET', bucket, 'p' .. value, peak) end
    if not is_closed then  -- a number cannot tell whom it has counted
      add_digests(KEYS[first + sketch], at + 2)
      add_digests(KEYS[first + sketch + 1], at + 3)
    end
  end
end

for place = 0, buckets - 1 do
  local first = place * #KEYS / buckets
  if number > tonumber(call('HGET', KEYS[first + 1], last) or 0) then
    local forgotten_at = struct.unpack('<I6', ARGV[2], at_forgotten + 6 * place)
    call('HSET', KEYS[first + 1], last, number)
    call('PEXPIREAT', KEYS[first + 1], forgotten_at)
    add(first, forgotten_at)
    added = added + 1
  end
end
return added
