"""Timers for many who each want to look again a little later, of which most never come to it.

Those who wait equally long stand in one queue, in order by itself, with one timer of the loop's; who needs no look
any more stays in it until its turn. So a look that is planned and not needed costs 0.5 µs, not a timer's 3.
"""

import asyncio
from collections import deque
from typing import Protocol

_EARLY_SECONDS = 0.0005  # the loops' timers tell milliseconds apart


class Looker(Protocol):
    """Who looks again."""

    def ring(self, turn: int) -> None:
        """The time of a planned look has come; nothing is done where another one than *turn* was planned since."""


class _Queue:
    """All that wait for the same number of seconds."""

    __slots__ = ("_seconds", "is_set", "waiting")

    def __init__(self, seconds: float) -> None:
        self._seconds, self.is_set = seconds, False
        self.waiting: deque[tuple[float, Looker, int]] = deque()

    def set(self, loop: asyncio.AbstractEventLoop) -> None:
        """Somebody waits, and no timer of the loop's runs yet."""
        self.is_set = True
        loop.call_later(self._seconds, self._ring, loop)

    def _ring(self, loop: asyncio.AbstractEventLoop) -> None:
        now, waiting = loop.time(), self.waiting
        while waiting and waiting[0][0] <= now + _EARLY_SECONDS:
            _, looker, turn = waiting.popleft()
            looker.ring(turn)
        self.is_set = bool(waiting)
        if waiting:
            loop.call_later(waiting[0][0] - now, self._ring, loop)


class Rounds:
    """One loop's; worth it where there are few different numbers of seconds."""

    def __init__(self) -> None:
        self._queues: dict[float, _Queue] = {}

    def later(self, loop: asyncio.AbstractEventLoop, seconds: float, looker: Looker, turn: int) -> None:
        """*looker* is rung for *turn* after so many seconds."""
        queue = self._queues.get(seconds)
        if queue is None:
            queue = self._queues[seconds] = _Queue(seconds)
        queue.waiting.append((loop.time() + seconds, looker, turn))
        if not queue.is_set:
            queue.set(loop)
