-- Replaces what a script could not read: a ledger, or the user's ended grants, that somebody or a disk has broken. Its
-- user begins anew, under the limit of their own, which lies apart from the ledger. It is sent where a script failed,
-- with all that the script was called with (router.py).
--
-- KEYS[1]  a user's ledger
-- KEYS[2]  the shard's sweep index
-- KEYS[4]  another user's ledger of this shard, where it was a sweep, and so on
-- ARGV[1]  the policy (codec.py)
-- ARGV[2]  what the other script was asked
-- ARGV[3]  the time in ms, in tests
-- Returns  a list: users whose ledgers were replaced · a list: users whose ended grants were

-- include preamble
-- include ledger
-- include rules
-- include grants

local function read(key)
  for _, seat in ipairs(open_ledger(call('GET', key)).seats) do device_parts(open_seat(seat).device) end
end

local function begin_anew(key)
  LEDGER = key
  local ledger, kept = open_ledger(false), call('HGET', LIMITS, user_of(key))
  if kept and #kept >= 8 then ledger.own_limit, ledger.limit_till = unpack('<I2I6', kept) end
  call('DEL', key)
  save(ledger)
end

local ledgers, ended = {}, {}
for i, key in ipairs(KEYS) do
  if (i == 1 or i > 3) and not pcall(read, key) then
    begin_anew(key)
    ledgers[#ledgers + 1] = user_of(key)
  end
end
if not pcall(open_grants) then -- which of them are dead is lost: all are
  save_grants({ revoked = now, revoked_until = now + grant_ms, dead = {} })
  ended[1] = user_of(KEYS[1])
end
return { ledgers, ended }
