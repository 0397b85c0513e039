"""Reports on SQLite: a row a bucket, and the digests of users that it has counted. So each is counted once, exactly.

Every step is one short transaction: who watches waits for the same lock.
"""

import sqlite3
from collections.abc import Iterable

from streamlimit.store.reporting import (
    CLOSED_AFTER_MS,
    DAY_MS,
    GROUPS_KEPT,
    OTHER,
    Batch,
    Count,
    Group,
    Key,
    Period,
    Row,
    buckets,
    ends_at,
    starts_of,
)
from streamlimit.store.sqlite.connection import (
    LOOP_SECONDS,
    QUERIES,
    TURN_SECONDS,
    in_turn,
)
from streamlimit.store.sqlite.own_connection import OwnConnection
from streamlimit.store.sqlite.patience import patient

USERS_AT_ONCE = 64
"""Of a batch: some 200 rows, a millisecond."""

TIDIED_AT_ONCE = 500

BATCHES_KEPT_MS = 7 * DAY_MS
"""How long it is remembered of a worker what it added last."""


class SqliteReports(OwnConnection):
    """A `ReportStore` on the file at *path*. *patience_seconds* as of the outbox."""

    def __init__(self, path: str, patience_seconds: float = TURN_SECONDS) -> None:
        super().__init__(path, patience_seconds)

    def add(self, batch: Batch) -> None:
        newest_ms = max(batch.hours, default=0)
        with self._step() as db:
            if db.execute(QUERIES["next_batch"], (batch.worker, batch.number, newest_ms)).rowcount:
                for hour_ms, counts in batch.hours.items():
                    for key, count in counts.items():
                        for period, at_ms in starts_of(hour_ms, key[0]):
                            _add(db, period, at_ms, key, count)

    def claim_sample(self, now_ms: int, every_ms: int) -> int | None:
        with self._step() as db:
            last = db.execute(QUERIES["last_sample"]).fetchone()
            if last is None:
                db.execute(QUERIES["put_sample"], (now_ms,))
                return 0
            last_ms: int = last[0]
            return last_ms if db.execute(QUERIES["claim_sample"], (now_ms, every_ms)).rowcount else None

    def rows(self, period: Period, group: Group, from_ms: int, to_ms: int, at_most: int) -> tuple[Row, ...]:
        names = list(buckets(period, from_ms, to_ms))
        if not names:
            return ()
        with self._opened() as db:
            asked = (period, group, names[0], names[-1] + 1, at_most)
            return tuple(Row(*row) for row in in_turn(db, lambda: db.execute(QUERIES["reports"], asked).fetchall()))

    def tidy(self, now_ms: int, keep_days: int) -> bool:
        with self._step() as db:
            over = db.execute(QUERIES["over_reports"], (now_ms - CLOSED_AFTER_MS,)).fetchone()
            if over is not None:
                _close(db, over[0])
                return True
            db.execute(QUERIES["forget_batches"], (now_ms - BATCHES_KEPT_MS,))
            old = (now_ms - keep_days * DAY_MS - CLOSED_AFTER_MS, TIDIED_AT_ONCE)
            return db.execute(QUERIES["forget_reports"], old).rowcount == TIDIED_AT_ONCE


def _add(db: sqlite3.Connection, period: Period, at_ms: int, key: Key, count: Count) -> None:
    """Digests go in only as long as the bucket is open: a number cannot tell whom it has counted."""
    numbers = (count.admissions, count.refusals, count.peak, count.at_limit_ms)
    named = (period, at_ms, *key, ends_at(period, at_ms), *numbers, OTHER, GROUPS_KEPT)
    report, is_open = db.execute(QUERIES["put_report"], named).fetchone()
    if is_open and (count.users or count.refused_users):
        new = _put_users(db, report, 0, count.users), _put_users(db, report, 1, count.refused_users)
        db.execute(QUERIES["add_report_users"], (report, *new))


def _put_users(db: sqlite3.Connection, report: int, refused: int, digests: Iterable[bytes]) -> int:
    """How many of them are new."""
    rows = [(report, refused, int.from_bytes(digest, signed=True)) for digest in digests]
    return db.executemany(QUERIES["put_report_user"], rows).rowcount if rows else 0


def _close(db: sqlite3.Connection, report: int) -> None:
    """In steps, where it has many users."""
    if db.execute(QUERIES["forget_report_users"], (report, TIDIED_AT_ONCE)).rowcount < TIDIED_AT_ONCE:
        db.execute(QUERIES["close_report"], (report,))


def open_patient_reports(path: str) -> SqliteReports:
    """One for an event loop, as the outbox's."""
    return patient(SqliteReports(path, patience_seconds=LOOP_SECONDS))
