"""Seats of clients that call less often than n·X: this worker prolongs them until their own interval has passed.

A held seat's lease stays open, as if its bytes still moved (rule 6): last activity is the client's last call. A seat
that was ended, terminated or replaced is let go. If the worker dies, its held seats expire n·X later.
"""

import asyncio
import time
from collections.abc import Callable

from msgspec import Struct

from streamlimit.limiter import Limiter
from streamlimit.model import Admitted, Lease
from streamlimit.store.contract import resolved

Key = tuple[str, str]


class HeldSeat(Struct):
    """One held seat. `until`: when it may expire (monotonic seconds); `lost`: called when the seat is lost earlier."""

    lease: Lease
    until: float
    lost: Callable[[], None] | None = None


class Holding:
    """Keeps seats for *life_seconds* after each call, where they would expire after *expiry_seconds*."""

    def __init__(
        self,
        limiter: Limiter,
        expiry_seconds: float,
        life_seconds: float,
    ) -> None:
        self._limiter, self._expiry, self._life = limiter, expiry_seconds, life_seconds
        self._held: dict[Key, HeldSeat] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def hold(self, lease: Lease, lost: Callable[[], None] | None = None) -> None:
        """Holds the seat of *lease* for `life_seconds` from now: the client has called."""
        key, until = (lease.ask.user_id, lease.ask.session_id), time.monotonic() + self._life
        is_new = key not in self._held
        self._held[key] = HeldSeat(lease, until, lost)
        if is_new:
            task = asyncio.create_task(self._keep(key))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def hold_if_seated(self, admitted: Admitted, lost: Callable[[], None] | None = None) -> None:
        """As `hold`, for an admission without a recorded seat in a dry run: then it does nothing."""
        if admitted.session is not None and admitted.lease is not None:
            self.hold(admitted.lease, lost)

    def let_go(self, user_id: str, session_id: str) -> None:
        """Stops holding the session's seat."""
        held = self._held.get((user_id, session_id))
        if held is not None:
            held.until = 0

    def stream_of(self, user_id: str, session_id: str) -> str | None:
        """The stream that the session plays, as far as this worker knows."""
        held = self._held.get((user_id, session_id))
        return None if held is None else held.lease.ask.stream_id

    async def _keep(self, key: Key) -> None:
        try:
            while (left := self._held[key].until - self._expiry - time.monotonic()) > 0:
                await asyncio.sleep(min(left, self._expiry / 2))
                held = self._held[key]
                if held.until and await resolved(self._limiter.prolong(held.lease)) is not None:
                    if held.until and held.lost is not None:  # not let go meanwhile
                        held.lost()
                    return
        finally:
            del self._held[key]
