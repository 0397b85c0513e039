"""The names of the subfolders in the folder of streams. Does not look into them.

A folder's mtime is only a hint: some mounts (rclone, gcsfuse, some NAS) do not change it when something is added. So
the names are listed every minute in any case, and an unknown name is looked up by itself; such look-ups are limited,
since anybody may ask for any name.
"""

import os
import time

from streamlimit.delivery.reader import Stamp, stamp_of

SCAN_SECONDS = 1.0
LIST_SECONDS = 60.0
LOOKS = 100
"""Look-ups of unlisted names in a second; one costs 2 µs on a disk and a millisecond on a slow mount."""


class Folders:
    """The folders in *root* by name, without hidden ones."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._scan_due = self._list_due = float("-inf")
        self._stamp: Stamp = stamp_of("")
        self._looks, self._missed = LOOKS, set[str]()

    def listed(self, now: float) -> set[str] | None:
        """The names of the folders; None: they have not changed, or were listed just now."""
        if now < self._scan_due:
            return None
        self._scan_due = now + SCAN_SECONDS
        self._looks, self._missed = LOOKS, set()
        stamp = stamp_of(self._root)
        if stamp is not None and stamp == self._stamp and now < self._list_due:
            return None
        # A folder that changed just now is listed again: a second change may leave the same mtime.
        self._stamp = stamp if stamp and time.time_ns() - stamp[0] > 1e9 else None
        self._list_due = now + LIST_SECONDS
        return self._names()

    def has(self, name: str) -> bool:
        """Is there a folder of that name now? Also False beyond `LOOKS` in a second."""
        if self._looks <= 0 or name in self._missed or not name or name[0] == "." or "/" in name:
            return False
        self._looks -= 1
        if os.path.isdir(f"{self._root}/{name}"):
            return True
        self._missed.add(name)
        return False

    def _names(self) -> set[str] | None:
        """The names of the folders; None: listing failed, and is tried again in a second."""
        try:
            with os.scandir(self._root) as found:
                return {item.name for item in found if not item.name.startswith(".") and _is_folder(item)}
        except OSError:
            self._stamp = None
            return None


def _is_folder(item: os.DirEntry[str]) -> bool:
    """Is the entry a folder, or a link to one? Not a circular link, nor one through an unreadable folder."""
    try:
        return item.is_dir()
    except OSError:
        return False
