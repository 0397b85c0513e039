"""`streamlimit backup`: a copy of SQLite's file, as often as one likes, while the service runs."""

import time
from pathlib import Path

from streamlimit.bootstrap.backup import back_up
from streamlimit.settings import Settings


def back_up_to(settings: Settings, file: Path) -> None:
    """Makes it, and says so."""
    began = time.monotonic()
    size = back_up(settings, file)
    print(f"backed up to {file}: {size} bytes in {time.monotonic() - began:.1f} s")
