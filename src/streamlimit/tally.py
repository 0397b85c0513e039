"""Counters of a worker's hot path: plain numbers, exported periodically."""

import time
from collections import Counter, OrderedDict
from collections.abc import Callable

from streamlimit.model import Ask, Refusal

COUNTED = frozenset({"session-limit", "session-shared", "too-many-visits"})
"""Refusals of the limit; others are of credentials, or of terminated sessions."""
USERS_REMEMBERED = 20_000
NO_PLAN, OTHER_PLAN = "none", "other"


class Tally:
    """Counts since the worker started: `events` by type; refusals, made or left out, and `problems` by code.

    `refused_users` by plan (`RefusedUsers`). `swept_at`: when a sweep last came to its end, in seconds of the epoch.
    `log_bytes`, `checkpoints_failed`: of SQLite's log.
    `edge_lines_dropped`: reports of an edge's access log that could not be counted.
    Of connections: `turned_away`: too many of one address; `given_up`: time-outs, by what was waited for.
    """

    def __init__(self) -> None:
        self.admissions = 0
        self.confirmations = 0
        self.not_received = 0
        self.events: Counter[str] = Counter()
        self.refusals: Counter[str] = Counter()
        self.refused_users: Counter[str] = Counter()
        self.problems: Counter[str] = Counter()
        self.would_refuse: Counter[str] = Counter()
        self.swept_at = 0.0
        self.turned_away = self.edge_lines_dropped = 0
        self.checkpoints_failed = self.log_bytes = 0
        self.given_up: Counter[str] = Counter()


class RefusedUsers:
    """Counts refused users in *counts* by plan, each once per *quiet_seconds*, however often their players retry.

    Call it with each refusal. Plans that *knows* rejects are counted as "other": viewers must not invent labels of a
    metric. *clock*: monotonic seconds.
    """

    def __init__(
        self,
        counts: Counter[str],
        knows: Callable[[str], bool],
        quiet_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._counts, self._knows, self._quiet, self._clock = counts, knows, quiet_seconds, clock
        self._counted: dict[str, float] = OrderedDict()

    def __call__(self, ask: Ask, refusal: Refusal) -> None:
        if refusal.code not in COUNTED:
            return
        now = self._clock()
        if now - self._counted.get(ask.user_id, float("-inf")) < self._quiet:
            return
        self._counted.pop(ask.user_id, None)
        self._counted[ask.user_id] = now  # the newest are last
        if len(self._counted) > USERS_REMEMBERED:
            del self._counted[next(iter(self._counted))]
        plan = ask.plan
        self._counts[NO_PLAN if plan is None else plan if self._knows(plan) else OTHER_PLAN] += 1
