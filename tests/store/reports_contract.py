"""The promises of `ReportStore` (store/reporting.py) as tests: in their meaning, in a race, on the second call.

`ReportsContract` is not collected itself: a subclass per engine provides `open_reports()`: a fresh `ReportStore` on the
same data, as another process sees it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from hashlib import blake2b
from itertools import count
from typing import Any

import pytest

from streamlimit.store.contract import resolved
from streamlimit.store.reporting import (
    CLOSED_AFTER_MS,
    DAY_MS,
    GROUPS_KEPT,
    HOUR_MS,
    OTHER,
    Batch,
    Count,
    Group,
    Key,
    Period,
    ReportStore,
    Row,
)

OpenReports = Callable[[], Any]
ALL: Key = (Group.ALL, "")


def at(text: str) -> int:
    """A moment, in ms."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000


EIGHT, NINE = at("2026-11-14T20:00"), at("2026-11-14T21:00")
NEXT_DAY, NEXT_MONTH = at("2026-11-15T20:00"), at("2026-12-01T20:00")


def digests(*names: str) -> set[bytes]:
    return {blake2b(name.encode(), digest_size=8).digest() for name in names}


class ReportsDriver:
    """One `ReportStore`; `worker` counts something in an hour."""

    def __init__(self, open_reports: OpenReports) -> None:
        self.open_reports, self._opened = open_reports, list[Any]()
        self.numbers = count(1)

    async def another(self) -> ReportStore:
        """The same reports as another process sees them."""
        reports: ReportStore = await resolved(self.open_reports())
        self._opened.append(reports)
        return reports

    async def __aenter__(self) -> "ReportsDriver":
        self.reports = await self.another()
        return self

    async def __aexit__(self, *_: object) -> None:
        for each in self._opened:
            await resolved(each.close())

    async def add(self, hour_ms: int, counts: dict[Key, Count], worker: str = "w1", number: int | None = None) -> Batch:
        batch = Batch(worker, next(self.numbers) if number is None else number, {hour_ms: counts})
        await resolved(self.reports.add(batch))
        return batch

    async def users(self, hour_ms: int, *names: str, refused: Iterable[str] = (), key: Key = ALL) -> None:
        await self.add(hour_ms, {key: Count(users=digests(*names), refused_users=digests(*refused))})

    async def rows(self, period: Period = Period.HOUR, group: Group = Group.ALL, **time: int) -> tuple[Row, ...]:
        span = time.get("from_ms", EIGHT - DAY_MS), time.get("to_ms", NEXT_DAY + DAY_MS)
        return await resolved(self.reports.rows(period, group, *span, time.get("at_most", 10_000)))

    async def tidy(self, now_ms: int, keep_days: int = 400) -> None:
        while await resolved(self.reports.tidy(now_ms, keep_days)):
            pass


class ReportsContract:
    """Numbers add up; users are counted once a bucket; nothing that names a user outlives its bucket."""

    @pytest.fixture
    def home(self, open_reports: OpenReports) -> ReportsDriver:
        return ReportsDriver(open_reports)

    assert_no_digests: Callable[[ReportsDriver], Awaitable[None]]
    """Looks into the engine: it holds nothing any more that would tell one user from another."""

    async def test_what_workers_counted_adds_up_and_a_peak_is_the_highest(self, home: ReportsDriver) -> None:
        await home.add(EIGHT, {ALL: Count(3, 2, 1_500, 7)}, "w1")
        await home.add(EIGHT, {ALL: Count(4, 1, 500, 5)}, "w2")
        [row] = await home.rows()
        assert row == Row(EIGHT, "", 7, 3, 0, 0, 7, 2_000)

    async def test_the_same_batch_twice_is_once_also_in_a_race(self, home: ReportsDriver) -> None:
        others = [await home.another() for _ in range(4)]
        batch = await home.add(EIGHT, {ALL: Count(1, users=digests("ann"))})
        await asyncio.gather(*(resolved(other.add(batch)) for other in others))
        [row] = await home.rows()
        assert (row.admissions, row.users) == (1, 1)

    async def test_workers_that_add_at_the_same_time_lose_nothing(self, home: ReportsDriver) -> None:
        others = [await home.another() for _ in range(4)]
        batches = [Batch(f"w{n}", 1, {EIGHT: {ALL: Count(n, users=digests("ann"))}}) for n in range(4)]
        await asyncio.gather(*(resolved(o.add(b)) for o, b in zip(others, batches, strict=True)))
        [row] = await home.rows()
        assert (row.admissions, row.users) == (6, 1)

    async def test_a_user_counts_once_an_hour_once_a_day_and_once_a_month(self, home: ReportsDriver) -> None:
        for hour_ms in (EIGHT, EIGHT, NINE, NEXT_DAY, NEXT_MONTH):
            await home.users(hour_ms, "ann", refused=["ann"])
        await home.users(NINE, "bob")
        late = {"from_ms": EIGHT - DAY_MS, "to_ms": NEXT_MONTH + HOUR_MS}
        seen = [(row.users, row.refused_users) for row in await home.rows(Period.HOUR, **late)]
        assert seen == [(1, 1), (2, 1), (1, 1), (1, 1)]
        seen = [(row.users, row.refused_users) for row in await home.rows(Period.DAY, **late)]
        assert seen == [(2, 1), (1, 1), (1, 1)]
        seen = [(row.users, row.refused_users) for row in await home.rows(Period.MONTH, **late)]
        assert seen == [(2, 1), (1, 1)]

    async def test_hours_of_the_day_are_counted_over_all_days_of_the_month(self, home: ReportsDriver) -> None:
        await home.users(EIGHT, "ann")
        await home.users(NEXT_DAY, "ann", "bob")
        await home.users(NINE, "ann")
        month = at("2026-11-01T00:00")
        found = await home.rows(Period.CLOCK)
        assert [(row.at_ms, row.users) for row in found] == [(month + 20 * HOUR_MS, 2), (month + 21 * HOUR_MS, 1)]

    async def test_each_group_has_rows_of_its_own(self, home: ReportsDriver) -> None:
        await home.add(EIGHT, {ALL: Count(3), (Group.PLAN, "hd"): Count(2), (Group.PLAN, ""): Count(1)})
        await home.add(EIGHT, {(Group.STREAM, "Ärger {1}:u:"): Count(3, users=digests("ann"))})
        assert [(row.value, row.admissions) for row in await home.rows(group=Group.PLAN)] == [("", 1), ("hd", 2)]
        assert [(r.value, r.users) for r in await home.rows(group=Group.STREAM)] == [("Ärger {1}:u:", 1)]
        assert await home.rows(group=Group.DEVICE_TYPE) == ()

    async def test_too_many_values_are_one_other(self, home: ReportsDriver) -> None:
        kind = Group.DEVICE_TYPE
        for n in range(GROUPS_KEPT):
            await home.add(EIGHT, {(kind, f"tv-{n}"): Count(1, users=digests("ann"))})
        await home.add(EIGHT, {(kind, "one-more"): Count(1, users=digests("ann"))})
        await home.add(EIGHT, {(kind, "and-more"): Count(1, users=digests("ann", "bob")), (kind, "tv-0"): Count(1)})
        found = {row.value: row for row in await home.rows(group=kind)}
        assert len(found) == GROUPS_KEPT + 1
        assert (found[OTHER].admissions, found[OTHER].users, found["tv-0"].admissions) == (2, 2, 2)

    async def test_a_span_shows_every_bucket_that_lies_in_it_in_part(self, home: ReportsDriver) -> None:
        for hour_ms in (EIGHT, NINE, NEXT_DAY):
            await home.add(hour_ms, {ALL: Count(1)})
        half_past = EIGHT + HOUR_MS // 2
        assert [row.at_ms for row in await home.rows(from_ms=half_past, to_ms=NINE + 1)] == [EIGHT, NINE]
        assert [row.at_ms for row in await home.rows(from_ms=half_past, to_ms=NINE)] == [EIGHT]
        assert [row.at_ms for row in await home.rows(from_ms=NINE, to_ms=NINE)] == []
        assert len(await home.rows(Period.DAY, from_ms=half_past, to_ms=half_past + 1)) == 1
        assert len(await home.rows(at_most=2)) == 2

    async def test_a_closed_bucket_keeps_its_numbers_and_forgets_whom_it_counted(self, home: ReportsDriver) -> None:
        await home.users(EIGHT, "ann", "bob", refused=["ann"])
        await home.users(EIGHT, "ann", key=(Group.PLAN, "hd"))
        before = [await home.rows(period) for period in Period]
        await home.tidy(NEXT_MONTH + CLOSED_AFTER_MS)
        await home.tidy(NEXT_MONTH + CLOSED_AFTER_MS)
        assert [await home.rows(period) for period in Period] == before
        await home.users(EIGHT, "ann", "eve")
        [row] = await home.rows()
        assert (row.users, row.refused_users) == (2, 1)
        await self.assert_no_digests(home)

    async def test_what_comes_late_adds_to_a_closed_bucket_and_it_is_closed_again(self, home: ReportsDriver) -> None:
        await home.add(EIGHT, {ALL: Count(3, 2, 1_500, 7, digests("ann"), digests("ann"))})
        for _ in range(2):
            await home.tidy(NEXT_MONTH + CLOSED_AFTER_MS)
            await home.add(EIGHT, {ALL: Count(1, 1, 500, 8, digests("eve"))})
        assert await home.rows() == (Row(EIGHT, "", 5, 4, 1, 1, 8, 2_500),)
        await home.tidy(NEXT_MONTH + CLOSED_AFTER_MS)
        assert await home.rows() == (Row(EIGHT, "", 5, 4, 1, 1, 8, 2_500),)
        await self.assert_no_digests(home)

    async def test_a_bucket_takes_users_until_a_day_after_its_end(self, home: ReportsDriver) -> None:
        await home.users(EIGHT, "ann")
        await home.tidy(NINE + CLOSED_AFTER_MS - 1)
        await home.users(EIGHT, "ann", "bob")
        [row] = await home.rows()
        assert row.users == 2

    async def test_one_counts_live_sessions_at_a_time_and_hears_when_that_was_last(self, home: ReportsDriver) -> None:
        other = await home.another()
        assert await resolved(other.claim_sample(EIGHT, 1_000)) == 0
        assert await resolved(home.reports.claim_sample(EIGHT + 999, 1_000)) is None
        found = await asyncio.gather(*(resolved(r.claim_sample(EIGHT + 1_000, 1_000)) for r in (home.reports, other)))
        assert sorted(found, key=str) == [EIGHT, None]
        assert await resolved(other.claim_sample(EIGHT - DAY_MS, 1_000)) == EIGHT + 1_000, "the clock was set back"

    async def test_closing_twice_is_closing_once(self, home: ReportsDriver) -> None:
        await resolved(home.reports.close())
        await resolved(home.reports.close())
