"""Watches players whose seats this worker does not hold, until their session loses the seat.

For servers that ask once and whose players keep their seats by other calls (MediaMTX).
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

from streamlimit.errors import StreamlimitError

Key = tuple[str, str]


class Watching:
    """Asks *holds_seat* of each session every *every_seconds*, for *life_seconds* at most."""

    def __init__(
        self,
        holds_seat: Callable[[str, str], Awaitable[bool]],
        every_seconds: float,
        life_seconds: float,
    ) -> None:
        self._holds_seat, self._every, self._life = holds_seat, every_seconds, life_seconds
        self._tasks: dict[Key, asyncio.Task[None]] = {}

    def watch(self, key: Key, lost: Callable[[], None]) -> None:
        """Has *lost* called when the session of *key* (user, session) holds no seat; replaces an earlier watch."""
        before = self._tasks.pop(key, None)
        if before is not None:
            before.cancel()
        task = asyncio.create_task(self._watch(key, lost))
        self._tasks[key] = task
        task.add_done_callback(lambda done: self._forget(key, done))

    def _forget(self, key: Key, done: "asyncio.Task[None]") -> None:
        if self._tasks.get(key) is done:
            del self._tasks[key]

    async def _watch(self, key: Key, lost: Callable[[], None]) -> None:
        until = time.monotonic() + self._life
        while time.monotonic() < until:
            await asyncio.sleep(self._every)
            try:
                if not await self._holds_seat(*key):
                    lost()
                    return
            except StreamlimitError:
                continue  # the store is unavailable: no session loses its seat (rule 11)
