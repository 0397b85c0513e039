"""A ledger as the bytes in its row: MessagePack, where seats are arrays.

Half as long as with the names of the fields: so three sessions fit a page, and fewer pages are split when users come.
"""

import msgspec

from streamlimit.rules.grants import Grants
from streamlimit.rules.ledger import Ledger, Seat

decode = msgspec.msgpack.Decoder(Ledger).decode
decode_grants = msgspec.msgpack.Decoder(Grants).decode
encode = msgspec.msgpack.Encoder().encode


def from_version_1(body: bytes) -> tuple[int | None, bytes]:
    """When the user is due, and the bytes, of what schema 1 kept as JSON with the names of all fields."""
    old = msgspec.json.decode(body)
    seats = [Seat(**seat) for seat in old.get("seats", ())]
    ledger = decode(encode(Ledger(seats, old.get("marks", []), old.get("max_sessions"))))
    return ledger.due_at_ms(0), encode(ledger)
