"""One file as it was when it was opened, with its bytes.

Small files are kept in memory. Of others the descriptor is kept, and the kernel moves their bytes from its page cache
to the client (`Body.spans`, `Wire.pour`); where it cannot (TLS, another server), they are read in slices
(`Body.chunks`). Measured, a whole answer through TCP on loopback, µs of CPU, sent from memory / by sendfile: 10 KB 12 /
13, 32 KB 15 / 14, 64 KB 27 / 17, 100 KB 44 / 26, 3 MB 630 / 310.

Why no mmap: a file that is truncated while it is mapped kills the process with SIGBUS when the mapping is read, and no
check beforehand closes that window. Reading and sendfile at worst come up short.
"""

import os
import stat
from collections.abc import Iterator
from typing import Any, TypeVar

from streamlimit.delivery.paths import media_type
from streamlimit.errors import CatalogError

SMALL = 32 * 1024
SLICE = 256 * 1024
"""Bytes that are read at a time; slices of 64 KB are half as fast."""
SPAN = 4 * 1024 * 1024
"""Bytes given to the kernel at a time: 0.4 ms at most, and more than it takes for one connection."""
NOTES = 1_000
"""Most notes that are kept of one file."""

T = TypeVar("T")


class File:
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
        """Was the file written to in place, instead of being replaced?"""
        found = os.fstat(self.fd)
        return found.st_mtime_ns != self.modified_ns or found.st_size != self.size

    def is_deleted(self) -> bool:
        """Was the file deleted, or replaced by another one? Its space on the disk is free once it is closed."""
        return self.fd >= 0 and os.fstat(self.fd).st_nlink == 0

    def close(self) -> None:
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    __del__ = close

    def _load(self) -> None:
        """Reads the whole file into memory; its size becomes that of what was read, should it have shrunk."""
        self.content = os.pread(self.fd, self.size, 0)
        self.size = len(self.content)
        self.close()


class MemoryFile(File):
    """Bytes in memory, in the place of a file."""

    __slots__ = ()

    def __init__(self, content: bytes) -> None:
        self.fd, self.content, self.size = -1, content, len(content)
        self.modified_ns = self.inode = 0


class Body:
    """A file as it was when it was opened: `size` in bytes, a strong `etag` (with quotes), its media type.

    `content`: the bytes, where they are in memory: slices share them, and nothing is copied. `notes`: cached values
    about parts of it, by any key; dropped with it (see `keep`).
    """

    __slots__ = ("_file", "_path", "content", "etag", "media_type", "notes", "size")

    def __init__(self, file: File, path: str) -> None:
        self._file, self._path = file, path
        self.size, self.content = file.size, file.content
        self.etag = f'"{file.modified_ns:x}-{file.size:x}-{file.inode:x}"'
        self.media_type = media_type(path)
        self.notes: dict[tuple[Any, ...], Any] = {}

    def fileno(self) -> int:
        """The descriptor, open as long as this body is kept; -1 where it is in memory."""
        return self._file.fd

    def is_deleted(self) -> bool:
        """Was the file deleted, or replaced by another one, while its descriptor was kept?"""
        return self._file.is_deleted()

    def keep(self, about: tuple[Any, ...], note: T) -> T:
        """Caches *note* under the key *about*, and returns it."""
        if len(self.notes) >= NOTES:
            self.notes.clear()
        self.notes[about] = note
        return note

    def head(self, count: int) -> bytes:
        """The first bytes of the file, at most *count*."""
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
        """The bytes *first*–*last* as unread pieces of at most *most* bytes: pairs of first byte and length."""
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
        """The pieces; before the last of several the file is checked, so that no whole body mixes two versions."""
        start = first
        while first < end:
            count = min(most, end - first)
            if first + count == end and first > start and self._file.has_changed():
                raise CatalogError(f"{self._path} was changed while it was delivered")
            yield first, count
            first += count
