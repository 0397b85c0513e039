"""Opening the file: pragmas, schema version, the clock's anchor, and waiting for another process's turn."""

import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from types import TracebackType
from typing import TypeVar

from streamlimit.errors import SettingsError, StoreLocked, StoreUnavailable
from streamlimit.store.sqlite import bodies, clock

T = TypeVar("T")

VERSION = 4
TURN_SECONDS = 0.5
"""How long to wait for other processes' transactions (each takes microseconds) before giving up."""

PAGE_BYTES = 2_048
"""Of a new file. A commit writes whole pages; a user with some sessions fits one."""

LONGEST_LOG_PAGES = 16_000
"""From here on each commit carries the log over by itself, should a checkpointer not keep up (or not run)."""


def named_queries() -> dict[str, str]:
    """The sections of queries.sql by their names."""
    text = files("streamlimit.store.sqlite").joinpath("queries.sql").read_text()
    parts = re.split(r"^-- name: (\w+)\n", text, flags=re.MULTILINE)[1:]
    return {name: body.strip() for name, body in zip(parts[::2], parts[1::2], strict=True)}


QUERIES = named_queries()


def connect(path: str) -> sqlite3.Connection:
    """An open connection to the file at *path*, its schema made or checked. Raises `StoreUnavailable`."""
    try:
        db = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
        db.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        in_turn(lambda: db.execute("PRAGMA journal_mode = WAL").fetchall())
        db.execute("PRAGMA synchronous = NORMAL")  # a killed process loses nothing; a power cut the last moments
        db.execute(f"PRAGMA wal_autocheckpoint = {LONGEST_LOG_PAGES}")
        in_turn(lambda: _migrate(db))
    except sqlite3.Error as error:
        kind = (
            StoreLocked if isinstance(error, sqlite3.OperationalError) and is_others_turn(error) else StoreUnavailable
        )
        raise kind(f"sqlite: cannot open {path}: {error}") from error
    return db


def in_turn(step: Callable[[], T]) -> T:
    """Runs *step*, again and again while another process has its turn.

    SQLite's own waiting starts at a millisecond; the turns waited for take some 20 µs.
    """
    deadline = time.monotonic() + TURN_SECONDS
    while True:
        try:
            return step()
        except sqlite3.OperationalError as error:
            if not is_others_turn(error):
                raise
            if time.monotonic() > deadline:
                raise
            time.sleep(0.000_05)


def is_others_turn(error: sqlite3.OperationalError) -> bool:
    """Is it only that another process is at it?"""
    return "locked" in str(error) or "busy" in str(error)


class Translated:
    """Whatever the driver raises becomes `StoreUnavailable`, here alone."""

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, sqlite3.Error):
            raise StoreUnavailable(f"sqlite: {error}") from error


translated = Translated()  # one for all: it knows nothing


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """One atomic step; `IMMEDIATE` takes the write lock before the first read, so nobody decides on old news."""
    in_turn(lambda: db.execute("BEGIN IMMEDIATE"))
    try:
        yield
        in_turn(lambda: db.execute("COMMIT"))
    except BaseException:
        if db.in_transaction:  # SQLite itself has ended it where the disk is full
            db.execute("ROLLBACK")
        raise


def _migrate(db: sqlite3.Connection) -> None:
    with transaction(db):
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            raise SettingsError("store", f"the file was made by a newer streamlimit (schema {version})")
        if version == 0:
            for statement in _statements(_schema()):
                db.execute(statement)
        if version == 1:
            _from_version_1(db)
        if version in (1, 2):
            db.execute(_table("unkept"))
        if version in (1, 2, 3):
            for statement in _statements(_schema()):
                if " grants" in statement:
                    db.execute(statement)
        db.execute(f"PRAGMA user_version = {VERSION}")
        _anchor_clock(db)


def _from_version_1(db: sqlite3.Connection) -> None:
    """Each user's row was JSON, and there was an index by time."""
    db.execute("ALTER TABLE ledgers RENAME TO old_ledgers")
    db.execute(_table("ledgers"))
    for user_id, body in db.execute("SELECT user_id, body FROM old_ledgers"):
        db.execute(QUERIES["save"], (user_id, *bodies.from_version_1(body)))
    db.execute("DROP TABLE old_ledgers")


def _table(name: str) -> str:
    return next(statement for statement in _statements(_schema()) if f"TABLE {name} " in statement)


def _schema() -> str:
    return files("streamlimit.store.sqlite").joinpath("schema.sql").read_text()


def _statements(script: str) -> list[str]:
    bare = re.sub(r"--[^\n]*", "", script)
    return [part for part in map(str.strip, bare.split(";")) if part]


def _anchor_clock(db: sqlite3.Connection) -> None:
    """Dates the uptime anew after a boot, and whenever nobody is on record whom a step could hurt."""
    row = db.execute(QUERIES["get_clock"]).fetchone()
    boot = clock.boot_id()
    is_empty = db.execute(QUERIES["count_ledgers"]).fetchone()[0] == 0
    if row is not None and row[0] == boot and not is_empty:
        return
    seen_ms = 0 if row is None or is_empty else row[2]
    db.execute(QUERIES["clear_clock"])
    db.execute(QUERIES["put_clock"], (boot, clock.offset_ms(seen_ms), seen_ms))
