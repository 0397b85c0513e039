-- The user's grants that were ended (rules/grants.py): a value of its own, read only where a grant starts a seat, or a
-- session is given one, or ends. It lies in the ledger's slot, under a key made of the ledger's and the sweep index's:
-- few calls need it, so it is not among the keys that each call is sent with. Needs ledger.lua.
--
--   I6 revoked · I6 revoked until, then the oldest end first: B session id · I6 generation · I6 until · B given

local GRANTS, GRANTS_KEPT = DUE:sub(1, -4) .. 'grants:' .. user_of(LEDGER), 256

local function open_grants()
  local value, grants = call('GET', GRANTS), { revoked = 0, revoked_until = 0, dead = {} }
  if not value then return grants end
  local at
  grants.revoked, grants.revoked_until, at = unpack('<I6I6', value)
  while at <= #value do
    local dead = {}
    dead.id, dead.generation, dead.till, dead.given, at = unpack('<Bc0I6I6B', value, at)
    grants.dead[#grants.dead + 1] = dead
  end
  return grants
end

-- It goes by itself when nothing of it matters any more.
local function save_grants(grants)
  local parts, last = { pack('<I6I6', grants.revoked, grants.revoked_until) }, grants.revoked_until
  for _, dead in ipairs(grants.dead) do
    parts[#parts + 1] = pack('<Bc0I6I6B', #dead.id, dead.id, dead.generation, dead.till, dead.given)
    last = math.max(last, dead.till)
  end
  call('SET', GRANTS, table.concat(parts), 'PX', math.max(last - now, 1))
end

-- The generation of the session's youngest dead grant; -1: there is none.
local function newest_dead(id)
  local grants = open_grants()
  local newest = grants.revoked_until > now and grants.revoked or -1
  for _, dead in ipairs(grants.dead) do
    if dead.id == id and dead.till > now then newest = math.max(newest, dead.generation) end
  end
  return newest
end

-- Where there are too many of that kind the oldest goes; one that was given stays dead with all of its time.
local function make_room(grants, given)
  local count, oldest = 0, nil
  for i, dead in ipairs(grants.dead) do
    if dead.given == given then count, oldest = count + 1, oldest or i end
  end
  if count <= GRANTS_KEPT then return end
  local dead = table.remove(grants.dead, oldest)
  if given == 0 then return end
  grants.revoked = math.max(grants.revoked, dead.generation)
  grants.revoked_until = math.max(grants.revoked_until, dead.till)
end

-- The session's grants of that generation, and all older ones, are dead until the youngest of them would expire.
local function kill(id, generation, given)
  local grants, kept = open_grants(), {}
  for _, dead in ipairs(grants.dead) do
    if dead.id == id then
      generation, given = math.max(generation, dead.generation), math.max(given, dead.given)
    elseif dead.till > now then
      kept[#kept + 1] = dead
    end
  end
  kept[#kept + 1] = { id = id, generation = generation, till = now + grant_ms, given = given }
  grants.dead = kept
  make_room(grants, 1)
  make_room(grants, 0)
  save_grants(grants)
end
