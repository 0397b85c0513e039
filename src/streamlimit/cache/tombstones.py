"""Sessions that were ended, terminated or replaced through this worker: what was under way does not bring them back."""

from collections import OrderedDict
from collections.abc import Iterator
from itertools import islice

from msgspec import Struct

from streamlimit.model import Ask, Event

DEPARTED_AT_MOST = 10_000
FORGOTTEN_AT_MOST = 100


class Gone(Struct):
    """Since when; what the store said of it, once it has; whether its grant lives on."""

    since: float
    event: Event | None = None
    keeps_grant: bool = False


class Tombstones:
    """Remembered for *seconds* (n·X), or until the store admits them again; of too many, the newest."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.since: dict[tuple[str, str], Gone] = OrderedDict()
        """Sessions that left, by user and session; mostly none."""

    def __len__(self) -> int:
        return len(self.since)

    def has(self, ask: Ask) -> bool:
        """Has the asking session left?"""
        return bool(self.since) and (ask.user_id, ask.session_id) in self.since

    def add(self, user_id: str, session_id: str, now: float) -> None:
        """The session leaves."""
        self.since.pop((user_id, session_id), None)
        self.since[user_id, session_id] = Gone(now)
        if len(self.since) > DEPARTED_AT_MOST:
            del self.since[next(iter(self.since))]

    def told(self, event: Event, keeps_grant: bool = False) -> None:
        """The store's word on one that left."""
        gone = self.since.get((event.session.user_id, event.session.session_id))
        if gone is not None:
            gone.event, gone.keeps_grant = event, keeps_grant

    def forgive(self, user_id: str, session_id: str | None) -> None:
        """The session, or all of the user's (None), may come back: no termination of it is sent to the store again."""
        for (user, session), gone in self.since.items():
            is_meant = user == user_id and session_id in (None, session)
            if is_meant and gone.event is not None and gone.event.type == "session.terminated":
                gone.event = None

    def events(self) -> Iterator[tuple[Event, bool]]:
        """The events of all sessions that left, as the store made them, each with whether its grant lives on."""
        for gone in list(self.since.values()):
            if gone.event is not None:
                yield gone.event, gone.keeps_grant

    def is_back(self, ask: Ask, asked_at: float, generation: int | None = None) -> bool:
        """The store, asked at *asked_at*, admitted it: it is here, unless it left only after that.

        Nor where it is in the seat that it had left (*generation*): then the store has forgotten that.
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
        """Nothing can be under way any more for those who left so long ago. Some at a time, the oldest first."""
        for who, gone in list(islice(self.since.items(), FORGOTTEN_AT_MOST)):
            if now - gone.since < self._seconds:
                return
            del self.since[who]
