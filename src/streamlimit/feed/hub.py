"""The hub of a worker's listeners: one reader of the feed, which polls a few times a second while there are any."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from streamlimit.errors import StoreUnavailable
from streamlimit.feed.frames import frame
from streamlimit.feed.window import MOST, Window
from streamlimit.store.contract import resolved
from streamlimit.store.feed import Feed

POLL_SECONDS = 0.25
PAGE = 500


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
