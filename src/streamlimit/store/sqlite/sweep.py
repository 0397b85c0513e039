"""Takes out who is past their time, step by step (Endpoint 2); holds the write lock for a moment only."""

from time import thread_time

from streamlimit import rules
from streamlimit.model import Swept
from streamlimit.policy import Policy
from streamlimit.store.bodies import decode, encode
from streamlimit.store.sqlite.changes import Changes
from streamlimit.store.sqlite.checkpoint import Checkpointer
from streamlimit.store.sqlite.connection import QUERIES, Connection, transaction, translated
from streamlimit.store.sqlite.pace import PAUSE_SECONDS, TRIES, Pace, Takings
from streamlimit.store.sqlite.round import Round
from streamlimit.store.sqlite.rows import Rows
from streamlimit.store.sqlite.turns import ELSEWHERE_SECONDS, Turns

REMOVE, SAVE, SEE = QUERIES["remove"], QUERIES["save"], QUERIES["see"]
FORGET_GRANTS, FORGOTTEN = QUERIES["forget_grants"], 100
"""So many users at a time: no other step waits long."""


class Sweep:
    """The sweep of one process, through the *rows* of *db*."""

    def __init__(
        self, path: str, db: Connection, rows: Rows, changes: Changes, checkpointer: Checkpointer, policy: Policy
    ) -> None:
        self._db, self._rows, self._changes = db, rows, changes
        self._checkpointer, self._policy = checkpointer, policy
        self._pace, self._round, self._turns = Pace(), Round(), Turns(path)

    def step(self, at_most: int) -> Swept:
        """Users whose time has come, of one chunk: so many that the write lock is held for about `HOLD_SECONDS`.

        What becomes of them is decided before, without the lock; under the lock only where others wrote meanwhile
        again and again.
        """
        if not self._turns.take():
            return Swept((), True, ELSEWHERE_SECONDS)
        try:
            return self._step(at_most)
        finally:
            self._turns.give_back()

    def close(self) -> None:
        """Twice is once."""
        self._turns.close()

    def _step(self, at_most: int) -> Swept:
        looked_at = min(at_most, self._pace.users)
        with translated:
            tries = (self._swept(looked_at, is_last=number == TRIES) for number in range(1, TRIES + 1))
            takings = next(filter(None, tries))
        self._checkpointer.changed(takings.looked_at)
        more = self._round.go_on(takings.last_user, takings.looked_at > 0, takings.now_ms)
        return Swept(tuple(takings.events), more, PAUSE_SECONDS if more else 0.0)

    def look(self, at_most: int) -> Takings:
        """Decides what to take out: all past its time; a user with something left is filed under a new time."""
        now_ms = self._rows.load("")[1]
        due = self._round.due(self._rows.find, now_ms, now_ms + self._policy.spent_far_ms, at_most)
        takings = Takings(now_ms, len(due), due[-1][0] if len(due) == at_most else None)
        for user_id, body in due:
            ledger = decode(body)
            takings.events += rules.expire(ledger, user_id, self._policy, now_ms).events
            if ledger.is_blank():
                takings.gone.append((user_id,))
            else:
                takings.kept.append((user_id, ledger.due_at_ms(now_ms), encode(ledger)))
        return takings

    def _swept(self, at_most: int, is_last: bool) -> Takings | None:
        """Takes out what was decided; None where another process wrote meanwhile (never at the last try)."""
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
        """Another one than before where another connection wrote since."""
        version: int = self._rows.find("PRAGMA data_version")[0][0]
        return version
