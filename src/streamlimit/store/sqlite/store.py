"""The contract on SQLite: a user's ledger is one row, and what changes it one statement or one transaction.

Any number of processes on one machine. Answers at once: a read takes some microseconds, a write some 20.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from streamlimit import rules
from streamlimit.errors import StoreUnavailable
from streamlimit.model import Ask, Decision, Event, Gone, Lease, Page, Receipt, Roster, Swept, Verdict
from streamlimit.policy import Policy
from streamlimit.rules.grants import Grants
from streamlimit.rules.ledger import Ledger, Outcome, grants_wanted
from streamlimit.store.coming import Coming
from streamlimit.store.contract import Answer, Clock, Events, Heard
from streamlimit.store.sqlite.changes import Changes
from streamlimit.store.sqlite.checkpoint import Checkpointer
from streamlimit.store.sqlite.connection import QUERIES, connect, transaction, translated
from streamlimit.store.sqlite.reading import Reading, matching
from streamlimit.store.sqlite.rows import Rows, Rule
from streamlimit.store.sqlite.sweep import Sweep
from streamlimit.store.sqlite.together import Together

T = TypeVar("T")


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
        self._policy, self._db = policy, connect(path)
        self._rows, self._checkpointer = Rows(self._db, clock, subscribed), Checkpointer(path)
        self._changes = Changes(self._db, self._rows, self._checkpointer, subscribed, outbox_max_events)
        self._together = Together(self._changes.one, self._changes.all_of)
        self._soon: Callable[[str, Rule[Any]], Any] = self._together.ask if gathers else self._changes.one
        self._sweep = Sweep(self._db, self._rows, self._changes, self._checkpointer, policy)
        self._reading = Reading(self._rows, policy)

    def admit(self, ask: Ask) -> Decision:
        # Who sits is admitted without a write: one consistent read decides, and no lock is taken.
        with translated:
            ledger, now_ms = self._rows.load(ask.user_id)
        outcome = rules.admit(ledger, ask, self._policy, now_ms)
        if outcome.wants_grants:
            with translated:
                ledger, grants, now_ms = self._rows.load_with_grants(ask.user_id)
            outcome = rules.admit(ledger, ask, self._policy, now_ms, grants)
        if not outcome.changed:
            return outcome.answer
        return self._changes.one(ask.user_id, self._by(rules.admit, ask))

    def confirm(self, receipt: Receipt) -> Answer[Verdict]:
        user_id = receipt.lease.ask.user_id
        answer: Answer[Verdict] = self._soon(user_id, self._by(rules.confirm, receipt))
        return answer

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
        answer: Answer[Decision] = self._soon(ask.user_id, self._by(rules.beat, ask))
        return answer

    def prolong(self, lease: Lease) -> Gone | None:
        user_id = lease.ask.user_id
        return self._changes.one(user_id, lambda ledger, now_ms: rules.prolong(ledger, lease, self._policy, now_ms))

    def abandon(self, lease: Lease) -> Events:
        user_id = lease.ask.user_id
        return self._changes.by_transaction(
            user_id, lambda ledger, now_ms: rules.abandon(ledger, lease, self._policy, now_ms)
        )

    def end(self, user_id: str, session_id: str, keep_grant: bool = False) -> Events:
        self._catch_up()

        def rule(ledger: Ledger, now_ms: int, grants: Grants | None = None) -> Outcome[Events]:
            if grants is None and not keep_grant:
                return grants_wanted()
            return rules.end(ledger, user_id, session_id, self._policy, now_ms, grants)

        return self._changes.by_transaction(user_id, rule)

    def terminate(self, user_id: str, session_id: str | None, by: str, reason: str) -> Events:
        self._catch_up()

        def rule(ledger: Ledger, now_ms: int) -> Outcome[Events]:
            return rules.terminate(ledger, user_id, session_id, by, reason, self._policy, now_ms)

        return self._changes.by_transaction(user_id, rule)

    def lose_again(self, event: Event, keep_grant: bool = False) -> Events:
        def rule(ledger: Ledger, now_ms: int, grants: Grants | None = None) -> Outcome[Events]:
            if grants is None and not keep_grant:
                return grants_wanted()
            return rules.lose_again(ledger, event, self._policy, now_ms, grants)

        return self._changes.by_transaction(event.session.user_id, rule)

    def expire(self, at_most: int) -> Swept:
        return self._sweep.step(at_most)

    def sessions(self, user_id: str) -> Roster:
        return self._reading.roster(user_id)

    def browse(
        self, cursor: str | None, at_most: int, user_id: str | None, stream_id: str | None, state: str | None
    ) -> Page:
        if user_id is not None:
            return Page(matching(self.sessions(user_id).sessions, stream_id, state), None)
        return self._reading.page(cursor, at_most, stream_id, state)

    def limit(self, user_id: str) -> int | None:
        with translated:
            return self._rows.load(user_id)[0].max_sessions

    def set_limit(self, user_id: str, max_sessions: int | None) -> None:
        def rule(ledger: Ledger, now_ms: int) -> Outcome[None]:
            ledger.max_sessions = max_sessions
            return Outcome(None, changed=True)

        return self._changes.by_transaction(user_id, rule)

    def secret(self, name: str, made: str) -> str:
        with translated:
            found = self._rows.find(QUERIES["get_secret"], name)
            if not found:  # else nobody need have his turn first
                with transaction(self._db):
                    self._db.execute(QUERIES["put_secret"], (name, made))
                    found = self._db.execute(QUERIES["get_secret"], (name,)).fetchall()
        kept: str = found[0][0]
        return kept

    def pending(self) -> int:
        with translated:
            count: int = self._rows.find(QUERIES["count_events"])[0][0]
            return count

    def ping(self) -> None:
        with translated:
            self._rows.find(QUERIES["get_clock"])

    def close(self) -> None:
        self._checkpointer.close()
        self._db.close()

    def _by(self, rule: Callable[..., Outcome[T]], asked: Ask | Receipt) -> Rule[T]:
        """What *rule* makes of *asked* by this policy."""

        def decide(ledger: Ledger, now_ms: int, grants: Grants | None = None) -> Outcome[T]:
            return rule(ledger, asked, self._policy, now_ms, grants)

        return decide

    def _catch_up(self) -> None:
        """Who leaves right after a heartbeat must not be seated by it again: what was asked before is made first."""
        self._together.make_all()
