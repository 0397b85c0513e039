"""The contract on SQLite: a user's ledger is one row, and what changes it one statement or one transaction.

Any number of processes on one machine. Answers at once: a read takes some microseconds, a write some 20.
"""

import sqlite3
from collections.abc import Callable, Iterable
from time import thread_time
from types import TracebackType
from typing import Any, TypeVar, cast

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
from streamlimit.store.coming import Coming
from streamlimit.store.contract import Answer, Clock, Events, Heard
from streamlimit.store.sqlite.bodies import decode, encode
from streamlimit.store.sqlite.checkpoint import Checkpointer
from streamlimit.store.sqlite.connection import QUERIES, connect, transaction
from streamlimit.store.sqlite.intake import put
from streamlimit.store.sqlite.pace import PAUSE_SECONDS, TRIES, Pace, Takings
from streamlimit.store.sqlite.round import Round
from streamlimit.store.sqlite.rows import Rows
from streamlimit.store.sqlite.together import Change, Together

T = TypeVar("T")
Rule = Callable[[Ledger, int], Outcome[T]]

SAVE = QUERIES["save"]

LOOKED_AT = 500
"""Users that one page of `browse` looks at: some milliseconds, in which nobody else has a turn."""


class SqliteStore:
    """A `Store` on the file at *path*. *subscribed* are the event types that go into the outbox.

    There it keeps *outbox_max_events* (intake.py). *clock* (tests only) replaces the store's clock. *gathers*: where
    several heartbeats and receipts come in one turn of the event loop they are made together, and answered after it.
    Raises `StoreUnavailable` when the file cannot be used.
    """

    def __init__(
        self,
        path: str,
        policy: Policy,
        subscribed: frozenset[str] = frozenset(),
        clock: Clock | None = None,
        outbox_max_events: int = 1_000_000,
        gathers: bool = False,
    ) -> None:
        self._policy, self._subscribed = policy, subscribed
        self._outbox_max_events = outbox_max_events
        self._db: sqlite3.Connection | None = connect(path)
        self._rows = Rows(self._db, clock, subscribed)
        self._translated = Translated()
        self._checkpointer = Checkpointer(path)
        self._pace, self._round = Pace(), Round()
        self._together = Together(self._change, self._change_all) if gathers else None

    def admit(self, ask: Ask) -> Decision:
        # Who sits is admitted without a write: one consistent read decides, and no lock is taken.
        with self._translated:
            ledger, now_ms = self._rows.load(ask.user_id)
        outcome = rules.admit(ledger, ask, self._policy, now_ms)
        if not outcome.changed:
            return outcome.answer
        return self._change(ask.user_id, lambda ledger, now_ms: rules.admit(ledger, ask, self._policy, now_ms))

    def confirm(self, receipt: Receipt) -> Answer[Verdict]:
        user_id = receipt.lease.ask.user_id
        return self._soon(user_id, lambda ledger, now_ms: rules.confirm(ledger, receipt, self._policy, now_ms))

    def report(self, receipt: Receipt, heard: Heard) -> None:
        try:
            answer: Any = self.confirm(receipt)
        except StoreUnavailable as error:
            answer = error
        if isinstance(answer, Coming):
            answer.hear(cast(Any, heard))
        else:
            heard(answer)

    def beat(self, ask: Ask) -> Answer[Decision]:
        return self._soon(ask.user_id, lambda ledger, now_ms: rules.beat(ledger, ask, self._policy, now_ms))

    def prolong(self, lease: Lease) -> Gone | None:
        user_id = lease.ask.user_id
        return self._change(user_id, lambda ledger, now_ms: rules.prolong(ledger, lease, self._policy, now_ms))

    def abandon(self, lease: Lease) -> Events:
        user_id = lease.ask.user_id
        return self._transact(user_id, lambda ledger, now_ms: rules.abandon(ledger, lease, self._policy, now_ms))

    def end(self, user_id: str, session_id: str) -> Events:
        self._catch_up()

        def rule(ledger: Ledger, now_ms: int) -> Outcome[Events]:
            return rules.end(ledger, user_id, session_id, self._policy, now_ms)

        return self._transact(user_id, rule)

    def terminate(self, user_id: str, session_id: str | None, by: str, reason: str) -> Events:
        self._catch_up()

        def rule(ledger: Ledger, now_ms: int) -> Outcome[Events]:
            return rules.terminate(ledger, user_id, session_id, by, reason, self._policy, now_ms)

        return self._transact(user_id, rule)

    def expire(self, at_most: int) -> Swept:
        """Users whose time has come, of one stretch: so many that the write lock is held for about `HOLD_SECONDS`.

        What becomes of them is decided before, without the lock; under the lock only where others wrote meanwhile
        again and again.
        """
        looked_at = min(at_most, self._pace.users)
        with self._translated:
            db = self._open()
            tries = (self._swept(db, looked_at, is_last=number == TRIES) for number in range(1, TRIES + 1))
            takings = next(filter(None, tries))
        self._checkpointer.changed(takings.looked_at)
        more = self._round.go_on(takings.last_user, takings.looked_at > 0, takings.now_ms)
        return Swept(tuple(takings.events), more, PAUSE_SECONDS if more else 0.0)

    def _swept(self, db: sqlite3.Connection, at_most: int, is_last: bool) -> Takings | None:
        """What was taken out, or None where anyone wrote since it was decided (never the last time)."""
        seen = self._version()
        takings = self._look(at_most)
        if not takings.looked_at and not self._round.ends_here:
            return takings
        with transaction(db):
            began = thread_time()
            if seen != self._version():
                if not is_last:
                    return None
                takings = self._look(at_most)
            self._take_out(db, takings)
        self._pace.took(takings.looked_at, thread_time() - began)
        return takings

    def _look(self, at_most: int) -> Takings:
        """What is past its time goes; a user of whom something is left is filed anew, under the time true now."""
        now_ms = self._rows.load("")[1]
        due = self._round.due(self._rows.find, now_ms, at_most)
        takings = Takings(now_ms, len(due), due[-1][0] if len(due) == at_most else None)
        for user_id, body in due:
            ledger = decode(body)
            takings.events += rules.expire(ledger, user_id, self._policy, now_ms).events
            if ledger.is_blank():
                takings.gone.append((user_id,))
            else:
                takings.kept.append((user_id, ledger.due_at_ms(), encode(ledger)))
        return takings

    def _take_out(self, db: sqlite3.Connection, takings: Takings) -> None:
        db.executemany(QUERIES["remove"], takings.gone)
        db.executemany(SAVE, takings.kept)
        self._put_events(db, takings.events)
        db.execute(QUERIES["see"], (takings.now_ms,))

    def sessions(self, user_id: str) -> Roster:
        with self._translated:
            ledger, now_ms = self._rows.load(user_id)
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
        with self._translated:
            now_ms = self._rows.load("")[1]
            rows = self._rows.find(QUERIES["browse"], after, LOOKED_AT)
            for after, body in rows:
                live = show_live(after, decode(body), self._policy, now_ms)
                found += [s for s in live if _matches(s, stream_id, state)]
                if len(found) >= at_most:
                    return Page(tuple(found), after)
        return Page(tuple(found), after if len(rows) == LOOKED_AT else None)

    def limit(self, user_id: str) -> int | None:
        with self._translated:
            return self._rows.load(user_id)[0].max_sessions

    def set_limit(self, user_id: str, max_sessions: int | None) -> None:
        def rule(ledger: Ledger, now_ms: int) -> Outcome[None]:
            ledger.max_sessions = max_sessions
            return Outcome(None, changed=True)

        return self._transact(user_id, rule)

    def secret(self, name: str, made: str) -> str:
        with self._translated:
            found = self._rows.find(QUERIES["get_secret"], name)
            if not found:  # else nobody need have his turn first
                with transaction(db := self._open()):
                    db.execute(QUERIES["put_secret"], (name, made))
                    found = db.execute(QUERIES["get_secret"], (name,)).fetchall()
        kept: str = found[0][0]
        return kept

    def pending(self) -> int:
        with self._translated:
            count: int = self._rows.find(QUERIES["count_events"])[0][0]
            return count

    def ping(self) -> None:
        with self._translated:
            self._rows.find(QUERIES["get_clock"])

    def close(self) -> None:
        self._checkpointer.close()
        if self._db is not None:
            self._db.close()
            self._db = None

    def _soon(self, user_id: str, rule: Rule[T]) -> Answer[T]:
        """As `_change`, together with others of this turn."""
        if self._together is None:
            return self._change(user_id, rule)
        answer: Answer[T] = self._together.ask(user_id, rule)
        return answer

    def _catch_up(self) -> None:
        """Who leaves right after a heartbeat must not be seated by it again: what was asked before is made first."""
        if self._together is not None:
            self._together.make_all()

    def _change(self, user_id: str, rule: Rule[T]) -> T:
        """By one statement, where the user's row is all that changes."""
        with self._translated:
            outcome = self._rows.change(user_id, rule)
        if outcome is None:
            return self._transact(user_id, rule)
        self._checkpointer.changed()
        answer: T = outcome.answer
        return answer

    def _change_all(self, changes: list[Change]) -> list[Any]:
        """The answers to all of them, by one transaction."""
        with self._translated, transaction(db := self._open()):
            outcomes = [self._rows.change(*change) or self._step(db, *change) for change in changes]
        self._checkpointer.changed(len(changes))
        return [outcome.answer for outcome in outcomes]

    def _transact(self, user_id: str, rule: Rule[T]) -> T:
        """By one transaction, with the events for the outbox."""
        with self._translated, transaction(db := self._open()):
            outcome = self._step(db, user_id, rule)
        self._checkpointer.changed()
        return outcome.answer

    def _step(self, db: sqlite3.Connection, user_id: str, rule: Rule[T]) -> Outcome[T]:
        ledger, now_ms = self._rows.load(user_id)
        outcome = rule(ledger, now_ms)
        if outcome.changed:
            self._save(db, user_id, ledger)
            self._put_events(db, outcome.events)
        return outcome

    def _save(self, db: sqlite3.Connection, user_id: str, ledger: Ledger) -> None:
        if ledger.is_blank():
            db.execute(QUERIES["remove"], (user_id,))
        else:
            db.execute(SAVE, (user_id, ledger.due_at_ms(), encode(ledger)))

    def _put_events(self, db: sqlite3.Connection, events: Iterable[Event]) -> None:
        put(db, (event for event in events if event.type in self._subscribed), self._outbox_max_events)

    def _open(self) -> sqlite3.Connection:
        if self._db is None:
            raise StoreUnavailable("sqlite: the store is closed")
        return self._db

    def _version(self) -> int:
        """Another one than before where another connection wrote since."""
        version: int = self._rows.find("PRAGMA data_version")[0][0]
        return version


class Translated:
    """Whatever the driver raises becomes `StoreUnavailable`, here alone."""

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, sqlite3.Error):
            raise StoreUnavailable(f"sqlite: {error}") from error


def _matches(session: Session, stream_id: str | None, state: str | None) -> bool:
    return stream_id in (None, session.stream_id) and state in (None, session.state)
