-- It was not tried: anyone may claim it now.
--
-- Returns  nothing

-- include deliveries

if is_held() then let_go(user_of(ARGV[1]), now) end
return nil
