"""Rows of older files converted to today's form, which is in store/bodies.py."""

import msgspec

from streamlimit.rules.ledger import Ledger, Seat
from streamlimit.store.bodies import decode, encode


def from_version_1(body: bytes) -> tuple[int | None, bytes]:
    """The due time and the body of a row of schema 1, which was JSON with the names of all fields."""
    old = msgspec.json.decode(body)
    seats = [Seat(**seat) for seat in old.get("seats", ())]
    ledger = decode(encode(Ledger(seats, old.get("marks", []), old.get("max_sessions"))))
    return ledger.due_at_ms(0), encode(ledger)
