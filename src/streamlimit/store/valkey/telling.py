"""Which refusals may be told to the feed: those of one iteration of the event loop are one call to each share of users.

A refusal is dear enough; a busy worker makes several at a time, and nobody waits for these answers.
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
"""Of a shard, so many milliseconds of quiet, and keys of sessions: when each is told of, if it is."""


class Asked(NamedTuple):
    """A session's key, and who waits for the answer."""

    key: bytes
    answer: Answer


class Telling:
    """Gathers what is asked, and asks it by *ask*."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._asked: dict[tuple[int, int], list[Asked]] = defaultdict(list)
        self._loop: asyncio.AbstractEventLoop | None = None  # will ask

    def when(self, shard: int, quiet_ms: int, key: bytes) -> Answer:
        """The time in ms at which the session of *key* is told of; None: it was, a short while ago."""
        asked = Asked(key, Deferred())
        self._asked[shard, quiet_ms].append(asked)
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop = loop
            loop.call_soon(self._ask_all)
        return asked.answer

    def _ask_all(self) -> None:
        asked, self._asked, self._loop = self._asked, defaultdict(list), None
        for (shard, quiet_ms), some in asked.items():
            for first in range(0, len(some), AT_ONCE):
                self._ask_for(shard, quiet_ms, some[first : first + AT_ONCE])

    def _ask_for(self, shard: int, quiet_ms: int, asked: Sequence[Asked]) -> None:
        def came(times: Sequence[int | None] | Exception) -> None:
            for number, (_, answer) in enumerate(asked):
                answer.come(times if isinstance(times, Exception) else times[number])

        try:
            self._ask(shard, quiet_ms, [each.key for each in asked]).add_callback(came)
        except StoreUnavailable as error:
            came(error)
