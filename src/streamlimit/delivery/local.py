"""Opens the files of a stream for delivery. One that was asked for a moment ago costs a look into a dict.

Small files are kept whole in memory. Of others the descriptor is kept, and the kernel moves their bytes from its own
page cache to the client (`Body.spans`, `Wire.pour`); where it cannot (TLS, another server), they are read in slices
(`Body.chunks`). Measured, a whole answer through TCP on loopback, µs of CPU, sent from memory / by sendfile:
10 KB 12 / 13, 32 KB 15 / 14, 64 KB 27 / 17, 100 KB 44 / 26, 3 MB 630 / 310.

Why no mmap: a file that is truncated while it is mapped kills the process with SIGBUS when the mapping is
read, and no check beforehand closes that window. Reading and sendfile at worst come up short.
"""

import os
import stat
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from streamlimit.delivery.paths import media_type
from streamlimit.errors import CatalogError, UnknownSegment

SMALL = 32 * 1024
SLICE = 256 * 1024
"""Read at a time; slices of 64 KB are half as fast."""
SPAN = 4 * 1024 * 1024
"""Left to the kernel at a time: 0.4 ms at most, and as much as it ever takes of one connection."""
MAX_OPEN = 256
"""Descriptors kept open."""
MAX_BYTES = 64 * 1024 * 1024
"""Bytes of small files that are kept in memory."""

TRUSTED_SECONDS = 0.1
"""A file is looked at again after so long (one that is replaced is delivered as it was until then) …"""
NOTES = 1_000
"""Notes that are kept of one file."""

SETTLED_NS = 2_000_000_000
"""… but at once while it was changed so lately: its writer may not be done."""

T = TypeVar("T")
Key = tuple[str, int, int, int]
"""Path, mtime in ns, size, inode: another version of the file is another key."""


class _File:
    """One opened version of a file. Closes its descriptor with the last body that uses it."""

    __slots__ = ("content", "fd", "inode", "modified_ns", "size")

    def __init__(self, path: str) -> None:
        self.fd = -1
        # Not blocking: opening a pipe that someone put there must not hang.
        self.fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        found = os.fstat(self.fd)
        if not stat.S_ISREG(found.st_mode):
            raise OSError("no regular file")
        self.size, self.modified_ns, self.inode = found.st_size, found.st_mtime_ns, found.st_ino
        self.content: bytes | None = None
        if self.size <= SMALL:
            self._load()

    def has_changed(self) -> bool:
        """Did someone write into it, instead of replacing it?"""
        found = os.fstat(self.fd)
        return found.st_mtime_ns != self.modified_ns or found.st_size != self.size

    def close(self) -> None:
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    __del__ = close

    def _load(self) -> None:
        """Takes all of it into memory; as long as it is then, should it have become shorter."""
        self.content = os.pread(self.fd, self.size, 0)
        self.size = len(self.content)
        self.close()


class MemoryFile(_File):
    """Bytes in memory, in the place of a file."""

    __slots__ = ()

    def __init__(self, content: bytes) -> None:
        self.fd, self.content, self.size = -1, content, len(content)
        self.modified_ns = self.inode = 0


class Body:
    """A file as it was when it was opened: `size` in bytes, a strong `etag` (with quotes), its media type.

    `content`: all of it, where it is in memory. `notes`: what those who deliver it worked out about parts of it, by
    whatever names such a part; forgotten with it (see `keep`).
    """

    __slots__ = ("_file", "_path", "content", "etag", "media_type", "notes", "size")

    def __init__(self, file: _File, path: str) -> None:
        self._file, self._path = file, path
        self.size, self.content = file.size, file.content
        self.etag = f'"{file.modified_ns:x}-{file.size:x}-{file.inode:x}"'
        self.media_type = media_type(path)
        self.notes: dict[tuple[Any, ...], Any] = {}

    @property
    def is_in_memory(self) -> bool:
        """Does it lie in memory? Slices of it share one block then: nothing is copied."""
        return self.content is not None

    def fileno(self) -> int:
        """The descriptor, open as long as this body is kept; -1 where it is in memory."""
        return self._file.fd

    def note(self, about: tuple[Any, ...]) -> Any:
        """What was noted *about* a part of it, if it is still known."""
        return self.notes.get(about)

    def keep(self, about: tuple[Any, ...], note: T) -> T:
        """Notes it *about* a part of it, and returns it."""
        if len(self.notes) >= NOTES:
            self.notes.clear()
        self.notes[about] = note
        return note

    def head(self, count: int) -> bytes:
        """Its first bytes, at most so many."""
        return b"".join(self.chunks(0, min(count, self.size) - 1))

    def chunks(self, first: int = 0, last: int | None = None) -> Iterator[memoryview]:
        """The bytes *first*–*last* (inclusive; None: to the end) in slices of at most SLICE.

        Reads each slice when it is asked for. Raises CatalogError if the file was changed meanwhile.
        """
        content = self.content
        if content is None:
            return self._read(first, last)
        end = self.size if last is None else last + 1
        return iter((memoryview(content)[first:end],) if first < min(end, self.size) else ())

    def spans(self, first: int, last: int, most: int = SPAN) -> Iterator[tuple[int, int]]:
        """The same in pieces of at most so many bytes that were not read, as (first byte, how many)."""
        return self._cut(first, min(last + 1, self.size), most)

    def shortened(self) -> CatalogError:
        """The error to raise when a piece came up short."""
        return CatalogError(f"{self._path} became shorter while it was delivered")

    def _read(self, first: int, last: int | None) -> Iterator[memoryview]:
        end = self.size if last is None else min(last + 1, self.size)
        for at, count in self._cut(first, end, SLICE):
            piece = os.pread(self._file.fd, count, at)
            if piece:
                yield memoryview(piece)
            if len(piece) < count:
                raise self.shortened()

    def _cut(self, first: int, end: int, most: int) -> Iterator[tuple[int, int]]:
        """Before the last of several pieces it looks: no client gets all of a body that mixes two versions."""
        start = first
        while first < end:
            count = min(most, end - first)
            if first + count == end and first > start and self._file.has_changed():
                raise CatalogError(f"{self._path} was changed while it was delivered")
            yield first, count
            first += count


class LocalFiles:
    """The files that were opened lately: at most *max_open* descriptors, *max_bytes* in memory.

    Not for several threads at once: each worker's loop has one. What is being delivered stays open though
    it is pushed out, so that descriptors in use come on top of *max_open*. *clock*: monotonic seconds.
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
        """Looks at the file again when it is opened next: it is known to have changed."""
        self._trusted.pop(path, None)

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
        body = Body(_File(key[0]), key[0])
        self._keep(key, body)
        return body

    def _keep(self, key: Key, body: Body) -> None:
        if not body.is_in_memory:
            self._large[key] = body
            if len(self._large) > self._max_open:
                self._drop(self._large)
            return
        self._small[key] = body
        self._bytes += body.size
        while self._bytes > self._max_bytes:
            self._bytes -= self._drop(self._small).size

    def _drop(self, kept: OrderedDict[Key, Body]) -> Body:
        """The one that was longest not asked for."""
        key, body = kept.popitem(last=False)
        self._trusted.pop(key[0], None)
        return body
