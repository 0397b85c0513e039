-- A shard's outbox, a list of events that are not sorted yet: I2 user · B type · the event. Needs nothing before it.
--
-- Behind a full one stands an entry of no user and no type: I4 how many events of each type found it full. claim.lua
-- counts them for the endpoints that want them.

local FULL, NONE_YET = '\0\0\0', ('\0'):rep(31)

local function put(outbox, most, kind, entry)
  if redis.call('LLEN', outbox) < most then
    redis.call('RPUSH', outbox, entry)
    return
  end
  local last, at = redis.call('LINDEX', outbox, -1), 4 * kind
  local is_counted = last:sub(1, 3) == FULL
  local counts = is_counted and last or NONE_YET
  counts = counts:sub(1, at - 1) .. struct.pack('<I4', struct.unpack('<I4', counts, at) + 1) .. counts:sub(at + 4)
  if is_counted then
    redis.call('LSET', outbox, -1, counts)
  else
    redis.call('RPUSH', outbox, counts)
  end
end
