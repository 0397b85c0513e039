-- Removes a delivery that arrived; the user's next one is claimed by the same ticket.
--
-- ARGV[4]  the lease in ms
-- Returns  the next delivery as in claim.lua, or nothing

-- include deliveries

if not is_held() then return nil end
remove(ARGV[1])
return hand_out(user_of(ARGV[1]), ARGV[2], ARGV[4])
