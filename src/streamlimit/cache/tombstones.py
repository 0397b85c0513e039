"""Tombstones: sessions ended, terminated or replaced through this worker, which no pending receipt may bring back."""

from collections import OrderedDict
from collections.abc import Iterator
from itertools import islice

from msgspec import Struct

from streamlimit.model import Ask, Event

DEPARTED_AT_MOST = 10_000
FORGOTTEN_AT_MOST = 100


class Tombstone(Struct):
    """One tombstone: since when, the store's event once it has answered, and whether the grant stays valid."""

    since: float
    event: Event | None = None
    keeps_grant: bool = False


class Tombstones:
    """The tombstones of one worker, kept for *seconds* (n·X) or until the store admits the session again."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.since: dict[tuple[str, str], Tombstone] = OrderedDict()
        """Tombstones by user and session; mostly empty."""

    def __len__(self) -> int:
        return len(self.since)

    def has(self, ask: Ask) -> bool:
        """Is there a tombstone of the asking session?"""
        return bool(self.since) and (ask.user_id, ask.session_id) in self.since

    def add(self, user_id: str, session_id: str, now: float) -> None:
        """Adds a tombstone of the session."""
        self.since.pop((user_id, session_id), None)
        self.since[user_id, session_id] = Tombstone(now)
        if len(self.since) > DEPARTED_AT_MOST:
            del self.since[next(iter(self.since))]

    def note_event(self, event: Event, keeps_grant: bool = False) -> None:
        """Notes the store's *event* of a session with a tombstone. *keeps_grant*: its grant stays valid."""
        gone = self.since.get((event.session.user_id, event.session.session_id))
        if gone is not None:
            gone.event, gone.keeps_grant = event, keeps_grant

    def forgive(self, user_id: str, session_id: str | None) -> None:
        """Removes the session's tombstone, or (None) all of the user's: their terminations are not sent again."""
        for (user, session), gone in self.since.items():
            is_meant = user == user_id and session_id in (None, session)
            if is_meant and gone.event is not None and gone.event.type == "session.terminated":
                gone.event = None

    def events(self) -> Iterator[tuple[Event, bool]]:
        """The store's events of all sessions with a tombstone, each with whether its grant stays valid."""
        for gone in list(self.since.values()):
            if gone.event is not None:
                yield gone.event, gone.keeps_grant

    def is_back(self, ask: Ask, asked_at: float, generation: int | None = None) -> bool:
        """Removes the tombstone of a session that the store, asked at *asked_at*, admitted. False: it stays.

        It stays where the session left only after *asked_at*, and where it is in the seat (*generation*) that it had
        left: then the store has lost the end.
        """
        if not self.since:
            return True
        who = ask.user_id, ask.session_id
        gone = self.since.get(who)
        if gone is None:
            return True
        is_forgotten = gone.event is not None and generation == gone.event.session.generation
        if gone.since > asked_at or is_forgotten:
            return False
        del self.since[who]
        return True

    def forget_old(self, now: float) -> None:
        """Removes tombstones so old that no receipt can be pending: some at a time, the oldest first."""
        for who, gone in list(islice(self.since.items(), FORGOTTEN_AT_MOST)):
            if now - gone.since < self._seconds:
                return
            del self.since[who]
