"""Requests that are held until more of a low-latency stream is there (RFC 8216bis, 6.2.5.2 and 6.2.6).

However many requests wait for a stream, one timer looks at its playlists, and only while one waits. Knows no HTTP.
"""

import asyncio
from collections.abc import Callable

from msgspec import Struct

from streamlimit.delivery.catalog import Catalog
from streamlimit.delivery.segment import Edge
from streamlimit.delivery.stream import Stream
from streamlimit.errors import StreamlimitError

LOOK_SECONDS = 0.05
HELD_TARGETS = 3
"""A reload is held for as many target durations at most …"""
HINT_TARGETS = 2
"""… and a request for a hinted part for so many: a part plays no longer than one …"""
HELD_SECONDS = 60.0
"""… and never longer than this, whatever a playlist says."""
AHEAD = 2
"""How far behind the last listed segment the segment may be that a request waits for."""

IsThere = Callable[[Stream], bool]


class Reload(Struct, frozen=True):
    """A condition of a playlist request, to be met before it is answered: the segment, or (`part`) that part of it."""

    sequence: int
    part: int | None = None

    def is_met(self, edge: Edge) -> bool:
        """Does a playlist that has come so far hold it? A part beyond a segment's last is the first of the next."""
        if edge.sequence != self.sequence + 1:
            return edge.sequence > self.sequence or (
                edge.sequence == self.sequence and self.part is not None and edge.parts > self.part
            )
        return self.part is None or edge.parts > 0 or not edge.last_parts or self.part < edge.last_parts

    def is_too_far(self, edge: Edge) -> bool:
        """Can it not be what comes next?"""
        return self.sequence > edge.sequence - 1 + AHEAD


def held_seconds(edge: Edge, targets: int = HELD_TARGETS) -> float:
    """How long a request may wait for more of that playlist."""
    return min(targets * edge.target_seconds, HELD_SECONDS)


class Held:
    """All who wait, of one event loop."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._streams: dict[str, dict[asyncio.Future[bool], tuple[IsThere, float]]] = {}

    def wait(self, stream_id: str, is_there: IsThere, seconds: float) -> asyncio.Future[bool]:
        """Becomes true as soon as *is_there* is, false after so many seconds; who cancels it waits no more."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[bool] = loop.create_future()
        waiting = self._streams.get(stream_id)
        if waiting is None:
            waiting = self._streams[stream_id] = {}
            loop.call_later(LOOK_SECONDS, self._look, loop, stream_id)
        waiting[future] = (is_there, loop.time() + seconds)
        return future

    def _look(self, loop: asyncio.AbstractEventLoop, stream_id: str) -> None:
        """Answers the requests that need not wait any longer, and looks again where some are left."""
        stream, now = self._stream(stream_id), loop.time()
        left: dict[asyncio.Future[bool], tuple[IsThere, float]] = {}
        for future, (is_there, until) in self._streams.pop(stream_id).items():
            if future.done():
                continue  # its client left
            if stream is None or is_there(stream):
                future.set_result(True)
            elif now >= until:
                future.set_result(False)
            else:
                left[future] = (is_there, until)
        if left:
            self._streams[stream_id] = left
            loop.call_later(LOOK_SECONDS, self._look, loop, stream_id)

    def _stream(self, stream_id: str) -> Stream | None:
        try:
            return self._catalog.stream(stream_id, fresh=True)
        except StreamlimitError:
            return None  # the waiting requests find out why when they look themselves
