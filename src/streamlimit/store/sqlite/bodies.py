"""The bodies of rows as ledgers (store/bodies.py has the format), and rows of older files in today's form."""

import msgspec

from streamlimit.logs import EventLog
from streamlimit.rules.ledger import Ledger, Seat
from streamlimit.store.bodies import decode, encode

log = EventLog("streamlimit.store")


def read(body: bytes) -> Ledger:
    """The ledger in *body*. One that cannot be read is logged and counts as empty, so that the next change replaces it.

    Otherwise nothing would expire any more, of any user: the sweep reads every row that is due.
    """
    try:
        return decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        log.error("ledger_unreadable", problem=str(error), note="its user begins anew, without an own limit")
        return Ledger()


def from_version_1(body: bytes) -> tuple[int | None, bytes]:
    """The due time and the body of a row of schema 1, which was JSON with the names of all fields."""
    old = msgspec.json.decode(body)
    seats = [Seat(**seat) for seat in old.get("seats", ())]
    ledger = decode(encode(Ledger(seats, old.get("marks", []), old.get("max_sessions"))))
    return ledger.due_at_ms(0), encode(ledger)
