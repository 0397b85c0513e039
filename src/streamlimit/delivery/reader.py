"""The reader of one stream's files, which notices changes of those that were read. Parses no playlist."""

import os
import time
from collections.abc import Callable
from typing import TypeVar, cast

from streamlimit.delivery.paths import absence, resolve
from streamlimit.errors import CatalogError, UnknownSegment

T = TypeVar("T")

MAX_PLAYLIST = 32 * 1024 * 1024
"""Most bytes of a playlist; a live day in 2-second segments is 3 MB."""

RACY_NS = 20_000_000
"""A file changed this shortly before it was read may change again within the same tick of its mtime."""

Stamp = tuple[int, int, int] | None
"""The state of a file or folder: mtime (ns), size, inode; None: it does not exist."""

NEVER: Stamp = (-1, -1, -1)
"""A stamp that differs from every file's, so that the file is read again."""


def stamp_of(path: str) -> Stamp:
    """The present stamp of the file, by one stat."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def broken(path: str, problem: Exception) -> CatalogError:
    """The CatalogError for a playlist whose reading failed with *problem*."""
    kind = "" if isinstance(problem, ValueError) else f"{type(problem).__name__}: "
    return CatalogError(f"{path}: {kind}{_words(problem)}")


class Reader:
    """One reading of a stream. `stamps`: the stamps of all files and folders that were read, by absolute path.

    *cache* outlives the reading: unchanged files are not parsed again.
    """

    def __init__(self, root: str, folder: str, cache: dict[tuple[str, str], tuple[Stamp, object]]) -> None:
        self.root, self.folder = root, folder
        self.stamps: dict[str, Stamp] = {}
        self.lists_folders = False
        self._cache, self._used = cache, set[tuple[str, str]]()

    def parsed(self, path: str, how: str, parse: Callable[[str, T | None], T], errors: str = "strict") -> T:
        """The result of *parse* for the file's text and its earlier result, cached under the path and *how*.

        *errors*: the handling of invalid UTF-8, as in `bytes.decode`. Raises CatalogError.
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
        """The result of `parsed` for an earlier version of the file, or the value of `keep`, if the file exists."""
        known = self._cache.get((path, how))
        self._used.add((path, how))
        return known[1] if known and self.has(path) else None

    def keep(self, path: str, how: str, value: object) -> None:
        """Has `last_good` return *value* for the file from now on."""
        self._used.add((path, how))
        self._cache[path, how] = (NEVER, value)

    def read(self, path: str, first: int, last: int) -> bytes:
        """The bytes *first*–*last* (inclusive) of a file, fewer where it is shorter. Raises CatalogError."""
        self._note(path)
        try:
            with open(resolve(self.root, self.folder, path), "rb", buffering=0) as file:
                end = min(last + 1, os.fstat(file.fileno()).st_size, first + MAX_PLAYLIST)
                return os.pread(file.fileno(), end - first, first) if first < end else b""
        except (OSError, UnknownSegment) as problem:
            raise self._unreadable(path, problem) from None

    def size(self, path: str) -> int:
        """The size of a file in bytes; 0 where there is none."""
        stamp = self._note(path)
        return stamp[1] if stamp else 0

    def names(self, folder: str) -> list[str]:
        """The names of files in a folder of the stream (`""`: the stream's own); empty where there is none."""
        self.lists_folders = True
        full = f"{self.folder}/{folder}" if folder else self.folder
        self.stamps[full] = _settled(stamp_of(full))
        try:
            return os.listdir(full)
        except OSError:
            return []

    def has(self, path: str) -> bool:
        """Does the file exist? Its creation and removal count as changes."""
        return self._note(path) is not None

    def forget_unused(self) -> None:
        """Drops cached results that this reading did not use."""
        for key in list(self._cache):  # in one step: another thread may read the same stream
            if key not in self._used:
                self._cache.pop(key, None)

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
    """The text of *problem* without the folder's path, since callers see it."""
    return problem.strerror or "an error" if isinstance(problem, OSError) else str(problem)


def _settled(stamp: Stamp) -> Stamp:
    """The stamp, or NEVER where it may not change with the file."""
    if stamp is not None and abs(time.time_ns() - stamp[0]) < RACY_NS:
        return NEVER
    return stamp
