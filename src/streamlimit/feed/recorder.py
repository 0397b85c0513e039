"""The recorder: writes a worker's events to the feed and the histories, some hundredths of a second later.

No request waits for that, and events are written in batches. In an outage they are kept here, bounded.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from streamlimit.errors import StoreUnavailable
from streamlimit.logs import EventLog
from streamlimit.model import Event
from streamlimit.store.contract import resolved
from streamlimit.store.feed import Feed

GATHER_SECONDS = 0.05
RETRY_SECONDS, FINISH_SECONDS = 1.0, 1.0
AT_ONCE = 200
MOST = 10_000
"""Most events that wait for the store; beyond that the oldest are dropped."""

Write: TypeAlias = Callable[[Sequence[Event]], Awaitable[Sequence[Event]]]
"""Writes events, and returns those that could not be written."""


class Waiting:
    """Events that wait for *write*."""

    def __init__(self, write: Write) -> None:
        self._write, self._events = write, deque[Event]()
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._events)

    def add(self, events: Sequence[Event]) -> None:
        """Puts *events* behind the others."""
        self._events.extend(events)
        while len(self._events) > MOST:
            self._events.popleft()
            self.dropped += 1

    async def flush(self) -> bool:
        """Writes the waiting events. False: some could not be written, and wait again."""
        for _ in range(-(-len(self._events) // AT_ONCE)):
            left: Sequence[Event] = [self._events.popleft() for _ in range(min(AT_ONCE, len(self._events)))]
            try:
                left = await self._write(left)
            finally:
                self._events.extendleft(reversed(left))
                self.add(())
            if left:
                return False
        return True


class Recorder:
    """The recorder of one worker; call it with each event. `write_forever` writes to *feed*, `finish` the last ones."""

    def __init__(self, feed: Feed, log: EventLog) -> None:
        self.feed, self._log = feed, log
        self._new: list[Event] = []  # since the last flush
        self._waiting = Waiting(self._append), Waiting(self._remember)
        self._bell, self._turn, self._is_losing = asyncio.Event(), asyncio.Lock(), False
        self._lost_before = 0

    def __call__(self, event: Event) -> None:
        self._new.append(event)
        self._bell.set()

    @property
    def dropped(self) -> int:
        """The number of events dropped while the store was unavailable."""
        return sum(each.dropped for each in self._waiting)

    async def write_forever(self) -> None:
        """Writes recorded events until cancelled."""
        while True:
            await self._bell.wait()
            await asyncio.sleep(GATHER_SECONDS)
            self._bell.clear()
            if not await self.flush():
                await asyncio.sleep(RETRY_SECONDS)
                self._bell.set()

    async def flush(self) -> bool:
        """Writes all recorded events. False: the store is unavailable."""
        async with self._turn:
            new, self._new = self._new, []
            for each in self._waiting:
                each.add(new)
            is_done = all([await each.flush() for each in self._waiting])
        self._note_losses(is_done)
        return is_done

    async def forget(self, user_id: str) -> None:
        """Removes the user's events from the feed and the history, but those of the forgetting itself."""
        await self.flush()
        await resolved(self.feed.forget(user_id))

    async def finish(self) -> None:
        """Writes what waits before the worker stops, for FINISH_SECONDS at most."""
        try:
            await asyncio.wait_for(self.flush(), FINISH_SECONDS)
        except TimeoutError:
            pass  # the store hangs; its outage is logged elsewhere
        await resolved(self.feed.close())

    def _note_losses(self, is_done: bool) -> None:
        before, self._lost_before = self._lost_before, self.dropped
        if self.dropped > before and not self._is_losing:
            self._log.warning(
                "feed_losing_events",
                note="the store is unavailable, and the oldest events that wait for it are dropped",
            )
        self._is_losing = self.dropped > before or (self._is_losing and not is_done)

    async def _append(self, events: Sequence[Event]) -> Sequence[Event]:
        try:
            await resolved(self.feed.append(events))
        except StoreUnavailable:
            return events
        return ()

    async def _remember(self, events: Sequence[Event]) -> Sequence[Event]:
        try:
            return await resolved(self.feed.remember(events))
        except StoreUnavailable:
            return events
