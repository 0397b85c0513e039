"""The budget of visits as promises of every store (rule 13): part of contract.py. Times are those of X = 6 s."""

from collections.abc import Awaitable, Callable

import pytest
from msgspec.structs import replace

from streamlimit.model import Admitted, Confirmed, Device, Lease, Purpose, Receipt, Refusal
from streamlimit.policy import Policy
from streamlimit.store.contract import resolved
from tests.store.store_driver import N, StoreDriver, opened_with

SIX = 6_000
AT_SIX = Policy(segment_ms=SIX, missed_segments=N, start_ms=SIX)
AT_SIX_UNCOUNTED = Policy(segment_ms=SIX, missed_segments=N, start_ms=SIX, visit_burst=0)
ONE_VISIT = Policy(segment_ms=SIX, missed_segments=N, start_ms=SIX, visit_burst=1)
DRY_VISITS = Policy(segment_ms=SIX, missed_segments=N, start_ms=SIX, visit_burst=1, enforce=False)


class Visits:
    """Rule 13: a person who zaps is never refused, and a tool that rotates gets one and a half streams a seat."""

    @opened_with(AT_SIX)
    async def test_starts_are_visits_and_the_budget_is_so_many_a_seat(self, home: StoreDriver) -> None:
        for k in range(180):
            await self._visit(home, f"s{k}")
        refusal = await home.refused("s180")
        assert (refusal.code, refusal.retry_after_ms, refusal.live) == ("too-many-visits", 2 * SIX // 3, 0)
        assert (await home.refused("s180", purpose=Purpose.CHECK)).code == "too-many-visits"
        home.later(2 * SIX // 3 - 1)
        assert (await home.refused("s180")).retry_after_ms == 1
        home.later(1)
        await self._visit(home, "s180")
        await home.refused("s181")

    @opened_with(AT_SIX)
    async def test_moves_are_visits_and_the_own_stream_costs_nothing(self, home: StoreDriver) -> None:
        await home.watch("tv", "own")
        for k in range(179):
            await home.lease("tv", f"other-{k}")
        assert (await home.refused("tv", "more")).code == "too-many-visits"
        assert (await home.refused("tv", "more", purpose=Purpose.CHECK)).code == "too-many-visits"
        for _ in range(20):
            await home.watch("tv", "own")
            await home.beaten("tv", "own")
        assert (await home.session("tv")).stream_id == "own"

    @opened_with(ONE_VISIT)
    async def test_a_second_request_for_the_stream_just_paid_is_free_for_a_segment(self, home: StoreDriver) -> None:
        await self._visit(home, "phone")
        await home.watch("tv", "own")
        await home.lease("tv", "film")
        home.later(SIX - 1)
        await home.lease("tv", "film", kind="audio")
        home.later(1)
        assert isinstance(await home.ask("tv", "film"), Admitted)  # paid: one of three came back each 2·X / 3
        assert (await home.refused("tv", "other")).code == "too-many-visits"

    @opened_with(AT_SIX)
    async def test_heartbeats_pay_as_requests_do(self, home: StoreDriver) -> None:
        for k in range(60):
            await home.beaten(f"s{k}", "news", limit=1)
            await home.end(f"s{k}")
        assert isinstance(refusal := await home.beat("more", limit=1), Refusal)
        assert (refusal.code, refusal.retry_after_ms) == ("too-many-visits", 2 * SIX)
        home.later(2 * SIX)
        await home.beaten("more", limit=1)
        assert isinstance(refusal := await home.beat("more", "film", limit=1), Refusal)
        assert refusal.code == "too-many-visits"

    @opened_with(ONE_VISIT)
    async def test_a_heartbeat_starts_nothing_without_budget_though_seats_are_free(self, home: StoreDriver) -> None:
        await home.watch("tv", "own")
        for stream in ("film", "sport"):
            await home.lease("tv", stream)
        assert isinstance(refusal := await home.beat("new"), Refusal)
        assert refusal.code == "too-many-visits"
        assert await home.sitting() == ["tv"]

    @opened_with(AT_SIX_UNCOUNTED)
    async def test_zero_turns_the_budget_off(self, home: StoreDriver) -> None:
        for k in range(200):
            await self._visit(home, f"s{k}")
            await home.watch("tv", f"stream-{k}")

    @opened_with(ONE_VISIT)
    async def test_a_stream_watched_to_its_end_gives_its_visit_back_once(self, home: StoreDriver) -> None:
        long_ms = 5 * SIX
        first = await home.watch("tv", "advert")
        home.later(long_ms - 3 * SIX - 1)
        await home.watch("tv", "advert")
        await self._ended(home, first, long_ms)
        for k in range(3):
            await self._visit(home, f"s{k}")
        await home.refused("s4")
        home.later(1)
        lease = await home.lease("tv", "advert")
        for _ in range(3):
            await self._ended(home, lease, long_ms)
        await self._visit(home, "s4")
        await home.refused("s5")

    @opened_with(ONE_VISIT)
    async def test_a_move_is_given_back_as_a_start_is(self, home: StoreDriver) -> None:
        await home.watch("tv", "film")
        for k in range(12):  # each advert is shorter than what a seat gets back meanwhile
            lease = await home.lease("tv", f"advert-{k}")
            await home.received(lease, 0)
            await self._ended(home, await home.lease("tv", f"advert-{k}"), 3 * SIX)

    @opened_with(ONE_VISIT)
    async def test_who_skips_to_the_end_gets_nothing_back(self, home: StoreDriver) -> None:
        lease = await home.watch("tv", "film")
        await self._ended(home, lease, 100 * SIX)
        for k in range(2):
            await self._visit(home, f"s{k}")
        assert (await home.refused("s3")).code == "too-many-visits"

    @opened_with(ONE_VISIT)
    async def test_breaking_a_lock_is_a_visit_of_each_play(self, home: StoreDriver) -> None:
        for play in (1, 2, 1):
            await home.watch("tv", sequence=5, play=play)
        await home.watch("tv", sequence=5, play=3)
        await home.watch("tv", sequence=6, play=3)
        await home.watch("tv", sequence=5, play=4)
        assert (await home.refused("tv", sequence=5, play=5)).code == "too-many-visits"
        await home.watch("tv", sequence=6, play=4)

    @opened_with(ONE_VISIT)
    async def test_a_lock_that_was_paid_for_is_not_paid_again_before_its_receipt(self, home: StoreDriver) -> None:
        for play in (1, 2, 1):
            await home.watch("tv", sequence=5, play=play)
        spent = []
        for play in (3, 3, 4):
            answer = await home.ask("tv", sequence=5, play=play)
            assert isinstance(answer, Admitted)
            spent.append(answer.spent_ms > 0)
        assert spent == [True, False, True]

    @opened_with(ONE_VISIT)
    async def test_the_budget_is_that_of_the_limit_of_who_asks(self, home: StoreDriver) -> None:
        for k in range(6):
            answer = await home.ask("tv", f"stream-{k}", limit=6)
            assert isinstance(answer, Admitted)
            assert (answer.limit, answer.spent_ms) == (6, (k + 1) * 2 * SIX // 6)
        assert (await home.refused("tv", "stream-6", limit=6)).code == "too-many-visits"

    @opened_with(AT_SIX)
    async def test_a_spent_budget_outlives_the_sessions_and_not_its_time(self, home: StoreDriver) -> None:
        for k in range(180):
            await self._visit(home, f"s{k}")
        home.later(N * SIX)
        await home.sweep()
        assert (home.now, await home.sitting()) == (home.clock(), [])
        came_back = N * SIX * 3 // (2 * SIX)
        for k in range(came_back):
            await self._visit(home, f"t{k}")
        assert (await home.refused("more")).code == "too-many-visits"
        home.later(120 * SIX)
        await home.sweep()
        assert await home.sweep() == []
        for k in range(180):
            await self._visit(home, f"u{k}")
        await home.refused("more")

    @opened_with(AT_SIX)
    async def test_a_budget_from_before_the_clock_went_back_is_whole(self, home: StoreDriver) -> None:
        for k in range(180):
            await self._visit(home, f"s{k}")
        home.later(-3_600_000)
        await self._visit(home, "after")

    @opened_with(DRY_VISITS)
    async def test_a_dry_run_says_which_visits_were_too_many(self, home: StoreDriver) -> None:
        for k in range(3):
            await self._visit(home, f"s{k}")
        answer = await home.ask("more")
        assert isinstance(answer, Admitted)
        assert (answer.would_refuse, answer.spent_ms) == ("too-many-visits", 0)
        home.later(2 * SIX // 3)
        await self._visit(home, "one-more")
        await home.watch("other", "sport")
        moved = await home.ask("one-more", "film")
        assert isinstance(moved, Admitted)
        assert (moved.would_refuse, moved.spent_ms) == ("too-many-visits", 0), "and nothing is paid for it"

    @opened_with(AT_SIX)
    @pytest.mark.parametrize("ring", [4, 8, 60])
    async def test_a_minute_of_zapping_in_one_session_is_never_refused(self, home: StoreDriver, ring: int) -> None:
        for k in range(60):
            await home.watch("tv", f"channel-{k % ring}", limit=1)
            await home.watch("tv", f"channel-{k % ring}", limit=1, kind="audio")
            home.later(1_000)

    @opened_with(AT_SIX)
    @pytest.mark.parametrize("way", ["ended", "replaced"])
    async def test_a_minute_of_zapping_with_a_session_a_channel_is_never_refused(
        self, home: StoreDriver, way: str
    ) -> None:
        for k in range(60):
            replaced = f"s{k - 1}" if way == "replaced" else None
            await home.watch(f"s{k}", f"channel-{k % 8}", limit=1, replace=replaced, play=k + 1)
            if way == "ended":
                await home.end(f"s{k}")
            home.later(1_000)

    @opened_with(AT_SIX)
    async def test_zapping_by_playback_urls_in_one_session_is_never_refused(self, home: StoreDriver) -> None:
        for k in range(60):
            await home.watch("tv", f"channel-{k % 4}", limit=1, play=k + 1)
            home.later(1_000)

    @opened_with(ONE_VISIT)
    async def test_a_pre_roll_and_its_film_on_one_session_are_never_refused_for_the_advert_comes_back(
        self, home: StoreDriver
    ) -> None:
        for k in range(3):
            advert = await home.lease("tv", f"advert-{k}", limit=1, play=2 * k + 1)
            await self._ended(home, advert, 15_000)  # at once, as a fast line has it
            for n in range(4):
                await home.watch("tv", f"episode-{k}", sequence=n, limit=1, play=2 * k + 2)
            home.later(2 * SIX)  # what the film cost is back, and no more

    @opened_with(ONE_VISIT)
    async def test_mid_rolls_lead_back_into_the_film_and_are_never_refused(self, home: StoreDriver) -> None:
        for k in range(3):
            for n in range(3):
                await home.watch("tv", "film", sequence=3 * k + n, limit=1, play=1)
                home.later(SIX)
            for number in (1, 2):
                advert = await home.lease("tv", f"advert-{k}-{number}", limit=1, play=10 * k + number)
                await self._ended(home, advert, 15_000)
                home.later(15_000)

    @opened_with(AT_SIX)
    async def test_picture_in_picture_is_two_sessions_and_two_seats_also_of_one_device(self, home: StoreDriver) -> None:
        device = Device("tv-1", "Telly", "tv")
        for n in range(8):
            await home.watch("large", "film", sequence=n, device=device, play=1)
            await home.watch("small", "news", sequence=n, device=device, play=2)
            home.later(SIX)
        assert await home.sitting() == ["large", "small"]
        assert (await home.refused("third", "sport", limit=2, device=Device("phone"))).code == "session-limit"

    @opened_with(AT_SIX)
    async def test_picture_in_picture_on_one_session_is_two_players_and_refused(self, home: StoreDriver) -> None:
        answers = []
        for n in range(6):
            for stream in ("film", "news"):
                answers.append(answer := await home.ask("tv", stream, sequence=n))
                if isinstance(answer, Admitted) and answer.lease is not None:
                    await home.received(answer.lease, n)
            home.later(SIX // 3)
        assert "session-shared" in [each.code for each in answers if isinstance(each, Refusal)]

    @opened_with(AT_SIX)
    async def test_twenty_streams_at_one_moment_from_one_session_are_one_and_a_half_a_seat(
        self, home: StoreDriver
    ) -> None:
        async def round_(number: int) -> int:
            asked = [await home.ask("tv", f"stream-{k}", sequence=number, client=f"c{k}") for k in range(20)]
            leases = [a.lease for a in asked if isinstance(a, Admitted) and a.lease is not None]
            for lease in leases:
                await home.received(lease, number)
            home.later(SIX)
            return len(leases)

        segments = sum([await round_(k) for k in range(30)][-10:])  # in 10·X, on one of three seats, which rest
        assert segments / 10 <= 1 + 1.5

    @opened_with(ONE_VISIT)
    async def test_ten_long_downloads_at_once_are_one_and_a_half_a_seat(self, home: StoreDriver) -> None:
        """Each goes on by itself until it is cut, and is asked for again once a segment."""
        under_way: list[Lease] = []
        segments = 0
        for number in range(3 * (10 + self.ROUNDS)):
            if number % 3 == 0:
                asked = [await home.ask("tv", f"stream-{k}", client=f"c{k}") for k in range(10)]
                under_way += [a.lease for a in asked if isinstance(a, Admitted) and a.lease is not None]
            home.later(SIX // 3)
            under_way = [lease for lease in under_way if await home.prolong(lease) is None]
            if number % 3 == 2:
                for lease in under_way:
                    await home.received(lease, number)
                segments += len(under_way) if number >= 30 else 0
        assert 0 < segments / self.ROUNDS <= 3 * 1.5

    @opened_with(ONE_VISIT)
    async def test_a_stale_receipt_is_activity_of_its_own_session_and_nothing_else(self, home: StoreDriver) -> None:
        stale = await home.watch("tv", "news")
        await home.watch("phone", "film")
        await home.watch("tv", "sport", sequence=4)
        home.later(SIX)
        before, last = await home.session("phone"), (await home.session("tv")).last_activity_ms
        await self._ended(home, stale, SIX)
        tv = await home.session("tv")
        assert (tv.stream_id, tv.sequence, tv.last_activity_ms) == ("sport", 4, home.now)
        assert last != home.now
        assert await home.session("phone") == replace(before, state=(await home.session("phone")).state)
        await self._visit(home, "one")  # of three: a third of 2·X has passed, thrice over
        assert (await home.refused("two")).code == "too-many-visits", "and gives no visit back"

    @opened_with(AT_SIX)
    async def test_thirty_streams_in_turn_are_one_and_a_half_a_seat(self, home: StoreDriver) -> None:
        segments = await self._rotated(home, lambda visit, _: ("tv", f"stream-{visit % 30}"))
        assert segments / self.ROUNDS <= 3 * 1.5

    @opened_with(AT_SIX)
    @pytest.mark.parametrize("way", ["ended", "replaced"])
    async def test_a_fresh_session_a_visit_is_one_and_a_half_streams_a_seat(self, home: StoreDriver, way: str) -> None:
        async def leave(visit: int) -> None:
            if way == "ended":
                await home.end(f"s{visit}")

        segments = await self._rotated(home, lambda visit, _: (f"s{visit}", f"stream-{visit % 30}"), leave, way)
        assert segments / self.ROUNDS <= 3 * 1.5

    ROUNDS = 20
    """So many X are measured, once the burst is spent."""

    async def _rotated(
        self,
        home: StoreDriver,
        where: Callable[[int, int], tuple[str, str]],
        leave: Callable[[int], Awaitable[None]] | None = None,
        way: str = "",
    ) -> int:
        """Visits of three segments, as fast as they are let in, by one tool: segments received in `ROUNDS`·X."""
        visit, segments = 0, 0
        for number in range(20 + self.ROUNDS):
            until = home.now + SIX
            while True:
                session, stream = where(visit, number)
                replaced = f"s{visit - 1}" if way == "replaced" else None
                answer = await home.ask(session, stream, replace=replaced)
                if not isinstance(answer, Admitted) or answer.lease is None:
                    assert answer.code in ("too-many-visits", "session-shared"), answer
                    break
                for k in range(3):
                    await home.received(answer.lease if not k else await home.lease(session, stream), k)
                    segments += number >= 20
                if leave is not None:
                    await leave(visit)
                visit += 1
            home.later(until - home.now)
        return segments

    async def _visit(self, home: StoreDriver, session: str) -> None:
        """A session that starts and ends at once."""
        await home.lease(session)
        await home.end(session)

    async def _ended(self, home: StoreDriver, lease: Lease, long_ms: int) -> None:
        """The last segment of a stream that long was received."""
        verdict = await resolved(home.store.confirm(Receipt(lease, "last.m4s", 9, ends_ms=long_ms)))
        assert isinstance(verdict, Confirmed)
