"""Sweeps of one database take their steps in turns, so that viewers compete with one of them, never with several.

The turn is a lock of the database's folder (`flock`: SQLite's own locks are on its files). It is a courtesy, not a
safeguard: where it cannot be had, the sweep goes on without it. A process that dies gives it back.
"""

import fcntl
import os
from contextlib import suppress
from pathlib import Path

ELSEWHERE_SECONDS = 0.005
"""The pause before this process asks for its turn again: some three steps and pauses of the process that has it."""

TRIES = 20
"""After so many tries in vain a sweep steps all the same: the other process may have been stopped in its own step."""


class Turns:
    """The turns of one process that sweeps the database at *path*."""

    def __init__(self, path: str) -> None:
        self._folder: int | None = None
        with suppress(OSError):  # a folder may be closed to readers: then there are no turns
            self._folder = os.open(Path(path).absolute().parent, os.O_RDONLY)
        self._in_vain = 0

    def take(self) -> bool:
        """Begins a turn, unless another process has it."""
        if self._folder is not None and self._in_vain < TRIES:
            try:
                fcntl.flock(self._folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._in_vain += 1
                return False
            except OSError:  # a file system without such locks (NFS takes none on a folder): there are no turns
                self.close()
        self._in_vain = 0
        return True

    def give_back(self) -> None:
        """Ends the turn."""
        if self._folder is not None:
            fcntl.flock(self._folder, fcntl.LOCK_UN)

    def close(self) -> None:
        """Closes the folder; twice is once."""
        if self._folder is not None:
            os.close(self._folder)
            self._folder = None
