-- It arrived: the letter is gone, and the user's next one is claimed by the same ticket.
--
-- KEYS[1] to KEYS[5]  the endpoint's queues, order, letters, tickets, retries (letters.lua)
-- ARGV[1]  the letter's name
-- ARGV[2]  the ticket
-- ARGV[3]  the time in ms, in tests
-- ARGV[4]  the lease in ms
-- Returns  the next letter as in claim.lua, or nothing

-- include letters

if not is_held() then return nil end
remove(ARGV[1])
return hand_out(user_of(ARGV[1]), ARGV[2], ARGV[4])
