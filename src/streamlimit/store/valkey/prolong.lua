-- Prolongs the session of a lease whose bytes make progress (rule 6; rules/confirm.py).
--
-- ARGV[2]  the lease: I6 generation · B session id · B lease id · I4 move · B stream id · B play
-- Returns  it holds its seat: 1 · I6 now
--          gone: 2 · I6 now · B state (1: it has its seat, and has left this player behind) · the mark or nothing

-- include preamble
-- include ledger
-- include rules

local generation, id, lease, move, stream, play = unpack('<I6Bc0Bc0I4Bc0Bc0', ARGV[2])
local ledger = open_ledger(call('GET', KEYS[1]))
local seat = find(ledger, id)
if seat then open_seat(seat) end
if not seat or seat.expires <= now or (generation ~= seat.generation and generation ~= seat.revives) then
  return pack('<BI6', 2, now) .. gone(ledger, id, generation)
end
local is_old = generation ~= seat.generation or move ~= seat.move
if (play == NO_PLAY and lease == '') then play = nil end -- of a heartbeat
local is_left_behind = (is_old and stream ~= seat.stream) or is_locked_out(seat, play, now)
if enforces == 1 and is_left_behind then return pack('<BI6B', 2, now, 1) end
local life_ms = seat.last == 0 and start_ms or expiry_ms
if seat.expires < now + life_ms then
  seat.expires = now + life_ms
  pack_seat(seat)
  save(ledger)
end
return pack('<BI6', 1, now)
