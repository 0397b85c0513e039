"""Where events wait until an outbox sorts them: it holds so many, and counts by type what finds it full."""

import sqlite3
from collections.abc import Iterable

import msgspec

from streamlimit.model import Event
from streamlimit.store.sqlite.connection import QUERIES

LEAST = 1_024
"""Events that the intake holds at least. Nothing stays long, and all endpoints share it: a burst of what one of them
wants, or has no room for, is no loss to another.
"""

_encode = msgspec.json.Encoder().encode


def put(db: sqlite3.Connection, events: Iterable[Event], most: int) -> None:
    """Within the caller's transaction. *most*: what an endpoint's queues may hold."""
    rows = [(event.session.user_id, event.type, _encode(event)) for event in events]
    if not rows:
        return
    room = max(most, LEAST)
    kept = max(room - db.execute(QUERIES["count_unsorted"]).fetchone()[0], 0)
    db.executemany(QUERIES["put_event"], rows[:kept])
    if kept < len(rows):
        db.executemany(QUERIES["count_unkept"], [(kind,) for _, kind, _ in rows[kept:]])


def take_unkept(db: sqlite3.Connection) -> dict[str, int]:
    """How many of each type found it full since this was asked last."""
    found: dict[str, int] = dict(db.execute(QUERIES["unkept"]).fetchall())
    if found:
        db.execute(QUERIES["clear_unkept"])
    return found
