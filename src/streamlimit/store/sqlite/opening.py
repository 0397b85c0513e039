"""Opening a database file: a mode that only its owner can read, and errors in words.

The file holds the key that signs grants, so a user who may read it may watch as any other.
"""

import os
import sqlite3
import stat

from streamlimit.errors import StoreHindered, StoreLocked, StoreUnavailable
from streamlimit.logs import EventLog

MODE = 0o600

PASSING = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_PROTOCOL})
"""Primary result codes of temporary problems: a disk that is full or fails, no memory."""

OURS = (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError)
"""Errors that last: the setting is wrong."""


def make_private(path: str) -> None:
    """Makes the file at *path* and SQLite's files beside it readable and writable by their owner alone.

    A missing file is created. One that exists is not opened: closing it would release this process's other locks on it.
    """
    path = os.path.realpath(path)
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, MODE))
    except FileExistsError:
        for each in (path, f"{path}-wal", f"{path}-shm"):
            _tighten(each)


def _tighten(path: str) -> None:
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISREG(mode) and stat.S_IMODE(mode) & ~MODE:
            os.chmod(path, mode & MODE)
    except FileNotFoundError:
        return  # there is none beside the file, or SQLite has just removed it
    except OSError as error:  # another user's file, or a file system without modes: it works, and is said
        log = EventLog("streamlimit")
        log.warning("store_exposed", problem=f"others may read {os.path.basename(path)}: {error.strerror}")


class OpenedFile:
    """The identity of the file at *path* as it was when the database was opened."""

    def __init__(self, path: str) -> None:
        self._path = os.path.abspath(path)  # as SQLite keeps it: the process may go to another folder
        self._identity = _identity(self._path)

    def require(self) -> None:
        """Raises `StoreUnavailable` where the file was deleted or replaced since.

        What is written goes on into the old file until then, and a process that starts opens the new one: each would
        count seats of its own (sqlite.org/howtocorrupt.html, 1.4 and 4).
        """
        try:
            is_there = _identity(self._path) == self._identity
        except OSError:  # in doubt (a folder that was closed to this process) a write tells whether it can be used
            return
        if not is_there:
            raise StoreUnavailable(
                f"sqlite: {self._path} was deleted or replaced while the service used it; stop all its workers, put"
                " the right file in its place, start them"
            )


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_dev, found.st_ino


def cannot_open(path: str, error: sqlite3.Error | OSError, is_locked: bool) -> StoreUnavailable:
    """The error to raise for a file that cannot be opened: it is locked, its disk fails, or the setting is wrong."""
    words = f"sqlite: cannot open {path}: {error.strerror if isinstance(error, OSError) else error}"
    if is_locked:
        return StoreLocked(words)
    return (StoreHindered if _passes(path, error) else StoreUnavailable)(words)


def _passes(path: str, error: sqlite3.Error | OSError) -> bool:
    """Is the problem temporary: may it end without a change of the settings, or of the file's mode?"""
    if isinstance(error, OSError):
        return not isinstance(error, OURS)
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):  # also where a file beside it cannot be made
        return os.path.isfile(path) and (_is_mounted_read_only(path) or os.access(path, os.R_OK | os.W_OK))
    return code in PASSING


def _is_mounted_read_only(path: str) -> bool:
    return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
