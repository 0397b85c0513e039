"""One folder of the catalog, and the playlists in it. Reads no playlist."""

import os

from streamlimit.delivery.paths import PLAYLIST_SUFFIXES, suffix_of
from streamlimit.delivery.reader import Stamp, stamp_of
from streamlimit.delivery.stream import Stream

RELIST_SECONDS = 2.0
"""How often the folder of a live stream is listed for playlists of new names; it may hold many files."""

LIST_SECONDS = 60.0
"""How often it is listed though nothing says that it changed; one without a stream each LOOK_SECONDS."""

LOOK_SECONDS = 1.0

ENTRY_NAMES = ("master", "index", "main", "playlist", "manifest", "stream")


class Entry:
    """One folder of the catalog. `problem`: why `stream` is None, unless it just is no stream."""

    def __init__(self, stream_id: str, folder: str) -> None:
        self.stream_id, self.folder = stream_id, folder
        self.stream: Stream | None = None
        self.problem: str | None = None
        self.due = 0.0
        self.playlists: list[str] = []
        self.listed_at = self.loaded_at = float("-inf")
        self.lists_folders = False
        self.folder_stamp: Stamp = None
        self.stamps: dict[str, Stamp] | None = None
        self.missing: set[str] = set()
        self.broken: set[str] = set()
        self.is_torn = False
        self.bad_since: float | None = None
        self.cache: dict[tuple[str, str], tuple[Stamp, object]] = {}

    def has_changed(self, now: float) -> bool:
        """One stat a playlist. Lists the folder, too, if it changed and was not listed just now."""
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
        # What was found by listing folders: some do not tell that they changed (folders.py).
        return live and self.lists_folders and now - self.loaded_at >= RELIST_SECONDS


def playlists_in(folder: str) -> list[str]:
    """The playlists right in the folder, HLS before DASH, the likeliest entry first."""
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    found = [name for name in names if suffix_of(name) in PLAYLIST_SUFFIXES and not name.startswith(".")]
    return sorted(found, key=playlist_rank)


def playlist_rank(name: str) -> tuple[bool, int, str]:
    stem, suffix = os.path.splitext(name.lower())
    rank = ENTRY_NAMES.index(stem) if stem in ENTRY_NAMES else len(ENTRY_NAMES)
    return suffix == ".mpd", rank, name
