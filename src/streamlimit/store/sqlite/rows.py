"""Users' rows: read, or changed by a rule in one atomic step.

A single change is one statement: SQLite takes the lock, reads the row, calls the rule through two user functions, and
commits its result; BEGIN, SELECT, UPDATE and COMMIT would cost a quarter more. A change of more than the row (events
for the outbox, a row to remove) is a transaction (changes.py).
"""

import sqlite3
from collections.abc import Container, Mapping
from functools import cache
from typing import Any, TypeVar

import msgspec

from streamlimit.logs import EventLog
from streamlimit.rules.grants import Grants
from streamlimit.rules.ledger import Ledger, Outcome
from streamlimit.store.contract import Clock
from streamlimit.store.rule_store import Rule, decode, decode_grants, encode
from streamlimit.store.sqlite.clock import uptime_ms
from streamlimit.store.sqlite.connection import QUERIES, Connection, is_locked, when_unlocked

log = EventLog("streamlimit.store")

T = TypeVar("T")
Row = tuple[str, int | None, bytes]

LOAD, CHANGE = QUERIES["load"], QUERIES["change"]
LOAD_WITH_GRANTS, SAVE_GRANTS = QUERIES["load_with_grants"], QUERIES["save_grants"]
ADD_NEW, EXCHANGE = QUERIES["add_new"], QUERIES["exchange"]
BROWSE, ADD, REPLACE, REMOVE = QUERIES["browse"], QUERIES["add"], QUERIES["replace"], QUERIES["remove"]


UNREADABLE = msgspec.MsgspecError, UnicodeDecodeError, RecursionError, TypeError
"""What is raised of bytes that are nothing of ours."""


def read(body: bytes) -> Ledger:
    """The ledger in *body*. One that cannot be read is logged and counts as empty, so that the next change replaces it.

    Otherwise nothing would expire any more, of any user: the sweep reads every row that is due.
    """
    try:
        return decode(body)
    except UNREADABLE as error:
        log.error("ledger_unreadable", problem=str(error), note="its user begins anew, without an own limit")
        return Ledger()


class Rows:
    """The rows of *db*. *clock* (tests only) replaces the store's; *subscribed* are the events that need the outbox."""

    def __init__(self, db: Connection, clock: Clock | None, subscribed: frozenset[str]) -> None:
        self._db, self._cursor = db, db.cursor()  # one for all: a new one takes half a microsecond
        self._function = RuleFunction(clock, subscribed)
        db.create_function("new_due_at_ms", 2, self._function.new_due_at_ms)
        db.create_function("new_body", 0, self._function.new_body)

    def load(self, user_id: str) -> tuple[Ledger, int]:
        """The user's ledger and the store's time. No lock is taken."""
        _, ledger, now_ms = self.load_kept(user_id)
        return ledger, now_ms

    def load_kept(self, user_id: str) -> tuple[bytes | None, Ledger, int]:
        """The user's stored body (None: there is none), its ledger, and the store's time in ms."""
        offset_ms, body = self.find(LOAD, user_id)[0]
        return body, Ledger() if body is None else read(body), self._function.now_ms(offset_ms)

    def after(self, user_id: str, count: int) -> tuple[list[tuple[str, Ledger]], int]:
        """The next so many users, by name, and the store's time."""
        now_ms = self.load("")[1]
        return [(name, read(body)) for name, body in self.find(BROWSE, user_id, count)], now_ms

    def exchange(self, user_id: str, body: bytes | None, ledger: Ledger, now_ms: int) -> bool:
        """Writes *ledger* if the user's row is still the *body* that was read. False: it has changed.

        Also False if grants of the user were ended: such an end may have left the ledger as it was.
        """
        row = user_id, ledger.due_at_ms(now_ms), encode(ledger)
        cursor = self._run(ADD_NEW, row) if body is None else self._run(EXCHANGE, (*row, body))
        return cursor.rowcount == 1

    def load_with_grants(self, user_id: str) -> tuple[Ledger, Grants, int]:
        """The user's ledger, the user's ended grants, and the store's time in ms."""
        offset_ms, body, grants, until_ms = self.find(LOAD_WITH_GRANTS, user_id)[0]
        ledger, now_ms = Ledger() if body is None else read(body), self._function.now_ms(offset_ms)
        return ledger, Grants() if grants is None else self._read_grants(user_id, grants, until_ms, now_ms), now_ms

    def _read_grants(self, user_id: str, body: bytes, until_ms: int, now_ms: int) -> Grants:
        """The ended grants in *body*. Where it cannot be read, all given so far are dead until *until_ms*."""
        try:
            return decode_grants(body)
        except UNREADABLE as error:
            log.error("grants_unreadable", problem=str(error), note="none given so far starts anything")
            grants = Grants([], now_ms, until_ms)
            self._run(SAVE_GRANTS, (user_id, until_ms, encode(grants)))
            return grants

    def grants(self, user_id: str) -> Grants:
        """The user's ended grants; called within a transaction."""
        return self.load_with_grants(user_id)[1]

    def save_grants(self, user_id: str, grants: Grants) -> None:
        """Writes the user's ended grants; called within a transaction."""
        self._cursor.execute(SAVE_GRANTS, (user_id, grants.until_ms(), encode(grants)))

    def load_all(self, user_ids: list[str]) -> tuple[dict[str, Ledger], int]:
        """The ledgers of those of *user_ids* who have one, and the store's time in ms."""
        found = self.find(_load_all(len(user_ids)), *user_ids)
        ledgers = {user_id: read(body) for _, user_id, body in found if body is not None}
        return ledgers, self._function.now_ms(found[0][0])

    def save_all(self, ledgers: Mapping[str, Ledger], kept: Container[str], now_ms: int) -> None:
        """Writes changed *ledgers*; called within a transaction. *kept*: users who have a row already."""
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
        """The rows that *query* finds. It may wait for a process that repairs the log of a killed one."""
        return self._run(query, values).fetchall()

    def change(self, user_id: str, rule: Rule[T]) -> Outcome[T] | None:
        """The outcome of *rule*, committed if it changed the ledger.

        None, and nothing written: it changes more than a row. Raises what the rule raised; then nothing was written.
        """
        function = self._function
        function.begin(rule)
        written = self._run(CHANGE, (user_id,)).rowcount
        if function.error is not None:
            raise function.error
        outcome = function.outcome
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
    """The query that loads *count* users."""
    return QUERIES["load_all"].replace("IN (?)", f"IN ({', '.join('?' * count)})")


class RuleFunction:
    """The user functions that SQLite calls within a change. Holds no connection, since the connection holds it."""

    def __init__(self, clock: Clock | None, subscribed: frozenset[str]) -> None:
        self._clock, self._subscribed = clock, subscribed
        self._rule: Rule[Any] | None = None
        self.outcome: Outcome[Any] | None = None
        self.error: Exception | None = None
        self._body: bytes | None = None

    def now_ms(self, offset_ms: int) -> int:
        """The store's time in ms."""
        return self._clock() if self._clock else uptime_ms() + offset_ms

    def begin(self, rule: Rule[Any]) -> None:
        """Sets the rule of the next change."""
        self._rule, self.outcome, self.error, self._body = rule, None, None, None

    def new_due_at_ms(self, body: bytes | None, offset_ms: int) -> int | None:
        """Runs the rule on the row's *body*. Returns the user's due time in ms."""
        try:
            return self._decide(Ledger() if body is None else read(body), self.now_ms(offset_ms))
        except Exception as error:
            self.error = error  # SQLite passes no exception on
            return None  # nothing is written then, since a row must have a body

    def new_body(self) -> bytes | None:
        """The new body, after the rule.

        SQLite calls it after `new_due_at_ms`, in the order of the columns; in another order nothing would be written.
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
