"""Group commit: the changes of one iteration of the event loop are made at its end, in one transaction.

A commit costs more than a heartbeat's change: six locks taken or released, and a page written to the log. Up to
`AT_MOST` sessions share it. No request is answered before the commit, so an acknowledged change survives `kill -9`. The
write lock is held for the changes alone: requests are parsed before, and answers are written after. While another
process holds the lock, changes wait here in their order (patience.py).
"""

from asyncio import get_running_loop
from collections.abc import Callable
from itertools import repeat
from typing import Any

from streamlimit.errors import StoreLocked, StoreUnavailable
from streamlimit.store.deferred import Deferred
from streamlimit.store.rule_store import Rule
from streamlimit.store.sqlite.patience import Patience

AT_MOST = 32
"""Most changes of one transaction: it takes a fifth of a millisecond, and more would gain hardly anything."""

ALONE = 1
"""After an iteration with so few changes the first one of the next is made at once: waiting would gain nothing."""

Change = tuple[str, Rule[Any]]
"""A change of one user's row, by a rule."""

Alone = Callable[[str, Rule[Any]], Any]
"""Makes one change, and returns its answer."""


class GroupCommit:
    """The changes of one store that are made together.

    *alone* makes one change; so does *by_transaction*, faster where a rule mostly needs more than the user's row;
    *all_of* makes several in one transaction, or raises and has made none.
    """

    def __init__(self, alone: Alone, by_transaction: Alone, all_of: Callable[[list[Change]], list[Any]]) -> None:
        self._alone, self._by_transaction, self._all_of = alone, by_transaction, all_of
        self._changes: list[Change] = []
        self._answers: list[Deferred[Any]] = []
        self._count = self._count_before = 0  # of this iteration, and of the one before it
        self._patience, self._is_waiting = Patience(), False

    def ask(self, user_id: str, rule: Rule[Any]) -> Any:
        """The answer of *rule* to the user's ledger, at once or `Deferred` to the end of this iteration."""
        self._count += 1
        if self._count == 1:
            get_running_loop().call_soon(self.make_all)
            if self._count_before <= ALONE:
                return self.now(user_id, rule)
        return self._put(user_id, rule)

    def now(self, user_id: str, rule: Rule[Any], alone: Alone | None = None) -> Any:
        """The answer that *alone* makes at once; it is `Deferred` where another process holds the lock."""
        if not self._is_waiting:
            try:
                answer = (alone or self._alone)(user_id, rule)
            except StoreLocked:
                if not self._waits():
                    raise
            else:
                self._patience.over()
                return answer
        return self._put(user_id, rule)

    def leave(self, user_id: str, rule: Rule[Any]) -> Any:
        """As `now`, behind what was asked before: who leaves right after a heartbeat must not be seated by it again."""
        self.make_all()
        return self.now(user_id, rule, self._by_transaction)

    def make_all(self) -> None:
        """Makes all waiting changes and answers them; while another process holds the lock, a timer tries again."""
        if self._count:
            self._count, self._count_before = 0, self._count
        if self._is_waiting:
            return
        changes, self._changes = self._changes, []
        answers, self._answers = self._answers, []
        for first in range(0, len(changes), AT_MOST):
            some = slice(first, first + AT_MOST)
            try:
                made = self._make(changes[some])
            except StoreUnavailable as error:  # a file that just failed is not tried again at once: all would wait
                if isinstance(error, StoreLocked) and self._waits():
                    self._changes[:0], self._answers[:0] = changes[first:], answers[first:]
                else:
                    _tell(answers[first:], repeat(error))
                return
            self._patience.over()
            _tell(answers[some], made)

    def _put(self, user_id: str, rule: Rule[Any]) -> Deferred[Any]:
        answer: Deferred[Any] = Deferred()
        self._changes.append((user_id, rule))
        self._answers.append(answer)
        return answer

    def _waits(self) -> bool:
        """Plans the next try on a locked file. False: it has been locked for too long."""
        seconds = self._patience.next_try()
        if seconds is None:
            return False
        if not self._is_waiting:
            self._is_waiting = True
            get_running_loop().call_later(seconds, self._try_again)
        return True

    def _try_again(self) -> None:
        self._is_waiting = False
        self.make_all()

    def _make(self, changes: list[Change]) -> list[Any]:
        if len(changes) == 1:
            return self._one_by_one(changes)
        try:
            return self._all_of(changes)
        except StoreUnavailable:
            raise
        except Exception:  # a rule's own: nothing was changed; one by one it meets only the call that is to blame
            return self._one_by_one(changes)

    def _one_by_one(self, changes: list[Change]) -> list[Any]:
        return [self._make_one(*change) for change in changes]

    def _make_one(self, user_id: str, rule: Rule[Any]) -> Any:
        try:
            return self._alone(user_id, rule)
        except StoreUnavailable:
            raise
        except Exception as error:  # goes to the caller
            return error


def _tell(answers: list[Deferred[Any]], made: Any) -> None:
    for answer, what in zip(answers, made, strict=False):
        answer.come(what)
