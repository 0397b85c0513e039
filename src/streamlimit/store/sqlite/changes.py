"""Changes of users' rows by rules, each atomic with its events, and committed before any listener gets these."""

import sqlite3
from collections.abc import Iterable
from types import TracebackType
from typing import Any, TypeVar

from streamlimit.model import Event
from streamlimit.rules.ledger import Ledger, Outcome
from streamlimit.store.rule_store import Rule
from streamlimit.store.sqlite.checkpoint import Checkpointer
from streamlimit.store.sqlite.connection import Connection, Translated, is_locked, transaction
from streamlimit.store.sqlite.group_commit import Change
from streamlimit.store.sqlite.intake import put
from streamlimit.store.sqlite.rows import Rows

T = TypeVar("T")


class Writing(Translated):
    """A block that writes: as `Translated`, and has a checkpoint made after a failed write.

    A log that fills the disk is written over only after one.
    """

    def __init__(self, checkpointer: Checkpointer) -> None:
        self._checkpointer = checkpointer

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            if isinstance(error, sqlite3.Error) and not is_locked(error):
                self._checkpointer.make_soon()
            super().__exit__(kind, error, trace)


class Changes:
    """Changes in *db*, through its *rows*. *subscribed* events go into the outbox, at most *most* of them."""

    def __init__(
        self, db: Connection, rows: Rows, checkpointer: Checkpointer, subscribed: frozenset[str], most: int
    ) -> None:
        self._db, self._rows, self._checkpointer = db, rows, checkpointer
        self._subscribed, self._most = subscribed, most
        self.writing = Writing(checkpointer)

    def one(self, user_id: str, rule: Rule[T]) -> T:
        """The answer of *rule* to the user's ledger: by one statement where only the row changes."""
        with self.writing:
            outcome = self._rows.change(user_id, rule)
        if outcome is None:
            return self.by_transaction(user_id, rule)
        self._checkpointer.changed()
        return outcome.answer

    def as_read(
        self, body: bytes | None, ledger: Ledger, now_ms: int, outcome: Outcome[T], user_id: str, rule: Rule[T]
    ) -> T:
        """As `one`, where *rule* has run on the row as it was read (*body*), with this *outcome* and *ledger*.

        These are written if the row is still *body*; else, or where more than the row changes, the rule runs again.
        """
        if not any(event.type in self._subscribed for event in outcome.events):
            with self.writing:
                is_done = self._rows.exchange(user_id, body, ledger, now_ms)
            if is_done:
                self._checkpointer.changed()
                return outcome.answer
        return self.one(user_id, rule)

    def by_transaction(self, user_id: str, rule: Rule[T]) -> T:
        """As `one`, by a transaction: for a rule that mostly needs more than the row."""
        answer: T = self.all_of([(user_id, rule)])[0]
        return answer

    def all_of(self, changes: list[Change]) -> list[Any]:
        """The answers to *changes*, by one transaction: all rows are read, changed one after the other, and written."""
        answers, changed, events = [], {}, list[Event]()
        with self.writing, transaction(self._db):
            kept, now_ms = self._rows.load_all([user_id for user_id, _ in changes])
            ledgers = {user_id: kept.get(user_id) or Ledger() for user_id, _ in changes}
            for user_id, rule in changes:
                outcome = rule(ledgers[user_id], now_ms)
                if outcome.wants_grants:
                    outcome = self._with_grants(user_id, rule, ledgers[user_id], now_ms)
                answers.append(outcome.answer)
                if outcome.changed:
                    changed[user_id] = ledgers[user_id]
                    events += outcome.events
            self._rows.save_all(changed, kept, now_ms)
            self.put_events(events)
        self._checkpointer.changed(len(changes))
        return answers

    def _with_grants(self, user_id: str, rule: Rule[T], ledger: Ledger, now_ms: int) -> Outcome[T]:
        grants = self._rows.grants(user_id)
        outcome = rule(ledger, now_ms, grants)
        if outcome.ended_grants:
            self._rows.save_grants(user_id, grants)
        return outcome

    def put_events(self, events: Iterable[Event]) -> None:
        """Puts subscribed *events* into the outbox; called within a transaction."""
        if self._subscribed:
            put(self._db, (event for event in events if event.type in self._subscribed), self._most)
