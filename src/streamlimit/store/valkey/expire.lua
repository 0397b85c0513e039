-- Takes out all of some users that is past its time, and files each of them anew (rule 7, the sweep; rules/leave.py).
-- Of many callers one finds the seats there and is told; for the others there is nothing left to do.
--
-- KEYS[1]  a user's ledger
-- KEYS[2]  the shard's sweep index
-- KEYS[3]  the shard's outbox
-- KEYS[4]  another user's ledger of this shard, and so on
-- ARGV[1]  the policy (codec.py)
-- ARGV[2]  nothing
-- ARGV[3]  the time in ms, in tests
-- Returns  a list: the events of each user, or '' where there are none

-- include preamble
-- include ledger

local answer = {}
for i, key in ipairs(KEYS) do
  if i == 1 or i > 3 then
    LEDGER, events = key, {}
    local ledger, marks = open_ledger(call('GET', key)), {}
    for _, mark in ipairs(ledger.marks) do
      if mark.till > now then marks[#marks + 1] = mark end
    end
    lapse_all(ledger)
    ledger.marks = marks
    ledger.filed = 0 -- so that `save` files the user under the time that is true now
    save(ledger)
    if ledger.filed == 0 then call('ZREM', DUE, user_of(key)) end
    answer[#answer + 1] = #events > 0 and told() or ''
  end
end
return answer
