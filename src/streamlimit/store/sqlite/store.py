"""The contract on SQLite: a user's ledger is one row, and what changes it one statement or one transaction.

Any number of processes on one machine. Answers at once: a read takes some microseconds, a write some 20.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar, cast

from streamlimit import rules
from streamlimit.errors import StoreLocked, StoreUnavailable
from streamlimit.model import (
    FOR_GOOD,
    Ask,
    Decision,
    Event,
    Gone,
    Lease,
    LimitPage,
    OwnLimit,
    Page,
    Receipt,
    Roster,
    Swept,
    Terms,
    Verdict,
)
from streamlimit.policy import OUTBOX_MAX_EVENTS, Policy
from streamlimit.rules.ledger import Outcome
from streamlimit.store.contract import Answer, Clock, Events, OnVerdict
from streamlimit.store.deferred import Deferred
from streamlimit.store.reading import Reading, matching
from streamlimit.store.sqlite.changes import Changes
from streamlimit.store.sqlite.checkpoint import Checkpoint, Checkpointer
from streamlimit.store.sqlite.connection import (
    LOCK_WAIT_SECONDS,
    LOOP_SECONDS,
    QUERIES,
    connect,
    transaction,
    translated,
)
from streamlimit.store.sqlite.group_commit import Alone, GroupCommit
from streamlimit.store.sqlite.patience import Patience, patiently
from streamlimit.store.sqlite.rows import Rows, ShownRows
from streamlimit.store.sqlite.sweep import Sweep
from streamlimit.store.steps import Rule, Steps

T = TypeVar("T")


class SqliteStore:
    """A `Store` on the file at *path*. *subscribed* are the event types that go into the outbox.

    There it keeps *outbox_max_events* (intake.py). *clock* (tests only) replaces the store's clock. *gathers*: for an
    event loop. Several heartbeats and receipts of one iteration are made together, and answered after it; and where
    another process holds the lock no step blocks: its answer comes later.
    *checkpointed* is called after each round of the checkpointer, in its thread.
    Raises `StoreUnavailable` when the file cannot be used.
    """

    def __init__(
        self,
        path: str,
        policy: Policy,
        subscribed: frozenset[str] = frozenset(),
        clock: Clock | None = None,
        outbox_max_events: int = OUTBOX_MAX_EVENTS,
        gathers: bool = False,
        checkpointed: Callable[[Checkpoint], None] = lambda checkpoint: None,
    ) -> None:
        self._policy, self._db = policy, connect(path, LOOP_SECONDS if gathers else LOCK_WAIT_SECONDS)
        self._rows, self._checkpointer = Rows(self._db, clock, subscribed), Checkpointer(path, checkpointed)
        self._changes = Changes(self._db, self._rows, self._checkpointer, subscribed, outbox_max_events)
        self._group = GroupCommit(self._changes.one, self._changes.all_of)
        self._soon: Alone = self._group.ask if gathers else self._changes.one
        self._now: Callable[[str, Rule[Any], Alone], Any] = self._group.now if gathers else _alone
        self._gathers, self._sweep_patience = gathers, Patience()
        self._sweep = Sweep(self._db, self._rows, self._changes, self._checkpointer, policy)
        self._reading = Reading(ShownRows(self._rows), policy)
        self._steps = Steps(policy)

    def admit(self, ask: Ask) -> Answer[Decision]:
        # A session with a seat is admitted without a write: one consistent read decides, and no lock is taken.
        rule: Rule[Decision] = self._by(rules.admit, ask)
        try:
            outcome, write = self._admit_by_reading(ask, rule)
        except StoreLocked:
            write = self._changes.one  # another process repairs the file: this waits as a change does
        else:
            if not outcome.changed:
                return outcome.answer
        answer: Answer[Decision] = self._now(ask.user_id, rule, write)
        return answer

    def _admit_by_reading(self, ask: Ask, rule: Rule[Decision]) -> tuple[Outcome[Decision], Alone]:
        """The outcome for what a reading finds, and, where that changes something, how it is written."""
        with translated:
            body, ledger, now_ms = self._rows.load_kept(ask.user_id)
        outcome = rule(ledger, now_ms)
        if not outcome.wants_grants:
            return outcome, partial(self._changes.as_read, body, ledger, now_ms, outcome)
        with translated:
            ledger, grants, now_ms = self._rows.load_with_grants(ask.user_id)
        return rule(ledger, now_ms, grants), self._changes.one

    def confirm(self, receipt: Receipt) -> Answer[Verdict]:
        user_id = receipt.lease.ask.user_id
        answer: Answer[Verdict] = self._soon(user_id, self._by(rules.confirm, receipt))
        return answer

    def report(self, receipt: Receipt, callback: OnVerdict) -> None:
        try:
            answer: Any = self.confirm(receipt)
        except StoreUnavailable as error:
            answer = error
        if isinstance(answer, Deferred):
            answer.add_callback(cast(Any, callback))
        else:
            callback(answer)

    def beat(self, ask: Ask) -> Answer[Decision]:
        answer: Answer[Decision] = self._soon(ask.user_id, self._by(rules.beat, ask))
        return answer

    def prolong(self, lease: Lease) -> Answer[Gone | None]:
        user_id = lease.ask.user_id
        answer: Answer[Gone | None] = self._now(user_id, self._steps.prolong(lease), self._changes.one)
        return answer

    def abandon(self, lease: Lease) -> Answer[Events]:
        user_id = lease.ask.user_id
        answer: Answer[Events] = self._now(user_id, self._steps.abandon(lease), self._changes.by_transaction)
        return answer

    def end(self, user_id: str, session_id: str, keep_grant: bool = False) -> Answer[Events]:
        self._catch_up()
        rule = self._steps.end(user_id, session_id, keep_grant)
        answer: Answer[Events] = self._now(user_id, rule, self._changes.by_transaction)
        return answer

    def terminate(self, user_id: str, session_id: str | None, by: str, reason: str) -> Answer[Events]:
        self._catch_up()
        rule = self._steps.terminate(user_id, session_id, by, reason)
        answer: Answer[Events] = self._now(user_id, rule, self._changes.by_transaction)
        return answer

    def forgive(self, user_id: str, session_id: str | None) -> Answer[int]:
        rule = self._steps.forgive(session_id)
        answer: Answer[int] = self._now(user_id, rule, self._changes.by_transaction)
        return answer

    def forget(self, user_id: str) -> Answer[Events]:
        self._catch_up()
        rule = self._steps.forget(user_id)
        answer: Answer[Events] = self._now(user_id, rule, self._changes.by_transaction)
        return answer

    def lose_again(self, event: Event, keep_grant: bool = False) -> Answer[Events]:
        rule = self._steps.lose_again(event, keep_grant)
        answer: Answer[Events] = self._now(event.session.user_id, rule, self._changes.by_transaction)
        return answer

    def expire(self, at_most: int) -> Swept:
        try:
            swept = self._sweep.step(at_most)
        except StoreLocked:
            seconds = self._sweep_patience.next_try() if self._gathers else None
            if seconds is None:
                raise
            return Swept((), True, seconds)
        self._sweep_patience.over()
        return swept

    def sessions(self, user_id: str) -> Roster:
        return self._reading.roster(user_id)

    def browse(
        self, cursor: str | None, at_most: int, user_id: str | None, stream_id: str | None, state: str | None
    ) -> Page:
        if user_id is not None:
            return Page(matching(self.sessions(user_id).sessions, stream_id, state), None)
        return self._reading.page(cursor, at_most, stream_id, state)

    def own_limit(self, user_id: str) -> OwnLimit | None:
        return self._reading.own_limit(user_id)

    def limits(self, cursor: str | None, at_most: int) -> LimitPage:
        return self._reading.limits(cursor, at_most)

    def set_limit(self, user_id: str, max_sessions: int | None, terms: Terms = FOR_GOOD) -> Answer[None]:
        rule = self._steps.set_limit(max_sessions, terms)
        answer: Answer[None] = self._now(user_id, rule, self._changes.by_transaction)
        return answer

    def secret(self, name: str, made: str) -> Answer[str]:
        if self._gathers:
            return patiently(partial(self._secret, name, made))
        return self._secret(name, made)

    def _secret(self, name: str, made: str) -> str:
        with translated:
            found = self._rows.find(QUERIES["get_secret"], name)
            if not found:  # else no other process need have the lock first
                with transaction(self._db):
                    self._db.execute(QUERIES["put_secret"], (name, made))
                    found = self._db.execute(QUERIES["get_secret"], (name,)).fetchall()
        kept: str = found[0][0]
        return kept

    def pending(self) -> int:
        with translated:
            count: int = self._rows.find(QUERIES["count_events"])[0][0]
            return count

    def ping(self) -> Answer[None]:
        if self._gathers:
            return patiently(self._write)
        return self._write()

    def _write(self) -> Answer[None]:
        """The time that the clock has seen, which is kept anyway."""
        with translated:
            now_ms = self._rows.load("")[1]
            self._rows.find(QUERIES["see"], now_ms)
        return None

    def close(self) -> None:
        self._checkpointer.close()
        self._db.close()

    def _by(self, rule: Callable[..., Outcome[T]], asked: Ask | Receipt) -> Rule[T]:
        """*rule* as a function of a ledger and a time, for *asked* by this policy."""
        policy = self._policy
        return lambda ledger, now_ms, grants=None: rule(ledger, asked, policy, now_ms, grants)

    def _catch_up(self) -> None:
        """Makes what was asked before: a session that leaves right after a heartbeat must not be seated by it again."""
        self._group.make_all()


def _alone(user_id: str, rule: Rule[Any], alone: Alone) -> Any:
    """For who may block: no change waits for a timer."""
    return alone(user_id, rule)
