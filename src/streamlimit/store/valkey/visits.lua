-- The user's budget of visits (rules/visits.py), for scripts that need it before the ledger is taken apart. Needs
-- preamble.lua.
--
-- *spent* is when it is whole again: what a ledger's value ends with, where the number of its marks says so.

-- How many marks there are, when the budget is whole again (0: it is), where the value ends but for that,
-- and when the user's own limit ends (0: never).
local function split_marks(value, marks)
  local spent, till, stop = 0, 0, #value
  if marks >= 128 then
    marks, stop, spent = marks - 128, stop - 6, unpack('<I6', value, stop - 5)
    if spent > now + math.max(far - now, burst_ms + 60000) then spent = 0 end -- from before the clock went back
  end
  if marks >= 64 then
    marks, till = marks - 64, unpack('<I6', value, stop - 5)
  end
  return marks, spent, stop, till
end

-- The cost of a visit of a user with *limit* seats: the time in which it comes back.
local function visit_cost(limit)
  return math.max(math.floor(2 * segment_ms / math.max(limit, 1)), 1)
end

-- The time until the next visit can be paid; 0: now.
local function visit_wait(spent, limit)
  if burst_ms == 0 then return 0 end
  return math.max(math.max(spent - now, 0) + visit_cost(limit) - burst_ms, 0)
end

-- When the budget is whole again once the next visit is paid, where it can be; and how much of it is spent then.
local function paid_visit(spent, limit)
  if burst_ms == 0 or visit_wait(spent, limit) > 0 then return spent, 0 end
  spent = math.max(spent, now) + visit_cost(limit)
  return spent, spent - now
end
