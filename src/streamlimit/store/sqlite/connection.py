"""Connections to the file: pragmas, schema version, the clock's offset, and waiting for another process's lock."""

import re
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.resources import files
from types import TracebackType
from typing import TypeVar

import msgspec

from streamlimit.errors import SettingsError, StoreLocked, StoreUnavailable
from streamlimit.rules.ledger import Ledger, Seat
from streamlimit.store.rule_store import decode, encode
from streamlimit.store.sqlite import clock
from streamlimit.store.sqlite.opening import cannot_open, make_private

T = TypeVar("T")

VERSION = 7
LOCK_WAIT_SECONDS = 0.5
"""How long to wait for other processes' transactions (each takes microseconds) before giving up."""

LOOP_SECONDS = 0.002
"""As `LOCK_WAIT_SECONDS`, in an event loop, where the whole process waits; a timer waits longer (patience.py)."""

SPARED_SECONDS = 0.25
"""How long after a failed wait each step is tried only once."""

PAGE_BYTES = 2_048
"""Bytes of a page of a new file. A commit writes whole pages; a user with some sessions fits one."""


MOST_LOG_BYTES = 32 * 2**20
"""Bytes to which a longer log is truncated when it is reset."""


def named_queries() -> dict[str, str]:
    """The sections of queries.sql by their names."""
    text = files("streamlimit.store.sqlite").joinpath("queries.sql").read_text()
    parts = re.split(r"^-- name: (\w+)\n", text, flags=re.MULTILINE)[1:]
    return {name: body.strip() for name, body in zip(parts[::2], parts[1::2], strict=True)}


QUERIES = named_queries()


opening_seconds = ContextVar("opening_seconds", default=LOCK_WAIT_SECONDS)
"""How long opening the file may block: `LOOP_SECONDS` where viewers are served already (lazy_store.py)."""


class Connection(sqlite3.Connection):
    """A connection that knows how long to wait for the lock, and until when it does not, after a failed wait."""

    patience_seconds = LOCK_WAIT_SECONDS
    spared_until = float("-inf")

    def run(self, name: str, *values: str | int | bytes | None) -> sqlite3.Cursor:
        """Runs the query of that name."""
        return self.execute(QUERIES[name], values)

    def run_each(self, name: str, rows: Iterable[tuple[str | int | bytes | None, ...]]) -> None:
        """Runs the query of that name with each of *rows*."""
        self.executemany(QUERIES[name], rows)


def connect(path: str, patience_seconds: float = LOCK_WAIT_SECONDS) -> Connection:
    """An open connection to the file at *path*, its schema made or checked. Raises `StoreUnavailable`.

    Nothing is written where the schema is current: a file on a full disk can still be read.
    """
    try:
        make_private(path)
        db = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False, factory=Connection)
        db.patience_seconds = opening_seconds.get()
        db.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        when_unlocked(db, lambda: db.execute("PRAGMA journal_mode = WAL").fetchall())
        db.execute("PRAGMA synchronous = NORMAL")  # a killed process loses nothing; a power cut the last moments
        db.execute(f"PRAGMA journal_size_limit = {MOST_LOG_BYTES}")
        db.execute("PRAGMA wal_autocheckpoint = 0")  # a commit waits for no disk: checkpoint.py has a thread for it
        if not when_unlocked(db, lambda: _is_current(db)):
            _migrate(db)
        db.patience_seconds, db.spared_until = patience_seconds, float("-inf")
    except (sqlite3.Error, OSError) as error:
        raise cannot_open(path, error, is_locked(error)) from error
    return db


def when_unlocked(db: Connection, step: Callable[[], T]) -> T:
    """The result of *step*, which is tried again while another process holds the lock.

    SQLite's own waiting starts at a millisecond; the transactions waited for take some 20 µs.
    """
    deadline = time.monotonic() + db.patience_seconds
    while True:
        try:
            return step()
        except sqlite3.OperationalError as error:
            now = time.monotonic()
            if not is_locked(error) or now < db.spared_until:
                raise
            if now > deadline:
                db.spared_until = now + SPARED_SECONDS
                raise
            time.sleep(0.000_05)


def is_locked(error: Exception) -> bool:
    """Is *error* only that another process holds the lock?"""
    return isinstance(error, sqlite3.OperationalError) and ("locked" in str(error) or "busy" in str(error))


def unavailable(error: sqlite3.Error) -> StoreUnavailable:
    """The `StoreUnavailable` for an *error* of the driver."""
    return (StoreLocked if is_locked(error) else StoreUnavailable)(f"sqlite: {error}")


class Translated:
    """A context manager that turns the driver's errors into `StoreUnavailable`; nothing else does."""

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, sqlite3.Error):
            raise unavailable(error) from error


translated = Translated()  # one for all: it has no state


@contextmanager
def transaction(db: Connection) -> Iterator[None]:
    """A transaction; `IMMEDIATE` locks before the first read, so that no decision is made on an old one."""
    when_unlocked(db, lambda: db.execute("BEGIN IMMEDIATE"))
    try:
        yield
        when_unlocked(db, lambda: db.execute("COMMIT"))
    except BaseException:
        if db.in_transaction:  # SQLite itself has ended it where the disk is full
            db.execute("ROLLBACK")
        raise


def _is_current(db: Connection) -> bool:
    """Is the schema current, and the clock's offset of this boot? Then nothing is to be written."""
    if db.execute("PRAGMA user_version").fetchone()[0] != VERSION:
        return False
    row = db.run("get_clock").fetchone()
    return row is not None and row[0] == clock.boot_id() and db.run("count_ledgers").fetchone()[0] > 0


def _migrate(db: Connection) -> None:
    with transaction(db):
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            raise SettingsError("store", f"the file was made by a newer streamlimit (schema {version})")
        if version == 1:
            _from_version_1(db)
        if version in (5, 6):
            _from_version_6(db)
        _make_missing(db)
        db.execute(f"PRAGMA user_version = {VERSION}")
        _anchor_clock(db)


def _from_version_1(db: Connection) -> None:
    """Migrates from schema 1, where each user's row was JSON with the names of all fields, with an index by time."""
    db.execute("ALTER TABLE ledgers RENAME TO old_ledgers")
    db.execute(_table("ledgers"))
    for user_id, body in db.execute("SELECT user_id, body FROM old_ledgers"):
        old = msgspec.json.decode(body)
        seats = [Seat(**seat) for seat in old.get("seats", ())]
        ledger = decode(encode(Ledger(seats, old.get("marks", []), old.get("max_sessions"))))
        db.run("save", user_id, ledger.due_at_ms(0), encode(ledger))
    db.execute("DROP TABLE old_ledgers")


def _from_version_6(db: Connection) -> None:
    """Migrates from schema 6, where users had a row for each bucket of reports, and histories an index by time."""
    db.execute("DROP INDEX IF EXISTS history_by_time")
    if not db.execute("SELECT 1 FROM pragma_table_info('report_users') WHERE name = 'refused'").fetchone():
        return
    db.execute("ALTER TABLE report_users RENAME TO old_report_users")
    db.execute(_table("report_users"))
    db.execute(
        "INSERT INTO report_users (digest, marks)"
        " SELECT digest, json_group_array(2 * report + refused) FROM old_report_users GROUP BY digest"
    )
    db.execute("DROP TABLE old_report_users")


def _make_missing(db: Connection) -> None:
    """Creates all tables and indexes that the file does not have."""
    there = {name for (name,) in db.execute("SELECT name FROM sqlite_schema")}
    for statement in _statements(_schema()):
        if statement.split()[2] not in there:  # CREATE TABLE name, CREATE INDEX name
            db.execute(statement)


def _table(name: str) -> str:
    return next(statement for statement in _statements(_schema()) if f"TABLE {name} " in statement)


def _schema() -> str:
    return files("streamlimit.store.sqlite").joinpath("schema.sql").read_text()


def _statements(script: str) -> list[str]:
    bare = re.sub(r"--[^\n]*", "", script)
    return [part for part in map(str.strip, bare.split(";")) if part]


def _anchor_clock(db: Connection) -> None:
    """Makes the clock's offset anew after a boot, and whenever no session is stored that a step could affect."""
    row = db.run("get_clock").fetchone()
    boot = clock.boot_id()
    is_empty = db.run("count_ledgers").fetchone()[0] == 0
    if row is not None and row[0] == boot and not is_empty:
        return
    seen_ms = 0 if row is None or is_empty else row[2]
    db.run("clear_clock")
    db.run("put_clock", boot, clock.offset_ms(seen_ms), seen_ms)
