"""Checkpoints of SQLite's write-ahead log in a thread, so that no viewer waits for the disk.

SQLite's automatic checkpoint runs in the commit that finds the log long: two fsyncs in the event loop. And while
several processes write without a pause it never resets the log, which then grows without end.

The log also grows while a reader takes long (a backup): no step waits for that, and it is logged.
"""

import os
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from urllib.parse import quote

from msgspec import Struct

CHANGES = 2_000
"""Changes of one process between two checkpoints: some megabytes of log."""

LONG_LOG_PAGES = 4_000
"""A log longer than this is reset; writers wait while the pages since the first pass are copied."""

BEHIND_PAGES = 1_000
"""So many pages left by the first pass are in use by a reader: a reset would fail."""

TRIES = 50
PAUSE_SECONDS = 0.01
"""The pause between tries of one checkpoint, where another process holds the lock."""


class Checkpoint(Struct, frozen=True):
    """The outcome of a checkpoint: the log's bytes afterwards, and why it failed, if it did."""

    log_bytes: int
    problem: str | None = None


class Checkpointer:
    """Makes checkpoints of the database at *path* in a thread of its own, and passes each to *on_checkpoint*."""

    def __init__(self, path: str, on_checkpoint: Callable[[Checkpoint], None]) -> None:
        self._path, self._on_checkpoint = os.path.abspath(path), on_checkpoint  # the process may go to another folder
        self._changes = 0
        self._due = threading.Event()
        self._thread: threading.Thread | None = None
        self._is_closed = False

    def changed(self, users: int = 1) -> None:
        """Counts committed changes of *users*; after `CHANGES` a checkpoint is made."""
        before, self._changes = self._changes, self._changes + users
        if before // CHANGES < self._changes // CHANGES:
            self.make_soon()

    def make_soon(self) -> None:
        """Has a checkpoint made now, in the thread."""
        if self._is_closed:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._forever, name="checkpoint", daemon=True)
            self._thread.start()
        self._due.set()

    def close(self) -> None:
        """Stops the thread and waits for it. Twice is once."""
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
    """Makes one checkpoint beside writers, and resets a long log. Waits for no reader.

    Pages that it leaves are copied by the next one.
    """
    try:
        url = f"file:{quote(os.path.abspath(path))}?mode=rw"  # one that was deleted is not made anew
        with closing(sqlite3.connect(url, uri=True, timeout=0, isolation_level=None)) as db:
            problem = _carry_over(db)
    except sqlite3.Error as error:
        problem = str(error)
    return Checkpoint(log_bytes(path), problem)


def log_bytes(path: str) -> int:
    """The bytes of the log of the database at *path*."""
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
            continue  # another process makes one
        if pages <= LONG_LOG_PAGES:
            return None
        if pages - carried > BEHIND_PAGES:
            return "somebody reads for long: the log goes on growing until then"
        if not db.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()[0]:
            return None
    return "others are at it all the time"
