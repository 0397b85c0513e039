"""Carries SQLite's write-ahead log over into the database in a thread, so that no viewer waits for the disk.

Left to itself SQLite does so in the commit that finds the log long: two fsyncs, in the middle of the event loop.
And while several processes write without a pause it never finds the log at rest, which then grows without end.
"""

import sqlite3
import threading

CHANGES = 2_000
"""After so many changes of one process the log is carried over: some megabytes."""

LONG_LOG_PAGES = 4_000
"""A log longer than this is made to start anew; who writes waits meanwhile for what came in since the first pass."""

TURN_SECONDS = 1.0


class Checkpointer:
    """For the database at *path*; its thread and connection exist from the first time that they are needed."""

    def __init__(self, path: str) -> None:
        self._path = path
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
            try:
                checkpoint_once(self._path)
            except sqlite3.Error:
                pass  # the log stays as it is; the next time carries over all of it


def checkpoint_once(path: str) -> None:
    """Carries over what is in the log, beside those who write; a long log starts anew."""
    db = sqlite3.connect(path, timeout=TURN_SECONDS, isolation_level=None)
    try:
        pages = db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1]
        if pages > LONG_LOG_PAGES:
            db.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
    finally:
        db.close()
