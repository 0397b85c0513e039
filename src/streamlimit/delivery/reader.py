"""Reads the playlists of one stream, and notices when one of them changes. Understands none of them."""

import os
import time
from collections.abc import Callable
from typing import TypeVar, cast

from streamlimit.delivery.paths import absence, resolve
from streamlimit.errors import CatalogError, UnknownSegment

T = TypeVar("T")

MAX_PLAYLIST = 32 * 1024 * 1024
"""Bytes; a day of live in 2-second segments is 3 MB."""

RACY_NS = 20_000_000
"""A file changed so shortly before it was read may change again within the same tick of its mtime."""

Stamp = tuple[int, int, int] | None
"""mtime (ns), size, inode of a file or folder; None: not there."""

NEVER: Stamp = (-1, -1, -1)
"""Differs from every file's stamp: look again."""


def stamp_of(path: str) -> Stamp:
    """How the file looks now: one stat, no reading."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def broken(path: str, problem: Exception) -> CatalogError:
    """The error to raise when reading the playlist failed by *problem*, of any kind."""
    kind = "" if isinstance(problem, ValueError) else f"{type(problem).__name__}: "
    return CatalogError(f"{path}: {kind}{_words(problem)}")


class Reader:
    """One reading of a stream. `stamps` tells by absolute path what everything looked like that was read.

    *cache* outlives the reading: what was parsed from a file that has not changed is not parsed again.
    """

    def __init__(self, root: str, folder: str, cache: dict[tuple[str, str], tuple[Stamp, object]]) -> None:
        self.root, self.folder = root, folder
        self.stamps: dict[str, Stamp] = {}
        self.lists_folders = False
        self._cache, self._used = cache, set[tuple[str, str]]()

    def parsed(self, path: str, how: str, parse: Callable[[str, T | None], T], errors: str = "strict") -> T:
        """*parse* of the file's text and of what it gave before; *how* tells apart the parsings of one file.

        *errors*: what becomes of bytes that are no UTF-8, as `bytes.decode` has it. Raises CatalogError.
        """
        key = (path, how)
        stamp = self._note(path)
        known = self._cache.get(key)
        self._used.add(key)
        before = cast("T | None", known[1] if known else None)
        if before is not None and known is not None and known[0] == stamp != NEVER:
            return before
        value = parse(self._text(path, errors), before)
        self._cache[key] = (stamp, value)
        return value

    def last_good(self, path: str, how: str) -> object | None:
        """The result of `parsed` for an earlier version of the file, or of `keep`, where the file is there."""
        known = self._cache.get((path, how))
        self._used.add((path, how))
        return known[1] if known and self.has(path) else None

    def keep(self, path: str, how: str, value: object) -> None:
        """Has `last_good` give *value* for the file from now on."""
        self._used.add((path, how))
        self._cache[path, how] = (NEVER, value)

    def read(self, path: str, first: int, last: int) -> bytes:
        """Bytes *first*–*last* (inclusive) of a file, or fewer: as many as it has. Raises CatalogError."""
        self._note(path)
        try:
            with open(resolve(self.root, self.folder, path), "rb", buffering=0) as file:
                end = min(last + 1, os.fstat(file.fileno()).st_size, first + MAX_PLAYLIST)
                return os.pread(file.fileno(), end - first, first) if first < end else b""
        except (OSError, UnknownSegment) as problem:
            raise self._unreadable(path, problem) from None

    def size(self, path: str) -> int:
        """Bytes of a file, 0 where there is none."""
        stamp = self._note(path)
        return stamp[1] if stamp else 0

    def names(self, folder: str) -> list[str]:
        """Files in a folder of the stream (`""` is the stream's own); empty where there is none."""
        self.lists_folders = True
        full = f"{self.folder}/{folder}" if folder else self.folder
        self.stamps[full] = _settled(stamp_of(full))
        try:
            return os.listdir(full)
        except OSError:
            return []

    def has(self, path: str) -> bool:
        """Is the file there? Its coming and going counts as a change."""
        return self._note(path) is not None

    def forget_unused(self) -> None:
        """Drops from the cache what this reading did not ask for."""
        for key in [key for key in self._cache if key not in self._used]:
            del self._cache[key]

    def _note(self, path: str) -> Stamp:
        full = f"{self.folder}/{path}"
        stamp = self.stamps[full] = _settled(stamp_of(full))
        return stamp

    def _unreadable(self, path: str, problem: Exception) -> CatalogError:
        why = _words(problem) if isinstance(problem, OSError) else f"it {absence(self.root, self.folder, path)}"
        return CatalogError(f"{path} cannot be read: {why}")

    def _text(self, path: str, errors: str) -> str:
        try:
            with open(resolve(self.root, self.folder, path), "rb") as file:
                content = file.read(MAX_PLAYLIST + 1)
        except (OSError, UnknownSegment) as problem:
            raise self._unreadable(path, problem) from None
        if len(content) > MAX_PLAYLIST:
            raise CatalogError(f"{path} is over {MAX_PLAYLIST} bytes")
        try:
            return content.decode("utf-8-sig", errors)
        except UnicodeDecodeError:
            raise CatalogError(f"{path} is not UTF-8 text") from None


def _words(problem: Exception) -> str:
    """Without the folder's own place on this machine: callers get to read it."""
    return problem.strerror or "an error" if isinstance(problem, OSError) else str(problem)


def _settled(stamp: Stamp) -> Stamp:
    """The stamp, or NEVER where it cannot be trusted to change with the file."""
    if stamp is not None and abs(time.time_ns() - stamp[0]) < RACY_NS:
        return NEVER
    return stamp
