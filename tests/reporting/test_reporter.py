"""What workers counted comes into the store once, also through outages; one of them looks at live sessions."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from streamlimit.document import wall_ms
from streamlimit.errors import StoreUnavailable
from streamlimit.limiter import Limiter
from streamlimit.model import Admitted, Ask, Purpose, Receipt
from streamlimit.policy import Policy
from streamlimit.reporting.counts import ALL, Counts
from streamlimit.reporting.reporter import Reporter, Sources
from streamlimit.store.contract import Store, resolved
from streamlimit.store.reporting import Batch, Count, Group, Period, Row
from streamlimit.store.sqlite import SqliteReports, SqliteStore

DAY_MS = 86_400_000


class Shaky(SqliteReports):
    """It fails when told so: before anything is added, or after."""

    fails_before = fails_after = False

    def add(self, batch: Batch) -> None:
        if self.fails_before:
            raise StoreUnavailable("away")
        super().add(batch)
        if self.fails_after:
            raise StoreUnavailable("nothing is known")


class Worker:
    """One worker's limiter and reporter on a file."""

    def __init__(self, path: Path, keep_days: int = 400) -> None:
        self.store: Store = SqliteStore(str(path), Policy())
        self.reports = Shaky(str(path))
        counts = Counts(wall_ms)
        self.limiter = Limiter(self.store, counts.happened, on_refusal=counts.refused, on_seat=counts.admitted)
        tally = self.limiter.tally
        sources = Sources(self.store, Policy(), lambda: tally.admissions)
        self.reporter = Reporter(counts, self.reports, sources, keep_days, at_once=64)

    async def sit(self, user: str, session: str, stream: str = "news") -> Any:
        answer = await resolved(self.limiter.admit(Ask(user, session, stream, Purpose.SEAT)))
        if isinstance(answer, Admitted) and answer.lease is not None:
            await resolved(self.limiter.confirm(Receipt(answer.lease, "0.m4s", 0)))
        return answer

    async def row(self, group: Group = Group.ALL) -> Row:
        [row] = await self.rows(group)
        return row

    async def rows(self, group: Group = Group.ALL) -> tuple[Row, ...]:
        now_ms = wall_ms()
        return await self.reporter.rows(Period.MONTH, group, now_ms - DAY_MS, now_ms + 1, 100)

    async def close(self) -> None:
        await self.reporter.finish()
        await resolved(self.store.close())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "streamlimit.db"


async def test_three_sit_the_fourth_is_refused_and_the_report_says_so(path: Path) -> None:
    worker = Worker(path)
    for session in "abcdd":
        await worker.sit("ann", session)
    await worker.sit("ann", "a")
    row = await worker.row()
    assert (row.admissions, row.refusals, row.refused_users, row.users, row.peak) == (3, 2, 1, 1, 3)
    await worker.close()


async def test_a_session_that_sits_is_nothing_to_count(path: Path) -> None:
    worker = Worker(path)
    await worker.sit("ann", "a")
    await worker.reporter.flush()
    for _ in range(20):
        await worker.sit("ann", "a")
    assert (worker.reporter.counts.users, worker.limiter.tally.admissions) == (0, 21)
    await worker.close()


async def test_two_workers_count_a_user_once_and_the_peak_over_both(path: Path) -> None:
    one, two = Worker(path), Worker(path)
    await one.sit("ann", "a")
    await two.sit("ann", "b", "film")
    await one.reporter.flush()
    row = await two.row()
    assert (row.admissions, row.users, row.peak) == (2, 1, 2)
    assert {r.value: r.users for r in await two.rows(Group.STREAM)} == {"news": 1, "film": 1}
    await one.close()
    await two.close()


@pytest.mark.parametrize("when", ["fails_before", "fails_after"])
async def test_what_is_counted_in_an_outage_is_added_after_it_once(path: Path, when: str) -> None:
    worker = Worker(path)
    await worker.sit("ann", "a")
    setattr(worker.reports, when, True)
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            await worker.reporter.flush()
    await worker.sit("bob", "a")
    setattr(worker.reports, when, False)
    row = await worker.row()
    assert (row.admissions, row.users, worker.reporter.waiting) == (2, 2, 0)
    await worker.close()


async def test_what_was_counted_last_is_kept_by_a_worker_that_stops(path: Path) -> None:
    worker = Worker(path)
    await worker.sit("ann", "a")
    await worker.close()
    other = Worker(path)
    assert (await other.row()).admissions == 1
    await other.close()


async def test_a_worker_whose_store_is_away_stops_all_the_same(path: Path) -> None:
    worker = Worker(path)
    await worker.sit("ann", "a")
    worker.reports.fails_before = True
    await worker.close()


async def test_forgetting_a_user_leaves_the_numbers_and_no_name_was_ever_kept(path: Path) -> None:
    worker = Worker(path)
    await worker.sit("ann@example.org", "a")
    before = await worker.row()
    await resolved(worker.limiter.forget("ann@example.org"))
    after = await worker.row()
    assert (after.users, after.admissions) == (before.users, before.admissions) == (1, 1)
    db = sqlite3.connect(path)
    kept = [db.execute(f"SELECT * FROM {name}").fetchall() for name in ("reports", "report_users")]
    assert "ann" not in repr(kept)
    db.close()
    await worker.close()


async def test_where_reports_are_kept_for_no_time_what_was_kept_goes(path: Path) -> None:
    worker = Worker(path)
    worker.reports.add(Batch("w", 1, {0: {ALL: Count(1)}}))
    assert len(worker.reports.rows(Period.DAY, Group.ALL, 0, 10 * DAY_MS, 10)) == 1
    off = Worker(path, keep_days=0)
    await off.reporter.tidy()
    assert off.reports.rows(Period.DAY, Group.ALL, 0, 10 * DAY_MS, 10) == ()
    await worker.close()
    await off.close()
