"""Live sessions, looked at one user after the other: how many there are of each group, and which users are at the
limit.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby

from streamlimit.model import Session
from streamlimit.policy import Policy
from streamlimit.reporting.counts import Counts, Keys, keys_of
from streamlimit.store.reporting import HOUR_MS, Key

LONGEST_MS = 15 * 60_000
"""For so long at most a user is taken to have been at the limit before a sample: no worker looked in between."""


class Sample:
    """A look at live sessions, at *now_ms*; the one before it was at *last_ms*.

    The first one of an hour counts all who are live as users of that hour; users who come later are counted as they
    come.
    """

    def __init__(self, counts: Counts, policy: Policy, last_ms: int, now_ms: int) -> None:
        self._counts, self._max_sessions = counts, policy.max_sessions
        self._now_ms, self._since_ms = now_ms, max(last_ms, now_ms - LONGEST_MS)
        self._is_first = last_ms // HOUR_MS != now_ms // HOUR_MS
        self._live: Counter[Key] = Counter()
        self._at_limit_ms: Counter[Key] = Counter()
        self.sessions = 0

    def add(self, sessions: Iterable[Session]) -> None:
        """Some more of the live ones; all of a user's come together."""
        for user_id, own in groupby(sessions, key=lambda session: session.user_id):
            self._add_user(user_id, list(own))

    def finish(self) -> None:
        """Counts what was seen: all sessions were added."""
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
