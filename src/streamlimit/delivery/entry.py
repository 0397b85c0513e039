"""A stream as its catalog keeps it, and how a new version of its playlists is adopted. Reads no playlist."""

import os
import re
from collections.abc import Callable, Iterable

from streamlimit.delivery.paths import PLAYLIST_SUFFIXES, suffix_of
from streamlimit.delivery.reader import Stamp, stamp_of
from streamlimit.delivery.reading import Reading
from streamlimit.delivery.stream import Stream
from streamlimit.errors import CatalogError, UnknownStream

GRACE_SECONDS = 3.0
"""How long the last good version is used while playlists are bad (half written, gone)."""

RELIST_SECONDS = 2.0
"""How often the folder of a live stream is listed for playlists of new names; it may hold many files."""

LIST_SECONDS = 60.0
"""How often a folder is listed though its mtime is unchanged; one without a stream each LOOK_SECONDS."""

LOOK_SECONDS = 1.0

ENTRY_NAMES = ("master", "index", "main", "playlist", "manifest", "stream")


class Entry:
    """A catalog's entry of one stream. `problem`: why `stream` is None; `due`: when to check it again."""

    def __init__(self, stream_id: str) -> None:
        self.stream_id = stream_id
        self.stream: Stream | None = None
        self.problem: str | None = None
        self.due = float("-inf")
        self.playlists: list[str] = []
        self.missing: set[str] = set()
        self.cache: dict[tuple[str, str], tuple[Stamp, object]] = {}
        self.bad_since: float | None = None
        self._broken: set[str] = set()
        self._is_torn = False

    def served(self) -> Stream:
        """The stream. Raises CatalogError, or UnknownStream."""
        if self.stream is not None:
            return self.stream
        if self.problem is not None:
            raise CatalogError(f"the stream cannot be served: {self.problem}")
        raise UnknownStream(f"no stream {self.stream_id}")

    def adopt(self, stream: Stream | None, reading: Reading, now: float) -> bool:
        """Adopts a new version. False: it looks half written, and the last one is used for the grace time."""
        if self.stream is not None and self._is_doubtful(self.stream, stream, reading):
            self.bad_since = now if self.bad_since is None else self.bad_since
            if now - self.bad_since < GRACE_SECONDS:
                return False
        self.bad_since = None
        self.missing, self._broken, self._is_torn = reading.missing, set(reading.failures), reading.is_torn
        self.stream, self.problem = stream, reading.problem
        return True

    def _is_doubtful(self, old: Stream, new: Stream | None, reading: Reading) -> bool:
        """Does the new version look half written? Not by flaws that the last version had, too."""
        if new is None or reading.missing - self.missing or (reading.is_torn and not self._is_torn):
            return True
        if reading.failures.keys() - self._broken:
            return True
        if not old.main:
            return False
        if not new.main or old.entry not in new.files or (new.live and not old.live):
            return True
        is_shorter = len(new.main) < len(old.main)
        return new.live and is_shorter and new.main[0].sequence == old.main[0].sequence


class FolderEntry(Entry):
    """A stream in a folder, and the playlists there."""

    def __init__(self, stream_id: str, folder: str) -> None:
        super().__init__(stream_id)
        self.folder = folder
        self.listed_at = self.loaded_at = float("-inf")
        self.lists_folders = False
        self.folder_stamp: Stamp = None
        self.stamps: dict[str, Stamp] | None = None

    def has_changed(self, now: float) -> bool:
        """Has a playlist changed? Takes one stat each; lists the folder, too, if it changed and that is due."""
        stamp, since = stamp_of(self.folder), now - self.listed_at
        live = self.stream is not None and self.stream.live
        is_due = since >= (LIST_SECONDS if self.stream is not None else LOOK_SECONDS)
        if is_due or (stamp != self.folder_stamp and not (live and since < RELIST_SECONDS)):
            self.folder_stamp, self.listed_at = stamp, now
            playlists = playlists_in(self.folder)
            if playlists != self.playlists:
                self.playlists = playlists
                return True
        stamps = self.stamps
        if stamps is None or any(stamp_of(path) != stamp for path, stamp in stamps.items()):
            return True
        # Files found by listing folders, of which some do not change their mtime (folders.py).
        return live and self.lists_folders and now - self.loaded_at >= RELIST_SECONDS


def playlists_in(folder: str) -> list[str]:
    """The playlists directly in the folder, HLS before DASH, the likeliest entry first."""
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    found = [name for name in names if suffix_of(name) in PLAYLIST_SUFFIXES and not name.startswith(".")]
    return sorted(found, key=playlist_rank)


def playlist_rank(name: str) -> tuple[bool, int, str]:
    """The order in which a stream's playlists are tried as its entry: HLS first, then the usual names."""
    stem, suffix = os.path.splitext(name.lower())
    rank = ENTRY_NAMES.index(stem) if stem in ENTRY_NAMES else len(ENTRY_NAMES)
    return suffix == ".mpd", rank, name


def streams_of(entries: Iterable[Entry]) -> list[Stream]:
    """The streams of *entries*, by id."""
    return sorted((each.stream for each in entries if each.stream is not None), key=lambda stream: stream.stream_id)


class Problems(dict[str, str]):
    """The problems by stream id: why the stream, or a part of it, cannot be served.

    *on_change* is called once with each change: (stream id, reason), or (stream id, None) when it is over.
    """

    def __init__(self, on_change: Callable[[str, str | None], None] | None) -> None:
        super().__init__()
        self._on_change = on_change

    def report(self, stream_id: str, problem: str | None) -> None:
        """Sets the stream's problem; None: there is none."""
        known = self.pop(stream_id, None)
        if problem is not None:
            self[stream_id] = problem
        if self._on_change is not None and _without_numbers(problem) != _without_numbers(known):
            self._on_change(stream_id, problem)


def _without_numbers(problem: str | None) -> str | None:
    """A problem's text without numbers: as a live window slides, the same problem moves to another line."""
    return None if problem is None else re.sub(r"\d+", "", problem)
