-- The server's time in ms, and the check whether a caller still waits for this command. Comes first in all that
-- changes something.
--
-- The last argument is the time from which on its worker has given it up (connection.py): a server that hung, or packets
-- that a partition held back, must not seat a session that was refused already. Nothing is changed then.

local time = redis.call('TIME')
local now = time[1] * 1000 + (time[2] - time[2] % 1000) / 1000
if now >= tonumber(ARGV[#ARGV]) then return { err = 'TOOLATE ' .. now } end
