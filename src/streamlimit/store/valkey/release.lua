-- It was not tried: anyone may claim it now.
--
-- KEYS[1] to KEYS[5]  the endpoint's queues, order, letters, tickets, retries (deliveries.lua)
-- ARGV[1]  the delivery's name
-- ARGV[2]  the ticket
-- ARGV[3]  the time in ms, in tests
-- Returns  nothing

-- include deliveries

if is_held() then let_go(user_of(ARGV[1]), now) end
return nil
