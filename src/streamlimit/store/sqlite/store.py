"""The store on SQLite: a user's ledger is one row, changed by one statement or one transaction.

Any number of processes on one machine. Answers at once: a read takes some microseconds, a write some 20.
"""

from collections.abc import Callable
from functools import partial

from streamlimit import rules
from streamlimit.errors import StoreLocked
from streamlimit.model import Ask, Decision, Swept
from streamlimit.policy import OUTBOX_MAX_EVENTS, Policy
from streamlimit.rules.ledger import Ledger, Outcome
from streamlimit.store.contract import Answer, Clock
from streamlimit.store.rule_store import Rule, RuleStore
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
from streamlimit.store.sqlite.opening import OpenedFile
from streamlimit.store.sqlite.patience import Patience, patiently
from streamlimit.store.sqlite.rows import Rows
from streamlimit.store.sqlite.sweep import Sweep
from streamlimit.store.sqlite.turns import ELSEWHERE_SECONDS


class SqliteStore(RuleStore):
    """A `Store` on the file at *path*. *subscribed* are the event types that go into the outbox.

    *outbox_max_events*: how many may wait there (intake.py). *clock* (tests only) replaces the store's clock.
    *gathers*: for an event loop: heartbeats and receipts of one iteration are made together, and answered after it; and
    while another process holds the lock no step blocks: its answer is deferred. *checkpointed* is called after each
    checkpoint, in the checkpointer's thread. Raises `StoreUnavailable` when the file cannot be used.
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
        self._db = connect(path, LOOP_SECONDS if gathers else LOCK_WAIT_SECONDS)
        self._file = OpenedFile(path)
        self._rows, self._checkpointer = Rows(self._db, clock, subscribed), Checkpointer(path, checkpointed)
        self._changes = changes = Changes(self._db, self._rows, self._checkpointer, subscribed, outbox_max_events)
        self._group = group = GroupCommit(changes.one, changes.by_transaction, changes.all_of)
        if gathers:
            super().__init__(policy, group.now, group.ask, group.leave)
        else:
            super().__init__(policy, changes.one, changes.one, changes.by_transaction)
        self._gathers, self._sweep_patience = gathers, Patience()
        self._sweep = Sweep(path, self._db, self._rows, changes, self._checkpointer, policy)

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
        user_id = ask.user_id
        answer: Answer[Decision] = self._group.now(user_id, rule, write) if self._gathers else write(user_id, rule)
        return answer

    def _admit_by_reading(self, ask: Ask, rule: Rule[Decision]) -> tuple[Outcome[Decision], Alone]:
        """The outcome of *rule* on the ledger as it is read, and the function that writes a changed one."""
        with translated:
            body, ledger, now_ms = self._rows.load_kept(ask.user_id)
        outcome = rule(ledger, now_ms)
        if not outcome.wants_grants:
            return outcome, partial(self._changes.as_read, body, ledger, now_ms, outcome)
        with translated:
            ledger, grants, now_ms = self._rows.load_with_grants(ask.user_id)
        return rule(ledger, now_ms, grants), self._changes.one

    def expire(self, at_most: int) -> Swept:
        self._file.require()
        try:
            swept = self._sweep.step(at_most)
        except StoreLocked:
            seconds = self._sweep_patience.next_try() if self._gathers else None
            if seconds is None:
                raise
            return Swept((), True, seconds)
        if swept is None:
            return Swept((), True, ELSEWHERE_SECONDS)  # nothing was tried: the patience with a locked file goes on
        self._sweep_patience.over()
        return swept

    def secret(self, name: str, made: str) -> Answer[str]:
        if self._gathers:
            return patiently(partial(self._secret, name, made))
        return self._secret(name, made)

    def _secret(self, name: str, made: str) -> str:
        with translated:
            found = self._rows.find(QUERIES["get_secret"], name)
            if not found and made:  # else no other process need have the lock first
                with transaction(self._db):
                    self._db.execute(QUERIES["put_secret"], (name, made))
                    found = self._db.execute(QUERIES["get_secret"], (name,)).fetchall()
        kept: str = found[0][0] if found else ""
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
        """Writes the time that the clock has seen: a harmless write, to see whether the file takes one."""
        self._file.require()
        with self._changes.writing:
            now_ms = self._rows.load("")[1]
            self._rows.find(QUERIES["see"], now_ms)
        return None

    def close(self) -> None:
        self._checkpointer.close()
        self._sweep.close()
        self._db.close()

    def _load(self, user_id: str) -> tuple[Ledger, int]:
        with translated:
            return self._rows.load(user_id)

    def _after(self, user_id: str, count: int) -> tuple[list[tuple[str, Ledger]], int]:
        with translated:
            return self._rows.after(user_id, count)
