"""Budgets of visits (rule 13) by the store's last answer, which a worker spends by itself in an outage.

Reads no clock: times are seconds of a monotonic clock, passed in.
"""

from collections import OrderedDict

from streamlimit.model import Ask
from streamlimit.policy import Policy
from streamlimit.rules.visits import cost_ms

USERS = 65_536
"""Users whose spent budget is remembered; of more, those who paid last."""

Moved = tuple[str, str]
"""User and session."""


class Budgets:
    """The budgets of all users, by the numbers of *policy*."""

    def __init__(self, policy: Policy) -> None:
        self._policy, self._free_seconds = policy, policy.segment_ms / 1_000
        # Of a plain dictionary the first is found slowly where many before it were removed.
        self._whole_at: OrderedDict[str, float] = OrderedDict()
        self._moved: OrderedDict[Moved, tuple[str, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._whole_at)

    def note_spent(self, user_id: str, spent_ms: int, now: float) -> None:
        """Notes how much of the user's budget is spent, by the store's answer to a visit."""
        whole_at = self._whole_at
        while whole_at and next(iter(whole_at.values())) <= now:  # the oldest are whole again
            whole_at.popitem(last=False)
        whole_at[user_id] = now + spent_ms / 1_000
        whole_at.move_to_end(user_id)
        if len(whole_at) > USERS:
            whole_at.popitem(last=False)

    def paid(self, ask: Ask, spent_ms: int, now: float) -> None:
        """Notes a visit that the store took for *ask*, and how much of the user's budget is spent."""
        self.note_spent(ask.user_id, spent_ms, now)
        moved, who = self._moved, (ask.user_id, ask.session_id)
        while moved and now - next(iter(moved.values()))[1] >= self._free_seconds:  # nothing is free for them any more
            moved.popitem(last=False)
        moved[who] = ask.stream_id, now
        moved.move_to_end(who)
        if len(moved) > USERS:
            moved.popitem(last=False)

    def pay(self, ask: Ask, limit: int, now: float) -> float:
        """Pays a visit without the store.

        Returns 0, or the seconds until there is a budget for it (then nothing is paid). A second request of the session
        for the stream just paid costs nothing, as it does at the store.
        """
        policy, who = self._policy, (ask.user_id, ask.session_id)
        stream_id, at = self._moved.get(who, ("", now))
        if not policy.visit_burst or (stream_id == ask.stream_id and now - at < self._free_seconds):
            return 0
        whole_at = max(self._whole_at.get(ask.user_id, now), now) + cost_ms(limit, policy) / 1_000
        wait = whole_at - now - policy.burst_ms / 1_000
        if wait > 0 and policy.enforce:
            return wait
        self.paid(ask, round((whole_at - now) * 1_000), now)
        return 0
