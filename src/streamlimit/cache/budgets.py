"""Budgets of visits (rule 13) as the store told of them last: what a worker spends by itself while the store is away.

Reads no clock: times are seconds of a monotonic one, handed in.
"""

from streamlimit.model import Ask
from streamlimit.policy import Policy
from streamlimit.rules.visits import cost_ms

USERS = 65_536
"""Users of whom a spent budget is remembered; of more, those who paid last."""

Moved = tuple[str, str]
"""User and session."""


class Budgets:
    """Of all users under *policy*."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._whole_at: dict[str, float] = {}
        self._moved: dict[Moved, tuple[str, float]] = {}

    def __len__(self) -> int:
        return len(self._whole_at)

    def told(self, user_id: str, spent_ms: int, now: float) -> None:
        """The store says how much of the user's budget is spent, after a visit that it took."""
        self._forget_old(now)
        self._whole_at.pop(user_id, None)
        self._whole_at[user_id] = now + spent_ms / 1_000
        if len(self._whole_at) > USERS:
            del self._whole_at[next(iter(self._whole_at))]

    def paid(self, ask: Ask, spent_ms: int, now: float) -> None:
        """The store took a visit for what *ask* wants; so much of the user's budget is spent."""
        self.told(ask.user_id, spent_ms, now)
        self._remember((ask.user_id, ask.session_id), ask.stream_id, now)

    def pay(self, ask: Ask, limit: int, now: float) -> float:
        """Pays a visit without the store. 0, or for how many seconds there is no budget for it: then it is not paid.

        A second request of the session for the stream just paid costs nothing, as it does at the store.
        """
        policy, who = self._policy, (ask.user_id, ask.session_id)
        stream_id, at = self._moved.get(who, ("", now))
        if not policy.visit_burst or (stream_id == ask.stream_id and now - at < policy.segment_ms / 1_000):
            return 0
        whole_at = max(self._whole_at.get(ask.user_id, now), now) + cost_ms(limit, policy) / 1_000
        wait = whole_at - now - policy.burst_ms / 1_000
        if wait > 0 and policy.enforce:
            return wait
        self.paid(ask, round((whole_at - now) * 1_000), now)
        return 0

    def _remember(self, who: Moved, stream_id: str, now: float) -> None:
        self._moved.pop(who, None)
        self._moved[who] = stream_id, now
        if len(self._moved) > USERS:
            del self._moved[next(iter(self._moved))]

    def _forget_old(self, now: float) -> None:
        """The oldest go whose budget is whole again, or that nothing is free for any more."""
        while self._whole_at and next(iter(self._whole_at.values())) <= now:
            del self._whole_at[next(iter(self._whole_at))]
        while self._moved and now - next(iter(self._moved.values()))[1] >= self._policy.segment_ms / 1_000:
            del self._moved[next(iter(self._moved))]
