"""The contract on SQLite: load a user's ledger, let a rule work on it, save it, all in one transaction.

Any number of processes on one machine. Answers at once: a read takes some microseconds, a write some 20.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from time import thread_time
from typing import Any, TypeVar

import msgspec

from streamlimit import rules
from streamlimit.errors import StoreUnavailable
from streamlimit.model import (
    Ask,
    Decision,
    Event,
    Gone,
    Lease,
    Page,
    Receipt,
    Roster,
    Session,
    Swept,
    Verdict,
)
from streamlimit.policy import Policy
from streamlimit.rules.ledger import Ledger, Outcome, show_live
from streamlimit.store.contract import Clock, Events, Heard
from streamlimit.store.sqlite.checkpoint import Checkpointer
from streamlimit.store.sqlite.clock import uptime_ms
from streamlimit.store.sqlite.connection import QUERIES, connect, in_turn, transaction
from streamlimit.store.sqlite.pace import PAUSE_SECONDS, TRIES, Pace, Takings

T = TypeVar("T")
Rule = Callable[[Ledger, int], Outcome[T]]

_decode = msgspec.json.Decoder(Ledger).decode
_encode = msgspec.json.Encoder().encode

LOAD, SAVE, SAVE_BODY = QUERIES["load"], QUERIES["save"], QUERIES["save_body"]
PUT_EVENT = QUERIES["put_event"]

LOOKED_AT = 500
"""Users that one page of `browse` looks at: some milliseconds, in which nobody else has a turn."""


class SqliteStore:
    """A `Store` on the file at *path*. *subscribed* are the event types that go into the outbox.

    It holds *outbox_max_events*; `dropped_events` counts those of this process that found it full. *clock*
    (tests only) replaces the store's clock. Raises `StoreUnavailable` when the file cannot be used.
    """

    def __init__(
        self,
        path: str,
        policy: Policy,
        subscribed: frozenset[str] = frozenset(),
        clock: Clock | None = None,
        outbox_max_events: int = 1_000_000,
    ) -> None:
        self._policy, self._subscribed, self._clock = policy, subscribed, clock
        self._outbox_max_events = outbox_max_events
        self.dropped_events = 0
        self._db: sqlite3.Connection | None = connect(path)
        self._checkpointer = Checkpointer(path)
        self._pace = Pace()

    def admit(self, ask: Ask) -> Decision:
        def rule(ledger: Ledger, now_ms: int) -> Outcome[Decision]:
            return rules.admit(ledger, ask, self._policy, now_ms)

        # Who sits is admitted without a write: one consistent read decides, and no lock is taken.
        with self._translated() as db:
            ledger, now_ms, _ = self._load(db, ask.user_id)
        outcome = rule(ledger, now_ms)
        return self._change(ask.user_id, rule) if outcome.changed else outcome.answer

    def confirm(self, receipt: Receipt) -> Verdict:
        user_id = receipt.lease.ask.user_id
        return self._change(user_id, lambda ledger, now_ms: rules.confirm(ledger, receipt, self._policy, now_ms))

    def report(self, receipt: Receipt, heard: Heard) -> None:
        try:
            answer: Verdict | StoreUnavailable = self.confirm(receipt)
        except StoreUnavailable as error:
            answer = error
        heard(answer)

    def beat(self, ask: Ask) -> Decision:
        return self._change(ask.user_id, lambda ledger, now_ms: rules.beat(ledger, ask, self._policy, now_ms))

    def prolong(self, lease: Lease) -> Gone | None:
        user_id = lease.ask.user_id
        return self._change(user_id, lambda ledger, now_ms: rules.prolong(ledger, lease, self._policy, now_ms))

    def abandon(self, lease: Lease) -> Events:
        user_id = lease.ask.user_id
        return self._change(user_id, lambda ledger, now_ms: rules.abandon(ledger, lease, self._policy, now_ms))

    def end(self, user_id: str, session_id: str) -> Events:
        def rule(ledger: Ledger, now_ms: int) -> Outcome[Events]:
            return rules.end(ledger, user_id, session_id, self._policy, now_ms)

        return self._change(user_id, rule)

    def terminate(self, user_id: str, session_id: str | None, by: str, reason: str) -> Events:
        def rule(ledger: Ledger, now_ms: int) -> Outcome[Events]:
            return rules.terminate(ledger, user_id, session_id, by, reason, self._policy, now_ms)

        return self._change(user_id, rule)

    def expire(self, at_most: int) -> Swept:
        """Users whose earliest time has come: so many that the write lock is held for about `HOLD_SECONDS`.

        What becomes of them is decided before, without the lock; under the lock only where others wrote meanwhile
        again and again.
        """
        looked_at = min(at_most, self._pace.users)
        with self._translated() as db:
            tries = (self._swept(db, looked_at, is_last=number == TRIES) for number in range(1, TRIES + 1))
            takings = next(filter(None, tries))
        self._checkpointer.changed(takings.looked_at)
        more = takings.looked_at == looked_at
        return Swept(tuple(takings.events), more, PAUSE_SECONDS if more else 0.0)

    def _swept(self, db: sqlite3.Connection, at_most: int, is_last: bool) -> Takings | None:
        """What was taken out, or None where anyone wrote since it was decided (never the last time)."""
        seen = _version(db)
        takings = self._look(db, at_most)
        with transaction(db):
            began = thread_time()
            if seen != _version(db):
                if not is_last:
                    return None
                takings = self._look(db, at_most)
            self._take_out(db, takings)
        self._pace.took(takings.looked_at, thread_time() - began)
        return takings

    def _look(self, db: sqlite3.Connection, at_most: int) -> Takings:
        """What is past its time goes; a user of whom something is left is filed anew, under the time true now."""
        now_ms = self._load(db, "")[1]
        due = _rows(db, QUERIES["due"], now_ms, at_most)
        takings = Takings(now_ms, len(due))
        for user_id, body in due:
            ledger = _decode(body)
            takings.events += rules.expire(ledger, user_id, self._policy, now_ms).events
            if ledger.is_blank():
                takings.gone.append((user_id,))
            else:
                takings.kept.append((user_id, _encode(ledger), ledger.due_at_ms()))
        return takings

    def _take_out(self, db: sqlite3.Connection, takings: Takings) -> None:
        db.executemany(QUERIES["remove"], takings.gone)
        db.executemany(SAVE, takings.kept)
        self._put_events(db, takings.events)
        db.execute(QUERIES["see"], (takings.now_ms,))

    def sessions(self, user_id: str) -> Roster:
        with self._translated() as db:
            ledger, now_ms, _ = self._load(db, user_id)
        live = show_live(user_id, ledger, self._policy, now_ms)
        return Roster(user_id, ledger.limit(None, self._policy), live)

    def browse(
        self, cursor: str | None, at_most: int, user_id: str | None, stream_id: str | None, state: str | None
    ) -> Page:
        """Pages by user, so that all of a user's sessions are on one page; `cursor` is the last user seen.

        A page may have fewer sessions than asked for, or none: looking for rare ones must not keep viewers waiting.
        """
        if user_id is not None:
            live = self.sessions(user_id).sessions
            return Page(tuple(s for s in live if _matches(s, stream_id, state)), None)
        found: list[Session] = []
        after = cursor or ""
        with self._translated() as db:
            now_ms = self._load(db, "")[1]
            rows = _rows(db, QUERIES["browse"], after, LOOKED_AT)
            for after, body in rows:
                live = show_live(after, _decode(body), self._policy, now_ms)
                found += [s for s in live if _matches(s, stream_id, state)]
                if len(found) >= at_most:
                    return Page(tuple(found), after)
        return Page(tuple(found), after if len(rows) == LOOKED_AT else None)

    def limit(self, user_id: str) -> int | None:
        with self._translated() as db:
            return self._load(db, user_id)[0].max_sessions

    def set_limit(self, user_id: str, max_sessions: int | None) -> None:
        def rule(ledger: Ledger, now_ms: int) -> Outcome[None]:
            ledger.max_sessions = max_sessions
            return Outcome(None, changed=True)

        return self._change(user_id, rule)

    def secret(self, name: str, made: str) -> str:
        with self._translated() as db, transaction(db):
            db.execute(QUERIES["put_secret"], (name, made))
            kept: str = db.execute(QUERIES["get_secret"], (name,)).fetchone()[0]
            return kept

    def pending(self) -> int:
        with self._translated() as db:
            count: int = _rows(db, QUERIES["count_events"])[0][0]
            return count

    def ping(self) -> None:
        with self._translated() as db:
            _rows(db, QUERIES["get_clock"])

    def close(self) -> None:
        self._checkpointer.close()
        if self._db is not None:
            self._db.close()
            self._db = None

    def _change(self, user_id: str, rule: Rule[T]) -> T:
        with self._translated() as db, transaction(db):
            ledger, now_ms, due_at_ms = self._load(db, user_id)
            outcome = rule(ledger, now_ms)
            if outcome.changed:
                self._save(db, user_id, ledger, due_at_ms)
                self._put_events(db, outcome.events)
        self._checkpointer.changed()
        return outcome.answer

    def _load(self, db: sqlite3.Connection, user_id: str) -> tuple[Ledger, int, int | None]:
        """The user's ledger, the store's time, and when the user is due for a sweep."""
        offset_ms, body, due_at_ms = _rows(db, LOAD, user_id)[0]
        now_ms = self._clock() if self._clock else uptime_ms() + offset_ms
        return (Ledger() if body is None else _decode(body)), now_ms, due_at_ms

    def _save(self, db: sqlite3.Connection, user_id: str, ledger: Ledger, due_at_ms: int | None) -> None:
        """Writes the ledger. A due time that is early enough stays: the sweep corrects it, not each receipt."""
        if ledger.is_blank():
            db.execute(QUERIES["remove"], (user_id,))
            return
        earliest_ms = ledger.due_at_ms()
        if due_at_ms is not None and (earliest_ms is None or due_at_ms <= earliest_ms):
            db.execute(SAVE_BODY, (_encode(ledger), user_id))
        else:
            db.execute(SAVE, (user_id, _encode(ledger), earliest_ms))

    def _put_events(self, db: sqlite3.Connection, events: Iterable[Event]) -> None:
        rows = []
        for event in events:
            if event.type in self._subscribed:
                rows.append((event.session.user_id, event.type, _encode(event), self._outbox_max_events))
        if rows:
            self.dropped_events += len(rows) - db.executemany(PUT_EVENT, rows).rowcount

    @contextmanager
    def _translated(self) -> Iterator[sqlite3.Connection]:
        """The open connection; whatever the driver raises becomes `StoreUnavailable`, here alone."""
        if self._db is None:
            raise StoreUnavailable("sqlite: the store is closed")
        try:
            yield self._db
        except sqlite3.Error as error:
            raise StoreUnavailable(f"sqlite: {error}") from error


def _rows(db: sqlite3.Connection, query: str, *values: str | int) -> list[tuple[Any, ...]]:
    """What *query* finds. Even a reader may have to wait: for the repair of what a killed process left."""
    return in_turn(lambda: db.execute(query, values).fetchall())


def _version(db: sqlite3.Connection) -> int:
    """Another one than before where another connection wrote since."""
    version: int = _rows(db, "PRAGMA data_version")[0][0]
    return version


def _matches(session: Session, stream_id: str | None, state: str | None) -> bool:
    return stream_id in (None, session.stream_id) and state in (None, session.state)
