"""The sweep on SQLite: removes expired sessions step by step (Endpoint 2), holding the write lock for a moment.

A round goes through all users, in the order of their ids, in chunks, so that no viewer waits for it: reading a chunk
takes some hundred microseconds, and no lock. Users who become due behind it are left to the next round. So after a
round in which a user was due, or which began long ago, there is one more.
"""

from collections.abc import Callable
from time import thread_time
from typing import Any

from msgspec import Struct

from streamlimit import rules
from streamlimit.model import Event, Swept
from streamlimit.policy import Policy
from streamlimit.store.rule_store import encode
from streamlimit.store.sqlite.changes import Changes
from streamlimit.store.sqlite.checkpoint import Checkpointer
from streamlimit.store.sqlite.connection import QUERIES, Connection, transaction
from streamlimit.store.sqlite.rows import Rows, read
from streamlimit.store.sqlite.turns import Turns

HOLD_SECONDS = 0.000_25
"""How long a step holds the write lock: as long as a dozen decisions, so that a waiting viewer hardly notices."""

PAUSE_SECONDS = 0.001
"""The pause after a step, in which others take the lock: longer than the step, and the shortest timer of event loops.
"""

TRIES = 4
"""How often a step is decided without the lock before it is decided under the lock."""

FEWEST, FIRST, MOST = 8, 32, 128

CHUNK = 2_000
"""Users that one step looks at, nearly all of them by their due time only."""

LONG_MS = 2_000
"""A round that takes longer was interrupted: one through a million users takes half of it."""

END = b""
"""A key behind every user: in SQLite's order a blob comes after every text."""

END_OF_CHUNK, DUE = QUERIES["end_of_chunk"], QUERIES["due"]
Find = Callable[..., list[tuple[Any, ...]]]

REMOVE, SAVE, SEE = QUERIES["remove"], QUERIES["save"], QUERIES["see"]
FORGET_GRANTS, FORGOTTEN = QUERIES["forget_grants"], 100
"""The query that removes expired grants, and its users at a time, so that no other step waits long."""


class Takings(Struct):
    """The changes of one step, decided at `now_ms`: rows to remove, rows to write, events.

    `looked_at`: how many users it looked at. `last_user`: the user to go on behind; None: the chunk is done.
    """

    now_ms: int
    looked_at: int
    last_user: str | None
    gone: list[tuple[str]] = []
    kept: list[tuple[str, int | None, bytes]] = []
    events: list[Event] = []


class Sweep:
    """The sweep of one process, through the *rows* of *db*."""

    def __init__(
        self, path: str, db: Connection, rows: Rows, changes: Changes, checkpointer: Checkpointer, policy: Policy
    ) -> None:
        self._db, self._rows, self._changes = db, rows, changes
        self._checkpointer, self._policy = checkpointer, policy
        self._pace, self._round, self._turns = Pace(), Round(), Turns(path)

    def step(self, at_most: int) -> Swept | None:
        """Removes due sessions of one chunk: so many users that the write lock is held for about `HOLD_SECONDS`.

        The changes are decided without the lock; under the lock only where others wrote meanwhile at every try.
        None: it is another process's turn.
        """
        if not self._turns.take():
            return None
        try:
            return self._step(at_most)
        finally:
            self._turns.give_back()

    def close(self) -> None:
        """Twice is once."""
        self._turns.close()

    def _step(self, at_most: int) -> Swept:
        looked_at = min(at_most, self._pace.users)
        with self._changes.writing:
            tries = (self._swept(looked_at, is_last=number == TRIES) for number in range(1, TRIES + 1))
            takings = next(filter(None, tries))
        self._checkpointer.changed(takings.looked_at)
        more = self._round.go_on(takings.last_user, takings.looked_at > 0, takings.now_ms)
        return Swept(tuple(takings.events), more, PAUSE_SECONDS if more else 0.0)

    def look(self, at_most: int) -> Takings:
        """Decides a step: all that is past its time is removed; a user with something left gets a new due time."""
        now_ms = self._rows.load("")[1]
        due = self._round.due(self._rows.find, now_ms, now_ms + self._policy.spent_far_ms, at_most)
        takings = Takings(now_ms, len(due), due[-1][0] if len(due) == at_most else None)
        for user_id, body in due:
            ledger = read(body)
            takings.events += rules.expire(ledger, user_id, self._policy, now_ms).events
            if ledger.is_blank():
                takings.gone.append((user_id,))
            else:
                takings.kept.append((user_id, ledger.due_at_ms(now_ms), encode(ledger)))
        return takings

    def _swept(self, at_most: int, is_last: bool) -> Takings | None:
        """Makes the decided changes; None where another process wrote meanwhile (never at the last try)."""
        seen = self._version()
        takings = self.look(at_most)
        if not takings.looked_at and not self._round.ends_here:
            return takings
        with transaction(self._db):
            self._db.execute(FORGET_GRANTS, (takings.now_ms, FORGOTTEN))
            began = thread_time()
            if seen != self._version():
                if not is_last:
                    return None
                takings = self.look(at_most)
            self._take_out(takings)
        self._pace.took(takings.looked_at, thread_time() - began)
        return takings

    def _take_out(self, takings: Takings) -> None:
        self._db.executemany(REMOVE, takings.gone)
        self._db.executemany(SAVE, takings.kept)
        self._changes.put_events(takings.events)
        self._db.execute(SEE, (takings.now_ms,))

    def _version(self) -> int:
        """A number that changes when another connection writes."""
        version: int = self._rows.find("PRAGMA data_version")[0][0]
        return version


class Pace:
    """The size of steps, adapted by the time of each. `users`: how many the next one may look at."""

    def __init__(self) -> None:
        self.users = FIRST

    def took(self, users: int, seconds: float) -> None:
        """Adapts the size to a step of *users* that took *seconds*; after a delayed one it soon grows again."""
        if users:
            fitting = int(users * HOLD_SECONDS / max(seconds, 1e-6))
            self.users = min(max(fitting, FEWEST), 2 * self.users, MOST)


class Round:
    """The position of a sweep: behind one user, and up to another."""

    def __init__(self) -> None:
        self._after = ""
        self._until: str | bytes | None = None
        self._began_ms: int | None = None
        self._has_found = False

    def due(self, find: Find, now_ms: int, far_ms: int, at_most: int) -> list[tuple[str, bytes]]:
        """Up to *at_most* users of the chunk who are due, with their bodies; the same ones until `go_on`.

        *far_ms*: a due time later than that counts as passed.
        """
        if self._began_ms is None:
            self._began_ms = now_ms
        if self._until is None:
            last = find(END_OF_CHUNK, self._after, CHUNK - 1)
            self._until = last[0][0] if last else END
        return find(DUE, self._after, self._until, now_ms, far_ms, at_most)

    @property
    def ends_here(self) -> bool:
        """Is this the last chunk?"""
        return self._until == END

    def go_on(self, last_user: str | None, has_found: bool, now_ms: int) -> bool:
        """Goes on behind *last_user*, or (None) to the next chunk. *has_found*: a user was due. False: none is left."""
        self._has_found = self._has_found or has_found
        is_over = last_user is None and self.ends_here
        if last_user is not None:
            self._after = last_user
        else:
            self._after = self._until if isinstance(self._until, str) else ""
            self._until = None
        if not is_over:
            return True
        is_new = self._began_ms is not None and now_ms - self._began_ms < LONG_MS
        more, self._began_ms, self._has_found = self._has_found or not is_new, None, False
        return more
