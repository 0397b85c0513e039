"""The catalog of the streams in a folder: each subfolder with a playlist is one. Changes are noticed without a restart.

A look-up costs a dict access and a comparison of times; every LIVE_SECONDS or VOD_SECONDS one look-up stats each of the
stream's playlists, and only a changed one is read again. A stream is read at its first look-up. While a playlist is bad
(half written, gone) the last good version is used for GRACE_SECONDS; then the stream is unavailable, and `problems`
says why.

May be used from several threads: the worst that can happen is that two of them read the same stream.
"""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from streamlimit.delivery.entry import FolderEntry, Problems, playlists_in, streams_of
from streamlimit.delivery.folders import Folders
from streamlimit.delivery.paths import absence, is_within, resolve
from streamlimit.delivery.reader import Reader, stamp_of
from streamlimit.delivery.reading import build_from, read_all
from streamlimit.delivery.stream import Stream
from streamlimit.errors import UnknownStream
from streamlimit.ids import wrong_with_id

LIVE_SECONDS = 0.25
VOD_SECONDS = 1.0
RESOLVED_SECONDS = 1.0
RESOLVED_KEPT = 20_000
LOOKED_AT = 8
"""Streams in one step of `look_over`: to read so many takes some milliseconds."""


class Catalog:
    """All streams under *folder*. *on_problem* is called as `Problems` says; *clock* gives monotonic seconds."""

    def __init__(
        self,
        folder: str | Path,
        on_problem: Callable[[str, str | None], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folder = Path(folder)
        self.problems = Problems(on_problem)
        self._root, self._clock = os.path.realpath(folder), clock
        self._entries: dict[str, FolderEntry] = {}
        self._folders = Folders(self._root)
        self._resolved: dict[tuple[str, str], str] = {}
        self._resolved_due = float("-inf")

    def streams(self) -> list[Stream]:
        """All streams that can be served, by id. Reads those never asked for, so it is not for a hot path."""
        for _ in self.look_over():
            pass
        return self.known()

    def look_over(self) -> Iterator[None]:
        """Looks at all streams as `streams` does, some at a time: between two steps others may have their turn."""
        self._scan(self._clock())
        for number, entry in enumerate(list(self._entries.values()), start=1):
            if self._entries.get(entry.stream_id) is entry:  # else it was removed meanwhile
                self._check(entry, self._clock())
            if number % LOOKED_AT == 0:
                yield

    def known(self) -> list[Stream]:
        """All streams that can be served, by id, as they were seen last."""
        return streams_of(self._entries.values())

    def stream(self, stream_id: str, fresh: bool = False) -> Stream:
        """The stream as of now, or of a moment ago; *fresh* looks at the disk whatever was seen a moment ago.

        Raises UnknownStream, or CatalogError where the folder holds playlists that cannot be served.
        """
        entry = self._entries.get(stream_id)
        if entry is not None and entry.stream is not None and self._clock() < entry.due and not fresh:
            return entry.stream
        return self._look(stream_id, fresh)

    def resolve(self, stream: Stream, path: str) -> str:
        """The regular file that *path* (decoded) names in the stream. Raises UnknownSegment.

        Results are cached for a second: following links costs ten times the rest of a request's look-ups.
        """
        now = self._clock()
        if now >= self._resolved_due or len(self._resolved) > RESOLVED_KEPT:
            self._resolved.clear()
            self._resolved_due = now + RESOLVED_SECONDS
        key = (stream.stream_id, path)
        found = self._resolved.get(key)
        if found is None:
            found = str(resolve(self._root, f"{self._root}/{stream.stream_id}", path))
            self._resolved[key] = found
        return found

    def others(self) -> list[str]:
        """The folders without a playlist, as of the last `streams`."""
        return sorted(name for name, entry in self._entries.items() if entry.stream is None and entry.problem is None)

    def missing(self, stream: Stream) -> list[str]:
        """The missing playlists that a master of the stream names."""
        entry = self._entries.get(stream.stream_id)
        return [] if entry is None else sorted(entry.missing)

    def absence(self, stream: Stream, path: str) -> str:
        """The reason why a file of the stream cannot be opened, in words for the operator."""
        return absence(self._root, f"{self._root}/{stream.stream_id}", path)

    def _look(self, stream_id: str, fresh: bool) -> Stream:
        now = self._clock()
        self._scan(now)
        if stream_id not in self._entries and self._folders.has(stream_id):
            self._add(stream_id)
        entry = self._entries.get(stream_id)
        if entry is None:
            raise UnknownStream(f"no stream {stream_id}")
        self._check(entry, now, fresh)
        return entry.served()

    def _scan(self, now: float) -> None:
        """Adds new folders and drops removed ones, if the folders are due to be listed."""
        names = self._folders.listed(now)
        if names is None:
            return
        for name in self._entries.keys() - names:
            self._remove(name)
        for name in sorted(names - self._entries.keys()):
            self._add(name)

    def _add(self, name: str) -> None:
        folder = f"{self._root}/{name}"
        wrong = wrong_with_id(name)
        if wrong is not None:
            if playlists_in(folder):
                self.problems.report(name, f"the folder's name is no stream id: it {wrong}")
        elif not is_within(self._root, os.path.realpath(folder)):
            self.problems.report(name, "the folder is a link that leads out of the streams folder")
        else:
            self._entries[name] = FolderEntry(name, folder)

    def _remove(self, name: str) -> None:
        self._entries.pop(name, None)
        self.problems.pop(name, None)

    def _check(self, entry: FolderEntry, now: float, fresh: bool = False) -> None:
        if now < entry.due and not fresh:
            return
        stamp = stamp_of(entry.folder)
        if stamp is None:
            entry.stream = entry.problem = None  # gone: the next scan drops it
            self._settle(entry)
        elif entry.has_changed(now) or entry.bad_since is not None:
            self._load(entry, now)
        is_calm = entry.stream is not None and not entry.stream.live and entry.bad_since is None
        entry.due = now + (VOD_SECONDS if is_calm else LIVE_SECONDS)

    def _load(self, entry: FolderEntry, now: float) -> None:
        """Reads the stream; a version that looks half written replaces a good one only after the grace time."""
        reader = Reader(self._root, entry.folder, entry.cache)
        reading = read_all(reader, entry.playlists)
        stream = build_from(reader, entry.stream_id, reading.listings, entry.stream)
        is_adopted = entry.adopt(stream, reading, now)
        # Only now: by its stamps another thread takes the entry for read, and serves what it has.
        entry.stamps, entry.lists_folders, entry.loaded_at = reader.stamps, reader.lists_folders, now
        if is_adopted:
            reader.forget_unused()
            self._settle(entry)

    def _settle(self, entry: FolderEntry) -> None:
        if entry.stream is None or not entry.stream.live:
            entry.cache.clear()  # the cache is for streams that change often
        self.problems.report(entry.stream_id, entry.problem)
