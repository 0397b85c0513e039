"""The intake of the outbox: events that wait to be sorted into queues. It is bounded, and counts drops by type."""

from collections.abc import Iterable

import msgspec

from streamlimit.model import Event
from streamlimit.store.sqlite.connection import Connection

LEAST = 1_024
"""The least capacity of the intake, which all endpoints share: a burst of one endpoint's events must not make another
lose its own."""

_encode = msgspec.json.Encoder().encode


def put(db: Connection, events: Iterable[Event], most: int) -> None:
    """Adds *events*, within the caller's transaction. *most*: the capacity of an endpoint's queues."""
    rows = [(event.session.user_id, event.type, _encode(event)) for event in events]
    if not rows:
        return
    room = max(most, LEAST)
    kept = max(room - db.run("count_unsorted").fetchone()[0], 0)
    db.run_each("put_event", rows[:kept])
    if kept < len(rows):
        db.run_each("count_unkept", [(kind,) for _, kind, _ in rows[kept:]])


def take_unkept(db: Connection) -> dict[str, int]:
    """The number of dropped events by type since the last call."""
    found: dict[str, int] = dict(db.run("unkept").fetchall())
    if found:
        db.run("clear_unkept")
    return found
