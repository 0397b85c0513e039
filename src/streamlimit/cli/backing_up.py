"""`streamlimit backup`: a copy of SQLite's file, as often as one likes, while the service runs."""

import time
from pathlib import Path

from streamlimit.bootstrap.engine import engine_of
from streamlimit.settings import Settings


def back_up_to(settings: Settings, file: Path) -> None:
    """Copies the store to *file*, and prints how large the copy is."""
    began = time.monotonic()
    size = engine_of(settings).back_up(file)
    print(f"backed up to {file}: {size} bytes in {time.monotonic() - began:.1f} s")
