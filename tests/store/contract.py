"""The promises of store/contract.py as tests: each in its meaning, in its race, and on its second call.

`StoreContract` is not collected itself: a subclass per engine provides the fixture `open_store`
(household.py says what that is) and nothing else. No engine is known here.
"""

import asyncio
import time
from collections.abc import Callable
from itertools import permutations

import pytest
from msgspec.structs import replace

from streamlimit.errors import BadCursor, StoreUnavailable
from streamlimit.model import (
    Admitted,
    Ask,
    Confirmed,
    Device,
    Gone,
    Lease,
    Purpose,
    Receipt,
    Refusal,
    State,
    Verdict,
)
from streamlimit.policy import DRY_RUN_SEATS, GRANTS_KEPT, LEASES_KEPT, MARKS_KEPT, OverLimit, Policy, Reclaim
from streamlimit.store.contract import Store, resolved
from tests.store.limits_contract import OwnLimits
from tests.store.plays_contract import Plays
from tests.store.store_driver import (
    ALL_TYPES,
    LOSSES,
    QUICK,
    SLACK,
    ManualClock,
    N,
    OpenStore,
    StoreDriver,
    X,
    new_user,
    opened_with,
    race,
    sweep_all,
    types,
)
from tests.store.undo_contract import Undo
from tests.store.visits_contract import Visits

LONG_START = Policy(segment_ms=X, missed_segments=N, start_ms=10 * X)
SHORT_START = Policy(segment_ms=X, missed_segments=N, start_ms=X // 2)
BUFFER = Policy(segment_ms=X, missed_segments=N, start_ms=X, buffer_ms=4 * X)
UNGUARDED = Policy(segment_ms=X, missed_segments=N, start_ms=X, max_returns=0)
IDLE_GOES = Policy(segment_ms=X, missed_segments=N, start_ms=X, over_limit=OverLimit.REPLACE_IDLE)
OLDEST_GOES = Policy(segment_ms=X, missed_segments=N, start_ms=X, over_limit=OverLimit.REPLACE_OLDEST)
NO_RECLAIM = Policy(segment_ms=X, missed_segments=N, start_ms=X, reclaim_device=Reclaim.NEVER)
ONE_A_DEVICE = Policy(segment_ms=X, missed_segments=N, start_ms=X, reclaim_device=Reclaim.ALWAYS)
ONE_PER_STREAM = Policy(segment_ms=X, missed_segments=N, start_ms=X, max_per_stream=1)
ONE_WITHOUT_A_TYPE = Policy(segment_ms=X, missed_segments=N, start_ms=X, max_per_device_type={"": 1})
ONE_TV = Policy(segment_ms=X, missed_segments=N, start_ms=X, max_per_device_type={"tv": 1})
DRY = Policy(segment_ms=X, missed_segments=N, start_ms=X, enforce=False)
HOUR = 3_600_000
UNCOUNTED = Policy(segment_ms=X, missed_segments=N, start_ms=X, visit_burst=0)
PATIENT = Policy(segment_ms=X, missed_segments=6, start_ms=X)
"""Expires late, so that several segments pass within n·X."""

swept_or_not = pytest.mark.parametrize("swept", [False, True], ids=["unswept", "swept"])


class Limits:
    """Rules 1, 2 and 9: who sits goes on, who is new is counted, a retry changes nothing."""

    async def test_the_first_session_gets_a_seat(self, home: StoreDriver) -> None:
        answer = await home.ask("tv", "news", device="d1")
        assert isinstance(answer, Admitted)
        assert (answer.existing, answer.limit, answer.live, answer.events) == (False, 3, 1, ())
        seen = answer.session
        assert seen is not None
        assert (seen.user_id, seen.session_id, seen.stream_id) == (home.user, "tv", "news")
        assert (seen.state, seen.device, seen.last_activity_ms) == (State.STARTING, "d1", None)
        assert (seen.started_at_ms, seen.expires_at_ms) == (home.now, home.now + X)
        assert answer.lease is not None
        assert (answer.lease.generation, answer.lease.move) == (seen.generation, seen.move)

    async def test_three_run_and_the_fourth_is_refused(self, home: StoreDriver) -> None:
        await home.watch_all("a", "b", "c")
        refusal = await home.refused("d")
        assert (refusal.code, refusal.limit, refusal.live) == ("session-limit", 3, 3)
        assert await home.sitting() == ["a", "b", "c"]

    async def test_reservations_count_as_much_as_sessions(self, home: StoreDriver) -> None:
        for session in "abc":
            await home.lease(session)
        assert (await home.refused("d")).code == "session-limit"

    async def test_who_sits_is_admitted_while_all_seats_are_taken(self, home: StoreDriver) -> None:
        await home.watch_all("a", "b", "c")
        for session in "abc":
            answer = await home.ask(session)
            assert isinstance(answer, Admitted)
            assert (answer.existing, answer.live) == (True, 3)
            assert answer.session == await home.session(session)

    async def test_a_reservation_is_admitted_again_while_all_seats_are_taken(self, home: StoreDriver) -> None:
        for session in "abc":
            await home.lease(session)
        assert isinstance(await home.ask("b"), Admitted)

    async def test_a_limit_lowered_below_what_sits_refuses_nobody_who_sits(self, home: StoreDriver) -> None:
        await home.watch_all("a", "b", "c")
        await home.limit_to(1)
        for session in "abc":
            assert isinstance(await home.ask(session), Admitted)
        refusal = await home.refused("d")
        assert (refusal.limit, refusal.live) == (1, 3)
        await home.end("a")
        await home.end("b")
        assert (await home.refused("d")).live == 1
        await home.end("c")
        await home.watch("d")

    async def test_a_limit_of_their_own_goes_before_the_asked_one(self, home: StoreDriver) -> None:
        assert await home.own_limit() is None
        await home.limit_to(2)
        await home.limit_to(2)
        assert await home.own_limit() == 2
        await home.watch_all("a", "b")
        assert (await home.refused("c", limit=5)).limit == 2
        assert (await home.roster()).limit == 2

    async def test_a_limit_taken_back_gives_the_policys_again(self, home: StoreDriver) -> None:
        await home.limit_to(1)
        await home.limit_to(None)
        await home.limit_to(None)
        assert await home.own_limit() is None
        await home.watch_all("a", "b", "c")
        assert (await home.refused("d")).limit == 3

    async def test_the_asked_limit_goes_before_the_policys(self, home: StoreDriver) -> None:
        await home.watch("a", limit=1)
        assert (await home.refused("b", limit=1)).limit == 1
        await home.watch("b", limit=2)

    async def test_a_limit_of_their_own_outlives_their_sessions(self, home: StoreDriver) -> None:
        await home.limit_to(1)
        await home.watch("a")
        home.later(N * X)
        await home.sweep()
        assert await home.own_limit() == 1

    async def test_users_take_no_seats_from_each_other(self, home: StoreDriver) -> None:
        await home.watch_all("a", "b", "c")
        assert isinstance(await home.ask("a", user_id=new_user()), Admitted)

    async def test_the_same_request_twice_is_one_seat_and_the_same_answer(self, home: StoreDriver) -> None:
        ask = home.question("tv")
        first = await resolved(home.store.admit(ask))
        again = await resolved(home.store.admit(ask))
        assert isinstance(first, Admitted)
        assert isinstance(again, Admitted)
        assert (again.session, again.lease, again.live) == (first.session, first.lease, first.live)

    async def test_the_same_lease_twice_is_given_back_at_once(self, home: StoreDriver) -> None:
        ask = home.question("tv")
        for _ in range(2):
            answer = await resolved(home.store.admit(ask))
        assert isinstance(answer, Admitted)
        assert answer.lease is not None
        assert types(await home.abandon(answer.lease)) == ["abandoned"]

    async def test_what_one_process_does_the_next_one_sees(self, home: StoreDriver) -> None:
        await home.watch_all("a", "b", "c")
        other = await home.another_store()
        assert isinstance(await resolved(other.admit(home.question("d"))), Refusal)
        assert isinstance(await resolved(other.admit(home.question("a"))), Admitted)
        assert await resolved(other.sessions(home.user)) == await home.roster()

    def test_of_eight_for_the_last_seat_one_wins(self, open_store: OpenStore) -> None:
        users = [new_user() for _ in range(30)]
        clock = ManualClock()

        def step(name: str):
            async def ask(store: Store, number: int) -> bool:
                home = _ask(users[number], name)
                return isinstance(await resolved(store.admit(home)), Admitted)

            return ask

        race(open_store, [step("a"), step("b")], 30, policy=QUICK, clock=clock)
        answers = race(open_store, [step(f"new-{k}") for k in range(8)], 30, policy=QUICK, clock=clock)
        assert [sum(admitted) for admitted in answers] == [1] * 30

    def test_of_eight_new_sessions_at_once_three_get_seats(self, open_store: OpenStore) -> None:
        users = [new_user() for _ in range(40)]

        def step(name: str):
            async def ask(store: Store, number: int) -> bool:
                return isinstance(await resolved(store.admit(_ask(users[number], name))), Admitted)

            return ask

        answers = race(open_store, [step(f"new-{k}") for k in range(8)], 40, policy=QUICK, clock=ManualClock())
        assert [sum(admitted) for admitted in answers] == [3] * 40

    def test_one_session_from_eight_places_at_once_takes_one_seat(self, open_store: OpenStore) -> None:
        users = [new_user() for _ in range(20)]

        def step(lease: str):
            async def ask(store: Store, number: int) -> tuple[int, int]:
                answer = await resolved(store.admit(_ask(users[number], "tv", lease)))
                assert isinstance(answer, Admitted)
                assert answer.lease is not None
                return answer.live, answer.lease.generation

            return ask

        steps = [step(f"lease-{k}") for k in range(8)]
        for answers in race(open_store, steps, 20, policy=QUICK, clock=ManualClock()):
            assert len(set(answers)) == 1
            assert answers[0][0] == 1

    def test_who_sits_is_never_refused_in_a_storm_of_new_ones(self, open_store: OpenStore) -> None:
        users = [new_user() for _ in range(20)]
        clock = ManualClock()

        def step(name: str):
            async def watch(store: Store, number: int) -> bool:
                answer = await resolved(store.admit(_ask(users[number], name, f"lease-{name}")))
                if isinstance(answer, Refusal) or answer.lease is None:
                    return False
                return isinstance(await resolved(store.confirm(Receipt(answer.lease))), Confirmed)

            return watch

        sitting = [step("a"), step("b"), step("c")]
        race(open_store, sitting, 20, policy=QUICK, clock=clock)
        steps = [*sitting, *(step(f"new-{k}") for k in range(5))]
        answers = race(open_store, steps, 20, policy=QUICK, clock=clock)
        assert answers == [[True] * 3 + [False] * 5] * 20


class Checks:
    """Looking at a playlist (`Purpose.CHECK`) is answered like a segment and changes nothing."""

    @opened_with(subscribed=ALL_TYPES)
    async def test_a_check_takes_no_seat(self, home: StoreDriver) -> None:
        answer = await home.ask("tv", purpose=Purpose.CHECK, limit=5)
        assert isinstance(answer, Admitted)
        assert (answer.session, answer.lease, answer.existing, answer.live) == (None, None, False, 0)
        assert answer.limit == 5
        assert await home.sitting() == []

    async def test_a_check_is_refused_where_a_segment_would_be(self, home: StoreDriver) -> None:
        await home.watch_all("a", "b", "c")
        assert (await home.refused("d", purpose=Purpose.CHECK)).code == "session-limit"

    async def test_a_check_of_a_reservation_opens_no_lease(self, home: StoreDriver) -> None:
        lease = await home.lease("tv")
        home.later(X // 2)
        before = await home.session("tv")
        assert isinstance(await home.ask("tv", purpose=Purpose.CHECK), Admitted)
        assert await home.session("tv") == before
        assert types(await home.abandon(lease)) == ["abandoned"]

    async def test_a_check_is_no_activity_and_no_move(self, home: StoreDriver) -> None:
        await home.watch("tv", "news")
        before = (await home.session("tv")).last_activity_ms
        home.later(X // 2)
        assert isinstance(await home.ask("tv", "film", purpose=Purpose.CHECK), Admitted)
        seen = await home.session("tv")
        assert (seen.last_activity_ms, seen.stream_id, seen.expires_at_ms) == (before, "news", before + N * X)

    @opened_with(subscribed=ALL_TYPES)
    async def test_a_check_replaces_nobody_and_sweeps_nobody(self, home: StoreDriver) -> None:
        await home.watch("gone")
        home.later(N * X - 1)
        await home.watch_all("a", "b")
        home.later(1)
        told = await home.pending()
        assert isinstance(await home.ask("c", purpose=Purpose.CHECK), Admitted)
        await home.watch("c")
        assert await home.sitting() == ["a", "b", "c"]
        told = await home.pending()
        answer = await home.ask("d", purpose=Purpose.CHECK, replace="a")
        assert isinstance(answer, Admitted)
        assert await home.sitting() == ["a", "b", "c"]
        assert await home.pending() == told

    async def test_who_may_not_start_goes_on_but_does_not_begin(self, home: StoreDriver) -> None:
        assert (await home.refused("tv", may_start=False)).code == "grant-expired"
        await home.watch("tv")
        assert isinstance(await home.ask("tv", may_start=False), Admitted)
        home.later(N * X)
        assert (await home.refused("tv", may_start=False)).code == "grant-expired"
        assert await home.sitting() == []

    async def test_who_may_not_start_replaces_nobody(self, home: StoreDriver) -> None:
        await home.watch_all("a", "b", "c")
        assert (await home.refused("d", may_start=False, replace="a")).code == "grant-expired"
        assert await home.sitting() == ["a", "b", "c"]


class Reservations:
    """Rule 3 until the receipt: reserve, deliver, give back."""

    async def test_a_reservation_given_back_frees_its_seat_at_once(self, home: StoreDriver) -> None:
        await home.watch_all("a", "b")
        lease = await home.lease("c")
        events = await home.abandon(lease)
        assert types(events) == ["abandoned"]
        assert events[0].session.state is State.ABANDONED
        assert await home.sitting() == ["a", "b"]
        await home.watch("d")

    async def test_giving_back_twice_is_once(self, home: StoreDriver) -> None:
        lease = await home.lease("tv")
        await home.abandon(lease)
        assert await home.abandon(lease) == ()
        assert await home.sitting() == []

    async def test_giving_back_an_old_reservation_leaves_the_new_one(self, home: StoreDriver) -> None:
        old = await home.lease("tv", lease_id="the-same")
        home.later(X)
        await home.lease("tv", lease_id="the-same")
        assert await home.abandon(old) == ()
        assert await home.sitting() == ["tv"]

    @pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
    async def test_the_last_lease_given_back_frees_the_seat(self, home: StoreDriver, order: tuple[int, ...]) -> None:
        leases = [await home.lease("tv") for _ in range(3)]
        told = [types(await home.abandon(leases[k])) for k in order]
        assert told == [[], [], ["abandoned"]]
        assert await home.sitting() == []

    @pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
    async def test_one_receipt_among_hang_ups_keeps_the_seat(self, home: StoreDriver, order: tuple[int, ...]) -> None:
        leases = [await home.lease("tv") for _ in range(3)]
        for k in order:
            if k == 1:
                await home.received(leases[k])
            else:
                assert await home.abandon(leases[k]) == ()
        assert await home.state("tv") is State.ACTIVE

    async def test_a_lease_hung_up_twice_does_not_count_for_another(self, home: StoreDriver) -> None:
        one, other = await home.lease("tv"), await home.lease("tv")
        await home.abandon(one)
        assert await home.abandon(one) == ()
        assert await home.sitting() == ["tv"]
        assert types(await home.abandon(other)) == ["abandoned"]

    async def test_a_hang_up_leaves_an_existing_session_as_it_was(self, home: StoreDriver) -> None:
        await home.watch("tv", sequence=4)
        before = await home.session("tv")
        home.later(X // 2)
        lease = await home.lease("tv", "film", sequence=5)
        assert await home.abandon(lease) == ()
        assert await home.session("tv") == before

    async def test_a_second_lease_of_a_reservation_gives_it_its_time_anew(self, home: StoreDriver) -> None:
        await home.lease("tv")
        home.later(X - 1)
        await home.lease("tv")
        home.later(X - 1)
        assert await home.sitting() == ["tv"]
        home.later(1)
        assert await home.sitting() == []

    async def test_a_seat_without_a_lease_waits_for_its_player(self, home: StoreDriver) -> None:
        seat = await home.lease("tv", purpose=Purpose.SEAT)
        assert await home.abandon(seat) == ()
        home.later(X - 1)
        assert await home.state("tv") is State.STARTING
        home.later(1)
        assert types(await home.sweep()) == ["abandoned"]

    async def test_a_seat_asked_for_twice_is_the_same_seat(self, home: StoreDriver) -> None:
        one = await home.ask("tv", purpose=Purpose.SEAT)
        home.later(X // 2)
        two = await home.ask("tv", purpose=Purpose.SEAT)
        assert isinstance(one, Admitted)
        assert isinstance(two, Admitted)
        assert (two.session, two.existing) == (one.session, True)

    async def test_a_seat_becomes_real_by_a_receipt(self, home: StoreDriver) -> None:
        await home.lease("tv", purpose=Purpose.SEAT)
        verdict = await home.received(await home.lease("tv"))
        assert types(verdict.events) == ["started"]
        assert await home.state("tv") is State.ACTIVE

    async def test_of_very_many_leases_the_newest_count(self, home: StoreDriver) -> None:
        leases = [await home.lease("tv") for _ in range(LEASES_KEPT + 1)]
        for lease in leases[1:-1]:
            assert await home.abandon(lease) == ()
        assert types(await home.abandon(leases[-1])) == ["abandoned"]

    def test_of_leases_hung_up_at_once_the_last_one_frees_the_seat(self, open_store: OpenStore) -> None:
        users = [new_user() for _ in range(20)]

        def step(lease_id: str):
            async def hang_up(store: Store, number: int) -> list[str]:
                answer = await resolved(store.admit(_ask(users[number], "tv", lease_id)))
                assert isinstance(answer, Admitted)
                assert answer.lease is not None
                return types(await resolved(store.abandon(answer.lease)))

            return hang_up

        # Each admits and hangs up; whoever comes when the seat was free again reserves it anew.
        steps = [step(f"lease-{k}") for k in range(4)]
        answers = race(open_store, steps, 20, policy=QUICK, clock=ManualClock())
        for told in answers:
            assert ["abandoned"] in told

        async def nobody_sits(store: Store, number: int) -> int:
            return (await resolved(store.sessions(users[number]))).live

        assert race(open_store, [nobody_sits], 20, policy=QUICK, clock=ManualClock()) == [[0]] * 20

    def test_a_receipt_and_a_hang_up_at_once_keep_the_seat(self, open_store: OpenStore) -> None:
        users, clock = [new_user() for _ in range(30)], ManualClock()

        def reserve(lease_id: str):
            async def ask(store: Store, number: int) -> object:
                return await resolved(store.admit(_ask(users[number], "tv", lease_id)))

            return ask

        reserved = race(open_store, [reserve("one"), reserve("two")], 30, policy=QUICK, clock=clock)

        async def receive(store: Store, number: int) -> bool:
            return isinstance(await resolved(store.confirm(Receipt(reserved[number][0].lease))), Confirmed)

        async def hang_up(store: Store, number: int) -> bool:
            return await resolved(store.abandon(reserved[number][1].lease)) == ()

        answers = race(open_store, [receive, hang_up], 30, policy=QUICK, clock=clock)
        assert answers == [[True, True]] * 30

        async def sitting(store: Store, number: int) -> list[State]:
            return [s.state for s in (await resolved(store.sessions(users[number]))).sessions]

        assert race(open_store, [sitting], 30, policy=QUICK, clock=clock) == [[[State.ACTIVE]]] * 30


class Receipts:
    """Rules 3 and 5: what a receipt does, in time and late."""

    async def test_a_receipt_makes_the_session_active(self, home: StoreDriver) -> None:
        lease = await home.lease("tv")
        home.later(X // 2)
        verdict = await home.received(lease, 7)
        assert types(verdict.events) == ["started"]
        assert (verdict.limit, verdict.live) == (3, 1)
        seen = await home.session("tv")
        assert verdict.session == seen
        assert (seen.state, seen.last_activity_ms, seen.expires_at_ms) == (
            State.ACTIVE,
            home.now,
            home.now + N * X,
        )
        assert (seen.segment, seen.sequence, seen.started_at_ms) == ("video-7.m4s", 7, home.now - X // 2)

    async def test_the_same_receipt_twice_is_one(self, home: StoreDriver) -> None:
        lease = await home.lease("tv")
        first = await home.received(lease, 7)
        again = await home.received(lease, 7)
        assert again.events == ()
        assert again.session == first.session

    async def test_a_receipt_from_another_process_is_the_same(self, home: StoreDriver) -> None:
        lease = await home.lease("tv")
        other = await home.another_store()
        assert isinstance(await resolved(other.confirm(Receipt(lease))), Confirmed)
        assert await home.state("tv") is State.ACTIVE

    async def test_a_receipt_without_a_segment_keeps_the_last_one(self, home: StoreDriver) -> None:
        await home.watch("tv", sequence=7)
        home.later(X)
        beat = await home.lease("tv")
        seen = (await home.received(beat)).session
        assert (seen.segment, seen.sequence, seen.last_activity_ms) == ("video-7.m4s", 7, home.now)

    async def test_receipts_without_a_segment_tell_each_session_as_it_is(self, home: StoreDriver) -> None:
        places = {"a": (7, Device(id="d1", name="TV", type="tv")), "b": (None, "d2"), "c": (7, None)}
        for session, (sequence, device) in places.items():
            await home.watch(session, sequence=sequence, device=device)
        home.later(X)
        for session, (sequence, device) in places.items():
            seen = (await home.received(await home.lease(session))).session
            assert (seen.sequence, seen.device) == (sequence, device)
            assert seen == await home.session(session)

    async def test_the_clock_going_back_moves_no_session_back(self, home: StoreDriver) -> None:
        await home.watch("tv")
        before = await home.session("tv")
        home.later(-X)
        await home.watch("tv")
        seen = await home.session("tv")
        assert (seen.last_activity_ms, seen.expires_at_ms) == (before.last_activity_ms, before.expires_at_ms)

    async def test_receipts_out_of_order_move_no_session_back(self, home: StoreDriver) -> None:
        early = await home.lease("tv")
        home.later(1)
        late = await home.lease("tv")
        home.later(10)
        await home.received(late, 2)
        home.later(10)
        verdict = await home.received(early, 1)
        seen = await home.session("tv")
        assert (seen.last_activity_ms, seen.state) == (home.now, State.ACTIVE)
        assert (verdict.events, seen.segment) == ((), "video-2.m4s")

    @swept_or_not
    @opened_with(subscribed=LOSSES)
    async def test_a_receipt_of_an_expired_session_seats_it_again_if_there_is_room(
        self, home: StoreDriver, swept: bool
    ) -> None:
        await home.watch("tv")
        late = await home.lease("tv", "film", device="d1")
        home.later(N * X)
        events = await home.sweep() if swept else []
        verdict = await home.received(late, 9)
        told = types([*events, *verdict.events])
        assert told == ["expired", "started"]
        assert verdict.session.generation > late.generation
        seen = await home.session("tv")
        assert (seen.stream_id, seen.sequence, seen.device, seen.state) == ("film", 9, "d1", State.ACTIVE)
        assert await home.pending() == 1
        assert await home.sweep() == []

    @swept_or_not
    async def test_a_receipt_of_an_expired_session_takes_nobodys_seat(self, home: StoreDriver, swept: bool) -> None:
        late = await home.watch("tv")
        home.later(N * X)
        if swept:
            await home.sweep()
        await home.watch_all("a", "b", "c")
        assert (await home.late(late)).state is State.EXPIRED
        assert await home.sitting() == ["a", "b", "c"]

    @swept_or_not
    async def test_a_receipt_after_the_reservation_ran_out_seats_it_again(self, home: StoreDriver, swept: bool) -> None:
        late = await home.lease("tv")
        home.later(X)
        events = await home.sweep() if swept else []
        verdict = await home.received(late)
        assert types([*events, *verdict.events]) == ["abandoned", "started"]
        assert await home.state("tv") is State.ACTIVE

    async def test_a_late_receipt_counts_by_the_limit_of_now(self, home: StoreDriver) -> None:
        late = await home.watch("tv")
        home.later(N * X)
        await home.watch("a")
        await home.limit_to(1)
        assert (await home.late(late)).state is State.EXPIRED

    async def test_a_late_receipt_counts_by_the_limit_of_its_request(self, home: StoreDriver) -> None:
        late = await home.watch("tv", limit=1)
        home.later(N * X)
        await home.watch("a")
        assert (await home.late(late)).state is State.EXPIRED

    async def test_a_late_receipt_twice_is_once(self, home: StoreDriver) -> None:
        late = await home.watch("tv")
        home.later(N * X)
        first = await home.received(late, 9)
        again = await home.received(late, 9)
        assert again.events == ()
        assert again.session == first.session

    async def test_both_late_receipts_of_audio_and_video_count(self, home: StoreDriver) -> None:
        await home.watch("tv")
        video, audio = await home.lease("tv"), await home.lease("tv", kind="audio")
        home.later(N * X)
        await home.received(video, 9)
        home.later(X)
        assert await home.prolong(audio) is None
        assert (await home.received(audio, 9, kind="audio")).events == ()
        assert (await home.session("tv")).last_activity_ms == home.now

    async def test_a_second_late_receipt_does_not_move_the_session(self, home: StoreDriver) -> None:
        await home.watch("tv")
        news, film = await home.lease("tv", "news"), await home.lease("tv", "film")
        home.later(N * X)
        await home.received(film, 1)
        await home.received(news, 9)
        seen = await home.session("tv")
        assert (seen.stream_id, seen.sequence) == ("film", 1)

    async def test_a_session_seated_again_and_ended_stays_ended(self, home: StoreDriver) -> None:
        await home.watch("tv")
        one, other = await home.lease("tv"), await home.lease("tv")
        home.later(N * X)
        await home.received(one)
        home.later(1)
        await home.end("tv")
        assert (await home.late(other)).state is State.ENDED
        assert await home.sitting() == []

    @swept_or_not
    async def test_a_newer_seat_past_its_time_does_not_stand_in_the_way(self, home: StoreDriver, swept: bool) -> None:
        late = await home.watch("tv")
        home.later(N * X)
        await home.lease("tv")
        home.later(X)
        if swept:
            await home.sweep()
        await home.received(late)
        assert await home.sitting() == ["tv"]

    async def test_a_receipt_of_an_ended_session_does_nothing(self, home: StoreDriver) -> None:
        late = await home.watch("tv")
        await home.end("tv")
        home.later(1)
        gone = await home.late(late)
        assert gone.state is State.ENDED
        assert gone.mark is not None
        assert (gone.mark.by, gone.mark.generation) == ("viewer", late.generation)
        assert await home.sitting() == []
        assert (await home.late(late)).state is State.ENDED

    async def test_a_receipt_of_an_ended_session_does_nothing_for_as_long_as_it_could_have_sat(
        self, home: StoreDriver
    ) -> None:
        late = await home.watch("tv")
        await home.end("tv")
        home.later(N * X - 1)
        assert (await home.late(late)).state is State.ENDED
        home.later(1)
        await home.received(late)

    async def test_neither_the_end_of_another_nor_an_end_before_it_keeps_an_expired_session_out(
        self, home: StoreDriver
    ) -> None:
        await home.watch("tv")
        await home.end("tv")
        home.later(1)
        late = await home.lease("tv")
        home.later(1)
        await home.watch("pad")
        home.later(X)
        await home.end("pad")
        await home.received(late)
        assert await home.sitting() == ["tv"]

    async def test_a_receipt_of_a_session_that_was_ended_and_then_terminated_is_told_of_the_termination(
        self, home: StoreDriver
    ) -> None:
        late = await home.watch("tv")
        await home.end("tv")
        await home.watch("tv")
        await home.terminate("tv")
        assert (await home.late(late)).state is State.TERMINATED

    async def test_a_receipt_of_a_reservation_that_was_ended_does_nothing(self, home: StoreDriver) -> None:
        late = await home.lease("tv")
        await home.end("tv")
        assert (await home.late(late)).state is State.ENDED
        assert await home.abandon(late) == ()
        assert await home.sitting() == []

    async def test_a_receipt_of_a_terminated_session_does_nothing(self, home: StoreDriver) -> None:
        late = await home.watch("tv")
        await home.terminate("tv", "ops", "too loud")
        gone = await home.late(late)
        assert gone.state is State.TERMINATED
        assert gone.mark is not None
        assert (gone.mark.by, gone.mark.reason, gone.mark.at_ms) == ("ops", "too loud", home.now)
        assert await home.sitting() == []

    @pytest.mark.parametrize("pause", [0, 1], ids=["same-millisecond", "later"])
    async def test_a_receipt_of_an_ended_generation_does_nothing_for_the_next_one(
        self, home: StoreDriver, pause: int
    ) -> None:
        late = await home.lease("tv")
        await home.end("tv")
        home.later(pause)
        again = await home.lease("tv")
        assert again.generation > late.generation
        gone = await home.late(late)
        assert (gone.state, gone.mark is not None) == (State.ENDED, True)
        assert await home.state("tv") is State.STARTING
        assert types(await home.abandon(again)) == ["abandoned"]

    async def test_a_receipt_of_an_expired_generation_does_nothing_for_the_next_one(self, home: StoreDriver) -> None:
        late = await home.watch("tv")
        home.later(N * X)
        await home.lease("tv")
        assert (await home.late(late)).state is State.EXPIRED
        assert await home.state("tv") is State.STARTING

    async def test_a_late_hang_up_after_a_receipt_does_nothing(self, home: StoreDriver) -> None:
        lease = await home.watch("tv")
        home.later(X)
        assert await home.abandon(lease) == ()
        assert await home.sitting() == ["tv"]

    def test_of_two_late_receipts_for_the_last_seat_one_counts(self, open_store: OpenStore) -> None:
        users, clock = [new_user() for _ in range(20)], ManualClock()

        def reserve(name: str):
            async def ask(store: Store, number: int) -> object:
                return await resolved(store.admit(_ask(users[number], name)))

            return ask

        late = race(open_store, [reserve("a"), reserve("b"), reserve("c")], 20, policy=QUICK, clock=clock)
        clock.now_ms += X
        race(open_store, [reserve("new-1"), reserve("new-2")], 20, policy=QUICK, clock=clock)

        def receive(which: int):
            async def confirm(store: Store, number: int) -> bool:
                lease = late[number][which].lease
                return isinstance(await resolved(store.confirm(Receipt(lease))), Confirmed)

            return confirm

        answers = race(open_store, [receive(k) for k in range(3)], 20, policy=QUICK, clock=clock)
        assert [sum(counted) for counted in answers] == [1] * 20

    def test_a_receipt_never_beats_an_end_at_the_same_time(self, open_store: OpenStore) -> None:
        users, clock = [new_user() for _ in range(30)], ManualClock()

        async def reserve(store: Store, number: int) -> object:
            return await resolved(store.admit(_ask(users[number], "tv")))

        leases = race(open_store, [reserve], 30, policy=QUICK, clock=clock)

        async def receive(store: Store, number: int) -> None:
            await resolved(store.confirm(Receipt(leases[number][0].lease)))

        async def end(store: Store, number: int) -> list[str]:
            return types(await resolved(store.end(users[number], "tv")))

        answers = race(open_store, [receive, receive, end, end], 30, policy=QUICK, clock=clock)
        for _, _, one, other in answers:
            assert sorted([one, other]) == [[], ["ended"]]

        async def live(store: Store, number: int) -> int:
            return (await resolved(store.sessions(users[number]))).live

        assert race(open_store, [live], 30, policy=QUICK, clock=clock) == [[0]] * 30


class Times:
    """Rules 5, 6 and 7: what time does to a session, swept or not."""

    async def test_a_session_is_active_for_x_then_idle_then_gone(self, home: StoreDriver) -> None:
        await home.watch("tv")
        home.later(X - 1)
        assert await home.state("tv") is State.ACTIVE
        home.later(1)
        assert await home.state("tv") is State.IDLE
        home.later((N - 1) * X - 1)
        assert await home.state("tv") is State.IDLE
        home.later(1)
        assert await home.sitting() == []

    async def test_an_idle_session_that_fetches_is_active_again(self, home: StoreDriver) -> None:
        await home.watch("tv")
        home.later(N * X - 1)
        await home.watch("tv")
        assert await home.state("tv") is State.ACTIVE
        home.later(N * X - 1)
        assert await home.state("tv") is State.IDLE

    async def test_a_reservation_lives_its_start_time(self, home: StoreDriver) -> None:
        await home.lease("tv")
        home.later(X - 1)
        assert await home.state("tv") is State.STARTING
        home.later(1)
        assert await home.sitting() == []

    @opened_with(SHORT_START)
    async def test_a_short_start_time_is_kept_to_the_millisecond(self, home: StoreDriver) -> None:
        await home.lease("tv")
        home.later(X // 2 - 1)
        assert await home.sitting() == ["tv"]
        home.later(1)
        assert await home.sitting() == []

    @opened_with(LONG_START)
    async def test_a_long_start_time_ends_with_the_first_receipt(self, home: StoreDriver) -> None:
        lease = await home.lease("tv")
        home.later(9 * X)
        assert await home.state("tv") is State.STARTING
        await home.received(lease)
        other = await home.lease("phone")
        await home.received(other)
        assert (await home.session("phone")).expires_at_ms == home.now + N * X
        home.later(N * X)
        assert await home.sitting() == []
        assert types(await home.sweep()) == ["expired", "expired"]

    async def test_bytes_on_the_way_keep_a_reservation(self, home: StoreDriver) -> None:
        lease = await home.lease("tv")
        for _ in range(10):
            home.later(X - 1)
            assert await home.prolong(lease) is None
        assert await home.state("tv") is State.STARTING
        home.later(X)
        assert await home.sitting() == []

    async def test_bytes_on_the_way_keep_a_session_but_are_no_activity(self, home: StoreDriver) -> None:
        lease = await home.watch("tv")
        started = home.now
        for _ in range(10):
            home.later(X)
            assert await home.prolong(lease) is None
        seen = await home.session("tv")
        assert (seen.last_activity_ms, seen.state) == (started, State.IDLE)
        assert seen.expires_at_ms == home.now + N * X

    async def test_prolonging_twice_is_once_and_never_shortens(self, home: StoreDriver) -> None:
        lease = await home.watch("tv")
        home.later(X)
        await home.prolong(lease)
        once = await home.session("tv")
        await home.prolong(lease)
        assert await home.session("tv") == once
        home.later(-X)
        await home.prolong(lease)
        assert (await home.session("tv")).expires_at_ms == once.expires_at_ms

    @swept_or_not
    async def test_bytes_of_a_session_past_its_time_do_not_bring_it_back(self, home: StoreDriver, swept: bool) -> None:
        lease = await home.watch("tv")
        home.later(N * X)
        if swept:
            await home.sweep()
        for _ in range(2):
            gone = await home.prolong(lease)
            assert isinstance(gone, Gone)
            assert gone.state is State.EXPIRED
        assert await home.sitting() == []

    async def test_bytes_of_a_session_that_was_sent_away_say_so(self, home: StoreDriver) -> None:
        ended, stopped = await home.watch_all("a", "b")
        await home.end("a")
        await home.terminate("b", why="enough")
        one, two = await home.prolong(ended), await home.prolong(stopped)
        assert isinstance(one, Gone)
        assert isinstance(two, Gone)
        assert (one.state, two.state) == (State.ENDED, State.TERMINATED)
        assert two.mark is not None
        assert two.mark.reason == "enough"

    async def test_bytes_of_an_older_generation_prolong_nothing(self, home: StoreDriver) -> None:
        old = await home.watch("tv")
        home.later(N * X)
        await home.lease("tv")
        before = await home.session("tv")
        home.later(1)
        assert isinstance(await home.prolong(old), Gone)
        assert await home.session("tv") == before

    async def test_without_a_buffer_setting_played_time_does_not_count(self, home: StoreDriver) -> None:
        await home.watch("tv", play_ms=60 * X)
        assert (await home.session("tv")).expires_at_ms == home.now + N * X

    @opened_with(BUFFER)
    async def test_received_but_unplayed_media_prolongs_up_to_the_buffer(self, home: StoreDriver) -> None:
        for k, ahead in enumerate((X, 2 * X, 3 * X, 4 * X, 4 * X)):
            await home.watch("tv", sequence=k, play_ms=X)
            assert (await home.session("tv")).expires_at_ms == home.now + ahead + N * X

    @opened_with(BUFFER)
    async def test_the_buffer_empties_while_it_plays(self, home: StoreDriver) -> None:
        for k in range(2):
            await home.watch("tv", sequence=k, play_ms=X)
        home.later(X + X // 2)
        await home.watch("tv", sequence=2, play_ms=X)
        assert (await home.session("tv")).expires_at_ms == home.now + X // 2 + X + N * X
        home.later(4 * X)
        await home.watch("tv", sequence=3, play_ms=X)
        assert (await home.session("tv")).expires_at_ms == home.now + X + N * X

    async def test_a_session_past_its_time_counts_for_nothing_unswept(self, home: StoreDriver) -> None:
        await home.watch_all("a", "b", "c")
        home.later(N * X - 1)
        assert (await home.refused("d")).code == "session-limit"
        home.later(1)
        answer = await home.ask("d")
        assert isinstance(answer, Admitted)
        assert answer.live == 1
        assert types(answer.events) == ["expired"] * 3
        assert await home.sweep() == []

    @swept_or_not
    @opened_with(subscribed=LOSSES)
    async def test_who_comes_back_too_late_is_a_new_session(self, home: StoreDriver, swept: bool) -> None:
        old = await home.watch("tv", sequence=7)
        home.later(N * X)
        events = await home.sweep() if swept else []
        answer = await home.ask("tv")
        assert isinstance(answer, Admitted)
        assert types([*events, *answer.events]) == ["expired"]
        assert not answer.existing
        assert answer.session is not None
        assert answer.session.generation > old.generation
        assert (answer.session.state, answer.session.sequence) == (State.STARTING, None)
        assert await home.pending() == 1

    @swept_or_not
    async def test_who_comes_back_too_late_finds_the_seats_taken(self, home: StoreDriver, swept: bool) -> None:
        await home.watch("tv")
        home.later(N * X)
        if swept:
            await home.sweep()
        await home.watch_all("a", "b", "c")
        assert (await home.refused("tv")).code == "session-limit"

    async def test_the_refusal_of_a_newcomer_tells_no_event(self, home: StoreDriver) -> None:
        await home.watch_all("a", "b", "c")
        assert [s.session_id for s in (await home.refused("d")).sessions] == ["a", "b", "c"]
        assert (await home.roster()).live == 3


class Sweeps:
    """Rule 7, Endpoint 2: what is due is taken out and told, once."""

    async def test_the_sweep_takes_at_exactly_the_time_and_not_before(self, home: StoreDriver) -> None:
        await home.watch("tv", device="d1")
        home.later(N * X - 1)
        assert await home.sweep() == []
        assert await home.sitting() == ["tv"]
        home.later(1)
        events = await home.sweep()
        assert types(events) == ["expired"]
        seen = events[0].session
        assert (seen.state, seen.device, seen.session_id) == (State.EXPIRED, "d1", "tv")
        assert (events[0].at_ms, seen.last_activity_ms) == (home.now, home.now - N * X)
        assert await home.sweep() == []

    async def test_the_sweep_takes_a_reservation_at_exactly_its_time(self, home: StoreDriver) -> None:
        await home.lease("tv")
        home.later(X - 1)
        assert await home.sweep() == []
        home.later(1)
        assert types(await home.sweep()) == ["abandoned"]

    async def test_the_sweep_finds_a_session_that_was_prolonged_often(self, home: StoreDriver) -> None:
        for _ in range(5):
            lease = await home.watch("tv")
            home.later(X)
            assert await home.sweep() == []
            await home.prolong(lease)
        home.later(N * X - 1)
        assert await home.sweep() == []
        home.later(1)
        assert types(await home.sweep()) == ["expired"]

    async def test_the_sweep_finds_a_session_due_before_all_others_of_its_user(self, home: StoreDriver) -> None:
        await home.watch("late")
        home.later(X)
        await home.sweep()
        await home.lease("soon")
        home.later(X)
        assert [e.session.session_id for e in await home.sweep()] == ["soon"]
        home.later(X)
        assert [e.session.session_id for e in await home.sweep()] == ["late"]

    async def test_each_session_of_a_user_goes_at_its_own_time(self, home: StoreDriver) -> None:
        gone = []
        for session in "abc":
            await home.watch(session)
            home.later(X // 2)
        for _ in range(8):
            home.later(X // 2)
            gone.append([e.session.session_id for e in await home.sweep()])
        assert [names for names in gone if names] == [["a"], ["b"], ["c"]]

    async def test_an_old_mark_is_swept_in_silence(self, home: StoreDriver) -> None:
        await home.watch_all("a", "b")
        await home.end("a")
        await home.terminate("b")
        home.later(N * X)
        assert await home.sweep() == []
        assert (await home.roster()).live == 0

    async def test_a_sweep_is_bounded_and_says_that_more_is_due(self, home: StoreDriver) -> None:
        users = [f"{home.user}-{k}" for k in range(10)]
        for user in users:
            await home.watch("tv", user_id=user)
        home.later(N * X)
        seen, more = [], True
        while more:
            swept = await resolved(home.store.expire(3))
            assert len(swept.events) <= 3
            seen += [e.session.user_id for e in swept.events]
            more = swept.more
        assert sorted(seen) == users

    async def test_a_sweep_ends_though_those_it_finds_were_prolonged(self, home: StoreDriver) -> None:
        users = [f"{home.user}-{k}" for k in range(3)]
        for user in users:
            await home.watch("tv", user_id=user)
        home.later(2 * X)
        assert await home.sweep(at_most=1) == []
        home.later(X)
        assert sorted(e.session.user_id for e in await home.sweep(at_most=1)) == users

    async def test_a_sweep_of_nothing_says_that_no_more_is_due(self, home: StoreDriver) -> None:
        await home.watch("tv")
        assert not (await resolved(home.store.expire(100))).more

    def test_of_many_sweepers_each_session_is_told_to_one(self, open_store: OpenStore) -> None:
        clock, prefix = ManualClock(), new_user()

        def watch(name: str):
            async def reserve(store: Store, number: int) -> None:
                await resolved(store.admit(_ask(f"{prefix}-{number}", name)))

            return reserve

        race(open_store, [watch("a"), watch("b"), watch("c")], 50, policy=QUICK, clock=clock)
        clock.now_ms += X

        async def sweep(store: Store, number: int) -> list[tuple[str, str]]:
            events = await sweep_all(store, 7)
            return [(e.session.user_id, e.session.session_id) for e in events]

        [answers] = race(open_store, [sweep] * 4, 1, policy=QUICK, clock=clock)
        told = [who for one in answers for who in one if who[0].startswith(prefix)]
        assert sorted(told) == sorted((f"{prefix}-{k}", name) for k in range(50) for name in "abc")

    def test_of_a_sweep_and_admissions_one_tells_the_event(self, open_store: OpenStore) -> None:
        clock, users = ManualClock(), [new_user() for _ in range(30)]

        async def reserve(store: Store, number: int) -> None:
            await resolved(store.admit(_ask(users[number], "tv")))

        race(open_store, [reserve], 30, policy=QUICK, clock=clock)
        clock.now_ms += X

        async def sweep(store: Store, number: int) -> list[str]:
            return [e.session.user_id for e in await sweep_all(store)]

        def come(name: str):
            async def ask(store: Store, number: int) -> list[str]:
                answer = await resolved(store.admit(_ask(users[number], name)))
                assert isinstance(answer, Admitted)
                return [e.session.user_id for e in answer.events]

            return ask

        answers = race(open_store, [sweep, come("tv"), come("b")], 30, policy=QUICK, clock=clock)
        told = [user for step in answers for one in step for user in one if user in users]
        assert sorted(told) == sorted(users)


class Sharing:
    """Rule 8: one session moves as it likes; two players on one session are told apart from one."""

    async def test_a_session_moves_and_keeps_its_seat(self, home: StoreDriver) -> None:
        await home.watch_all("a", "b")
        old = await home.watch("tv", "news", sequence=7)
        await home.lease("tv", "film")
        assert (await home.session("tv")).stream_id == "news"
        verdict = await home.received(await home.lease("tv", "film"), 0)
        assert types(verdict.events) == ["moved"]
        seen = await home.session("tv")
        assert (seen.stream_id, seen.sequence, seen.move) == ("film", 0, old.move + 1)
        assert (await home.roster()).live == 3

    async def test_a_receipt_of_an_old_move_is_activity_but_moves_nothing_back(self, home: StoreDriver) -> None:
        await home.watch("tv", "news", sequence=7)
        stale = await home.lease("tv", "news", sequence=8)
        await home.watch("tv", "film", sequence=0)
        home.later(X)
        verdict = await home.received(stale, 8)
        assert verdict.events == ()
        seen = verdict.session
        assert (seen.stream_id, seen.sequence, seen.segment) == ("film", 0, "video-0.m4s")
        assert (seen.last_activity_ms, seen.expires_at_ms) == (home.now, home.now + N * X)

    async def test_moving_twice_by_the_same_receipt_is_once(self, home: StoreDriver) -> None:
        await home.watch("tv", "news")
        lease = await home.lease("tv", "film")
        await home.received(lease, 0)
        again = await home.received(lease, 0)
        assert again.events == ()
        assert again.session.move == lease.move + 1

    async def test_a_move_does_not_wait_for_a_free_seat(self, home: StoreDriver) -> None:
        await home.watch_all("a", "b", "c")
        for stream in ("film", "sport", "series", "kids"):
            await home.watch("c", stream)
        assert (await home.session("c")).stream_id == "kids"

    async def test_a_reservation_that_moves_starts_once(self, home: StoreDriver) -> None:
        news, film = await home.lease("tv", "news"), await home.lease("tv", "film")
        assert types((await home.received(film)).events) == ["started"]
        assert (await home.received(news)).events == ()
        assert (await home.session("tv")).stream_id == "film"

    async def test_zapping_on_is_never_sharing(self, home: StoreDriver) -> None:
        for k in range(20):
            await home.watch("tv", f"channel-{k}", sequence=0)
        assert (await home.session("tv")).move == 19

    @opened_with(PATIENT)
    async def test_ping_pong_between_two_streams_is_refused_at_the_third_return(self, home: StoreDriver) -> None:
        for stream in ("news", "film", "news", "film"):
            await home.watch("tv", stream)
            home.later(X // 2)
        refusal = await home.refused("tv", "news")
        assert refusal.code == "session-shared"
        assert [s.session_id for s in refusal.sessions] == ["tv"]
        assert (await home.refused("tv", "news", purpose=Purpose.CHECK)).code == "session-shared"
        await home.watch("tv", "film")
        assert (await home.session("tv")).stream_id == "film"

    @opened_with(PATIENT)
    async def test_who_ping_pongs_may_still_go_to_a_third_stream(self, home: StoreDriver) -> None:
        for stream in ("news", "film", "news", "film"):
            await home.watch("tv", stream)
        await home.watch("tv", "sport")

    @opened_with(PATIENT)
    async def test_refused_requests_count_for_nothing(self, home: StoreDriver) -> None:
        for stream in ("news", "film", "news", "film"):
            await home.watch("tv", stream)
        before = await home.session("tv")
        for _ in range(20):
            await home.refused("tv", "news")
        assert await home.session("tv") == before
        # Had they counted, the last n·X would not be clean yet.
        for _ in range(6):
            home.later(X)
            await home.watch("tv", "film")
        await home.watch("tv", "news")

    @opened_with(PATIENT)
    async def test_ping_pong_is_forgotten_after_the_expiry_time(self, home: StoreDriver) -> None:
        for stream in ("news", "film", "news", "film"):
            await home.watch("tv", stream)
        home.later(3 * X)
        await home.watch("tv", "film")
        home.later(3 * X)
        for stream in ("news", "film", "news"):
            await home.watch("tv", stream)

    @opened_with(PATIENT)
    async def test_coming_back_after_two_segments_is_no_return(self, home: StoreDriver) -> None:
        for k in range(12):
            await home.watch("tv", ("news", "film")[k % 2])
            home.later(2 * X)
        assert (await home.session("tv")).move == 11

    @opened_with(PATIENT)
    async def test_coming_back_within_two_segments_is_a_return(self, home: StoreDriver) -> None:
        for k in range(4):
            await home.watch("tv", ("news", "film")[k % 2])
            home.later(X)
        # film was left 3 X ago when news came the second time: within 2 X, since it left at the second.
        await home.refused("tv", "news")

    @opened_with(UNGUARDED)
    async def test_zero_returns_turns_the_guard_off(self, home: StoreDriver) -> None:
        for k in range(20):
            await home.watch("tv", ("news", "film")[k % 2], sequence=k % 3, client=f"c{k % 2}")

    @opened_with(PATIENT)
    async def test_two_players_on_one_stream_are_refused_at_the_third_repeat(self, home: StoreDriver) -> None:
        await home.watch("tv", sequence=10, client="home")
        for k in (3, 4):
            await home.watch("tv", sequence=k, client="office")
            await home.watch("tv", sequence=k + 8, client="home")
        assert (await home.refused("tv", sequence=5, client="office")).code == "session-shared"
        await home.watch("tv", sequence=13, client="home")

    @opened_with(PATIENT)
    async def test_an_address_that_nobody_knows_is_no_second_one(self, home: StoreDriver) -> None:
        await home.watch("tv", sequence=30, client="home")
        for k in range(20, 10, -1):  # names of one length, so that the quick way is taken as well
            await home.watch("tv", sequence=k, client="")
            await home.watch("tv", sequence=k, client="home")
        await home.watch("tv", sequence=30, client="")
        await home.watch("tv", sequence=20, client="office")  # the last known one was another: the first repeat
        await home.watch("tv", sequence=21, client="")
        await home.watch("tv", sequence=20, client="home")  # the second
        assert (await home.refused("tv", sequence=5, client="office")).code == "session-shared"

    @opened_with(PATIENT)
    async def test_two_players_in_step_are_refused_too(self, home: StoreDriver) -> None:
        for k in range(2):
            await home.watch("tv", sequence=k, client="home")
            await home.watch("tv", sequence=k, client="office")
        await home.watch("tv", sequence=2, client="home")
        assert (await home.refused("tv", sequence=2, client="office")).code == "session-shared"

    @opened_with(PATIENT)
    async def test_stale_leases_count_as_no_repeat_and_no_return(self, home: StoreDriver) -> None:
        await home.watch("tv", "news", sequence=9, client="home")
        stale = [await home.lease("tv", "news", sequence=k, client=f"c{k}") for k in range(5)]
        await home.watch("tv", "film", sequence=9, client="home")
        for k, lease in enumerate(stale):
            await home.received(lease, k)
        await home.watch("tv", "film", sequence=5, client="phone")
        assert (await home.session("tv")).stream_id == "film"

    @opened_with(PATIENT)
    async def test_prefetch_out_of_order_is_honest(self, home: StoreDriver) -> None:
        for k in (1, 0, 3, 2, 5, 4, 7, 6, 9, 8):
            await home.watch("tv", sequence=k, client="home")
            await home.watch("tv", sequence=k, client="home", kind="audio")

    @opened_with(PATIENT)
    async def test_seeking_and_replaying_from_one_address_is_honest(self, home: StoreDriver) -> None:
        for k in (50, 3, 3, 3, 40, 2, 1, 0, 0, 0):
            await home.watch("tv", sequence=k, client="home")

    @opened_with(PATIENT)
    async def test_a_phone_that_roams_is_honest(self, home: StoreDriver) -> None:
        for k in range(5):
            await home.watch("phone", sequence=k, client="wifi")
        for k in range(4, 12):
            await home.watch("phone", sequence=k, client="mobile")

    @opened_with(PATIENT)
    async def test_one_seek_from_a_second_address_is_one_repeat(self, home: StoreDriver) -> None:
        await home.watch("phone", sequence=50, client="wifi")
        for k in range(3, 20):
            await home.watch("phone", sequence=k, client="mobile")

    @opened_with(PATIENT)
    @pytest.mark.parametrize("first", [0, 103, 1_790_000_000_000])
    async def test_parts_that_go_only_forward_by_two_addresses_are_one_player(
        self, home: StoreDriver, first: int
    ) -> None:
        await home.watch("phone", sequence=first, client="v4")
        for k in range(4, 24):
            await home.watch("phone", sequence=first + k // 4, part=k % 4, client=("v4", "v6")[k % 2])
        assert (await home.session("phone")).sequence == first + 5

    @opened_with(PATIENT)
    async def test_two_players_on_parts_are_refused_at_the_third_repeat(self, home: StoreDriver) -> None:
        for part in (0, 1):
            await home.watch("tv", sequence=7, part=part, client="home")
            await home.watch("tv", sequence=7, part=part, client="office")
        await home.watch("tv", sequence=7, part=2, client="home")
        assert (await home.refused("tv", sequence=7, part=2, client="office")).code == "session-shared"
        assert (await home.refused("tv", sequence=7, part=1, client="office")).code == "session-shared"
        await home.watch("tv", sequence=7, part=3, client="home")

    @opened_with(PATIENT)
    async def test_a_whole_segment_behind_its_own_parts_is_a_repeat(self, home: StoreDriver) -> None:
        for k in (7, 8):
            await home.watch("tv", sequence=k, part=2, client="home")
            await home.watch("tv", sequence=k, client="office")
        await home.watch("tv", sequence=9, part=1, client="home")
        assert (await home.refused("tv", sequence=9, client="office")).code == "session-shared"

    @opened_with(PATIENT)
    async def test_one_seek_among_parts_is_one_repeat(self, home: StoreDriver) -> None:
        await home.watch("phone", sequence=50, part=3, client="wifi")
        for k in range(12, 40):
            await home.watch("phone", sequence=k // 4, part=k % 4, client="mobile")

    @opened_with(PATIENT)
    async def test_switching_the_quality_is_honest(self, home: StoreDriver) -> None:
        for k in range(6):
            await home.watch("tv", sequence=k, client="home")
            await home.watch("tv", sequence=k, client="home")

    @opened_with(PATIENT)
    async def test_audio_from_a_second_address_ahead_of_the_video_is_honest(self, home: StoreDriver) -> None:
        for k in range(8):
            await home.watch("tv", sequence=k, client="v4")
            await home.watch("tv", sequence=k, client="v6", kind="audio")

    @opened_with(PATIENT)
    async def test_a_move_makes_positions_start_anew(self, home: StoreDriver) -> None:
        for k in range(6):
            await home.watch("tv", f"clip-{k}", sequence=9 - k, client=f"c{k}")

    @opened_with(PATIENT)
    async def test_heartbeats_are_no_repeats(self, home: StoreDriver) -> None:
        await home.watch("tv", sequence=9, client="home")
        for k in range(6):
            await home.received(await home.lease("tv", client=f"c{k}"))


class Refusals:
    """Rule 10: a refusal explains itself and changes nothing."""

    async def test_a_refusal_lists_who_sits_oldest_first(self, home: StoreDriver) -> None:
        await home.watch("a", "news", sequence=3, device=Device(id="d1", name="TV", type="tv"))
        first = home.now
        home.later(X)
        await home.lease("b", "film", device="d2")
        home.later(X // 2)
        await home.watch("c", "kids")
        refusal = await home.refused("d")
        one, two, three = refusal.sessions
        assert (one.session_id, one.stream_id, one.state, one.last_activity_ms) == (
            "a",
            "news",
            State.IDLE,
            first,
        )
        assert one.device == Device(id="d1", name="TV", type="tv")
        assert (one.segment, one.started_at_ms) == ("video-3.m4s", first)
        assert (two.session_id, two.state, two.device, two.last_activity_ms) == (
            "b",
            State.STARTING,
            "d2",
            None,
        )
        assert (three.session_id, three.state) == ("c", State.ACTIVE)
        assert refusal.sessions == (await home.roster()).sessions

    async def test_a_refusal_says_when_the_next_seat_may_come_free(self, home: StoreDriver) -> None:
        for session in "abc":
            await home.watch(session)
            home.later(100)
        assert (await home.refused("d")).retry_after_ms == N * X - 300

    async def test_where_the_limit_was_lowered_more_must_go_first(self, home: StoreDriver) -> None:
        for session in "abc":
            await home.watch(session)
            home.later(100)
        await home.limit_to(1)
        assert (await home.refused("d")).retry_after_ms == N * X - 100

    @opened_with(subscribed=ALL_TYPES)
    async def test_a_refusal_changes_nothing(self, home: StoreDriver) -> None:
        await home.watch_all("a", "b", "c")
        home.later(X)
        before, told = await home.roster(), await home.pending()
        for _ in range(3):
            await home.refused("d")
        assert await home.roster() == before
        assert await home.pending() == told

    async def test_the_same_refusal_twice_says_the_same(self, home: StoreDriver) -> None:
        await home.watch_all("a", "b", "c")
        assert await home.refused("d") == await home.refused("d")


class Departures:
    """The viewer's end and the operator's termination (rules 3, 6 and 12)."""

    async def test_an_end_frees_the_seat_at_once(self, home: StoreDriver) -> None:
        await home.watch_all("a", "b", "c")
        events = await home.end("b")
        assert types(events) == ["ended"]
        assert events[0].session.state is State.ENDED
        assert await home.sitting() == ["a", "c"]
        await home.watch("d")

    async def test_ending_twice_is_once(self, home: StoreDriver) -> None:
        await home.watch("tv")
        await home.end("tv")
        assert await home.end("tv") == ()
        assert await home.end("never-was") == ()

    async def test_an_ended_session_may_come_back_as_a_new_one(self, home: StoreDriver) -> None:
        old = await home.watch("tv", sequence=5)
        await home.end("tv")
        answer = await home.ask("tv")
        assert isinstance(answer, Admitted)
        assert answer.session is not None
        assert not answer.existing
        assert answer.session.generation > old.generation
        assert answer.session.sequence is None

    async def test_ending_what_is_past_its_time_tells_that_it_expired(self, home: StoreDriver) -> None:
        await home.watch("tv")
        home.later(N * X)
        assert types(await home.end("tv")) == ["expired"]

    async def test_every_loss_says_why_and_by_whom(self, home: StoreDriver) -> None:
        told = list(await home.abandon(await home.lease("tv")))
        await home.lease("tv")
        home.later(X)
        told += await home.sweep()
        await home.watch("tv")
        home.later(N * X)
        told += await home.sweep()
        await home.watch("tv")
        told += await home.end("tv")
        await home.watch_all("a", "b", "c")
        answer = await home.ask("d", replace="a")
        assert isinstance(answer, Admitted)
        told += answer.events
        assert [(event.type.removeprefix("session."), event.reason, event.by) for event in told] == [
            ("abandoned", "nothing was received", None),
            ("abandoned", "reservation ran out", None),
            ("expired", "idle", None),
            ("ended", "ended", "viewer"),
            ("terminated", "replaced by another session of this user", "viewer"),
        ]

    async def test_a_terminated_session_is_refused_and_told_why(self, home: StoreDriver) -> None:
        await home.watch_all("a", "b", "c")
        events = await home.terminate("b", "ops", "bill unpaid")
        assert types(events) == ["terminated"]
        assert (events[0].by, events[0].reason) == ("ops", "bill unpaid")
        assert events[0].session.state is State.TERMINATED
        refusal = await home.refused("b")
        assert refusal.code == "session-terminated"
        assert refusal.mark is not None
        assert (refusal.mark.by, refusal.mark.reason, refusal.mark.at_ms) == ("ops", "bill unpaid", home.now)
        assert await home.sitting() == ["a", "c"]

    async def test_terminating_twice_is_once(self, home: StoreDriver) -> None:
        await home.watch("tv")
        await home.terminate("tv", "ops", "first")
        assert await home.terminate("tv", "ops", "second") == ()
        refusal = await home.refused("tv")
        assert refusal.mark is not None
        assert refusal.mark.reason == "first"

    async def test_all_sessions_of_a_user_are_terminated_at_once(self, home: StoreDriver) -> None:
        await home.watch_all("a", "b")
        await home.lease("c")
        assert types(await home.terminate(None)) == ["terminated"] * 3
        assert await home.sitting() == []
        for session in "abc":
            assert (await home.refused(session)).code == "session-terminated"
        assert await home.terminate(None) == ()
        await home.watch("d")

    async def test_terminating_all_tells_of_the_expired_that_they_expired(self, home: StoreDriver) -> None:
        await home.watch("old")
        home.later(N * X - 1)
        await home.watch("tv")
        home.later(1)
        assert sorted(types(await home.terminate(None))) == ["expired", "terminated"]
        assert isinstance(await home.ask("old"), Admitted)

    async def test_a_terminated_session_is_forgiven_when_it_was_silent(self, home: StoreDriver) -> None:
        await home.watch("tv")
        await home.terminate("tv")
        home.later(N * X - 1)
        assert (await home.refused("tv")).code == "session-terminated"
        home.later(N * X + SLACK)
        assert isinstance(await home.ask("tv"), Admitted)

    async def test_who_never_asked_is_forgiven_at_that_very_moment(self, home: StoreDriver) -> None:
        await home.watch_all("a", "b", "c")
        await home.watch("d", replace="a")
        await home.terminate("b")
        home.later(N * X)
        assert isinstance(await home.ask("a"), Admitted)
        assert isinstance(await home.ask("b"), Admitted)

    async def test_the_silence_counts_from_the_last_refusal_to_within_a_fiftieth_of_x(self, home: StoreDriver) -> None:
        for gap in range(2 * SLACK + 1):  # the last refusal is told on any point between two writes
            await home.watch("tv")
            await home.terminate("tv")
            home.later(1)
            assert (await home.refused("tv")).code == "session-terminated"
            home.later(gap)
            assert (await home.refused("tv")).code == "session-terminated"
            home.later(N * X - 1)
            assert (await home.refused("tv")).code == "session-terminated", "not a moment too early"
            home.later(N * X + SLACK)
        assert isinstance(await home.ask("tv"), Admitted)

    async def test_a_hammering_player_stays_out(self, home: StoreDriver) -> None:
        await home.watch("tv")
        await home.terminate("tv", "ops", "why")
        at = home.now
        for step in (1, SLACK // 2, X, N * X - 1, 1, 1, N * X - 1, X, N * X - 1, SLACK, N * X - 1):
            home.later(step)
            refusal = await home.refused("tv")
            assert refusal.mark is not None
            assert (refusal.mark.at_ms, refusal.mark.reason) == (at, "why")
        await home.sweep()
        home.later(N * X - 1)
        assert (await home.refused("tv", purpose=Purpose.CHECK)).code == "session-terminated"
        home.later(N * X + SLACK)
        await home.sweep()
        await home.watch("tv")

    @swept_or_not
    async def test_sweeping_forgives_nobody_early(self, home: StoreDriver, swept: bool) -> None:
        await home.watch("tv")
        await home.terminate("tv")
        for _ in range(N):
            home.later(X - 1)
            if swept:
                await home.sweep()
        assert (await home.refused("tv")).code == "session-terminated"

    async def test_the_newest_sixteen_terminations_are_remembered(self, home: StoreDriver) -> None:
        for k in range(MARKS_KEPT + 2):
            await home.watch(f"s{k}")
            await home.terminate(f"s{k}")
            home.later(1)
        for k in range(2, MARKS_KEPT + 2):
            assert (await home.refused(f"s{k}")).code == "session-terminated"
        for k in range(2):
            assert isinstance(await home.ask(f"s{k}"), Admitted)

    async def test_a_viewers_replacements_push_no_operators_termination_out(self, home: StoreDriver) -> None:
        await home.watch("bad")
        await home.terminate("bad", "ops")
        await home.watch_all("a", "b", "old")
        for k in range(MARKS_KEPT + 2):
            old, new = ("old" if k == 0 else f"s{k - 1}"), f"s{k}"
            await home.watch(new, replace=old)
            home.later(1)
        assert (await home.refused("bad")).code == "session-terminated"
        assert (await home.refused("s2")).code == "session-terminated", "sixteen are kept, with the operator's"
        assert isinstance(await home.ask("s1", replace=f"s{MARKS_KEPT + 1}"), Admitted)

    async def test_an_operators_terminations_push_a_viewers_out_and_keep_their_own(self, home: StoreDriver) -> None:
        await home.watch_all("a", "b", "old")
        await home.watch("new", replace="old")
        for k in range(MARKS_KEPT):
            await home.terminate("new" if k == 0 else f"s{k}")
            await home.watch(f"s{k + 1}")
        await home.terminate(f"s{MARKS_KEPT}")
        for k in range(1, MARKS_KEPT + 1):
            assert (await home.refused(f"s{k}")).code == "session-terminated"
        await home.watch("old")
        await home.watch("older", replace="old")
        assert isinstance(await home.ask("old", replace="older"), Admitted), "sixteen of the operator's fill them"

    @opened_with(policy=LONG_START)
    async def test_a_session_whose_mark_found_no_room_is_gone_for_its_leases(self, home: StoreDriver) -> None:
        lease, other = await home.watch("tv"), await home.lease("pad")
        await home.end("tv")
        await home.end("pad")
        for k in range(MARKS_KEPT + 2):
            await home.watch(f"s{k}")
            await home.end(f"s{k}")
        for each in (lease, other):
            assert isinstance(await home.prolong(each), Gone)
            await home.late(each)
        assert await home.sitting() == []
        again = await home.watch("tv")
        assert again.generation > lease.generation
        assert await home.prolong(again) is None
        home.later(N * X)
        await home.sweep()
        await home.received(again)

    async def test_ended_sessions_push_no_termination_out(self, home: StoreDriver) -> None:
        await home.watch("bad")
        await home.terminate("bad")
        for k in range(MARKS_KEPT + 2):
            await home.watch(f"s{k}")
            await home.end(f"s{k}")
        assert (await home.refused("bad")).code == "session-terminated"

    def test_of_many_terminations_at_once_one_is_told(self, open_store: OpenStore) -> None:
        users, clock = [new_user() for _ in range(20)], ManualClock()

        async def reserve(store: Store, number: int) -> None:
            await resolved(store.admit(_ask(users[number], "tv")))

        race(open_store, [reserve], 20, policy=QUICK, clock=clock)

        def stop(one: str | None):
            async def terminate(store: Store, number: int) -> list[str]:
                return types(await resolved(store.terminate(users[number], one, "ops", "")))

            return terminate

        answers = race(open_store, [stop("tv"), stop(None)] * 2, 20, policy=QUICK, clock=clock)
        for told in answers:
            assert sorted(told) == [[], [], [], ["terminated"]]


class Replacements:
    """Rule 12: who gives way at the limit."""

    @opened_with(IDLE_GOES)
    async def test_the_longest_silent_gives_way(self, home: StoreDriver) -> None:
        for session in "abc":
            await home.watch(session)
            home.later(10)
        await home.watch("a")
        home.later((N - 1) * X)
        answer = await home.ask("d", device="phone")
        assert isinstance(answer, Admitted)
        assert (answer.live, types(answer.events)) == (3, ["terminated"])
        assert answer.events[0].session.session_id == "b"
        assert await home.sitting() == ["a", "c", "d"]
        mark = (await home.refused("b")).mark
        assert mark is not None
        assert (mark.by_session_id, mark.by_device, mark.at_ms) == ("d", "phone", home.now)

    @opened_with(IDLE_GOES)
    async def test_nobody_gives_way_before_n_minus_one_segments_of_silence(self, home: StoreDriver) -> None:
        await home.watch_all("a", "b", "c")
        home.later((N - 1) * X - 1)
        assert (await home.refused("d")).code == "session-limit"
        home.later(1)
        assert isinstance(await home.ask("d"), Admitted)

    @opened_with(OLDEST_GOES)
    async def test_the_oldest_gives_way_however_busy(self, home: StoreDriver) -> None:
        for session in "abc":
            await home.watch(session)
            home.later(10)
        await home.watch("a")
        await home.watch("d")
        assert await home.sitting() == ["b", "c", "d"]
        assert (await home.refused("a")).code == "session-terminated"

    @opened_with(OLDEST_GOES)
    async def test_nobody_gives_way_while_there_is_room(self, home: StoreDriver) -> None:
        await home.watch_all("a", "b")
        home.later(10)
        answer = await home.ask("c", replace="a")
        assert isinstance(answer, Admitted)
        assert answer.events == ()
        assert await home.sitting() == ["a", "b", "c"]

    async def test_a_viewer_may_name_who_gives_way(self, home: StoreDriver) -> None:
        await home.watch_all("a", "b", "c")
        answer = await home.ask("d", replace="b")
        assert isinstance(answer, Admitted)
        assert [(e.type, e.session.session_id, e.by) for e in answer.events] == [("session.terminated", "b", "viewer")]
        assert await home.sitting() == ["a", "c", "d"]

    async def test_naming_one_who_does_not_sit_replaces_nobody(self, home: StoreDriver) -> None:
        await home.watch_all("a", "b", "c")
        assert (await home.refused("d", replace="nobody")).code == "session-limit"
        assert await home.sitting() == ["a", "b", "c"]

    @opened_with(OLDEST_GOES)
    async def test_the_named_one_goes_before_the_oldest(self, home: StoreDriver) -> None:
        await home.watch_all("a", "b", "c")
        await home.watch("d", replace="c")
        assert await home.sitting() == ["a", "b", "d"]

    async def test_repeating_an_executed_replacement_does_nothing(self, home: StoreDriver) -> None:
        await home.watch_all("a", "b", "c")
        await home.watch("d", replace="b")
        for _ in range(3):
            answer = await home.ask("d", replace="b")
            assert isinstance(answer, Admitted)
            assert (answer.existing, answer.events) == (True, ())
        assert await home.sitting() == ["a", "c", "d"]

    async def test_who_expired_before_is_told_beside_who_gives_way(self, home: StoreDriver) -> None:
        await home.watch("gone")
        home.later(1)
        await home.watch_all("a", "b")
        await home.limit_to(2)
        home.later(N * X - 1)
        answer = await home.ask("c", replace="a")
        assert isinstance(answer, Admitted)
        assert [(e.session.session_id, e.type) for e in answer.events] == [
            ("gone", "session.expired"),
            ("a", "session.terminated"),
        ]

    @opened_with(OLDEST_GOES)
    async def test_who_sits_replaces_nobody(self, home: StoreDriver) -> None:
        await home.watch_all("a", "b", "c")
        assert isinstance(await home.ask("c", replace="a"), Admitted)
        assert await home.sitting() == ["a", "b", "c"]

    async def test_an_abandoned_newcomer_does_not_bring_its_victim_back(self, home: StoreDriver) -> None:
        await home.watch_all("a", "b", "c")
        newcomer = await home.lease("d", replace="b")
        assert types(await home.abandon(newcomer)) == ["abandoned"]
        assert await home.sitting() == ["a", "c"]
        assert (await home.refused("b")).code == "session-terminated"

    async def test_a_replaced_session_is_not_brought_back_by_its_own_receipt(self, home: StoreDriver) -> None:
        await home.watch_all("a", "b")
        late = await home.watch("c")
        newcomer = await home.lease("d", replace="c")
        await home.abandon(newcomer)
        gone = await home.late(late)
        assert gone.state is State.TERMINATED
        assert gone.mark is not None
        assert gone.mark.by_session_id == "d"
        assert await home.sitting() == ["a", "b"]

    @opened_with(OLDEST_GOES)
    async def test_a_retrying_victim_cannot_take_its_seat_back_in_turns(self, home: StoreDriver) -> None:
        await home.watch_all("a", "b", "c")
        home.later(1)
        await home.watch("d")
        for _ in range(10):
            home.later(X)
            assert (await home.refused("a", replace="d")).code == "session-terminated"
            for session in "bcd":
                await home.watch(session)

    @opened_with(OLDEST_GOES)
    async def test_where_the_limit_was_lowered_nobody_goes_for_nothing(self, home: StoreDriver) -> None:
        await home.watch_all("a", "b", "c")
        await home.limit_to(2)
        assert (await home.refused("d")).code == "session-limit"
        assert (await home.refused("d", replace="a")).code == "session-limit"
        assert await home.sitting() == ["a", "b", "c"]

    async def test_a_device_takes_back_what_its_crashed_player_left(self, home: StoreDriver) -> None:
        await home.watch_all("a", "b")
        await home.watch("old", device=Device(id="tv-1", name="TV"))
        home.later(X)
        answer = await home.ask("new", device="tv-1")
        assert isinstance(answer, Admitted)
        assert [e.session.session_id for e in answer.events] == ["old"]
        assert await home.sitting() == ["a", "b", "new"]

    async def test_a_device_does_not_stop_its_own_session_that_plays(self, home: StoreDriver) -> None:
        await home.watch_all("a", "b")
        await home.watch("old", device="tv-1")
        home.later(X - 1)
        assert (await home.refused("new", device="tv-1")).code == "session-limit"

    async def test_another_device_reclaims_nothing(self, home: StoreDriver) -> None:
        await home.watch_all("a", "b")
        await home.watch("old", device="tv-1")
        home.later(X)
        assert (await home.refused("new", device="tv-2")).code == "session-limit"
        assert (await home.refused("new")).code == "session-limit"

    @opened_with(NO_RECLAIM)
    async def test_reclaiming_can_be_turned_off(self, home: StoreDriver) -> None:
        await home.watch_all("a", "b")
        await home.watch("old", device="tv-1")
        home.later(X)
        assert (await home.refused("new", device="tv-1")).code == "session-limit"

    @opened_with(ONE_A_DEVICE)
    async def test_with_a_seat_a_device_its_next_session_takes_over_though_seats_are_free(
        self, home: StoreDriver
    ) -> None:
        await home.watch("episode-1", device=Device(id="tv-1", name="TV"))
        answer = await home.ask("episode-2", device="tv-1")
        assert isinstance(answer, Admitted)
        assert answer.live == 1
        assert [(e.type, e.session.session_id, e.by) for e in answer.events] == [
            ("session.terminated", "episode-1", "viewer")
        ]
        assert await home.sitting() == ["episode-2"]

    @opened_with(ONE_A_DEVICE)
    @pytest.mark.parametrize("way", ["watch", "beaten"])
    async def test_with_a_seat_a_device_the_next_session_is_let_in_though_the_clock_went_back(
        self, home: StoreDriver, way: str
    ) -> None:
        """As where a replica takes over, on a machine whose clock is a little behind."""
        await home.watch_all("a", "b")
        await home.watch("episode-1", device="tv-1")
        home.later(-X // 2)
        await getattr(home, way)("episode-2", device="tv-1")
        assert await home.sitting() == ["a", "b", "episode-2"]

    @opened_with(ONE_A_DEVICE)
    async def test_of_two_tabs_of_a_device_the_newer_plays_and_the_older_is_told_by_whom(
        self, home: StoreDriver
    ) -> None:
        for beat in (True, False):
            await home.watch("old", device="pc")
            await (home.beaten("new", device="pc") if beat else home.watch("new", device="pc"))
            refusal = await home.refused("old", device="pc")
            assert refusal.code == "session-terminated"
            assert refusal.mark is not None
            assert (refusal.mark.by, refusal.mark.by_session_id, refusal.mark.by_device) == ("viewer", "new", "pc")
            assert await home.sitting() == ["new"]
            home.later(2 * N * X)

    @opened_with(ONE_A_DEVICE)
    async def test_with_a_seat_a_device_one_that_plays_gives_way_at_the_limit_too(self, home: StoreDriver) -> None:
        await home.watch("old", device="tv-1")
        await home.watch_all("a", "b")
        assert (await home.refused("c", device="tv-2")).code == "session-limit"
        assert (await home.refused("d")).code == "session-limit"
        assert isinstance(await home.ask("x", device="tv-1", purpose=Purpose.CHECK), Admitted)
        assert await home.sitting() == ["old", "a", "b"]
        await home.watch("new", device="tv-1")
        assert await home.sitting() == ["a", "b", "new"]

    @opened_with(ONE_A_DEVICE)
    async def test_with_a_seat_a_device_other_devices_and_those_without_an_id_stay(self, home: StoreDriver) -> None:
        await home.watch("none")
        await home.watch("typed", device=Device(type="tv"))
        await home.watch("new", device=Device(type="tv"))
        assert await home.sitting() == ["none", "typed", "new"]

    @opened_with(ONE_A_DEVICE)
    @pytest.mark.parametrize("other", ["tv-2", "mv-1", "tv-11", "tv-"])
    async def test_with_a_seat_a_device_one_of_a_name_that_is_nearly_the_same_stays(
        self, home: StoreDriver, other: str
    ) -> None:
        await home.watch("old", device="tv-1")
        await home.watch("new", device=other)
        assert await home.sitting() == ["old", "new"]

    def test_of_many_who_name_the_same_victim_one_gets_its_seat(self, open_store: OpenStore) -> None:
        users, clock = [new_user() for _ in range(20)], ManualClock()

        def step(name: str, replace: str | None = None):
            async def ask(store: Store, number: int) -> bool:
                ask = _ask(users[number], name, replace=replace)
                return isinstance(await resolved(store.admit(ask)), Admitted)

            return ask

        race(open_store, [step("a"), step("b"), step("c")], 20, policy=QUICK, clock=clock)
        steps = [step(f"new-{k}", "b") for k in range(6)]
        answers = race(open_store, steps, 20, policy=QUICK, clock=clock)
        assert [sum(admitted) for admitted in answers] == [1] * 20


class Caps:
    """Limits beside the user's: for one stream, for one type of device."""

    @opened_with(ONE_PER_STREAM)
    async def test_a_full_stream_refuses_a_new_session_though_seats_are_free(self, home: StoreDriver) -> None:
        await home.watch("a", "news")
        refusal = await home.refused("b", "news")
        assert (refusal.code, refusal.scope, refusal.scope_limit) == ("session-limit", "stream", 1)
        assert (refusal.limit, refusal.live) == (3, 1)
        assert (await home.refused("b", "news", purpose=Purpose.CHECK)).scope == "stream"
        await home.watch("b", "film")

    @opened_with(ONE_PER_STREAM)
    async def test_full_seats_are_told_before_a_full_stream(self, home: StoreDriver) -> None:
        for k in range(3):
            await home.watch(f"s{k}", f"stream-{k}")
        refusal = await home.refused("new", "stream-0")
        assert (refusal.scope, refusal.scope_limit) == ("user", 3)

    @opened_with(ONE_PER_STREAM)
    async def test_a_full_stream_says_when_it_has_room(self, home: StoreDriver) -> None:
        await home.watch("a", "film")
        home.later(X)
        await home.watch("b", "news")
        assert (await home.refused("c", "news")).retry_after_ms == N * X

    @opened_with(ONE_PER_STREAM)
    async def test_who_sits_may_move_to_a_full_stream(self, home: StoreDriver) -> None:
        await home.watch("a", "news")
        await home.watch("b", "film")
        await home.watch("b", "news")
        assert (await home.session("b")).stream_id == "news"

    @opened_with(ONE_TV)
    async def test_a_type_of_device_has_a_cap_of_its_own(self, home: StoreDriver) -> None:
        tv, phone = Device(id="d1", type="tv"), Device(id="d2", type="phone")
        await home.watch("a", device=tv)
        refusal = await home.refused("b", device=Device(id="d3", type="tv"))
        assert (refusal.scope, refusal.scope_limit) == ("device-type", 1)
        await home.watch("b", device=phone)
        await home.watch("c", device="tv")

    @opened_with(ONE_WITHOUT_A_TYPE)
    async def test_devices_that_tell_no_type_are_of_one_type(self, home: StoreDriver) -> None:
        await home.watch("a", device=Device(id="d1", type="tv"))
        await home.watch("b", device=Device(id="d2"))
        for device in (Device(id="d3"), "d4", None):
            refusal = await home.refused("c", device=device)
            assert (refusal.scope, refusal.scope_limit) == ("device-type", 1)
        await home.end("b")
        await home.watch("c")
        assert (await home.refused("b", device=Device(id="d2"))).scope == "device-type"

    @opened_with(ONE_PER_STREAM)
    async def test_one_who_gives_way_must_make_the_room_that_is_missing(self, home: StoreDriver) -> None:
        await home.watch("a", "news")
        await home.watch("b", "film")
        assert (await home.refused("c", "news", replace="b")).scope == "stream"
        answer = await home.ask("c", "news", replace="a")
        assert isinstance(answer, Admitted)
        assert [e.session.session_id for e in answer.events] == ["a"]
        assert await home.sitting() == ["b", "c"]

    @swept_or_not
    @opened_with(ONE_PER_STREAM)
    async def test_a_late_receipt_counts_by_the_caps_too(self, home: StoreDriver, swept: bool) -> None:
        late, other = await home.watch("a", "news"), await home.watch("b", "film")
        home.later(N * X)
        if swept:
            await home.sweep()
        await home.watch("c", "news")
        assert (await home.late(late)).state is State.EXPIRED
        await home.received(other)
        assert await home.sitting() == ["c", "b"]


class DryRuns:
    """`enforce` off: all is decided, and nobody is refused."""

    @opened_with(DRY)
    async def test_a_dry_run_lets_the_fourth_through_and_says_so(self, home: StoreDriver) -> None:
        await home.watch_all("a", "b", "c")
        answer = await home.ask("d")
        assert isinstance(answer, Admitted)
        assert (answer.would_refuse, answer.existing, answer.live) == ("session-limit", False, 4)
        assert answer.lease is not None
        await home.received(answer.lease)
        assert await home.sitting() == ["a", "b", "c", "d"]
        again = await home.ask("d")
        assert isinstance(again, Admitted)
        assert (again.would_refuse, again.existing) == (None, True)

    @opened_with(DRY)
    async def test_a_dry_run_checks_without_a_seat(self, home: StoreDriver) -> None:
        await home.watch_all("a", "b", "c")
        answer = await home.ask("d", purpose=Purpose.CHECK)
        assert isinstance(answer, Admitted)
        assert (answer.would_refuse, answer.session, answer.lease) == ("session-limit", None, None)
        assert await home.sitting() == ["a", "b", "c"]

    @opened_with(DRY)
    async def test_a_dry_run_admits_who_was_terminated(self, home: StoreDriver) -> None:
        await home.watch("tv")
        await home.terminate("tv")
        answer = await home.ask("tv")
        assert isinstance(answer, Admitted)
        assert answer.would_refuse == "session-terminated"
        assert answer.lease is not None
        await home.received(answer.lease)
        assert await home.sitting() == ["tv"]

    @opened_with(DRY)
    async def test_a_dry_run_says_terminated_until_the_player_was_silent(self, home: StoreDriver) -> None:
        await home.watch("tv")
        await home.terminate("tv")
        for _ in range(4):
            answer = await home.ask("tv")
            assert isinstance(answer, Admitted)
            assert answer.would_refuse == "session-terminated"
            assert answer.lease is not None
            await home.received(answer.lease)
            home.later(N * X - 1)

    @opened_with(DRY)
    async def test_a_dry_run_takes_late_receipts_beyond_the_limit(self, home: StoreDriver) -> None:
        late = await home.watch("tv")
        home.later(N * X)
        await home.watch_all("a", "b", "c")
        await home.received(late)
        assert await home.sitting() == ["a", "b", "c", "tv"]

    @opened_with(DRY)
    async def test_who_comes_back_to_a_dry_run_at_the_moment_of_its_expiry_is_a_new_session(
        self, home: StoreDriver
    ) -> None:
        old = await home.watch("tv")
        home.later(1)
        await home.watch_all("a", "b", "c")
        home.later(N * X - 1)
        answer = await home.ask("tv")
        assert isinstance(answer, Admitted)
        assert (answer.would_refuse, answer.existing, types(answer.events)) == ("session-limit", False, ["expired"])
        assert answer.lease is not None
        assert answer.lease.generation > old.generation

    @opened_with(DRY, subscribed=LOSSES)
    async def test_a_dry_run_tells_who_left_before_the_one_too_many(self, home: StoreDriver) -> None:
        await home.watch("gone")
        home.later(1)
        await home.watch_all("a", "b", "c")
        home.later(N * X - 1)
        answer = await home.ask("d")
        assert isinstance(answer, Admitted)
        assert (answer.would_refuse, types(answer.events)) == ("session-limit", ["expired"])
        assert await home.pending() == 1

    @opened_with(DRY)
    async def test_a_grant_that_a_dry_run_gives_works_though_the_clock_went_back(self, home: StoreDriver) -> None:
        old = await home.open("tv")
        await home.end("tv")
        home.later(-HOUR)
        await home.sweep()
        await home.watch_all("a", "b", "c")
        new = await home.open("tv")
        assert new > old
        assert not await home.is_dead("tv", new)

    @opened_with(DRY)
    async def test_a_dry_run_still_refuses_who_may_not_start(self, home: StoreDriver) -> None:
        assert (await home.refused("tv", may_start=False)).code == "grant-expired"


class OldNews:
    """Rule 11: receipts that are told some time after they happened."""

    async def _told(self, home: StoreDriver, lease: Lease, age_ms: int) -> Verdict:
        return await resolved(home.store.confirm(Receipt(lease, "video-9.m4s", 9, age_ms=age_ms)))

    async def test_old_news_counts_from_when_it_happened(self, home: StoreDriver) -> None:
        lease = await home.watch("tv")
        home.later(2 * X)
        verdict = await self._told(home, lease, X + X // 2)
        assert isinstance(verdict, Confirmed)
        seen = await home.session("tv")
        happened = home.now - X - X // 2
        assert (seen.last_activity_ms, seen.expires_at_ms) == (happened, happened + N * X)
        assert (seen.state, seen.sequence) == (State.IDLE, 9)
        assert verdict.session == seen

    async def test_old_news_moves_no_session_back(self, home: StoreDriver) -> None:
        await home.watch("tv")
        home.later(X)
        lease = await home.watch("tv")
        before = await home.session("tv")
        await self._told(home, lease, X)
        seen = await home.session("tv")
        assert (seen.last_activity_ms, seen.expires_at_ms) == (before.last_activity_ms, before.expires_at_ms)

    async def test_a_receipt_is_no_older_than_its_lease_whatever_an_edges_clock_says(self, home: StoreDriver) -> None:
        await home.watch("tv")
        home.later(X)
        lease = await home.lease("tv", sequence=8)
        await self._told(home, lease, X // 2)
        seen = await home.session("tv")
        assert (seen.last_activity_ms, seen.expires_at_ms) == (home.now, home.now + N * X)
        unheld = replace(lease, admitted_ms=home.now)  # nobody holds it: it is dated by the last activity
        verdict = await resolved(home.store.confirm(Receipt(unheld, "video-10.m4s", 10, age_ms=X // 2)))
        assert isinstance(verdict, Confirmed)
        assert (await home.session("tv")).sequence == 10

    async def test_a_receipt_is_not_in_the_future_though_the_clock_went_back(self, home: StoreDriver) -> None:
        lease = await home.lease("tv")
        home.later(-2)
        await self._told(home, lease, 1)
        assert (await home.session("tv")).last_activity_ms == home.now

    async def test_who_received_in_time_sat_all_the_while(self, home: StoreDriver) -> None:
        lease = await home.watch("tv")
        home.later(N * X + X)
        verdict = await self._told(home, lease, X + 1)
        assert isinstance(verdict, Confirmed)
        assert (verdict.events, verdict.session.generation) == ((), lease.generation)
        assert verdict.session.expires_at_ms == home.now - X - 1 + N * X
        assert await home.sweep() == []

    async def test_who_received_in_time_loses_to_who_took_the_seat(self, home: StoreDriver) -> None:
        lease = await home.watch("tv")
        home.later(N * X)
        await home.watch_all("a", "b", "c")
        home.later(X)
        verdict = await self._told(home, lease, 2 * X)
        assert isinstance(verdict, Gone)
        assert await home.sitting() == ["a", "b", "c"]

    async def test_news_as_old_as_the_expiry_seats_nobody(self, home: StoreDriver) -> None:
        lease = await home.watch("tv")
        home.later(N * X)
        verdict = await self._told(home, lease, N * X)
        assert isinstance(verdict, Gone)
        assert await home.sitting() == []

    def _provisional(self, home: StoreDriver, session: str) -> Lease:
        """Of a session that a worker let in while the store was away: it belongs to no seat yet."""
        return Lease(home.question(session), generation=0, move=0)

    async def test_a_session_let_in_while_the_store_was_away_is_seated_by_its_receipt_if_there_is_room(
        self, home: StoreDriver
    ) -> None:
        await home.watch("a")
        await home.watch("b")
        verdict = await self._told(home, self._provisional(home, "tv"), X)
        assert isinstance(verdict, Confirmed)
        assert types(verdict.events) == ["started"]
        assert verdict.session.generation == home.now
        assert (verdict.session.last_activity_ms, verdict.session.segment) == (home.now - X, "video-9.m4s")
        again = await self._told(home, self._provisional(home, "tv"), X)
        assert isinstance(again, Confirmed)
        assert (again.events, again.session.generation) == ((), home.now)
        late = await self._told(home, self._provisional(home, "c"), X)
        assert (late, await home.sitting()) == (Gone(State.EXPIRED), ["a", "b", "tv"])

    async def test_a_receipt_of_one_who_was_let_in_though_it_sat_counts_for_its_seat(self, home: StoreDriver) -> None:
        lease = await home.watch("tv")
        home.later(2 * X)
        verdict = await self._told(home, self._provisional(home, "tv"), X)
        assert isinstance(verdict, Confirmed)
        assert (verdict.session.generation, verdict.session.last_activity_ms) == (lease.generation, home.now - X)
        assert verdict.events == ()

    async def test_a_receipt_of_one_who_was_let_in_seats_nobody_who_was_sent_away(self, home: StoreDriver) -> None:
        await home.watch("tv")
        await home.terminate("tv")
        gone = await self._told(home, self._provisional(home, "tv"), 0)
        assert isinstance(gone, Gone)
        assert (gone.state, await home.sitting()) == (State.TERMINATED, [])


class Views:
    """Who is watching: one user's sessions, and page by page everyone's."""

    async def test_nobody_watches_on_an_unknown_users_seats(self, home: StoreDriver) -> None:
        roster = await home.roster()
        assert (roster.user_id, roster.limit, roster.sessions, roster.live) == (home.user, 3, (), 0)

    async def test_looking_changes_nothing(self, home: StoreDriver) -> None:
        await home.watch_all("a", "b")
        home.later(N * X)
        assert await home.sitting() == []
        assert (await resolved(home.store.browse(None, 10, home.user, None, None))).sessions == ()
        assert types(await home.sweep()) == ["expired", "expired"]

    async def test_browsing_shows_every_live_session_once(self, home: StoreDriver) -> None:
        expected = set()
        for k in range(25):
            for session in "abc"[: k % 3 + 1]:
                await home.watch(session, user_id=f"{home.user}-{k}")
                expected.add((f"{home.user}-{k}", session))
        await home.watch("gone", user_id=f"{home.user}-gone")
        await resolved(home.store.end(f"{home.user}-gone", "gone"))
        seen = await _browse(home, 7)
        assert len(seen) == len(set(seen)) == len(expected)
        assert set(seen) == expected

    async def test_a_forged_cursor_is_none_or_a_place_to_begin_at(self, home: StoreDriver) -> None:
        await home.watch("a")
        for cursor in FORGED:
            try:
                page = await resolved(home.store.browse(cursor, 10, None, None, None))
            except BadCursor:
                continue
            assert len(page.sessions) <= 1
        assert await _browse(home, 10) == [(home.user, "a")]

    async def test_who_sits_during_the_whole_browsing_is_shown_once(self, home: StoreDriver) -> None:
        for k in range(20):
            await home.watch("tv", user_id=f"{home.user}-{k:02}")
        seen: list[str] = []
        cursor, page_number = None, 0
        while True:
            page = await resolved(home.store.browse(cursor, 4, None, None, None))
            seen += [s.user_id for s in page.sessions if s.user_id.startswith(home.user)]
            for k in range(3):  # others come and go meanwhile
                await home.watch("x", user_id=f"{home.user}-new-{page_number}-{k}")
            await resolved(home.store.end(f"{home.user}-new-{page_number}-0", "x"))
            cursor, page_number = page.cursor, page_number + 1
            if cursor is None or page_number > 200:
                break
        for k in range(20):
            assert seen.count(f"{home.user}-{k:02}") == 1

    async def test_browsing_can_ask_for_user_stream_and_state(self, home: StoreDriver) -> None:
        news, film = f"news-{home.user}", f"film-{home.user}"
        await home.watch("a", news)
        home.later(X)
        await home.watch("b", film)
        await home.lease("c", news)
        await home.watch("d", news, user_id=f"{home.user}-2")
        assert sorted(await _browse(home, 2, stream_id=news)) == [  # users come in the store's own order
            (home.user, "a"),
            (home.user, "c"),
            (f"{home.user}-2", "d"),
        ]
        assert await _browse(home, 2, user_id=home.user) == [(home.user, s) for s in "abc"]
        assert await _browse(home, 2, user_id=home.user, stream_id=news) == [
            (home.user, "a"),
            (home.user, "c"),
        ]
        assert await _browse(home, 1, user_id=home.user, state="starting") == [(home.user, "c")]
        assert await _browse(home, 1, stream_id=news, state="idle") == [(home.user, "a")]
        assert await _browse(home, 1, stream_id=film, state="active") == [(home.user, "b")]

    async def test_browsing_does_not_show_who_is_past_their_time(self, home: StoreDriver) -> None:
        await home.watch("a")
        home.later(N * X)
        assert await _browse(home, 10) == []


class Outboxes:
    """Events for call backs: kept with a subscriber, in the same step, each once."""

    async def test_without_a_subscriber_nothing_is_kept(self, home: StoreDriver) -> None:
        before = await home.pending()
        await home.watch_all("a", "b", "c")
        await home.end("a")
        await home.terminate("b")
        home.later(N * X)
        await home.sweep()
        assert await home.pending() == before

    @opened_with(subscribed={"session.expired"})
    async def test_only_what_is_subscribed_is_kept(self, home: StoreDriver) -> None:
        before = await home.pending()
        await home.watch_all("a", "b", "c")
        await home.end("a")
        assert await home.pending() == before
        home.later(N * X)
        await home.sweep()
        assert await home.pending() == before + 2

    @opened_with(subscribed=ALL_TYPES)
    async def test_each_change_is_kept_once_whoever_makes_it(self, home: StoreDriver) -> None:
        counts = [await home.pending()]

        async def told() -> int:
            counts.append(await home.pending())
            return counts[-1] - counts[-2]

        lease = await home.lease("tv")
        assert await told() == 0
        await home.received(lease)
        assert await told() == 1  # started
        await home.received(lease)
        assert await told() == 0
        await home.watch("tv", "film")
        assert await told() == 1  # moved
        await home.end("tv")
        await home.end("tv")
        assert await told() == 1  # ended
        reserved = await home.lease("phone")
        await home.abandon(reserved)
        await home.abandon(reserved)
        assert await told() == 1  # abandoned
        await home.watch("pad")
        await home.terminate("pad")
        await home.terminate("pad")
        assert await told() == 2  # started, terminated
        await home.watch("box")
        home.later(N * X)
        assert await told() == 1  # started
        await home.lease("new")
        assert await told() == 1  # expired, by an admission
        home.later(X)
        await home.sweep()
        await home.sweep()
        assert await told() == 1  # abandoned, by the sweep

    @opened_with(subscribed={"session.expired", "session.abandoned"})
    async def test_every_process_keeps_events(self, home: StoreDriver) -> None:
        await home.watch("tv")
        before = await home.pending()
        home.later(N * X)
        other = await home.another_store()
        await sweep_all(other)
        assert await home.pending() == before + 1
        assert await resolved(other.pending()) == before + 1

    async def test_an_events_id_is_the_same_for_ever_and_for_one_change_alone(self, home: StoreDriver) -> None:
        lease = await home.lease("tv")
        events = [*(await home.received(lease)).events]
        events += (await home.received(await home.lease("tv", "film"))).events
        events += (await home.received(await home.lease("tv", "kids"))).events
        events += await home.end("tv")
        events += (await home.received(await home.lease("tv"))).events
        events += await home.terminate("tv")
        assert types(events) == ["started", "moved", "moved", "ended", "started", "terminated"]
        ids = [event.id for event in events]
        assert len(set(ids)) == 6
        assert all(name.startswith("evt_") for name in ids)
        assert [event.id for event in events] == ids

    async def test_a_session_seated_again_and_expired_again_makes_another_event(self, home: StoreDriver) -> None:
        late = await home.watch("tv")
        home.later(N * X)
        first = await home.sweep()
        await home.received(late)
        home.later(N * X)
        second = await home.sweep()
        assert types([*first, *second]) == ["expired", "expired"]
        assert first[0].id != second[0].id


class Sundries:
    """Secrets, and the store itself."""

    async def test_the_first_secret_of_a_name_stays_for_ever(self, home: StoreDriver) -> None:
        name = f"secret-{home.user}"
        assert await resolved(home.store.secret(name, "")) == ""
        assert await resolved(home.store.secret(name, "first")) == "first"
        assert await resolved(home.store.secret(name, "second")) == "first"
        assert await resolved(home.store.secret(name, "")) == "first"
        other = await home.another_store()
        assert await resolved(other.secret(name, "third")) == "first"
        assert await resolved(home.store.secret(f"{name}-2", "other")) == "other"

    def test_of_many_who_make_a_secret_all_get_the_same(self, open_store: OpenStore) -> None:
        name = new_user()

        def make(own: str):
            async def secret(store: Store, number: int) -> str:
                return await resolved(store.secret(f"{name}-{number}", own))

            return secret

        answers = race(open_store, [make(f"made-{k}") for k in range(6)], 10, policy=QUICK)
        assert [len(set(got)) for got in answers] == [1] * 10

    async def test_the_store_answers_and_closes_twice(self, home: StoreDriver) -> None:
        other = await home.another_store()
        assert await resolved(other.ping()) is None
        await resolved(other.close())
        await resolved(other.close())
        assert await resolved(home.store.ping()) is None

    def test_the_stores_own_clock_tells_the_date(self, open_store: OpenStore) -> None:
        user = new_user()

        async def start(store: Store, number: int) -> int:
            answer = await resolved(store.admit(_ask(user, "tv")))
            assert isinstance(answer, Admitted)
            assert answer.session is not None
            return answer.session.started_at_ms

        [[started]] = race(open_store, [start], 1, policy=QUICK)
        assert abs(started - time.time() * 1000) < 120_000


class LossesThatWereForgotten:
    """A server that took over does not know the last ends: who told them tells them again, of that very seat alone."""

    @pytest.mark.parametrize("leave", ["end", "terminate"])
    @pytest.mark.parametrize("later", [0, N * X], ids=["in time", "past its time"])
    async def test_it_is_the_same_event_again_and_no_other(self, home: StoreDriver, leave: str, later: int) -> None:
        await self._forgotten(home, leave)
        told, home.user = self.told, self.other
        home.later(later)
        (again,) = await resolved(home.store.lose_again(told))
        assert (again.type, again.id, again.by, again.reason) == (told.type, told.id, told.by, told.reason)
        assert await home.sitting() == []
        assert await home.sweep() == []
        assert await resolved(home.store.lose_again(told)) == (), "twice is once"
        if leave == "terminate":
            assert (await home.refused("tv")).code == "session-terminated"

    @opened_with(subscribed=LOSSES)
    async def test_it_is_told_again(self, home: StoreDriver) -> None:
        await self._forgotten(home, "end")
        before = await home.pending()
        await resolved(home.store.lose_again(self.told))
        assert await home.pending() == before + 1

    async def test_where_it_was_not_forgotten_nothing_happens(self, home: StoreDriver) -> None:
        grant = await home.open("tv")
        (told,) = await home.end("tv", keep_grant=True)
        assert await resolved(home.store.lose_again(told)) == ()
        assert not await home.is_dead("tv", grant)
        home.later(1)
        await home.watch("tv")
        assert await resolved(home.store.lose_again(told)) == (), "another seat of the session is not meant"
        assert await home.sitting() == ["tv"]

    @pytest.mark.parametrize("keeps", [False, True], ids=["dies", "lives"])
    async def test_its_grant_dies_again_or_lives_on(self, home: StoreDriver, keeps: bool) -> None:
        await self._forgotten(home, "end")
        told, home.user = self.told, self.other
        grant = told.session.generation
        await resolved(home.store.lose_again(told, keeps))
        assert await home.is_dead("tv", grant) is not keeps

    async def _forgotten(self, home: StoreDriver, leave: str) -> None:
        """Of two users who do the same at the same time one leaves: to the other that is what the store forgot."""
        self.other = f"{home.user}-beside"
        for user in (home.user, self.other):
            seated = await resolved(home.store.admit(home.question("tv", user_id=user, purpose=Purpose.SEAT)))
            assert isinstance(seated, Admitted)
            assert seated.lease is not None
            await resolved(home.store.confirm(Receipt(seated.lease, "s-1", 1)))
        (told,) = await getattr(home, leave)("tv")
        self.told = replace(told, session=replace(told.session, user_id=self.other))


class ClocksThatGoBack:
    """What was written before the store's clock went back is not immortal: so far away nothing can be."""

    @swept_or_not
    async def test_no_seat_of_before_is_in_the_way(self, home: StoreDriver, swept: bool) -> None:
        await home.watch_all("a", "b")
        await home.lease("c")
        home.later(-HOUR)
        if swept:
            assert sorted(types(await home.sweep())) == ["abandoned", "expired", "expired"]
        assert await home.sitting() == []
        assert (await home.roster()).live == 0
        await home.watch_all("d", "e", "f")
        assert (await home.refused("g")).live == 3
        assert await home.sitting() == ["d", "e", "f"]

    async def test_a_reservation_of_before_is_given_back_as_one_that_ran_out(self, home: StoreDriver) -> None:
        lease = await home.lease("tv")
        home.later(-HOUR)
        (event,) = await home.abandon(lease)
        assert (event.type, event.session.expires_at_ms) == ("session.abandoned", home.now)

    async def test_a_seat_of_before_stays_gone_though_only_a_limit_was_set(self, home: StoreDriver) -> None:
        await home.watch("tv")
        home.later(-HOUR)
        await home.limit_to(5)
        home.later(HOUR)
        assert await home.sitting() == []

    @pytest.mark.parametrize("way", ["watch", "beaten"])
    async def test_who_sat_is_seated_anew_and_expires_in_time(self, home: StoreDriver, way: str) -> None:
        old = await home.watch("tv")
        home.later(-HOUR)
        await getattr(home, way)("tv")
        seat = await home.session("tv")
        assert seat.expires_at_ms <= home.now + N * X
        assert seat.generation != old.generation
        home.later(N * X)
        assert await home.sitting() == []
        assert types(await home.sweep()) == ["expired"]

    async def test_a_receipt_and_a_sign_of_progress_find_the_seat_passed(self, home: StoreDriver) -> None:
        lease = await home.watch("tv")
        home.later(-HOUR)
        assert isinstance(await home.prolong(lease), Gone)
        seen = (await home.received(lease, 1)).session
        assert seen.expires_at_ms <= home.now + N * X
        assert seen.generation == lease.generation + 1, "another seat, and the next one"
        assert await home.sitting() == ["tv"]

    async def test_marks_hold_no_longer_either(self, home: StoreDriver) -> None:
        await home.watch_all("a", "b")
        await home.terminate("a")
        await home.end("b")
        assert (await home.refused("a")).code == "session-terminated"
        home.later(-HOUR)
        await home.watch_all("a", "b")

    async def test_the_grant_of_a_seat_of_before_dies_with_its_end(self, home: StoreDriver) -> None:
        grant = await home.open("tv")
        home.later(-HOUR)
        await home.end("tv")
        assert await home.is_dead("tv", grant)

    @pytest.mark.parametrize("leave", ["end", "terminate"])
    async def test_each_lost_seat_makes_one_event(self, home: StoreDriver, leave: str) -> None:
        await home.watch_all("a", "b")
        home.later(-HOUR)
        told = types(await getattr(home, leave)("a")) + types(await home.sweep())
        assert sorted(told) == ["expired", "expired"]

    @opened_with(policy=BUFFER)
    async def test_a_minute_and_all_that_may_be_buffered_is_not_so_far(self, home: StoreDriver) -> None:
        await home.watch("tv", sequence=1, play_ms=4 * X)
        home.later(-60_000)
        assert await home.sitting() == ["tv"]
        assert await home.sweep() == []
        home.later(-1)
        assert await home.sitting() == []

    async def test_nobody_is_forgotten_where_many_sat(self, home: StoreDriver) -> None:
        users = [f"{home.user}-{number}" for number in range(90)]
        for user in users:
            await resolved(home.store.beat(home.question("tv", user_id=user)))
        home.later(-HOUR)
        assert len(await home.sweep()) == 90


class Plans:
    """A session shows the plan and the limit under which it was last admitted, and a list the limit that counts."""

    async def _terms(self, home: StoreDriver, session: str = "tv") -> tuple[str | None, int | None]:
        shown = await home.session(session)
        return shown.plan, shown.limit

    async def test_without_a_plan_it_is_the_policys_limit(self, home: StoreDriver) -> None:
        lease = await home.watch("tv")
        assert await self._terms(home) == (None, 3)
        told = (await home.received(lease, 1)).session
        assert (told.plan, told.limit) == (None, 3)
        assert (await home.roster()).limit == 3

    async def test_it_stays_through_all_that_happens_to_the_session(self, home: StoreDriver) -> None:
        terms = {"plan": "family", "limit": 5}
        asked = await home.ask("tv", purpose=Purpose.SEAT, **terms)
        assert isinstance(asked, Admitted)
        assert asked.session is not None
        shown = [asked.session, await home.session("tv")]
        for number in range(4):
            lease = await home.lease("tv", sequence=number, **terms)
            shown += [(await home.received(lease, number)).session, await home.session("tv")]
            home.later(1)
        lease = await home.lease("tv", "film", sequence=1, **terms)
        shown.append((await home.received(lease, 1)).session)
        for _ in range(2):
            beaten = await home.beaten("tv", "film", **terms)
            assert beaten.session is not None
            shown.append(beaten.session)
        shown += [(await home.received(lease)).session, (await home.end("tv"))[0].session]
        assert {(each.plan, each.limit) for each in shown} == {("family", 5)}

    async def test_a_heartbeat_starts_under_its_plan_too(self, home: StoreDriver) -> None:
        beaten = await home.beaten("tv", plan="family", limit=5)
        assert beaten.session is not None
        assert (beaten.session.plan, beaten.session.limit) == ("family", 5)
        assert await self._terms(home) == ("family", 5)
        assert (await home.roster()).limit == 5
        assert beaten.events[0].session == beaten.session

    @pytest.mark.parametrize("way", ["ask", "beat"])
    async def test_the_next_admission_under_another_plan_shows_that(self, home: StoreDriver, way: str) -> None:
        await home.watch("tv", plan="family", limit=5)
        await getattr(home, way)("tv", plan="solo", limit=1)
        assert await self._terms(home) == ("solo", 1)
        await getattr(home, way)("tv", plan="other", limit=1)
        assert await self._terms(home) == ("other", 1)
        await getattr(home, way)("tv", limit=2)
        assert await self._terms(home) == (None, 2)

    @pytest.mark.parametrize("way", ["ask", "beat"])
    async def test_who_names_no_plan_leaves_it_as_it_was(self, home: StoreDriver, way: str) -> None:
        await home.watch("tv", plan="family", limit=5)
        await getattr(home, way)("tv")
        assert await self._terms(home) == ("family", 5)
        assert (await home.roster()).limit == 5

    async def test_a_look_changes_nothing(self, home: StoreDriver) -> None:
        await home.watch("tv", plan="family", limit=5)
        await home.ask("tv", purpose=Purpose.CHECK, plan="solo", limit=1)
        assert await self._terms(home) == ("family", 5)

    @pytest.mark.parametrize("way", ["ask", "beat"])
    async def test_a_limit_of_their_own_is_shown_from_the_next_admission_on(self, home: StoreDriver, way: str) -> None:
        await home.watch("tv", plan="family", limit=5)
        await home.limit_to(7)
        assert (await home.roster()).limit == 7
        await getattr(home, way)("tv", plan="family", limit=5)
        assert await self._terms(home) == ("family", 7)
        await home.limit_to(None)
        await getattr(home, way)("tv", plan="family", limit=5)
        assert await self._terms(home) == ("family", 5)

    @pytest.mark.parametrize("way", ["ask", "beat"])
    async def test_a_limit_of_their_own_is_not_taken_for_the_plans_though_they_are_alike(
        self, home: StoreDriver, way: str
    ) -> None:
        await home.watch("tv", plan="family", limit=5)
        await home.limit_to(5)
        await getattr(home, way)("tv", plan="family", limit=5)
        await home.limit_to(None)
        assert (await home.roster()).limit == 3

    @pytest.mark.parametrize("way", ["ask", "beat"])
    async def test_a_limit_of_their_own_that_is_taken_back_is_shown_no_more(self, home: StoreDriver, way: str) -> None:
        await home.limit_to(7)
        await home.watch("tv", plan="family", limit=5)
        await home.limit_to(None)
        assert (await home.roster()).limit == 3, "until it is admitted again nobody knows the plan's"
        await getattr(home, way)("tv")
        assert await self._terms(home) == ("family", 3)
        await getattr(home, way)("tv", plan="family", limit=5)
        assert await self._terms(home) == ("family", 5)
        assert (await home.roster()).limit == 5

    async def test_a_list_shows_the_limit_of_who_was_here_last(self, home: StoreDriver) -> None:
        await home.watch("tv", plan="family", limit=5)
        home.later(1)
        await home.watch("pad", limit=4)
        assert (await home.roster()).limit == 4
        home.later(1)
        await home.watch("tv", plan="family", limit=5)
        assert (await home.roster()).limit == 5

    async def test_who_is_seated_again_by_a_late_receipt_has_the_terms_of_its_request(self, home: StoreDriver) -> None:
        lease = await home.watch("tv", plan="family", limit=5)
        home.later(N * X)
        await home.received(lease, 3)
        assert await self._terms(home) == ("family", 5)
        assert (await home.roster()).limit == 5

    async def test_who_is_seated_again_under_a_limit_of_their_own_shows_it_no_longer_than_that(
        self, home: StoreDriver
    ) -> None:
        await home.limit_to(7)
        lease = await home.watch("tv")
        home.later(N * X)
        await home.received(lease, 3)
        assert await self._terms(home) == (None, 7)
        await home.limit_to(None)
        assert (await home.roster()).limit == 3

    async def test_a_page_of_all_sessions_shows_it(self, home: StoreDriver) -> None:
        await home.watch("tv", plan="family", limit=5)
        page = await resolved(home.store.browse(None, 10, home.user, None, None))
        assert [(each.plan, each.limit) for each in page.sessions] == [("family", 5)]


class GrantsEnd:
    """A grant is dead with its session (`Ask.grant_generation`): what the viewer ended it does not start again."""

    async def test_what_was_ended_is_not_started_again_by_its_own_grant(self, home: StoreDriver) -> None:
        grant = await home.open("tv")
        await home.end("tv")
        refusal = await home.refused("tv", grant_generation=grant)
        assert (refusal.code, refusal.live) == ("grant-ended", 0)
        assert await home.sitting() == []
        assert await home.is_dead("tv", grant)

    async def test_a_newer_grant_and_no_grant_at_all_start_it(self, home: StoreDriver) -> None:
        grant = await home.open("tv")
        await home.end("tv")
        again = await home.open("tv")
        assert again > grant
        assert isinstance(await home.ask("tv", grant_generation=again), Admitted)
        assert isinstance(await home.ask("tv", grant_generation=grant), Admitted), "it sits"
        await home.end("tv")
        assert await home.is_dead("tv", again)
        assert isinstance(await home.ask("tv"), Admitted), "asked for without a grant"

    async def test_the_grant_of_an_expired_session_starts_it_again(self, home: StoreDriver) -> None:
        grant = await home.open("tv")
        home.later(N * X)
        assert isinstance(await home.ask("tv", grant_generation=grant), Admitted)

    @swept_or_not
    async def test_a_grant_that_started_it_again_is_dead_after_the_end_too(
        self, home: StoreDriver, swept: bool
    ) -> None:
        grant = await home.open("tv")
        home.later(N * X)
        if swept:
            await home.sweep()
        await home.watch("tv", grant_generation=grant)
        await home.end("tv")
        assert await home.is_dead("tv", grant)

    async def test_a_heartbeat_by_a_grant_is_one_that_was_given(self, home: StoreDriver) -> None:
        grant = await home.open("tv")
        home.later(N * X)
        for _ in range(2):
            await home.beaten("tv", grant_generation=grant)
        await home.end("tv")
        assert await home.is_dead("tv", grant)
        await home.beaten("pad")
        await home.end("pad")
        assert not await home.is_dead("pad", home.now), "it had none"

    async def test_whom_a_late_receipt_seated_again_had_a_grant_if_its_request_had(self, home: StoreDriver) -> None:
        for session, grant in (("tv", home.now), ("pad", None)):
            late = await home.watch(session, grant_generation=grant)
            home.later(N * X)
            await home.received(late)
            await home.end(session)
            assert await home.is_dead(session, late.generation) == (grant is not None)

    async def test_who_sits_already_may_be_given_a_grant_later(self, home: StoreDriver) -> None:
        await home.watch("tv")
        grant = await home.open("tv")
        await home.watch("pad")
        await home.beaten("pad", grant_generation=home.now)
        for session in ("tv", "pad"):
            await home.end(session)
        assert await home.is_dead("tv", grant)
        assert await home.is_dead("pad", home.now)

    async def test_another_sessions_end_and_a_termination_are_other_things(self, home: StoreDriver) -> None:
        grant = await home.open("tv")
        await home.open("phone")
        await home.end("phone")
        home.later(N * X)
        await home.watch("tv", grant_generation=grant)
        await home.terminate("tv")
        assert (await home.refused("tv", grant_generation=grant)).code == "session-terminated"
        home.later(N * X + SLACK)
        assert isinstance(await home.ask("tv", grant_generation=grant), Admitted), "rule 12 forgives it"

    @swept_or_not
    async def test_a_dead_grant_is_remembered_until_it_would_expire(self, home: StoreDriver, swept: bool) -> None:
        grant = await home.open("tv")
        home.later(X // 2)
        await home.end("tv")
        for later in (N * X, home.policy.grant_ms - N * X - 1):
            home.later(later)
            if swept:
                await home.sweep()
            assert await home.is_dead("tv", grant)
        home.later(1)
        assert not await home.is_dead("tv", grant), "only its own expiry holds now"

    async def test_what_sixteen_others_do_makes_no_dead_grant_work(self, home: StoreDriver) -> None:
        grant = await home.open("tv")
        await home.end("tv")
        for k in range(MARKS_KEPT + 2):
            await home.open(f"s{k}")
            await home.end(f"s{k}")
        assert await home.is_dead("tv", grant)

    async def test_an_end_that_keeps_the_grant_frees_the_seat_only(self, home: StoreDriver) -> None:
        grant = await home.open("tv")
        assert types(await home.end("tv", keep_grant=True)) == ["ended"]
        assert await home.sitting() == []
        await home.watch("tv", grant_generation=grant)
        assert await home.end("tv", keep_grant=True)
        assert await home.end("tv") == (), "it sits no more, and now its grant dies all the same"
        assert await home.is_dead("tv", grant)
        assert await home.end("tv", keep_grant=True) == ()
        assert await home.is_dead("tv", grant), "nothing keeps what is dead"

    @swept_or_not
    async def test_a_session_that_lost_its_seat_can_be_ended_all_the_same(self, home: StoreDriver, swept: bool) -> None:
        grant = await home.open("tv")
        home.later(N * X)
        if swept:
            await home.sweep()
        await home.end("tv")
        assert await home.is_dead("tv", grant)
        again = await home.open("tv")
        assert not await home.is_dead("tv", again)

    async def test_ends_of_who_had_no_grant_push_none_out(self, home: StoreDriver) -> None:
        grant = await home.open("tv")
        await home.end("tv")
        for k in range(GRANTS_KEPT + 2):
            home.later(1)
            await home.end(f"nobody-{k}")
            if k % 9 == 0:
                await home.watch(f"keyed-{k}")
                await home.end(f"keyed-{k}")
        assert await home.is_dead("tv", grant)
        assert not await home.is_dead("elsewhere", grant), "and nothing was revoked"
        assert not await home.is_dead("keyed-0", home.now - 1), "it had a seat, and surely no grant"

    @opened_with(UNCOUNTED)
    async def test_of_more_than_are_kept_all_grants_of_their_time_are_revoked(self, home: StoreDriver) -> None:
        sitting, silent = await home.open("sitting"), await home.open("silent")
        await home.watch("sitting", grant_generation=sitting)
        home.later(1)
        old = [await self._opened_and_ended(home, k) for k in range(GRANTS_KEPT)]
        assert not await home.is_dead("silent", silent)
        old += [await self._opened_and_ended(home, GRANTS_KEPT + k) for k in range(2)]
        for k, grant in enumerate(old):
            assert await home.is_dead(f"s{k}", grant), k
        home.later(2 * X)
        await home.watch("sitting", grant_generation=sitting)
        home.later(X)
        assert await home.is_dead("silent", silent), "given before the oldest that was dropped"
        assert isinstance(await home.ask("sitting", grant_generation=sitting), Admitted), "who holds a seat keeps it"
        assert not await home.is_dead("new", await home.open("new"))

    async def _opened_and_ended(self, home: StoreDriver, k: int) -> int:
        grant = await home.open(f"s{k}")
        await home.end(f"s{k}")
        home.later(1)
        return grant

    @opened_with(policy=LONG_START)
    async def test_no_receipt_of_an_ended_session_seats_it_again(self, home: StoreDriver) -> None:
        grant = await home.open("tv")
        lease = await home.lease("tv", grant_generation=grant)
        await home.end("tv")
        for k in range(MARKS_KEPT + 2):
            await home.open(f"s{k}")
            await home.end(f"s{k}")
        assert (await home.late(lease)).state is State.ENDED
        assert await home.prolong(lease) is not None
        home.later(N * X)
        assert (await home.late(lease)).state is State.ENDED, "its grant is dead"
        assert await home.sitting() == []

    async def test_it_is_refused_before_the_limit_and_replaces_nobody(self, home: StoreDriver) -> None:
        grant = await home.open("tv")
        await home.end("tv")
        await home.watch_all("a", "b", "c")
        refusal = await home.refused("tv", grant_generation=grant, replace="a")
        assert refusal.code == "grant-ended"
        assert (await home.refused("tv", grant_generation=grant)).code == "grant-ended"
        assert await home.sitting() == ["a", "b", "c"]

    @opened_with(policy=DRY)
    async def test_a_dry_run_refuses_it_all_the_same(self, home: StoreDriver) -> None:
        grant = await home.open("tv")
        await home.end("tv")
        assert (await home.refused("tv", grant_generation=grant)).code == "grant-ended"


class Beats:
    """A heartbeat (`beat`) is a lease without bytes: admitted and received in one step."""

    @opened_with(subscribed=ALL_TYPES)
    async def test_a_beat_seats_a_new_session_and_starts_it(self, home: StoreDriver) -> None:
        await home.watch("a")
        answer = await home.beaten("tv", device="d1")
        assert (answer.existing, answer.limit, answer.live, answer.would_refuse) == (False, 3, 2, None)
        assert types(answer.events) == ["started"]
        seen = await home.session("tv")
        assert answer.session == seen == answer.events[0].session
        assert (seen.state, seen.stream_id, seen.device) == (State.ACTIVE, "news", "d1")
        assert (seen.started_at_ms, seen.last_activity_ms, seen.expires_at_ms) == (home.now, home.now, home.now + N * X)
        assert answer.lease is not None
        assert (answer.lease.generation, answer.lease.move) == (seen.generation, seen.move)
        assert await home.pending() == 2

    @opened_with(subscribed=ALL_TYPES)
    async def test_a_beat_of_one_who_sits_is_activity_and_nothing_else(self, home: StoreDriver) -> None:
        await home.watch("tv", sequence=7)
        home.later(X + 1)
        before, told = await home.session("tv"), await home.pending()
        assert before.state is State.IDLE
        answer = await home.beaten("tv")
        assert (answer.existing, answer.live, answer.events) == (True, 1, ())
        seen = await home.session("tv")
        assert answer.session == seen
        assert (seen.state, seen.last_activity_ms, seen.expires_at_ms) == (State.ACTIVE, home.now, home.now + N * X)
        assert (seen.segment, seen.sequence, seen.generation) == (before.segment, 7, before.generation)
        assert await home.pending() == told

    async def test_a_session_lives_by_beats_alone_and_expires_without(self, home: StoreDriver) -> None:
        await home.beaten("tv")
        for _ in range(4):
            home.later(N * X - 1)
            assert (await home.beaten("tv")).existing
        home.later(N * X)
        assert types(await home.sweep()) == ["expired"]
        assert not (await home.beaten("tv")).existing

    async def test_the_fourth_beat_is_refused_and_changes_nothing(self, home: StoreDriver) -> None:
        for session in "abc":
            await home.beaten(session)
        before = await home.roster()
        refusal = await home.beat("d")
        assert isinstance(refusal, Refusal)
        assert refusal == await home.refused("d")
        assert (refusal.code, refusal.live, refusal.limit, len(refusal.sessions)) == ("session-limit", 3, 3, 3)
        assert await home.roster() == before
        for session in "abc":
            assert (await home.beaten(session)).existing

    @opened_with(subscribed=ALL_TYPES)
    async def test_a_beat_twice_is_once(self, home: StoreDriver) -> None:
        ask = home.question("tv", lease_id="")
        first = await resolved(home.store.beat(ask))
        again = await resolved(home.store.beat(ask))
        assert isinstance(first, Admitted)
        assert isinstance(again, Admitted)
        assert (again.session, again.lease, again.live) == (first.session, first.lease, first.live)
        assert (again.existing, again.events) == (True, ())
        assert await home.pending() == 1

    async def test_a_beat_leaves_no_lease_that_could_be_given_back(self, home: StoreDriver) -> None:
        await home.lease("tv")
        answer = await home.beaten("tv", lease_id="another")
        assert types(answer.events) == ["started"]
        assert answer.lease is not None
        assert await home.abandon(answer.lease) == ()
        assert await home.sitting() == ["tv"]

    @opened_with(subscribed=ALL_TYPES)
    async def test_a_beat_moves_the_session_to_its_stream(self, home: StoreDriver) -> None:
        await home.watch("tv", "news", sequence=7)
        home.later(1)
        answer = await home.beaten("tv", "film")
        assert (answer.existing, types(answer.events)) == (True, ["moved"])
        seen = await home.session("tv")
        assert answer.session == seen
        assert (seen.stream_id, seen.move, seen.sequence) == ("film", 1, None)
        assert answer.lease is not None
        assert answer.lease.move == 1
        await home.received(answer.lease, 3)
        assert (await home.session("tv")).sequence == 3

    async def test_beats_in_ping_pong_are_refused_as_segments_are(self, home: StoreDriver) -> None:
        for stream in ("news", "film", "news", "film"):
            await home.beaten("tv", stream)
            home.later(1)
        refusal = await home.beat("tv", "news")
        assert isinstance(refusal, Refusal)
        assert refusal.code == "session-shared"
        home.later(1)
        assert (await home.beaten("tv", "film")).events == ()

    @opened_with(PATIENT)
    async def test_a_beat_that_names_a_position_may_be_one_repeat_too_many(self, home: StoreDriver) -> None:
        for client in ("a", "b", "a"):
            await home.watch("tv", sequence=9, client=client)
        refusal = await home.beat("tv", sequence=9, client="b")
        assert isinstance(refusal, Refusal)
        assert refusal.code == "session-shared"
        assert (await home.beaten("tv", client="b")).existing

    @opened_with(policy=BUFFER)
    async def test_a_beat_keeps_what_is_played_ahead(self, home: StoreDriver) -> None:
        await home.watch("tv", sequence=1, play_ms=3 * X)
        await home.beaten("tv")
        assert (await home.session("tv")).expires_at_ms == home.now + (3 + N) * X
        home.later(3 * X)
        await home.beaten("tv")
        assert (await home.session("tv")).expires_at_ms == home.now + N * X

    @opened_with(subscribed=ALL_TYPES)
    async def test_a_beat_tells_who_left_before_it(self, home: StoreDriver) -> None:
        await home.watch("gone")
        await home.lease("never")
        home.later(N * X)
        answer = await home.beaten("tv")
        assert types(answer.events) == ["expired", "abandoned", "started"]
        assert answer.live == 1
        assert await home.pending() == 4

    @opened_with(policy=OLDEST_GOES)
    async def test_a_beat_takes_the_seat_of_who_gives_way(self, home: StoreDriver) -> None:
        for session in "abc":
            await home.beaten(session)
            home.later(1)
        answer = await home.beaten("d")
        assert types(answer.events) == ["terminated", "started"]
        assert await home.sitting() == ["b", "c", "d"]
        refusal = await home.beat("a")
        assert isinstance(refusal, Refusal)
        assert refusal.code == "session-terminated"

    async def test_the_beat_of_one_who_was_ended_and_of_one_who_was_sent_away(self, home: StoreDriver) -> None:
        for session in "abc":
            await home.beaten(session)
        await home.end("a")
        await home.terminate("b")
        back, other = await home.beaten("a"), await home.beaten("c")
        assert not back.existing
        assert other.existing
        refusal = await home.beat("b")
        assert isinstance(refusal, Refusal)
        assert (refusal.code, refusal.mark is not None) == ("session-terminated", True)
        assert await home.sitting() == ["c", "a"]

    async def test_a_beat_whose_grant_was_ended_starts_nothing(self, home: StoreDriver) -> None:
        grant = await home.open("tv")
        await home.end("tv")
        refusal = await home.beat("tv", grant_generation=grant)
        assert isinstance(refusal, Refusal)
        assert refusal.code == "grant-ended"
        refusal = await home.beat("other", may_start=False)
        assert isinstance(refusal, Refusal)
        assert refusal.code == "grant-expired"

    @opened_with(policy=DRY)
    async def test_a_dry_run_lets_the_fourth_beat_through_and_says_so(self, home: StoreDriver) -> None:
        for session in "abc":
            await home.beaten(session)
        answer = await home.beaten("d")
        assert (answer.would_refuse, answer.live, types(answer.events)) == ("session-limit", 4, ["started"])
        again = await home.beaten("d")
        assert (again.would_refuse, again.existing) == (None, True)

    @opened_with(policy=DRY)
    async def test_a_beat_beyond_what_a_dry_run_records_is_let_through_without_a_session(
        self, home: StoreDriver
    ) -> None:
        for k in range(DRY_RUN_SEATS):
            await home.beaten(f"s{k}")
        answer = await home.beaten("one-more", limit=2)
        assert (answer.session, answer.live, answer.events) == (None, DRY_RUN_SEATS, ())
        assert (answer.limit, answer.existing, answer.would_refuse) == (2, False, "session-limit")
        assert answer.lease is not None
        assert (answer.lease.generation, answer.lease.move) == (0, 0)

    async def test_a_beat_that_only_looks_seats_nobody(self, home: StoreDriver) -> None:
        answer = await home.beaten("tv", purpose=Purpose.CHECK)
        assert (answer.session, answer.lease) == (None, None)
        assert await home.sitting() == []

    @pytest.mark.parametrize("policy", [ONE_PER_STREAM, ONE_TV], ids=["stream", "type"])
    async def test_caps_hold_for_beats(self, open_store: OpenStore, policy: Policy) -> None:
        async with StoreDriver(open_store, policy) as home:
            tv = Device("d", None, "tv")
            assert (await home.beaten("a", device=tv)).live == 1
            assert isinstance(await home.beat("b", device=Device("e", None, "tv")), Refusal)
            assert (await home.beaten("c", "film")).live == 2

    def test_of_eight_beats_for_the_last_seat_one_wins(self, open_store: OpenStore) -> None:
        users, clock = [new_user() for _ in range(30)], ManualClock()

        def step(name: str):
            async def beat(store: Store, number: int) -> bool:
                return isinstance(await resolved(store.beat(_ask(users[number], name))), Admitted)

            return beat

        race(open_store, [step("a"), step("b")], 30, policy=QUICK, clock=clock)
        answers = race(open_store, [step(f"new-{k}") for k in range(8)], 30, policy=QUICK, clock=clock)
        assert [sum(admitted) for admitted in answers] == [1] * 30

    def test_one_session_that_beats_from_eight_places_starts_once(self, open_store: OpenStore) -> None:
        users = [new_user() for _ in range(20)]

        async def beat(store: Store, number: int) -> tuple[int, int, int]:
            answer = await resolved(store.beat(_ask(users[number], "tv", "")))
            assert isinstance(answer, Admitted)
            assert answer.session is not None
            return answer.live, answer.session.generation, len(answer.events)

        for answers in race(open_store, [beat] * 8, 20, policy=QUICK, clock=ManualClock()):
            assert len({(live, generation) for live, generation, _ in answers}) == 1
            assert sum(told for *_, told in answers) == 1

    def test_a_beat_never_beats_an_end_at_the_same_time(self, open_store: OpenStore) -> None:
        """Before the end or after it, as another seat: each end that found a seat is told, each seat starts once."""
        users, clock = [new_user() for _ in range(40)], ManualClock()

        async def sit(store: Store, number: int) -> int:
            await resolved(store.beat(_ask(users[number], "tv")))
            return 0

        async def beat(store: Store, number: int) -> int:
            answer = await resolved(store.beat(_ask(users[number], "tv")))
            assert isinstance(answer, Admitted)
            return sum(event.type == "session.started" for event in answer.events)

        async def end(store: Store, number: int) -> int:
            return -len(await resolved(store.end(users[number], "tv")))

        async def live(store: Store, number: int) -> int:
            return (await resolved(store.sessions(users[number]))).live

        race(open_store, [sit], 40, policy=QUICK, clock=clock)
        balance = [1 + sum(answers) for answers in race(open_store, [beat, end, beat], 40, policy=QUICK, clock=clock)]
        assert balance == [answers[0] for answers in race(open_store, [live], 40, policy=QUICK, clock=clock)]


class Reports:
    """Receipts whose answer nobody waits for."""

    @opened_with(subscribed=ALL_TYPES)
    async def test_a_report_is_a_receipt_and_tells_its_verdict_once(self, home: StoreDriver) -> None:
        receipt = Receipt(await home.lease("tv"), "s-1", 1)
        first = await _reported(home.store, receipt)
        assert isinstance(first, Confirmed)
        assert (first.session.state, first.session.segment, first.live) == (State.ACTIVE, "s-1", 1)
        assert (types(first.events), await home.pending()) == (["started"], 1)
        assert first.session == await home.session("tv")
        home.later(1)
        again = await _reported(home.store, receipt)
        assert isinstance(again, Confirmed)
        assert (again.session.last_activity_ms, again.events, await home.pending()) == (home.now, (), 1)

    async def test_a_report_for_a_session_that_left_says_how(self, home: StoreDriver) -> None:
        for session in ("ended", "terminated"):
            receipt = Receipt(await home.watch(session))
            await (home.end(session) if session == "ended" else home.terminate(session))
            verdict = await _reported(home.store, receipt)
            assert isinstance(verdict, Gone)
            assert verdict == await resolved(home.store.confirm(receipt))
            assert verdict.state.value == session
        assert await home.sitting() == []

    async def test_the_same_report_again_and_again_is_activity_each_time(self, home: StoreDriver) -> None:
        receipt = Receipt(await home.watch("tv"))
        for _ in range(3):
            home.later((N - 1) * X)
            verdict = await _reported(home.store, receipt)
            assert isinstance(verdict, Confirmed)
            assert verdict.session.last_activity_ms == home.now
            assert verdict.session == await home.session("tv")

    def test_the_same_report_again_and_again_counts_by_the_stores_own_clock(self, open_store: OpenStore) -> None:
        """Of one that ended and came back, too."""
        user = new_user()

        async def last_activity_ms(store: Store, receipt: Receipt) -> int:
            verdict = await _reported(store, receipt)
            assert isinstance(verdict, Confirmed)
            assert verdict.session.last_activity_ms is not None
            return verdict.session.last_activity_ms

        async def report(store: Store, number: int) -> None:
            for _ in range(2):
                answer = await resolved(store.beat(_ask(user, "tv")))
                assert isinstance(answer, Admitted)
                assert answer.lease is not None
                receipt, before = Receipt(answer.lease), 0
                for _ in range(3):
                    while (now := await last_activity_ms(store, receipt)) <= before:
                        await asyncio.sleep(0.001)  # the clock is to move on
                    before = now
                await resolved(store.end(user, "tv"))
                assert isinstance(await _reported(store, receipt), Gone)

        race(open_store, [report], 1, policy=QUICK)

    async def test_each_report_tells_its_own_hearer(self, home: StoreDriver) -> None:
        """Many of one turn, for sessions of many users, of receipts that nobody else keeps."""
        users, heard = [new_user() for _ in range(50)], dict[str, list[Verdict]]()
        leases = {user: (await home.beaten("tv", user_id=user)).lease for user in users}
        for user in users * 2:
            home.store.report(Receipt(leases[user]), heard.setdefault(user, []).append)  # type: ignore[arg-type]
        await _until(lambda: all(len(heard[user]) == 2 for user in users))
        for user in users:
            assert [isinstance(verdict, Confirmed) and verdict.session.user_id for verdict in heard[user]] == [user] * 2

    async def test_what_is_asked_after_a_report_comes_after_it(self, home: StoreDriver) -> None:
        receipt, heard = Receipt(await home.watch("tv")), list[object]()
        home.later(1)
        home.store.report(receipt, heard.append)
        (event,) = await home.end("tv")
        assert event.session.last_activity_ms == home.now
        await _until(lambda: len(heard) == 1)
        assert (isinstance(heard[0], Confirmed), await home.sitting()) == (True, [])

    async def test_a_report_to_a_store_that_is_closed_is_told_so(self, home: StoreDriver) -> None:
        receipt, other = Receipt(await home.watch("tv")), await home.another_store()
        assert isinstance(await _reported(other, receipt), Confirmed)
        await resolved(other.close())
        assert isinstance(await _reported(other, receipt), StoreUnavailable)


class StoreContract(
    Limits,
    Checks,
    Reservations,
    Receipts,
    Times,
    Sweeps,
    Sharing,
    Plays,
    Visits,
    OwnLimits,
    Undo,
    Refusals,
    Departures,
    Replacements,
    Caps,
    DryRuns,
    LossesThatWereForgotten,
    ClocksThatGoBack,
    Plans,
    GrantsEnd,
    Beats,
    Reports,
    OldNews,
    Views,
    Outboxes,
    Sundries,
):
    """All promises. A subclass named `Test…` provides `open_store`."""


def _ask(user: str, session: str, lease_id: str | None = None, replace: str | None = None) -> Ask:
    return Ask(user, session, "news", lease_id=lease_id or f"lease-{session}", replace=replace)


async def _reported(store: Store, receipt: Receipt) -> Verdict | StoreUnavailable:
    """What is heard of a report: it must be heard once."""
    heard: list[Verdict | StoreUnavailable] = []
    store.report(receipt, heard.append)
    await _until(lambda: bool(heard))
    (answer,) = heard
    return answer


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.001)


FORGED = [
    "x", ":", "x:y", "-1:a", "1024:", "99999999999999999999:", "9" * 2_000 + ":", "\N{FULLWIDTH DIGIT ONE}:", "\u00b2:",
    "+1:", " 1:", "1", "1_0:", "0:\0", "0x1:", "1e3:", "nan:", "None:", "0:\uffff", "\n",
]  # fmt: skip


async def _browse(home: StoreDriver, at_most: int, **which: str) -> list[tuple[str, str]]:
    """All pages; the sessions of this user and of users so called."""
    seen: list[tuple[str, str]] = []
    cursor: str | None = None
    for _ in range(10_000):
        page = await resolved(
            home.store.browse(cursor, at_most, which.get("user_id"), which.get("stream_id"), which.get("state"))
        )
        seen += [(s.user_id, s.session_id) for s in page.sessions if s.user_id.startswith(home.user)]
        cursor = page.cursor
        if cursor is None:
            break
    return seen
