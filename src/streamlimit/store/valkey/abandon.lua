-- Closes a lease whose segment did not arrive: a reservation without another one is given back (rule 3; rules/leave.py).
--
-- ARGV[2]  the lease: I6 generation · B session id · B lease id
-- Returns  I6 now · events

-- include preamble
-- include ledger

local generation, id, lease = unpack('<I6Bc0Bc0', ARGV[2])
local ledger = open_ledger(call('GET', KEYS[1]))
local seat, place = find(ledger, id)

-- Closes the lease where it is open. The second time there is nothing left to do.
local function close()
  for i, open in ipairs(seat.leases) do
    if open == lease then
      table.remove(seat.leases, i)
      return true
    end
  end
  return false
end

if seat and open_seat(seat).generation == generation and close() then
  pack_seat(seat)
  if #seat.leases == 0 then
    table.remove(ledger.seats, place)
    add_event(ABANDONED, NOTHING_RECEIVED, '', seat.packed)
  end
  save(ledger)
end
return pack('<I6', now) .. packed_events()
