"""Held requests of low-latency HLS, which wait until more of a stream exists (RFC 8216bis, 6.2.5.2 and 6.2.6).

For all requests that wait for a stream one timer checks its playlists. Knows no HTTP.
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
"""The longest time that a reload is held, in target durations."""
HINT_TARGETS = 2
"""The longest time that a request for a hinted part is held, in target durations: a part plays at most one."""
HELD_SECONDS = 60.0
"""The longest time that any request is held, whatever a playlist states."""
AHEAD = 2
"""How many segments after the last listed one a request may wait for."""

IsThere = Callable[[Stream], bool]


class Reload(Struct, frozen=True):
    """The condition of a playlist request: it is answered when the segment, or (`part`) that part of it, is listed."""

    sequence: int
    part: int | None = None

    def is_met(self, edge: Edge) -> bool:
        """Does a playlist with this edge meet the condition? A part beyond a segment's last is the next one's first."""
        if edge.sequence != self.sequence + 1:
            return edge.sequence > self.sequence or (
                edge.sequence == self.sequence and self.part is not None and edge.parts > self.part
            )
        return self.part is None or edge.parts > 0 or not edge.last_parts or self.part < edge.last_parts

    def is_too_far(self, edge: Edge) -> bool:
        """Is the condition too far ahead of the edge to be waited for?"""
        return self.sequence > edge.sequence - 1 + AHEAD


def held_seconds(edge: Edge, targets: int = HELD_TARGETS) -> float:
    """The longest time in seconds that a request may wait for that playlist."""
    return min(targets * edge.target_seconds, HELD_SECONDS)


class Held:
    """The held requests of one event loop."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._streams: dict[str, dict[asyncio.Future[bool], tuple[IsThere, float]]] = {}

    def wait(self, stream_id: str, is_there: IsThere, seconds: float) -> asyncio.Future[bool]:
        """A future: True as soon as *is_there* is, False after *seconds*. Cancelling it ends the wait."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[bool] = loop.create_future()
        waiting = self._streams.get(stream_id)
        if waiting is None:
            waiting = self._streams[stream_id] = {}
            loop.call_later(LOOK_SECONDS, self._look, loop, stream_id)
        waiting[future] = (is_there, loop.time() + seconds)
        return future

    def _look(self, loop: asyncio.AbstractEventLoop, stream_id: str) -> None:
        """Resolves the futures that need not wait any longer, and plans the next check if some are left."""
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
            return None  # the requests get the error when they look up the stream
