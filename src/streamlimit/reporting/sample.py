"""A sample of live sessions: their number in each group, and the users at their limit."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby

from streamlimit.model import Session
from streamlimit.policy import Policy
from streamlimit.reporting.counts import Counts, Keys, keys_of
from streamlimit.store.reporting import HOUR_MS, Key

LONGEST_MS = 15 * 60_000
"""The longest time before a sample for which a user at the limit counts as having been there."""


class Sample:
    """A sample of live sessions at *now_ms*; the last one was at *last_ms*.

    The first sample of an hour counts all live users in that hour; later users are counted when they come.
    """

    def __init__(self, counts: Counts, policy: Policy, last_ms: int, now_ms: int) -> None:
        self._counts, self._max_sessions = counts, policy.max_sessions
        self._now_ms, self._since_ms = now_ms, max(last_ms, now_ms - LONGEST_MS)
        self._is_first = last_ms // HOUR_MS != now_ms // HOUR_MS
        self._live: Counter[Key] = Counter()
        self._at_limit_ms: Counter[Key] = Counter()
        self.sessions = 0

    def add(self, sessions: Iterable[Session]) -> None:
        """Adds some live sessions; all of one user are added together."""
        for user_id, own in groupby(sessions, key=lambda session: session.user_id):
            self._add_user(user_id, list(own))

    def finish(self) -> None:
        """Counts the sample, after all sessions were added."""
        for key, live in self._live.items():
            self._counts.live(self._now_ms, key, live)
        for key, for_ms in self._at_limit_ms.items():
            self._counts.at_limit(self._now_ms, key, for_ms)

    def _add_user(self, user_id: str, sessions: Sequence[Session]) -> None:
        self.sessions += len(sessions)
        of_each = [_keys(session) for session in sessions]
        for keys in of_each:
            self._live.update(keys)
        groups = {key for keys in of_each for key in keys}
        if self._is_first:
            self._counts.watched(self._now_ms, user_id, groups)
        newest = max(sessions, key=lambda session: session.started_at_ms)
        if len(sessions) >= (newest.limit or self._max_sessions):
            for_ms = self._now_ms - max(self._since_ms, newest.started_at_ms)
            self._at_limit_ms.update(dict.fromkeys(groups, max(for_ms, 0)))


def _keys(session: Session) -> Keys:
    return keys_of(session.plan, session.stream_id, session.device)
