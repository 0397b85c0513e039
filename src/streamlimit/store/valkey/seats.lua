-- Walks through the user's seats without taking the ledger apart: how many are live, where the seat of session *id* is
-- and where the seats end, and the limit that counts. Needs preamble.lua, and *value*, *own_limit*, *seats*, *asked*.

local at, live, found, size = 12, 0, nil, nil
for _ = 1, seats do
  local length, other, expires = unpack('<I2Bc0I6', value, at)
  if expires > now and expires <= far then
    live = live + 1
    if other == id then found, size = at, length end
  end
  at = at + length
end
local limit = own_limit
if limit == NO_LIMIT then limit = asked == NO_LIMIT and max_sessions or asked end
local seat_limit = limit % 32768 + (own_limit == NO_LIMIT and 0 or 32768)
