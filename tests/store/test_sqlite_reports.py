"""The reports' contract on SQLite, which counts exactly and forgets by itself."""

import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from streamlimit.store.reporting import CLOSED_AFTER_MS, DAY_MS, Count, Period
from streamlimit.store.sqlite import SqliteReports
from tests.store.reports_contract import ALL, EIGHT, NEXT_DAY, NEXT_MONTH, ReportsContract, ReportsDriver, at, story


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "streamlimit.db")


@pytest.fixture
def open_reports(path: str) -> Callable[[], SqliteReports]:
    return partial(SqliteReports, path)


class TestSqliteReports(ReportsContract):
    """One file per test; each open is another connection to it, as another process would have."""

    async def assert_no_digests(self, home: ReportsDriver) -> None:
        assert _tables(home)["report_users"] == 0

    @story
    async def test_thousands_of_users_are_counted_exactly_and_forgotten_in_steps(self, home: ReportsDriver) -> None:
        names = [f"user-{n}" for n in range(1_500)]
        await home.users(EIGHT, *names)
        await home.users(EIGHT, *names)
        [row] = await home.rows()
        assert row.users == len(names)
        await home.tidy(NEXT_MONTH + CLOSED_AFTER_MS)
        assert _tables(home)["report_users"] == 0

    @story
    async def test_what_is_old_goes_and_a_month_that_is_not_over_stays(self, home: ReportsDriver) -> None:
        await home.add(EIGHT, {ALL: Count(1)})
        await home.add(NEXT_DAY, {ALL: Count(1)})
        await home.tidy(at("2026-11-17T00:00") + CLOSED_AFTER_MS, keep_days=1)
        assert [row.at_ms for row in await home.rows()] == []
        assert [row.admissions for row in await home.rows(Period.MONTH)] == [2]
        await home.tidy(NEXT_MONTH + 30 * DAY_MS, keep_days=1)
        assert _tables(home) == {"reports": 0, "report_users": 0, "report_batches": 0, "report_samples": 0}


def _tables(home: ReportsDriver) -> dict[str, int]:
    db: sqlite3.Connection = home.reports._db  # type: ignore[attr-defined]
    names = ("reports", "report_users", "report_batches", "report_samples")
    return {name: db.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in names}
