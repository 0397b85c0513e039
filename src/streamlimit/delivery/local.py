"""Files of streams, opened for delivery and cached: one opened a moment ago costs a dict look-up."""

import asyncio
import os
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from streamlimit.delivery.body import Body, File
from streamlimit.delivery.catalog import Catalog
from streamlimit.delivery.segment import Segment
from streamlimit.delivery.stream import Stream
from streamlimit.errors import UnknownSegment
from streamlimit.logs import EventLog

MAX_OPEN = 256
"""Descriptors kept open."""
MAX_BYTES = 64 * 1024 * 1024
"""Bytes of small files that are kept in memory."""

TRUSTED_SECONDS = 0.1
"""How long an opened file is used without a stat; until then a replaced file is delivered as it was."""

LET_GO_SECONDS = 2.0
"""How often deleted files are looked for; it takes 0.2 ms where `MAX_OPEN` are kept."""

SETTLED_NS = 2_000_000_000
"""A file changed more recently is checked each time: its writer may not be done."""

MOST_LOGGED = 1_000
"""Most missing files that are remembered as logged."""

Key = tuple[str, int, int, int]
"""Path, mtime in ns, size, inode: each version of a file has its own key."""

log = EventLog("streamlimit")


class LocalFiles:
    """A cache of opened files: at most *max_open* descriptors, *max_bytes* in memory.

    Not thread-safe: each worker's loop has one. Files in use stay open though evicted, so that their descriptors come
    on top of *max_open*. *clock*: monotonic seconds.
    """

    def __init__(
        self, max_open: int = MAX_OPEN, max_bytes: int = MAX_BYTES, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._max_open, self._max_bytes, self._clock = max_open, max_bytes, clock
        self._trusted: dict[str, tuple[Body, float]] = {}
        self._small: OrderedDict[Key, Body] = OrderedDict()
        self._large: OrderedDict[Key, Body] = OrderedDict()
        self._bytes = 0

    def open(self, path: str | Path) -> Body:
        """The regular file at *path* (absolute, as `Catalog.resolve` returns it). Raises UnknownSegment."""
        name, now = path if type(path) is str else os.fspath(path), self._clock()
        trusted = self._trusted.get(name)
        if trusted is not None and now < trusted[1]:
            return trusted[0]
        try:
            found = os.stat(name)
            body = self._version((name, found.st_mtime_ns, found.st_size, found.st_ino))
        except (OSError, ValueError):
            self._trusted.pop(name, None)
            raise UnknownSegment(f"{name} cannot be opened") from None
        self._trust(name, body, found.st_mtime_ns, now)
        return body

    def forget(self, path: str) -> None:
        """Has the file checked when it is opened next: it is known to have changed."""
        self._trusted.pop(path, None)

    def let_go(self) -> None:
        """Drops files that were deleted: an open one goes on taking its space on the disk."""
        for key, body in [each for each in self._large.items() if each[1].is_deleted()]:
            del self._large[key]
            self._release(key, body)

    def close(self) -> None:
        """Drops all files; those that no request is delivering are closed at once."""
        self._trusted.clear()
        self._small.clear()
        self._large.clear()
        self._bytes = 0

    def _trust(self, name: str, body: Body, modified_ns: int, now: float) -> None:
        if time.time_ns() - modified_ns >= SETTLED_NS:
            self._trusted[name] = (body, now + TRUSTED_SECONDS)
        else:
            self._trusted.pop(name, None)

    def _version(self, key: Key) -> Body:
        for kept in (self._small, self._large):
            body = kept.get(key)
            if body is not None:
                kept.move_to_end(key)
                return body
        body = Body(File(key[0]), key[0])
        self._keep(key, body)
        return body

    def _keep(self, key: Key, body: Body) -> None:
        if body.content is None:
            self._large[key] = body
            if len(self._large) > self._max_open:
                self._drop(self._large)
            return
        self._small[key] = body
        self._bytes += body.size
        while self._bytes > self._max_bytes:
            self._bytes -= self._drop(self._small).size

    def _drop(self, kept: OrderedDict[Key, Body]) -> Body:
        """Evicts and returns the least recently used body."""
        key, body = kept.popitem(last=False)
        self._release(key, body)
        return body

    def _release(self, key: Key, body: Body) -> None:
        self._trusted.pop(key[0], None)
        body.notes.clear()  # they refer to it: without them its file is closed with its last request, at once


class StreamFiles:
    """Opens the files of streams, at the paths that the catalog resolves."""

    def __init__(self, catalog: Catalog, files: LocalFiles) -> None:
        self._catalog, self._files = catalog, files
        self._logged: set[tuple[str, str]] = set()

    def open(self, stream: Stream, path: str) -> Body:
        """The file at *path* of the stream. Raises UnknownSegment, which is logged once for a listed one."""
        try:
            return self._files.open(self._catalog.resolve(stream, path))
        except UnknownSegment:
            if path in stream.files and path not in stream.hints:
                self._tell(stream, path)
            raise

    def open_segment(self, stream: Stream, segment: Segment) -> Body:
        """The file of *segment*. Raises UnknownSegment, also where the file ends before the segment does."""
        body = self.open(stream, segment.path)
        if segment.last is not None and segment.last >= body.size:
            raise UnknownSegment(f"{segment.path} has only {body.size} bytes")
        return body

    def forget(self, stream: Stream, path: str) -> None:
        """Has the file checked when it is opened next: it is known to have changed."""
        self._files.forget(self._catalog.resolve(stream, path))

    async def let_go_forever(self) -> None:
        """Drops deleted files every few seconds, until cancelled."""
        while True:
            await asyncio.sleep(LET_GO_SECONDS)
            self._files.let_go()

    def _tell(self, stream: Stream, path: str) -> None:
        about = (stream.stream_id, path)
        if about in self._logged:
            return
        if len(self._logged) >= MOST_LOGGED:
            self._logged.clear()
        self._logged.add(about)
        log.warning("file_missing", stream_id=stream.stream_id, file=path, problem=self._catalog.absence(stream, path))
