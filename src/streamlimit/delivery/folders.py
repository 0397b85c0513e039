"""The folders below the folder of streams. Knows none of them from inside.

A folder's time of change is a hint, not more: mounts exist (rclone, gcsfuse, some NAS) that do not change it when
something is added. So the names are listed anew every minute whatever it says, and a name that was not among them is
looked for by itself; of such looks there are only so many a second, for anybody may ask for any name.
"""

import os
import time

from streamlimit.delivery.reader import Stamp, stamp_of

SCAN_SECONDS = 1.0
LIST_SECONDS = 60.0
LOOKS = 100
"""At names that are not listed, each second; one costs 2 µs on a disk and a millisecond on a slow mount."""


class Folders:
    """The folders in *root*, but hidden ones, by name."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._scan_due = self._list_due = float("-inf")
        self._stamp: Stamp = stamp_of("")
        self._looks, self._missed = LOOKS, set[str]()

    def listed(self, now: float) -> set[str] | None:
        """Names of the folders; None: they have not changed, or were asked for just now."""
        if now < self._scan_due:
            return None
        self._scan_due = now + SCAN_SECONDS
        self._looks, self._missed = LOOKS, set()
        stamp = stamp_of(self._root)
        if stamp is not None and stamp == self._stamp and now < self._list_due:
            return None
        # Listed again next time if it changed just now: a second change may leave the same mtime.
        self._stamp = stamp if stamp and time.time_ns() - stamp[0] > 1e9 else None
        self._list_due = now + LIST_SECONDS
        return self._names()

    def has(self, name: str) -> bool:
        """Is there a folder of that name now? No, too, when there were too many such questions."""
        if self._looks <= 0 or name in self._missed or not name or name[0] == "." or "/" in name:
            return False
        self._looks -= 1
        if os.path.isdir(f"{self._root}/{name}"):
            return True
        self._missed.add(name)
        return False

    def _names(self) -> set[str] | None:
        """None: they cannot be listed at the moment, and are looked at again in a second."""
        try:
            with os.scandir(self._root) as found:
                return {item.name for item in found if not item.name.startswith(".") and _is_folder(item)}
        except OSError:
            self._stamp = None
            return None


def _is_folder(item: os.DirEntry[str]) -> bool:
    """Is the entry a folder, or a link to one? A link that leads in a circle, or through a closed folder, is none."""
    try:
        return item.is_dir()
    except OSError:
        return False
