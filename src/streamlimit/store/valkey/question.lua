-- The question to admit.lua and beat.lua (ARGV[2]), and the numbers of the user's ledger, which is not taken apart for
-- them. Needs preamble.lua and visits.lua.

local LEASE, CHECK = 1, 3
local point, granted, purpose, may_start, id, lease, replace, play, client, asked, type_cap, stream, kind, device, plan =
  unpack('<I6I6BBBc0Bc0Bc0Bc0I4I2I2Bc0Bc0I2c0Bc0', ARGV[2])
local value = call('GET', KEYS[1])

-- Was none of the user's grants ended (grants.lua)?
local function has_none_dead()
  return call('EXISTS', KEYS[2]:sub(1, -4) .. 'grants:' .. KEYS[1]:sub(#KEYS[2])) == 0
end

local own_limit, filed, seats, marks = NO_LIMIT, 0, 0, 0
local spent, value_end, limit_till = 0, 0, 0
if value then
  own_limit, filed, seats, marks = unpack('<I2I6I2B', value)
  marks, spent, value_end, limit_till = split_marks(value, marks)
  if limit_till > 0 and limit_till <= now then own_limit = NO_LIMIT end
end

-- include seats
