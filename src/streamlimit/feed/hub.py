"""The hub of a worker's listeners: one reader of the feed, which polls a few times a second while there are any."""

import asyncio
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from operator import attrgetter

from streamlimit.errors import StoreUnavailable
from streamlimit.feed.frames import Frame, frame
from streamlimit.store.contract import resolved
from streamlimit.store.feed import Feed, Place

POLL_SECONDS = 0.25
PAGE = 500
MOST = 2_000
"""Most events in the window: a listener that is further behind is closed."""


class Window:
    """The last events that were read of the feed: all behind `start` up to `end`, at most *most* of them."""

    def __init__(self, place: Place, most: int) -> None:
        self.start = self.end = place
        self._most = most
        self._frames: list[Frame] = []

    def covers(self, place: Place) -> bool:
        """Does the window contain every event behind *place*?"""
        return self.start <= place <= self.end

    def add(self, frames: Iterable[Frame]) -> None:
        """Appends the next events."""
        self._frames += frames
        too_many = len(self._frames) - self._most
        if too_many > 0:
            self.start = self._frames[too_many - 1].place
            del self._frames[:too_many]
        if self._frames:
            self.end = self._frames[-1].place

    def after(self, place: Place) -> list[Frame]:
        """The events behind *place*, which the window covers."""
        return self._frames[bisect_right(self._frames, place, key=attrgetter("place")) :]


class Hub:
    """Reads *feed* for all listeners.

    `window`: what was read, None: nothing yet; `is_away`: the store is unavailable.
    """

    def __init__(self, feed: Feed, most: int = MOST) -> None:
        self.feed, self._most = feed, most
        self.window: Window | None = None
        self.is_away = False
        self._listeners = 0
        self._wanted = asyncio.Event()
        self._changed: asyncio.Future[None] | None = None

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Counts a listener for as long as the block lasts."""
        self._listeners += 1
        self._wanted.set()
        try:
            yield
        finally:
            self._listeners -= 1
            if not self._listeners:
                self._wanted.clear()
                self.window, self.is_away = None, False

    @property
    def listeners(self) -> int:
        """The number of listeners."""
        return self._listeners

    def changed(self) -> "asyncio.Future[None]":
        """A future that is done when the window has new events, or the store becomes unavailable or recovers."""
        if self._changed is None or self._changed.done():
            self._changed = asyncio.get_running_loop().create_future()
        return self._changed

    def wake(self) -> None:
        """Wakes all listeners, though there may be no new event: their credentials may have changed."""
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)

    async def read_forever(self) -> None:
        """Polls the feed until cancelled."""
        while True:
            await self._wanted.wait()
            if not await self.read_once():
                await asyncio.sleep(POLL_SECONDS)

    async def read_once(self) -> bool:
        """Reads new entries once. True: there may be more at once."""
        window = self.window
        try:
            page = await resolved(self.feed.read(None if window is None else window.end, PAGE))
        except StoreUnavailable:
            self._note(is_away=True, is_new=False)
            return False
        if window is None or not page.is_whole:
            # A listener that is behind has to begin anew, and learns of the gap then.
            self.window = Window(page.newest, self._most) if self._listeners else None
            self._note(is_away=False, is_new=True)
            return False
        window.add(map(frame, page.entries))
        self._note(is_away=False, is_new=bool(page.entries))
        return len(page.entries) == PAGE

    def _note(self, is_away: bool, is_new: bool) -> None:
        if is_new or is_away != self.is_away:
            self.wake()
        self.is_away = is_away
