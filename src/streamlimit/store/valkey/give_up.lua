-- Makes a delivery that failed for the last time a dead letter; the user's next one is due.
--
-- KEYS[6]  its dead letters
-- KEYS[7]  its dropped
-- ARGV[4]  most dead letters
-- ARGV[5]  why
-- Returns  nothing

-- include deliveries

if not is_held() then return nil end
local name, why = ARGV[1], ARGV[5]:sub(1, 255)
local event = redis.call('HGET', DELIVERIES, name):sub(7)
remove(name)
redis.call('RPUSH', KEYS[6], pack('<I2', #name) .. name .. pack('<I6B', now, #why) .. why .. event)
if redis.call('LLEN', KEYS[6]) > tonumber(ARGV[4]) then
  redis.call('LPOP', KEYS[6])
  redis.call('INCR', KEYS[7])
end
local user = user_of(name)
let_go(user, now)
if #redis.call('ZRANGEBYLEX', ORDER, '[' .. user .. '\0', '(' .. user .. '\1', 'LIMIT', 0, 1) == 0 then
  redis.call('ZREM', QUEUES, user)
end
return nil
