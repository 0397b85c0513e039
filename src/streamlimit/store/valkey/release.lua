-- It was not tried: anyone may claim it now.
--
-- KEYS[1] to KEYS[5]  the endpoint's queues, order, letters, tickets, retries (letters.lua)
-- ARGV[1]  the letter's name
-- ARGV[2]  the ticket
-- ARGV[3]  the time in ms, in tests
-- Returns  nothing

-- include letters

if is_held() then let_go(user_of(ARGV[1]), now) end
return nil
