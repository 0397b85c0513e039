"""Carries SQLite's write-ahead log over into the database in a thread, so that no viewer waits for the disk.

Left to itself SQLite does so in the commit that finds the log long: two fsyncs, in the middle of the event loop.
And while several processes write without a pause it never finds the log at rest, which then grows without end.

It grows, too, while a reader takes long (a backup): no step waits for that, and it is logged.
"""

import os
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing

from msgspec import Struct

CHANGES = 2_000
"""After so many changes of one process the log is carried over: some megabytes."""

LONG_LOG_PAGES = 4_000
"""A log longer than this is made to start anew; who writes waits meanwhile for what came in since the first pass."""

BEHIND_PAGES = 1_000
"""With so much left by the first pass a reader uses what it could not carry over: starting anew would be in vain."""

TRIES = 50
PAUSE_SECONDS = 0.01
"""Tries of one checkpoint: another process may hold the lock at one of them. Nobody waits for the next."""


class Checkpoint(Struct, frozen=True):
    """The outcome of one round: the log's bytes afterwards, and why it could not be carried over, if so."""

    log_bytes: int
    problem: str | None = None


class Checkpointer:
    """Makes checkpoints of the database at *path* in a thread of its own, and passes each to *on_checkpoint*."""

    def __init__(self, path: str, on_checkpoint: Callable[[Checkpoint], None] = lambda checkpoint: None) -> None:
        self._path, self._on_checkpoint = path, on_checkpoint
        self._changes = 0
        self._due = threading.Event()
        self._thread: threading.Thread | None = None
        self._is_closed = False

    def changed(self, users: int = 1) -> None:
        """Changes of so many users more were committed."""
        before, self._changes = self._changes, self._changes + users
        if before // CHANGES < self._changes // CHANGES and not self._is_closed:
            if self._thread is None:
                self._thread = threading.Thread(target=self._forever, name="checkpoint", daemon=True)
                self._thread.start()
            self._due.set()

    def close(self) -> None:
        """Returns when the thread is gone. Twice is once."""
        self._is_closed = True
        self._due.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _forever(self) -> None:
        while self._due.wait() and not self._is_closed:
            self._due.clear()
            self._on_checkpoint(checkpoint_once(self._path))


def checkpoint_once(path: str) -> Checkpoint:
    """Carries over what is in the log, beside those who write; a long log starts anew. Waits for no reader.

    What stays is carried over the next time, all of it.
    """
    try:
        with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as db:
            problem = _carry_over(db)
    except sqlite3.Error as error:
        problem = str(error)
    return Checkpoint(log_bytes(path), problem)


def log_bytes(path: str) -> int:
    """How long the log of the database at *path* is."""
    try:
        return os.stat(f"{path}-wal").st_size
    except FileNotFoundError:
        return 0


def _carry_over(db: sqlite3.Connection) -> str | None:
    for number in range(TRIES):
        if number:
            time.sleep(PAUSE_SECONDS)
        is_busy, pages, carried = db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        if is_busy:
            continue  # another process is at it
        if pages <= LONG_LOG_PAGES:
            return None
        if pages - carried > BEHIND_PAGES:
            return "somebody reads for long: the log goes on growing until then"
        if not db.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()[0]:
            return None
    return "others are at it all the time"
