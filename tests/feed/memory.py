"""A feed in memory, which tests take away and bring back."""

from collections.abc import Sequence

from streamlimit.errors import StoreUnavailable
from streamlimit.model import Event, Session
from streamlimit.store.feed import START, Entry, FeedPage, Place


class MemoryFeed:
    """Keeps the last *kept*. `reads`: how often it was asked."""

    def __init__(self, kept: int = 10_000) -> None:
        self._kept, self.reads, self.is_away = kept, 0, False
        self.unkept_users: set[str] = set()
        self.entries: list[Entry] = []
        self.newest: Place = START
        self.remembered: list[Event] = []

    def append(self, events: Sequence[Event]) -> None:
        self._require()
        for event in events:
            self.newest = (self.newest[0] + 1, 0)
            self.entries = [*self.entries, Entry(self.newest, event)][-self._kept :]

    def remember(self, events: Sequence[Event]) -> Sequence[Event]:
        self._require()
        left = [event for event in events if event.session.user_id in self.unkept_users]
        self.remembered += [event for event in events if event not in left]
        return left

    def refused(self, session: Session, reason: str, quiet_ms: int, live_sessions: int | None = None) -> None:
        """None is told: what tests of listeners and the recorder need no refusals for."""
        self._require()

    def read(self, after: Place | None, at_most: int) -> FeedPage:
        self.reads += 1
        self._require()
        if after is None:
            return FeedPage((), self.newest)
        oldest = (self.entries[0].place[0] - 1, 0) if self.entries else self.newest
        is_whole = oldest <= after <= self.newest
        behind = [entry for entry in self.entries if not is_whole or entry.place > after]
        return FeedPage(tuple(behind[:at_most]), self.newest, is_whole)

    def history(self, user_id: str) -> tuple[Event, ...]:
        return ()

    def forget(self, user_id: str) -> None:
        self._require()
        self.remembered = [event for event in self.remembered if event.session.user_id != user_id]

    def close(self) -> None:
        pass

    def _require(self) -> None:
        if self.is_away:
            raise StoreUnavailable("away")
