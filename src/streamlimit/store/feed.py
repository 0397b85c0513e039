"""The contract of feeds: the feed of the last events of all users, and the history of each user.

Both are for people. They are written after the step that made an event, not in it, so a killed worker may lose its last
events (docs/adr/0011-events-for-people.md); events that must not be lost go into the `Outbox`.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec
from msgspec import Struct
from msgspec.structs import astuple

from streamlimit.model import Event, Session
from streamlimit.store.contract import Answer

FEED_KEPT = 10_000
"""The least number of events that the feed keeps: a disconnected reader goes on within them without loss."""

HISTORY_DAYS = 30
"""Days after a user's last event until the history is removed."""

FORGOTTEN = "forgotten"
"""The reason of events that end the sessions of a forgotten user: they are in no history, and stay in the feed."""

Place = tuple[int, int]
"""The place of an event in the feed: a later event has a greater place."""

START: Place = (0, 0)
"""The place before every event."""

TYPES = ("expired", "abandoned", "ended", "terminated", "refused", "started", "moved")
"""The order of events of one millisecond: the one that freed a seat is the older."""

_CODES = {f"session.{name}": code for code, name in enumerate(TYPES)}
_NAMES = [f"session.{name}" for name in TYPES]


class Entry(Struct, frozen=True, gc=False):
    """One event of the feed, and its place."""

    place: Place
    event: Event


class FeedPage(Struct, frozen=True):
    """The entries behind a place, oldest first; `newest` is the place of the feed's last event.

    `is_whole` False: events between that place and the first of `entries` are gone.
    """

    entries: tuple[Entry, ...]
    newest: Place
    is_whole: bool = True


class Feed(Protocol):
    """The feed and the histories. Each method raises `StoreUnavailable` where the store does not answer."""

    def append(self, events: Sequence[Event]) -> Answer[None]:
        """Appends *events* to the feed in their order.

        Twice is twice: entries have no other identity than their place.
        """
        ...

    def remember(self, events: Sequence[Event]) -> Answer[Sequence[Event]]:
        """Adds each event, but `FORGOTTEN` ones, to its user's history. Returns those that failed. Twice is once."""
        ...

    def refused(
        self, session: Session, reason: str, quiet_ms: int, live_sessions: int | None = None
    ) -> Answer[Event | None]:
        """A refusal as an event, dated by the store; None where the session's last one is younger than *quiet_ms*.

        In a race one caller gets the event.
        """
        ...

    def read(self, after: Place | None, at_most: int) -> Answer[FeedPage]:
        """Up to *at_most* entries behind *after* (None: only `newest`).

        From a place that the feed does not have, the page begins with the oldest entry and is not whole.
        """
        ...

    def history(self, user_id: str) -> Answer[tuple[Event, ...]]:
        """The user's last events, newest first: as many as the store is set to keep."""
        ...

    def forget(self, user_id: str) -> Answer[None]:
        """Removes the user's history and the user's entries in the feed, but `FORGOTTEN` ones. Twice is once."""
        ...

    def close(self) -> Answer[None]:
        """Closes files and connections. Twice is once."""
        ...


class _Shown(Session, frozen=True, array_like=True, gc=False):
    """A session that is stored as an array."""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Any]).decode


def pack(event: Event) -> bytes:
    """The event as a MessagePack array of about 150 bytes: the same bytes for the same event.

    It begins with the order among events of one millisecond.
    """
    code, its = _CODES[event.type], astuple(event.session)
    return _encode((code, event.at_ms, event.reason, event.by, event.live_sessions, *its))


def unpack(packed: bytes) -> Event:
    """The event that `pack` made these bytes of."""
    code, at_ms, reason, by, live_sessions, *its = _decode(packed)
    session = Session(*astuple(msgspec.convert(its, _Shown)))
    return Event(_NAMES[code], session, at_ms, reason, by, live_sessions)
