"""Reports on SQLite: a row per bucket, and a row per user with the buckets that have counted the user.

Every step is one short transaction: viewers wait for the same lock.
"""

from collections import Counter, defaultdict

import msgspec

from streamlimit.store.reporting import (
    CLOSED_AFTER_MS,
    DAY_MS,
    GROUPS_KEPT,
    OTHER,
    Batch,
    Group,
    Period,
    Row,
    buckets,
    ends_at,
    starts_of,
)
from streamlimit.store.sqlite.connection import LOCK_WAIT_SECONDS, Connection
from streamlimit.store.sqlite.own_connection import OwnConnection

USERS_AT_ONCE = 400
"""Users of one batch, in all groups: some hundred rows, a millisecond."""

TIDIED_AT_ONCE, LOOKED_AT = 500, 200
"""Buckets that one step closes or deletes; users whose marks it looks at: a millisecond."""

FIRST_DIGEST, LAST_DIGEST = -(2**63), 2**63 - 1

_decode = msgspec.json.Decoder(list[int]).decode

BATCHES_KEPT_MS = 7 * DAY_MS
"""How long the number of a worker's last batch is kept."""


class SqliteReports(OwnConnection):
    """A `ReportStore` on the file at *path*. *patience_seconds* as of the outbox."""

    def __init__(self, path: str, patience_seconds: float = LOCK_WAIT_SECONDS) -> None:
        super().__init__(path, patience_seconds)
        self._looked_from: int | None = FIRST_DIGEST  # a process that stopped may not have come to the end

    def add(self, batch: Batch) -> None:
        newest_ms = max(batch.hours, default=0)
        with self._step() as db:
            if db.run("next_batch", batch.worker, batch.number, newest_ms).rowcount:
                _add_users(db, _add_numbers(db, batch))

    def claim_sample(self, now_ms: int, every_ms: int) -> int | None:
        with self._step() as db:
            last = db.run("last_sample").fetchone()
            if last is None:
                db.run("put_sample", now_ms)
                return 0
            last_ms: int = last[0]
            return last_ms if db.run("claim_sample", now_ms, every_ms).rowcount else None

    def rows(self, period: Period, group: Group, from_ms: int, to_ms: int, at_most: int) -> tuple[Row, ...]:
        names = list(buckets(period, from_ms, to_ms))
        if not names:
            return ()
        rows = self._find("reports", period, group, names[0], names[-1] + 1, at_most)
        return tuple(Row(*row) for row in rows)

    def tidy(self, now_ms: int, keep_days: int) -> bool:
        with self._step() as db:
            looked_from, is_more = self._tidied(db, now_ms, keep_days)
        self._looked_from = looked_from
        return is_more

    def _tidied(self, db: Connection, now_ms: int, keep_days: int) -> tuple[int | None, bool]:
        """One step of `tidy`: from which user on marks are left to be looked at (None: none), and whether to go on."""
        over = (now_ms - CLOSED_AFTER_MS, TIDIED_AT_ONCE)
        if db.run("close_reports", *over).rowcount:
            return FIRST_DIGEST, True
        if self._looked_from is not None:
            return _forget_users(db, self._looked_from), True
        db.run("forget_batches", now_ms - BATCHES_KEPT_MS)
        old = (now_ms - keep_days * DAY_MS - CLOSED_AFTER_MS, TIDIED_AT_ONCE)
        return None, db.run("forget_reports", *old).rowcount == TIDIED_AT_ONCE


def _add_numbers(db: Connection, batch: Batch) -> dict[bytes, list[int]]:
    """Adds the batch's numbers to the buckets.

    Returns the marks that users get, each of an open bucket that counts them.
    """
    marks: dict[bytes, list[int]] = defaultdict(list)
    for hour_ms, counts in batch.hours.items():
        for key, count in counts.items():
            numbers = (count.admissions, count.refusals, count.peak, count.at_limit_ms)
            own, own_refused = list[int](), list[int]()
            for period, at_ms in starts_of(hour_ms, key[0]):
                named = (period, at_ms, *key, ends_at(period, at_ms), *numbers, OTHER, GROUPS_KEPT)
                found = None if any(numbers) else db.run("find_report", *named[:4]).fetchone()
                report, is_open = found or db.run("put_report", *named).fetchone()
                if is_open:
                    own.append(2 * report)
                    own_refused.append(2 * report + 1)
            for user in count.users:
                marks[user] += own
            for user in count.refused_users:
                marks[user] += own_refused
    return marks


def _add_users(db: Connection, marks: dict[bytes, list[int]]) -> None:
    """Counts each user in the buckets of which they have no mark yet."""
    wanted = {int.from_bytes(user, signed=True): own for user, own in marks.items()}
    known = dict(db.run("report_marks", _encode(list(wanted))))
    together, rows = Counter[tuple[int, ...]](), []  # most users of a batch get the same ones
    for user, own in wanted.items():
        before = _decode(known.get(user, "[]"))
        if new := tuple(dict.fromkeys(mark for mark in own if mark not in before)):
            together[new] += 1
            rows.append((user, _encode([*before, *new])))
    counted = Counter[int]()
    for new, users in together.items():
        counted.update(dict.fromkeys(new, users))
    db.run_each("put_report_marks", rows)
    more = [(mark // 2, users, 0) if mark % 2 == 0 else (mark // 2, 0, users) for mark, users in counted.items()]
    db.run_each("add_report_users", more)


def _forget_users(db: Connection, first: int) -> int | None:
    """Removes marks of closed buckets from some users, *first* and behind. Returns where to go on; None: done."""
    rows = db.run("some_report_marks", first, LOOKED_AT).fetchall()
    before = {user: _decode(marks) for user, marks in rows}
    reports = {mark // 2 for marks in before.values() for mark in marks}
    still_open = {report for (report,) in db.run("open_reports", _encode(list(reports)))}
    after = {user: [mark for mark in marks if mark // 2 in still_open] for user, marks in before.items()}
    kept = [(user, _encode(marks)) for user, marks in after.items() if marks and marks != before[user]]
    db.run_each("put_report_marks", kept)
    db.run_each("forget_report_user", [(user,) for user, marks in after.items() if not marks])
    return rows[-1][0] + 1 if len(rows) == LOOKED_AT and rows[-1][0] < LAST_DIGEST else None


def _encode(numbers: list[int]) -> str:
    """*numbers* as JSON, which SQLite can read."""
    return msgspec.json.encode(numbers).decode()
