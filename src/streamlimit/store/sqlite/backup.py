"""A copy of the database as it is at one moment, made while others read and write. Nobody waits for it.

SQLite's backup copies all pages under one reader's snapshot, the log's among them. They go into a file beside the one
that is wanted, which takes its place when it is whole and on the disk: an earlier copy is there until then.
"""

import os
import sqlite3
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from streamlimit.errors import StoreUnavailable

LOCKED_SECONDS = 10.0
"""How long to wait for a lock of another process that excludes readers."""

RETRY_SECONDS = 0.05
MAGIC = b"SQLite format 3\0"


def back_up(path: str, into: Path) -> int:
    """Copies the database at *path* to *into*, replacing an older copy. Returns its bytes. Raises `StoreUnavailable`.

    The copy is one file that only its owner may read: it holds the key that signs grants.
    """
    try:
        _require_sense(Path(path), into)
        handle, name = tempfile.mkstemp(prefix=f".{into.name}.", dir=into.absolute().parent)  # 0600
        os.close(handle)
        try:
            _copy(path, name)
            _put(name, into)
        finally:
            Path(name).unlink(missing_ok=True)
        return into.stat().st_size
    except (sqlite3.Error, OSError) as error:
        raise StoreUnavailable(f"sqlite: cannot back up to {into}: {error}") from error


def _require_sense(path: Path, into: Path) -> None:
    if not path.is_file():
        raise StoreUnavailable(f"sqlite: there is no database at {path}")
    if into.is_dir():
        raise StoreUnavailable(f"sqlite: {into} is a folder; name a file")
    its_own = [path, *(path.with_name(path.name + end) for end in ("-wal", "-shm"))]
    if into.resolve() in [each.resolve() for each in its_own]:
        raise StoreUnavailable(f"sqlite: {into} is the database itself")
    if into.exists() and not _is_copy(into):
        raise StoreUnavailable(f"sqlite: {into} is there, and is no copy of a database: it is not replaced")


def _is_copy(into: Path) -> bool:
    """May *into* be replaced? Only a database of this kind: no device (`/dev/null`), no other file."""
    if not into.is_file():
        return False
    with into.open("rb") as file:
        return file.read(len(MAGIC)) in (MAGIC, b"")


def _copy(path: str, name: str) -> None:
    """Copies the database at *path* to *name*, as one file without a log, and checks the copy by reading it once."""
    url = f"file:{quote(os.path.abspath(path))}?mode=rw"
    with closing(sqlite3.connect(url, uri=True, timeout=0)) as db, closing(sqlite3.connect(name)) as copy:
        copy.execute("PRAGMA synchronous = OFF")  # the whole file is synced at the end
        db.backup(copy, progress=_impatience(), sleep=RETRY_SECONDS)
        copy.execute("PRAGMA journal_mode = DELETE").fetchone()
        if copy.execute("PRAGMA user_version").fetchone()[0] == 0:
            raise StoreUnavailable(f"sqlite: {path} is no database of streamlimit")
        problem = copy.execute("PRAGMA quick_check(1)").fetchone()[0]
        if problem != "ok":
            raise StoreUnavailable(f"sqlite: {path} is damaged: {problem}")


def _impatience() -> Callable[[int, int, int], None]:
    """The callback of SQLite's backup, which gives up after `LOCKED_SECONDS` of a lock.

    One step makes the whole copy.
    """
    until = time.monotonic() + LOCKED_SECONDS

    def note_step(status: int, remaining: int, total: int) -> None:
        if status in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) and time.monotonic() > until:
            raise sqlite3.OperationalError("database is locked")

    return note_step


def _put(name: str, into: Path) -> None:
    """Syncs the copy at *name*, renames it to *into*, and syncs the folder."""
    _sync(name)
    os.replace(name, into)
    _sync(into.absolute().parent)


def _sync(path: str | Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
