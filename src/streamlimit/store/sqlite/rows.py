"""Users' rows: read, or one of them changed by a rule in one atomic step.

Who comes alone is changed by one statement. SQLite takes the lock, reads the row, calls the rule in the middle of it
(by the names of two functions of ours) and commits what came of it; BEGIN, SELECT, UPDATE and COMMIT are that too, for
a quarter more. What needs more than the row is left to them (changes.py): events for the outbox, a row to remove.
"""

import sqlite3
from collections.abc import Container, Mapping
from functools import cache
from typing import Any, TypeVar

from streamlimit.rules.grants import Grants
from streamlimit.rules.ledger import Ledger, Outcome
from streamlimit.store.bodies import decode, decode_grants, encode
from streamlimit.store.contract import Clock
from streamlimit.store.rule_store import Rule
from streamlimit.store.sqlite.clock import uptime_ms
from streamlimit.store.sqlite.connection import QUERIES, Connection, is_locked, when_unlocked

T = TypeVar("T")
Row = tuple[str, int | None, bytes]

LOAD, CHANGE = QUERIES["load"], QUERIES["change"]
LOAD_WITH_GRANTS, SAVE_GRANTS = QUERIES["load_with_grants"], QUERIES["save_grants"]
ADD_NEW, EXCHANGE = QUERIES["add_new"], QUERIES["exchange"]
BROWSE, ADD, REPLACE, REMOVE = QUERIES["browse"], QUERIES["add"], QUERIES["replace"], QUERIES["remove"]


class Rows:
    """Rows of *db*. *clock* (tests only) replaces the store's; *subscribed* are the events that need the outbox."""

    def __init__(self, db: Connection, clock: Clock | None, subscribed: frozenset[str]) -> None:
        self._db, self._cursor = db, db.cursor()  # one for all: a new one takes half a microsecond
        self._middle = RuleFunction(clock, subscribed)
        db.create_function("new_due_at_ms", 2, self._middle.new_due_at_ms)
        db.create_function("new_body", 0, self._middle.new_body)

    def load(self, user_id: str) -> tuple[Ledger, int]:
        """The user's ledger and the store's time. No lock is taken."""
        _, ledger, now_ms = self.load_kept(user_id)
        return ledger, now_ms

    def load_kept(self, user_id: str) -> tuple[bytes | None, Ledger, int]:
        """The user's ledger as it is kept (None: there is none) and as a value, and the store's time."""
        offset_ms, body = self.find(LOAD, user_id)[0]
        return body, Ledger() if body is None else decode(body), self._middle.now_ms(offset_ms)

    def after(self, user_id: str, count: int) -> tuple[list[tuple[str, Ledger]], int]:
        """The next so many users, by name, and the store's time."""
        now_ms = self.load("")[1]
        return [(name, decode(body)) for name, body in self.find(BROWSE, user_id, count)], now_ms

    def exchange(self, user_id: str, body: bytes | None, ledger: Ledger, now_ms: int) -> bool:
        """Writes the *ledger* where the user's is still the *body* that was read. False: it is another one by now.

        Or grants of the user were ended: an end in between would find the seat older than itself, and leaves the ledger
        as it was.
        """
        row = user_id, ledger.due_at_ms(now_ms), encode(ledger)
        cursor = self._run(ADD_NEW, row) if body is None else self._run(EXCHANGE, (*row, body))
        return cursor.rowcount == 1

    def load_with_grants(self, user_id: str) -> tuple[Ledger, Grants, int]:
        """The user's ledger, with the user's grants that were ended."""
        offset_ms, body, grants = self.find(LOAD_WITH_GRANTS, user_id)[0]
        ledger = Ledger() if body is None else decode(body)
        return ledger, Grants() if grants is None else decode_grants(grants), self._middle.now_ms(offset_ms)

    def grants(self, user_id: str) -> Grants:
        """The user's that were ended; within a transaction."""
        return self.load_with_grants(user_id)[1]

    def save_grants(self, user_id: str, grants: Grants) -> None:
        """Within a transaction: what they have become."""
        self._cursor.execute(SAVE_GRANTS, (user_id, grants.until_ms(), encode(grants)))

    def load_all(self, user_ids: list[str]) -> tuple[dict[str, Ledger], int]:
        """The ledgers of those who have one, and the store's time."""
        found = self.find(_load_all(len(user_ids)), *user_ids)
        ledgers = {user_id: decode(body) for _, user_id, body in found if body is not None}
        return ledgers, self._middle.now_ms(found[0][0])

    def save_all(self, ledgers: Mapping[str, Ledger], kept: Container[str], now_ms: int) -> None:
        """Writes, within a transaction, what the *ledgers* have become. *kept*: users who have a row already."""
        added, replaced, gone = list[Row](), list[Row](), list[tuple[str]]()
        for user_id, ledger in ledgers.items():
            if ledger.is_blank():
                gone.append((user_id,))
            else:
                some = replaced if user_id in kept else added
                some.append((user_id, ledger.due_at_ms(now_ms), encode(ledger)))
        for query, rows in ((ADD, added), (REPLACE, replaced), (REMOVE, gone)):
            if rows:
                self._cursor.executemany(query, rows)

    def find(self, query: str, *values: str | int | bytes) -> list[tuple[Any, ...]]:
        """The rows that *query* finds. Even a reader may have to wait: for the repair of what a killed process left."""
        return self._run(query, values).fetchall()

    def change(self, user_id: str, rule: Rule[T]) -> Outcome[T] | None:
        """The outcome of *rule*, committed where it changed anything. None, and nothing done: the row is not enough.

        Raises what the rule raised; nothing was written then.
        """
        middle = self._middle
        middle.begin(rule)
        written = self._run(CHANGE, (user_id,)).rowcount
        if middle.error is not None:
            raise middle.error
        outcome = middle.outcome
        return outcome if outcome is None or written == outcome.changed else None

    def _run(self, query: str, values: tuple[str | int | bytes | None, ...]) -> sqlite3.Cursor:
        try:
            return self._cursor.execute(query, values)
        except sqlite3.OperationalError as error:
            if not is_locked(error):
                raise
            return when_unlocked(self._db, lambda: self._cursor.execute(query, values))


@cache
def _load_all(count: int) -> str:
    """For so many users."""
    return QUERIES["load_all"].replace("IN (?)", f"IN ({', '.join('?' * count)})")


class RuleFunction:
    """The function that SQLite calls in the middle of a change. Knows no connection, since the connection knows it."""

    def __init__(self, clock: Clock | None, subscribed: frozenset[str]) -> None:
        self._clock, self._subscribed = clock, subscribed
        self._rule: Rule[Any] | None = None
        self.outcome: Outcome[Any] | None = None
        self.error: Exception | None = None
        self._body: bytes | None = None

    def now_ms(self, offset_ms: int) -> int:
        """The store's time."""
        return self._clock() if self._clock else uptime_ms() + offset_ms

    def begin(self, rule: Rule[Any]) -> None:
        """The next change is by *rule*."""
        self._rule, self.outcome, self.error, self._body = rule, None, None, None

    def new_due_at_ms(self, body: bytes | None, offset_ms: int) -> int | None:
        """Runs the rule on the row's *body*: when the user will be due."""
        try:
            return self._decide(Ledger() if body is None else decode(body), self.now_ms(offset_ms))
        except Exception as error:
            self.error = error  # through SQLite no exception finds its way
            return None  # nothing is written then, since a row must have a body

    def new_body(self) -> bytes | None:
        """The body that the rule left.

        SQLite asks in the order of the columns; in another one nothing would be written here.
        """
        body, self._body = self._body, None
        return body

    def _decide(self, ledger: Ledger, now_ms: int) -> int | None:
        assert self._rule is not None
        outcome = self._rule(ledger, now_ms)
        if outcome.wants_grants:
            return None
        if not outcome.changed:
            self.outcome = outcome
        elif not (ledger.is_blank() or (self._subscribed and any(e.type in self._subscribed for e in outcome.events))):
            self.outcome, self._body = outcome, encode(ledger)
            return ledger.due_at_ms(now_ms)
        return None
