-- Puts dead letters, the oldest first, back into their queues: before younger ones of their user.
--
-- KEYS[6]  its dead letters
-- ARGV[1]  how many at most
-- Returns  how many

-- include deliveries

local count = 0
while count < tonumber(ARGV[1]) do
  local dead = redis.call('LPOP', KEYS[6])
  if not dead then break end
  count = count + 1
  local name, _, _, at = unpack('<I2c0I6Bc0', dead)
  local user = user_of(name)
  redis.call('ZADD', ORDER, 0, name)
  redis.call('HSET', DELIVERIES, name, pack('<I6', now) .. dead:sub(at))
  if redis.call('HEXISTS', TICKETS, user) == 0 then
    redis.call('HDEL', RETRIES, user)
    redis.call('ZADD', QUEUES, now, user)
  end
end
return count
