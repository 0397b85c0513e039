-- The rules that admit, confirm, prolong, end and terminate share (streamlimit/rules, in Lua). Needs ledger.lua.

local NO_TAIL = ('\0'):rep(6)
local MARKS_KEPT, DRY_RUN_SEATS, NOBODYS = 16, 256, ''

-- The session's newest mark of that state that still holds.
local function mark_of(ledger, id, state)
  for i = #ledger.marks, 1, -1 do
    local mark = ledger.marks[i]
    if mark.id == id and mark.state == state and mark.till > now then return mark end
  end
end

-- A device's id (nil: none) and type.
local function device_parts(device)
  if device == '' then return nil, '' end
  local length = unpack('<I2', device)
  local at = math.max(length, 1) + 2
  local kind = at <= #device and unpack('<Bc0', device, at) or ''
  return length > 0 and device:sub(3, at - 1) or nil, kind
end

-- The full scopes for a session without a seat: the user's seats, those for its stream, or for its type of device.
-- Seats that go for the asking session do not count. Each with the number of seats counted, how many there may be, and which seats are counted (rules/scopes.py).
local function full_scopes(ledger, limit, stream, type_cap, device)
  local scopes, full = { { limit = limit, counts = function() return true end } }, {}
  if stream_cap ~= NO_LIMIT then
    scopes[#scopes + 1] = { limit = stream_cap, counts = function(seat) return seat.stream == stream end }
  end
  if type_cap ~= NO_LIMIT then
    local _, own_type = device_parts(device)
    scopes[#scopes + 1] = { limit = type_cap, counts = function(seat)
      local _, its_type = device_parts(seat.device)
      return its_type == own_type
    end }
  end
  for _, seat in ipairs(ledger.seats) do open_seat(seat) end
  for _, scope in ipairs(scopes) do
    scope.taken = 0
    for _, seat in ipairs(ledger.seats) do
      if seat.expires > now and not seat.goes and scope.counts(seat) then scope.taken = scope.taken + 1 end
    end
    if scope.taken >= scope.limit then full[#full + 1] = scope end
  end
  return full
end

local function new_mark(id, generation, state, since, till, tail)
  local rest = pack('<Bc0I6I6BI6', #id, id, till, generation, state, since) .. tail
  return {
    id = id, till = till, generation = generation, state = state, since = since, by = unpack('<Bc0', tail),
    packed = pack('<I2', #rest + 2) .. rest,
  }
end

-- Adds a mark; of each kind the newest MARKS_KEPT stay, and an operator's before a viewer's. What finds no room is
-- joined to one mark of no session: no late receipt of their time seats a session again.
local function remember(ledger, mark)
  local kept, same, oldest, viewers, nobodys = {}, 0, nil, nil, nil
  ledger.marks[#ledger.marks + 1] = mark
  for _, each in ipairs(ledger.marks) do
    if each.till > now and each.id == NOBODYS then
      nobodys = each
    elseif each.till > now then
      kept[#kept + 1] = each
      if each.state == mark.state then
        same, oldest = same + 1, oldest or #kept
        if each.by == 'viewer' then viewers = viewers or #kept end
      end
    end
  end
  if same > MARKS_KEPT then
    local out = table.remove(kept, viewers or oldest)
    local before = nobodys or out
    nobodys = new_mark(NOBODYS, math.max(before.generation, out.generation), ENDED, out.since,
      math.max(before.till, out.till), NO_TAIL)
  end
  if nobodys then table.insert(kept, 1, nobodys) end
  ledger.marks = kept
end

-- Removes an ended or terminated session: it leaves a mark and makes an event. *tail*: by whom and why.
local function dismiss(ledger, place, state, tail)
  local seat = open_seat(table.remove(ledger.seats, place))
  remember(ledger, new_mark(seat.id, seat.generation, state, now, now + expiry_ms, tail))
  add_event(state, IN_TAIL, tail, seat.packed)
end

-- Why the lease's session holds no seat: B state · the mark, or nothing.
local function gone(ledger, id, generation)
  local mark = mark_of(ledger, id, TERMINATED)
  if mark then return string.char(TERMINATED) .. mark.packed end
  for _, old in ipairs(ledger.marks) do -- of this seat, or of a later one of the same session
    if (old.id == id or old.id == NOBODYS) and old.generation >= generation and old.till > now then
      return string.char(old.state) .. old.packed
    end
  end
  return string.char(EXPIRED)
end

-- Is this media at or behind the position of its kind, from another address than the last one (rule 8)? 0: unknown.
local function is_repeat(seat, kind, point, client)
  for _, position in ipairs(seat.positions) do
    if position[1] == kind then
      return point ~= 0 and point - 1 <= position[2] and client ~= 0 and position[3] ~= 0 and client ~= position[3]
    end
  end
  return false
end

-- Is the play *one* older than the play *other*? Neither may be compared as text (the server's locale), nor as one number.
local function is_older(one, other)
  if one == NO_PLAY or other == NO_PLAY then return one == NO_PLAY and other ~= NO_PLAY end
  local low, high = unpack('<I4I4', one)
  local its_low, its_high = unpack('<I4I4', other)
  return high < its_high or (high == its_high and low < its_low)
end

-- Has any play begun?
local function has_begun(seat)
  return seat.play ~= NO_PLAY or seat.segment ~= '' or #seat.positions > 0
end

-- Would *play* (nil: of no play) take the session over from one that received within the last 2·X (rules/plays.py)?
local function is_change(seat, play, at)
  if max_returns == 0 or not play or play == seat.play or not has_begun(seat) then return false end
  return seat.last > 0 and at - seat.last < 2 * segment_ms
end

-- Is the play one change too many? One that began later than the current one is not.
local function is_locked_out(seat, play, at)
  return seat.locked and is_change(seat, play, at) and is_older(play, seat.play)
end

-- Does a newer play take the session over though plays have changed too often?
local function breaks_lock(seat, play, at)
  return seat.locked and is_change(seat, play, at) and is_older(seat.play, play)
end

-- The times in *moments* within the last n·X before *at*.
local function recent(moments, at)
  local kept = {}
  for _, moment in ipairs(moments) do
    if moment > at - expiry_ms then kept[#kept + 1] = moment end
  end
  return kept
end

-- Would this, at that time, bring the session back to a stream that it left within the last 2·X (rule 8)?
local function is_return(seat, stream, at)
  if stream == seat.stream then return false end
  for _, left in ipairs(seat.left) do
    if left[1] == stream and left[2] > at - 2 * segment_ms then return true end
  end
  return false
end
