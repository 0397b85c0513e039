"""Seats of paused sessions: held `paused_seconds` longer, by the worker that received the report.

The time counts from the first report of a pause: repeated reports do not extend it; playing again resets it.
"""

from streamlimit.edge.holding import Holding
from streamlimit.limiter import Limiter
from streamlimit.model import Ask, Lease, Session
from streamlimit.store.contract import resolved
from streamlimit.web.recent import Recent


class Pauses:
    """The pauses of one worker's sessions.

    *paused_seconds*: beyond *expiry_seconds*; 0: a pause is silence like any other.
    """

    def __init__(
        self,
        limiter: Limiter,
        expiry_seconds: float,
        paused_seconds: float,
    ) -> None:
        self._limiter, self._are_held = limiter, paused_seconds > 0
        self._holding = Holding(limiter, expiry_seconds, expiry_seconds + paused_seconds)
        self._reported: Recent[str, int] = Recent()

    async def begin(self, ask: Ask, session: Session | None) -> None:
        """Begins the pause of *session*; does nothing for one that has received nothing yet."""
        if not self._are_held or session is None or not session.last_activity_ms or not session.generation:
            return
        key = f"{ask.user_id}/{ask.session_id}"  # no id has a slash
        if self._reported.get(key) == session.last_activity_ms:
            return
        lease = Lease(ask, session.generation, session.move)
        if await resolved(self._limiter.prolong(lease)) is None:
            self._reported.put(key, session.last_activity_ms)
            self._holding.hold(lease)

    def end(self, user_id: str, session_id: str) -> None:
        """Ends a pause: the session plays again, or is gone."""
        self._holding.let_go(user_id, session_id)
