"""The sweep (Endpoint 2): expires due sessions in small steps, so that no viewer waits for it."""

import asyncio
import time
from collections.abc import Callable

from msgspec import Struct

from streamlimit.errors import StoreUnavailable
from streamlimit.limiter import Limiter
from streamlimit.logs import EventLog
from streamlimit.model import Event, Session

STEP_SESSIONS = 1_000
"""Most users of one step; a store takes fewer where more would keep viewers waiting."""

SHOWN = 100


class Sweep(Struct):
    """The outcome of one sweep: counts, the first `SHOWN` expired sessions, and whether it finished."""

    expired: int = 0
    abandoned: int = 0
    sessions: list[Session] = []
    finished: bool = False

    def add(self, events: tuple[Event, ...]) -> None:
        """Counts the events of one step."""
        gone = [event.session for event in events if event.type == "session.expired"]
        self.expired += len(gone)
        self.abandoned += len(events) - len(gone)
        self.sessions += gone[: max(SHOWN - len(self.sessions), 0)]


async def expire_once(
    limiter: Limiter, max_seconds: float | None = None, clock: Callable[[], float] = time.monotonic
) -> Sweep:
    """Expires all due sessions, for at most *max_seconds*. Concurrent calls are safe."""
    deadline = None if max_seconds is None else clock() + max_seconds
    sweep = Sweep()
    while not sweep.finished:
        step = await limiter.expire(STEP_SESSIONS)
        sweep.add(step.events)
        sweep.finished = not step.more
        if deadline is not None and clock() >= deadline:
            break
        await asyncio.sleep(step.pause_seconds)  # viewers first
    if sweep.finished:
        limiter.tally.swept_at = time.time()
    return sweep


async def expire_forever(limiter: Limiter, every_seconds: float, log: EventLog) -> None:
    """The built-in sweep, every *every_seconds* until cancelled. An unavailable store is tried the next time."""
    while True:
        await asyncio.sleep(every_seconds)
        try:
            await expire_once(limiter)
        except StoreUnavailable as error:
            log.warning("sweep_postponed", problem=str(error))
