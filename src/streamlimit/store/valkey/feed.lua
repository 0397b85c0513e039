-- The entries of the feed behind a place.
--
-- KEYS[1]  the feed, a stream
-- ARGV[1]  the place, as the stream's ids are; empty: only the newest one is asked for
-- ARGV[2]  how many entries at most
-- Returns  the id of the last entry that there ever was · 1 where nothing is missing behind the place · the entries

if redis.call('EXISTS', KEYS[1]) == 0 then
  return { '0-0', (ARGV[1] == '' or ARGV[1] == '0-0') and 1 or 0, {} }
end
local fields, info = redis.call('XINFO', 'STREAM', KEYS[1]), {}
for i = 1, #fields, 2 do
  info[fields[i]] = fields[i + 1]
end
local newest = info['last-generated-id']
if ARGV[1] == '' then return { newest, 1, {} } end

local function is_before(one, other)
  local ms, seq = one:match('(%d+)-(%d+)')
  local other_ms, other_seq = other:match('(%d+)-(%d+)')
  ms, other_ms = tonumber(ms), tonumber(other_ms)
  return ms < other_ms or (ms == other_ms and tonumber(seq) < tonumber(other_seq))
end

local first = info['first-entry']
local is_cut = info['entries-added'] > info['length'] and (not first or is_before(ARGV[1], first[1]))
local is_whole = not is_before(newest, ARGV[1]) and not (is_cut and is_before(ARGV[1], newest))
local from = is_whole and '(' .. ARGV[1] or '-'
return { newest, is_whole and 1 or 0, redis.call('XRANGE', KEYS[1], from, '+', 'COUNT', ARGV[2]) }
