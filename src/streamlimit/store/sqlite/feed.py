"""The feed and the histories on SQLite: bounded tables of the store's file, with a connection of their own."""

from collections.abc import Sequence

from streamlimit.model import Event, Session
from streamlimit.store.contract import Clock
from streamlimit.store.feed import FEED_KEPT, FORGOTTEN, HISTORY_DAYS, Entry, FeedPage, Place, pack, unpack
from streamlimit.store.sqlite.connection import LOCK_WAIT_SECONDS, Connection
from streamlimit.store.sqlite.own_connection import OwnConnection

CUT_EVERY = 8
"""One event in so many truncates its user's history to its length; reading leaves out what is beyond."""

LOOKED_AT = 40
"""Rows of histories that are checked for their age then: a few at a time need no index by time."""

_OLD_MS = HISTORY_DAYS * 86_400_000


class SqliteFeed(OwnConnection):
    """A `Feed` on the file at *path*. *history_events*: length of a history; *kept*: of the feed.

    The rest as in `SqliteOutbox`.
    """

    def __init__(
        self,
        path: str,
        history_events: int,
        kept: int = FEED_KEPT,
        clock: Clock | None = None,
        patience_seconds: float = LOCK_WAIT_SECONDS,
    ) -> None:
        super().__init__(path, patience_seconds, clock)
        self._history_events, self._kept = history_events, kept
        self._looked_at = ""  # the last user whose history was looked at

    def append(self, events: Sequence[Event]) -> None:
        with self._step() as db:
            db.run_each("put_in_feed", [(event.session.user_id, pack(event)) for event in events])
            db.run("bound_feed", self._kept)

    def remember(self, events: Sequence[Event]) -> Sequence[Event]:
        rows = [(e.session.user_id, e.at_ms, pack(e)) for e in events if e.reason != FORGOTTEN]
        if rows and self._history_events:
            with self._step() as db:
                db.run_each("put_in_history", rows)
                if cut := [(user_id, self._history_events) for user_id, at_ms, _ in rows if at_ms % CUT_EVERY == 0]:
                    db.run_each("bound_history", cut)
                    self._forget_old(db)
        return ()

    def refused(self, session: Session, reason: str, quiet_ms: int, live_sessions: int | None = None) -> Event | None:
        with self._step() as db:
            now_ms = self._now_ms()
            db.run("forget_told", now_ms)
            key = (session.user_id, session.session_id)
            if not db.run("put_told", *key, now_ms + quiet_ms, now_ms).rowcount:
                return None
        return Event("session.refused", session, now_ms, reason, None, live_sessions)

    def read(self, after: Place | None, at_most: int) -> FeedPage:
        newest = self._find("newest_in_feed")
        last: int = newest[0][0] if newest else 0
        if after is None:
            return FeedPage((), (last, 0))
        oldest = max(last - self._kept, 0)
        is_whole = (oldest, 0) <= after <= (last, 0)
        rows = self._find("read_feed", after[0] if is_whole else oldest, at_most)
        return FeedPage(tuple(Entry((number, 0), unpack(row)) for number, row in rows), (last, 0), is_whole)

    def history(self, user_id: str) -> tuple[Event, ...]:
        rows = self._find("read_history", user_id, self._now_ms() - _OLD_MS, self._history_events)
        return tuple(unpack(row) for (row,) in rows)

    def forget(self, user_id: str) -> None:
        with self._step() as db:
            db.run("forget_history", user_id)
            db.run("forget_told_of", user_id)
            found = db.run("user_in_feed", user_id).fetchall()
            gone = [(number,) for number, row in found if unpack(row).reason != FORGOTTEN]
            db.run_each("forget_in_feed", gone)

    def _forget_old(self, db: Connection) -> None:
        """Removes old events of the next few histories."""
        first = self._looked_at
        last = db.run("end_of_histories", first, LOOKED_AT).fetchone()[0]
        self._looked_at = last or ""
        if last is not None:
            db.run("forget_old_history", first, last, self._now_ms() - _OLD_MS)
