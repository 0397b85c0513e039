-- What the scripts of the outbox share (outbox.py): one endpoint's deliveries in one shard. Needs nothing before it.
--
--   queues   sorted set  users with deliveries, by when their next one may be claimed; a claim puts its own end there
--   order    sorted set  the names of all deliveries, in the order of their users and, within one, of what happened
--   letters  hash        name -> I6 since · the event, as decode.py reads it: B type · …
--   tickets  hash        user -> the ticket of the claim
--   retries  hash        user -> I2 attempts that failed · why the last one did
--   dead     list        I2 length of name · name · I6 at · B length of why · why · the event; the oldest first
--   dropped  number      events that found no room
--
-- A name is the user, a zero byte, and a number that grows with each event of the shard. All are called with
--
-- KEYS[1] to KEYS[5]  the endpoint's queues, order, letters, tickets, retries
-- ARGV[3]  the time in ms, in tests
--
-- and those that speak of one delivery with its name (ARGV[1]), and the ticket of who does (ARGV[2]).

local pack, unpack = struct.pack, struct.unpack
local QUEUES, ORDER, DELIVERIES, TICKETS, RETRIES = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]

-- include clock

now = tonumber(ARGV[3]) or now

local function user_of(name)
  return name:match('^%Z*')
end

-- Does the ticket ARGV[2] hold the delivery ARGV[1]?
local function is_held()
  return redis.call('HGET', TICKETS, user_of(ARGV[1])) == ARGV[2] and redis.call('HEXISTS', DELIVERIES, ARGV[1]) == 1
end

-- The user's next delivery, under claim by *ticket* for *lease* ms: name · I2 attempts · I6 waited · the event.
local function hand_out(user, ticket, lease)
  local name = redis.call('ZRANGEBYLEX', ORDER, '[' .. user .. '\0', '(' .. user .. '\1', 'LIMIT', 0, 1)[1]
  if not name then
    redis.call('ZREM', QUEUES, user)
    redis.call('HDEL', TICKETS, user)
    return nil
  end
  redis.call('ZADD', QUEUES, now + lease, user)
  redis.call('HSET', TICKETS, user, ticket)
  local delivery, retries = redis.call('HGET', DELIVERIES, name), redis.call('HGET', RETRIES, user)
  local attempts = retries and unpack('<I2', retries) or 0
  return { name, attempts, now - unpack('<I6', delivery), delivery:sub(7) }
end

-- Removes the delivery, with its failed attempts.
local function remove(name)
  redis.call('ZREM', ORDER, name)
  redis.call('HDEL', DELIVERIES, name)
  redis.call('HDEL', RETRIES, user_of(name))
end

-- Releases the user's deliveries; the next one is due at *time*.
local function let_go(user, time)
  redis.call('HDEL', TICKETS, user)
  redis.call('ZADD', QUEUES, time, user)
end
