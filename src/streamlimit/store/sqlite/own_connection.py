"""A separate connection to the store's file, for the data beside ledgers: the outbox, the feed, the reports."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from streamlimit.errors import StoreUnavailable
from streamlimit.store.contract import Clock
from streamlimit.store.sqlite.clock import uptime_ms
from streamlimit.store.sqlite.connection import Connection, connect, transaction, translated, when_unlocked


class OwnConnection:
    """A connection to the file at *path*. *patience_seconds*: how long a step waits for other processes.

    *clock* as in `SqliteStore`. Raises `StoreUnavailable` when the file cannot be used, and after `close`.
    """

    def __init__(self, path: str, patience_seconds: float, clock: Clock | None = None) -> None:
        self._clock = clock
        self._db: Connection | None = connect(path, patience_seconds)

    def close(self) -> None:
        """Closes the file. Twice is once."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def _now_ms(self) -> int:
        """The time in ms by the store's clock."""
        if self._clock is not None:
            return self._clock()
        [(_, offset_ms, _)] = self._find("get_clock")
        return uptime_ms() + int(offset_ms)

    def _find(self, name: str, *values: str | int | bytes) -> list[tuple[Any, ...]]:
        """The rows that the query of that name finds."""
        with self._opened() as db:
            return when_unlocked(db, lambda: db.run(name, *values).fetchall())

    @contextmanager
    def _step(self) -> Iterator[Connection]:
        """A transaction on the open connection."""
        with self._opened() as db, transaction(db):
            yield db

    @contextmanager
    def _opened(self) -> Iterator[Connection]:
        """The open connection; errors of the driver become `StoreUnavailable`."""
        if self._db is None:
            raise StoreUnavailable("sqlite: the file is closed")
        with translated:
            yield self._db
