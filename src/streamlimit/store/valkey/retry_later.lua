-- Makes a failed delivery due later; it stays the user's next one.
--
-- ARGV[4]  in how many ms
-- ARGV[5]  why
-- Returns  nothing

-- include deliveries

if not is_held() then return nil end
local user = user_of(ARGV[1])
local retries = redis.call('HGET', RETRIES, user)
local attempts = retries and unpack('<I2', retries) or 0
redis.call('HSET', RETRIES, user, pack('<I2', math.min(attempts + 1, 65535)) .. ARGV[5])
let_go(user, now + ARGV[4])
return nil
