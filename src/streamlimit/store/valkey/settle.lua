-- It arrived: the delivery is gone, and the user's next one is claimed by the same ticket.
--
-- KEYS[1] to KEYS[5]  the endpoint's queues, order, letters, tickets, retries (deliveries.lua)
-- ARGV[1]  the delivery's name
-- ARGV[2]  the ticket
-- ARGV[3]  the time in ms, in tests
-- ARGV[4]  the lease in ms
-- Returns  the next delivery as in claim.lua, or nothing

-- include deliveries

if not is_held() then return nil end
remove(ARGV[1])
return hand_out(user_of(ARGV[1]), ARGV[2], ARGV[4])
