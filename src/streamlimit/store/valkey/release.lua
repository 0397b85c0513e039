-- Gives back a delivery that was not tried: it may be claimed now.
--
-- Returns  nothing

-- include deliveries

if is_held() then let_go(user_of(ARGV[1]), now) end
return nil
