"""What the catalog knows of one folder, and what folders and playlists are there. Reads no playlist."""

import os

from streamlimit.delivery.paths import PLAYLIST_SUFFIXES, suffix_of
from streamlimit.delivery.reader import Stamp, stamp_of
from streamlimit.delivery.stream import Stream

RELIST_SECONDS = 2.0
"""How often the folder of a live stream is listed for playlists of new names; it may hold many files."""

ENTRY_NAMES = ("master", "index", "main", "playlist", "manifest", "stream")


class Entry:
    """What the catalog knows of one folder. `problem`: why `stream` is None, unless it just is no stream."""

    def __init__(self, stream_id: str, folder: str) -> None:
        self.stream_id, self.folder = stream_id, folder
        self.stream: Stream | None = None
        self.problem: str | None = None
        self.due = 0.0
        self.playlists: list[str] = []
        self.listed_at = float("-inf")
        self.folder_stamp: Stamp = None
        self.stamps: dict[str, Stamp] | None = None
        self.missing: set[str] = set()
        self.broken: set[str] = set()
        self.is_torn = False
        self.bad_since: float | None = None
        self.cache: dict[tuple[str, str], tuple[Stamp, object]] = {}

    def has_changed(self, now: float) -> bool:
        """One stat a playlist. Lists the folder, too, if it changed and was not listed just now."""
        stamp = stamp_of(self.folder)
        live = self.stream is not None and self.stream.live
        if stamp != self.folder_stamp and not (live and now - self.listed_at < RELIST_SECONDS):
            self.folder_stamp, self.listed_at = stamp, now
            playlists = playlists_in(self.folder)
            if playlists != self.playlists:
                self.playlists = playlists
                return True
        stamps = self.stamps
        return stamps is None or any(stamp_of(path) != stamp for path, stamp in stamps.items())


def folders_in(root: str) -> set[str]:
    try:
        with os.scandir(root) as found:
            return {item.name for item in found if not item.name.startswith(".") and item.is_dir()}
    except OSError:
        return set()


def playlists_in(folder: str) -> list[str]:
    """The playlists right in the folder, HLS before DASH, the likeliest entry first."""
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    found = [name for name in names if suffix_of(name) in PLAYLIST_SUFFIXES and not name.startswith(".")]
    return sorted(found, key=_entry_rank)


def _entry_rank(name: str) -> tuple[bool, int, str]:
    stem, suffix = os.path.splitext(name.lower())
    rank = ENTRY_NAMES.index(stem) if stem in ENTRY_NAMES else len(ENTRY_NAMES)
    return suffix == ".mpd", rank, name
