"""Changes that are asked for in one turn of the event loop are made at its end, in one transaction.

A commit costs more than all that a heartbeat changes: six locks taken or given back, and a page written to the log.
Up to `AT_MOST` sessions share that. Nobody is answered before the commit, so whatever was acknowledged is there after a
`kill -9`. The write lock is held for the changes alone: what was asked is known before, and answers go out after.
"""

from asyncio import get_running_loop
from collections.abc import Callable
from itertools import repeat
from typing import Any

from streamlimit.errors import StoreUnavailable
from streamlimit.store.coming import Coming
from streamlimit.store.sqlite.rows import Rule

AT_MOST = 32
"""Changes of one transaction: it takes a fifth of a millisecond, and more of them would gain hardly anything."""

ALONE = 1
"""Where a turn had so many at most, the first of the next one is answered at once: waiting would gain nothing."""

Change = tuple[str, Rule[Any]]
"""Of a user's row, by a rule."""


class Together:
    """*alone* makes one change, *all_of* them several in one transaction, or raises and has made none."""

    def __init__(self, alone: Callable[[str, Rule[Any]], Any], all_of: Callable[[list[Change]], list[Any]]) -> None:
        self._alone, self._all_of = alone, all_of
        self._changes: list[Change] = []
        self._answers: list[Coming[Any]] = []
        self._count = self._count_before = 0  # of this turn, and of the one before it

    def ask(self, user_id: str, rule: Rule[Any]) -> Any:
        """The answer of *rule* to the user's ledger; one that is `Coming` comes after this turn."""
        self._count += 1
        if self._count == 1:
            get_running_loop().call_soon(self.make_all)
            if self._count_before <= ALONE:
                return self._alone(user_id, rule)
        answer: Coming[Any] = Coming()
        self._changes.append((user_id, rule))
        self._answers.append(answer)
        return answer

    def make_all(self) -> None:
        """Makes what was asked up to now, and answers."""
        if self._count:
            self._count, self._count_before = 0, self._count
        changes, self._changes = self._changes, []
        answers, self._answers = self._answers, []
        for first in range(0, len(changes), AT_MOST):
            some = slice(first, first + AT_MOST)
            try:
                made = self._make(changes[some])
            except StoreUnavailable as error:  # a file that just failed is not tried again at once: all would wait
                _tell(answers[first:], repeat(error))
                return
            _tell(answers[some], made)

    def _make(self, changes: list[Change]) -> list[Any]:
        if len(changes) > 1:
            try:
                return self._all_of(changes)
            except StoreUnavailable:
                raise
            except Exception:
                pass  # a rule's own: nothing was changed, and it meets again whoever is to blame
        return [self._make_one(*change) for change in changes]

    def _make_one(self, user_id: str, rule: Rule[Any]) -> Any:
        try:
            return self._alone(user_id, rule)
        except StoreUnavailable:
            raise
        except Exception as error:  # goes to whoever asked
            return error


def _tell(answers: list[Coming[Any]], made: Any) -> None:
    for answer, what in zip(answers, made, strict=False):
        answer.come(what)
