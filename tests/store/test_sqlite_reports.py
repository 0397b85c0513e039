"""The reports' contract on SQLite, which counts exactly and forgets by itself."""

import json
import sqlite3
from collections.abc import Callable
from functools import partial

import pytest

from streamlimit.store.contract import resolved
from streamlimit.store.reporting import CLOSED_AFTER_MS, DAY_MS, Batch, Count, Group, Period
from streamlimit.store.sqlite import SqliteReports
from streamlimit.store.sqlite.reporting import LOOKED_AT
from tests.store.connections import beside
from tests.store.reports_contract import (
    ALL,
    EIGHT,
    NEXT_DAY,
    NEXT_MONTH,
    ReportsContract,
    ReportsDriver,
    at,
    digests,
)


@pytest.fixture
def open_reports(path: str) -> Callable[[], SqliteReports]:
    return partial(SqliteReports, path)


class TestSqliteReports(ReportsContract):
    """One file per test; each open is another connection to it, as another process would have."""

    async def assert_no_digests(self, home: ReportsDriver) -> None:
        assert _tables(home)["report_users"] == 0

    async def test_thousands_of_users_are_counted_exactly_and_forgotten_in_steps(self, home: ReportsDriver) -> None:
        names = [f"user-{n}" for n in range(1_500)]
        await home.users(EIGHT, *names)
        await home.users(EIGHT, *names)
        [row] = await home.rows()
        assert row.users == len(names)
        await home.tidy(NEXT_MONTH + CLOSED_AFTER_MS)
        assert _tables(home)["report_users"] == 0

    async def test_a_process_that_stopped_half_way_leaves_no_digest_for_good(self, home: ReportsDriver) -> None:
        await home.users(EIGHT, *(f"user-{n}" for n in range(LOOKED_AT + 1)))
        while _tables(home)["report_users"] > 1:
            assert await resolved(home.reports.tidy(NEXT_MONTH + CLOSED_AFTER_MS, 400))
        home.reports = await home.another()
        await home.tidy(NEXT_MONTH + CLOSED_AFTER_MS)
        assert _tables(home)["report_users"] == 0

    async def test_what_is_old_goes_and_a_month_that_is_not_over_stays(self, home: ReportsDriver) -> None:
        await home.add(EIGHT, {ALL: Count(1)})
        await home.add(NEXT_DAY, {ALL: Count(1)})
        await home.tidy(at("2026-11-17T00:00") + CLOSED_AFTER_MS, keep_days=1)
        assert [row.at_ms for row in await home.rows()] == []
        assert [row.admissions for row in await home.rows(Period.MONTH)] == [2]
        await home.tidy(NEXT_MONTH + 30 * DAY_MS, keep_days=1)
        assert _tables(home) == {"reports": 0, "report_users": 0, "report_batches": 0, "report_samples": 0}


def test_a_file_of_the_version_before_counts_nobody_again(path: str) -> None:
    reports = SqliteReports(path)
    reports.add(Batch("w", 1, {EIGHT: {ALL: Count(1, users=digests("ann"), refused_users=digests("ann"))}}))
    reports.close()
    with sqlite3.connect(path) as db:
        [(user, marks)] = db.execute("SELECT digest, marks FROM report_users").fetchall()
        db.execute("DROP TABLE report_users")
        db.execute("CREATE TABLE report_users (report INTEGER, refused INTEGER, digest INTEGER)")
        rows = [(mark // 2, mark % 2, user) for mark in json.loads(marks)]
        db.executemany("INSERT INTO report_users VALUES (?, ?, ?)", rows)
        db.execute("PRAGMA user_version = 6")
    db.close()
    assert len(rows) == 2 * len(Period)
    reports = SqliteReports(path)
    for number, name in enumerate(("ann", "bob"), start=2):
        reports.add(Batch("w", number, {EIGHT: {ALL: Count(1, users=digests(name))}}))
    [row] = reports.rows(Period.DAY, Group.ALL, EIGHT, EIGHT + 1, 10)
    assert (row.users, row.refused_users) == (2, 1)
    reports.close()


def _tables(home: ReportsDriver) -> dict[str, int]:
    db = beside(str(home.open_reports.args[0]))  # type: ignore[attr-defined]
    names = ("reports", "report_users", "report_batches", "report_samples")
    return {name: db.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in names}
