"""Batches of the question which refusals may go to the feed: those of one loop iteration are one call to each shard.

A busy worker makes several refusals in an iteration, and no viewer waits for these answers.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import NamedTuple

from streamlimit.errors import StoreUnavailable
from streamlimit.store.deferred import Deferred

AT_ONCE = 200

Answer = Deferred[int | None]
Ask = Callable[[int, int, Sequence[bytes]], Deferred[Sequence[int | None]]]
"""Takes a shard, milliseconds of quiet, and keys of sessions; answers the time of each announcement, None for none."""


class Pending(NamedTuple):
    """A session's key, and the answer that its refusal waits for."""

    key: bytes
    answer: Answer


class Announcements:
    """Collects the questions of one event loop iteration, and sends them by *ask*."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._pending: dict[tuple[int, int], list[Pending]] = defaultdict(list)
        self._loop: asyncio.AbstractEventLoop | None = None  # will send what is pending

    def when(self, shard: int, quiet_ms: int, key: bytes) -> Answer:
        """The time in ms of the announcement for the session of *key*; None: it had one a short while ago."""
        pending = Pending(key, Deferred())
        self._pending[shard, quiet_ms].append(pending)
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop = loop
            loop.call_soon(self._send_all)
        return pending.answer

    def _send_all(self) -> None:
        gathered, self._pending, self._loop = self._pending, defaultdict(list), None
        for (shard, quiet_ms), pending in gathered.items():
            for first in range(0, len(pending), AT_ONCE):
                self._send(shard, quiet_ms, pending[first : first + AT_ONCE])

    def _send(self, shard: int, quiet_ms: int, pending: Sequence[Pending]) -> None:
        def answered(times: Sequence[int | None] | Exception) -> None:
            for number, (_, answer) in enumerate(pending):
                answer.come(times if isinstance(times, Exception) else times[number])

        try:
            self._ask(shard, quiet_ms, [each.key for each in pending]).add_callback(answered)
        except StoreUnavailable as error:
            answered(error)
