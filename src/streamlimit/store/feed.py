"""What a store promises of events for people: one feed of the last events of all users, and each user's own history.

Both are for people who look. They are written after the step that made an event, not in it, so a killed worker may take
the last moments' events with it (docs/adr/0011-events-for-people.md); what must not be lost goes into the `Outbox`.
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec
from msgspec import Struct
from msgspec.structs import astuple

from streamlimit.model import Device, Event, Session, State
from streamlimit.store.contract import Answer

FEED_KEPT = 10_000
"""So many events the feed keeps at least: from there a reader that was disconnected goes on without loss."""

HISTORY_DAYS = 30
"""A user of whom nothing happened for so long has no history any more."""

FORGOTTEN = "forgotten"
"""The reason of events by which a user is forgotten: they are in no history, and stay in the feed."""

Place = tuple[int, int]
"""Where an event stands in the feed: a later one has a greater place."""

START: Place = (0, 0)
"""Before every event."""

TYPES = ("expired", "abandoned", "ended", "terminated", "refused", "started", "moved")
"""Of two events of one millisecond the one that made room is the older."""

_CODES = {f"session.{name}": code for code, name in enumerate(TYPES)}
_NAMES = [f"session.{name}" for name in TYPES]


class Entry(Struct, frozen=True, gc=False):
    """One event of the feed, and its place."""

    place: Place
    event: Event


class FeedPage(Struct, frozen=True):
    """What stands behind a place, oldest first; `newest` is the place of the feed's last event.

    `is_whole` False: events between that place and the first of `entries` are gone.
    """

    entries: tuple[Entry, ...]
    newest: Place
    is_whole: bool = True


class Feed(Protocol):
    """The feed and the histories. Each method raises `StoreUnavailable` where the store does not answer."""

    def append(self, events: Sequence[Event]) -> Answer[None]:
        """Puts *events* behind all others of the feed, in their order. Twice is twice: they have no other identity."""
        ...

    def remember(self, events: Sequence[Event]) -> Answer[Sequence[Event]]:
        """Puts each into its user's history, but not a `FORGOTTEN` one. Which could not be put. Twice is once."""
        ...

    def refused(
        self, session: Session, reason: str, quiet_ms: int, live_sessions: int | None = None
    ) -> Answer[Event | None]:
        """A refusal as an event, dated by the store. None where the session's last is not *quiet_ms* old, also in a
        race.
        """
        ...

    def read(self, after: Place | None, at_most: int) -> Answer[FeedPage]:
        """Up to *at_most* entries behind *after*; None: nothing but `newest`. From a place that the feed never had, or
        has no more, it goes on with the oldest that is kept, and is not whole.
        """
        ...

    def history(self, user_id: str) -> Answer[tuple[Event, ...]]:
        """The user's last events, newest first: as many as the store is set to keep."""
        ...

    def forget(self, user_id: str) -> Answer[None]:
        """The user's history is gone, and what the feed had of them but for `FORGOTTEN` events. Twice is once."""
        ...

    def close(self) -> Answer[None]:
        """Lets go of files and connections. Twice is once."""
        ...


class _Row(Struct, array_like=True, gc=False):
    """An event as it is kept: it begins with what orders those of one millisecond, and names no field."""

    code: int
    at_ms: int
    reason: str
    by: str | None
    live_sessions: int | None
    session_id: str
    user_id: str
    stream_id: str
    state: State
    device: str | Device | None
    segment: str | None
    sequence: int | None
    started_at_ms: int
    last_activity_ms: int | None
    expires_at_ms: int
    generation: int
    move: int
    plan: str | None = None
    limit: int | None = None
    play: int = 0


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Row).decode


def pack(event: Event) -> bytes:
    """The event as MessagePack, a `_Row` of about 150 bytes: the same bytes for the same event."""
    its = event.session
    return _encode(
        (
            _CODES[event.type],
            event.at_ms,
            event.reason,
            event.by,
            event.live_sessions,
            its.session_id,
            its.user_id,
            its.stream_id,
            its.state,
            its.device,
            its.segment,
            its.sequence,
            its.started_at_ms,
            its.last_activity_ms,
            its.expires_at_ms,
            its.generation,
            its.move,
            its.plan,
            its.limit,
            its.play,
        )
    )


def unpack(packed: bytes) -> Event:
    """The event that `pack` made these bytes of."""
    row = _decode(packed)
    session = Session(*astuple(row)[5:])
    return Event(_NAMES[row.code], session, row.at_ms, row.reason, row.by, row.live_sessions)
