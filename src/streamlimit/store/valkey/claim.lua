-- Sorts the shard's events into deliveries to every endpoint, then hands out one endpoint's that are due.
--
-- KEYS[1] to KEYS[5]  the claiming endpoint's queues, order, letters, tickets, retries (deliveries.lua)
-- KEYS[6]  the shard's outbox
-- KEYS[7]  the number of the last event that was sorted
-- KEYS[8] and on  of each endpoint, four: queues, order, letters, dropped
-- ARGV[1]  I4 most deliveries of one endpoint in the shard · I2 users at most · I4 lease in ms, and of each endpoint:
--          B enabled · B the types it wants, a bit each
-- ARGV[2]  the ticket
-- ARGV[3]  the time in ms, in tests
-- Returns  the deliveries, each: name · attempts · waited in ms · the event

-- include deliveries

local SORTED_AT_ONCE = 100
local most, at_most, lease, at = unpack('<I4I2I4', ARGV[1])
local events = redis.call('LRANGE', KEYS[6], 0, SORTED_AT_ONCE - 1)
local numbered = 0

local function sort_for(queues, order, deliveries, dropped, enabled, types)
  local size = redis.call('ZCARD', order)
  local function wants(kind)
    return math.floor(types / 2 ^ kind) % 2 == 1
  end
  for i, event in ipairs(events) do
    local user, kind = unpack('<I2c0B', event)
    if kind == 0 then -- those that found the outbox full (intake.lua)
      for each = 1, 7 do
        if wants(each) then redis.call('INCRBY', dropped, (unpack('<I4', event, 4 * each))) end
      end
    elseif not wants(kind) then
      -- nothing
    elseif enabled == 1 and size < most then
      local name = user .. '\0' .. string.format('%015d', numbered + i)
      redis.call('ZADD', order, 0, name)
      redis.call('HSET', deliveries, name, pack('<I6', now) .. event:sub(3 + #user))
      redis.call('ZADD', queues, 'NX', now, user)
      size = size + 1
    else
      redis.call('INCR', dropped)
    end
  end
end

if #events > 0 then
  numbered = redis.call('INCRBY', KEYS[7], #events) - #events
  for k = 8, #KEYS, 4 do
    local enabled, types, after = unpack('<BB', ARGV[1], at)
    at = after
    sort_for(KEYS[k], KEYS[k + 1], KEYS[k + 2], KEYS[k + 3], enabled, types)
  end
  redis.call('LTRIM', KEYS[6], #events, -1)
end

local found = {}
for _, user in ipairs(redis.call('ZRANGEBYSCORE', QUEUES, '-inf', now, 'LIMIT', 0, at_most)) do
  found[#found + 1] = hand_out(user, ARGV[2], lease)
end
return found
