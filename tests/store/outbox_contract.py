"""The promises of `Outbox` (store/contract.py) as tests: each in its meaning, in its race, and on its second call.

`OutboxContract` is not collected itself: a subclass per engine provides `open_store` (household.py) and
`open_outbox(subscriptions=…, max_events=…, clock=…)`: a fresh `Outbox` on the same data, as another process sees it.
"""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import replace
from itertools import count
from typing import Any

from streamlimit.errors import StoreUnavailable
from streamlimit.model import Admitted, Ask, Event, Receipt, Session, State
from streamlimit.store.contract import Store, resolved
from streamlimit.store.outbox import Backlog, Delivery, Outbox
from tests.store.store_driver import ALL_TYPES, QUICK, ManualClock, N, OpenStore, X, new_user, opened_with, race

HOOK = {"hook": ALL_TYPES}
UNCOUNTED = replace(QUICK, visit_burst=0)
"""Its visits are not counted: one user lives through more sessions here than a person does."""
LEASE = 30_000
LIVES = 1_030
"""More than any outbox keeps where endpoints may have next to nothing."""


class OutboxDriver:
    """One outbox and the store that fills it; their clock stands still until told otherwise."""

    def __init__(
        self,
        open_store: OpenStore,
        open_outbox: OpenStore,
        subscriptions: Mapping[str, Collection[str]] = HOOK,
        max_events: int = 1_000_000,
    ) -> None:
        self.clock = ManualClock()
        self._open_store, self._open_outbox = open_store, open_outbox
        self._how = {"subscriptions": subscriptions, "max_events": max_events, "clock": self.clock}
        self._opened: list[Any] = []
        self._numbers = count(1)
        self.store: Store
        self.outbox: Outbox

    async def __aenter__(self) -> "OutboxDriver":
        subscriptions: Any = self._how["subscriptions"]
        types = frozenset(kind for wanted in subscriptions.values() for kind in wanted)
        max_events = self._how["max_events"]
        how = {"policy": UNCOUNTED, "subscribed": types, "clock": self.clock, "outbox_max_events": max_events}
        self.store = await resolved(self._open_store(**how))
        self._opened.append(self.store)
        self.outbox = await self.another()
        return self

    async def another(self, **changes: Any) -> Outbox:
        """The same outbox as another process sees it."""
        outbox: Outbox = await resolved(self._open_outbox(**(self._how | changes)))
        self._opened.append(outbox)
        return outbox

    async def __aexit__(self, *_: object) -> None:
        for part in self._opened:
            await resolved(part.close())

    def later(self, ms: int) -> None:
        self.clock.now_ms += ms

    async def live(self, user: str, session: str = "tv", streams: int = 1) -> None:
        """A whole life of a session: started, moved from stream to stream, ended. One event each."""
        for stream in range(streams):
            ask = Ask(user, session, f"stream-{stream}", lease_id=f"{session}-{next(self._numbers)}")
            answer = await resolved(self.store.admit(ask))
            assert isinstance(answer, Admitted)
            assert answer.lease is not None
            await resolved(self.store.confirm(Receipt(answer.lease, "0.m4s", 0)))
        await resolved(self.store.end(user, session))

    async def claim(self, endpoint: str = "hook", at_most: int = 100, **more: Any) -> list[Delivery]:
        outbox = more.pop("outbox", self.outbox)
        ticket = f"ticket-{next(self._numbers)}"
        return list(await resolved(outbox.claim(endpoint, ticket, at_most, LEASE, **more)))

    async def claim_one(self, endpoint: str = "hook", **more: Any) -> Delivery:
        [delivery] = await self.claim(endpoint, **more)
        return delivery

    async def settle(self, delivery: Delivery) -> Delivery | None:
        return await resolved(self.outbox.settle(delivery, LEASE))

    async def settle_all(self, delivery: Delivery | None) -> list[str]:
        """Settles it and all that follow it; their types."""
        seen = []
        while delivery is not None:
            seen.append(word(delivery))
            delivery = await self.settle(delivery)
        return seen

    async def drain(self, endpoint: str = "hook") -> list[str]:
        """Claims and settles until nothing is due."""
        seen: list[str] = []
        while deliveries := await self.claim(endpoint):
            for delivery in deliveries:
                seen += await self.settle_all(delivery)
        return seen

    async def fail(self, delivery: Delivery, wait_ms: int = X, problem: str = "500") -> None:
        await resolved(self.outbox.retry_later(delivery, wait_ms, problem))

    async def give_up(self, delivery: Delivery, problem: str = "500") -> None:
        await resolved(self.outbox.give_up(delivery, problem))

    async def stands(self, endpoint: str = "hook") -> Backlog:
        [found] = [b for b in await resolved(self.outbox.backlog()) if b.endpoint == endpoint]
        return found

    async def dead(self, endpoint: str = "hook") -> list[str]:
        """The dead letters, oldest first."""
        found = await resolved(self.outbox.dead_letters(endpoint, 100))
        return [delivery.event.type.removeprefix("session.") for delivery in reversed(found)]

    async def replay(self, endpoint: str = "hook", at_most: int = 100) -> int:
        return await resolved(self.outbox.replay(endpoint, at_most))

    async def refused(self, session: str, user: str = "user", quiet_ms: int = N * X) -> Event | None:
        return await resolved(self.outbox.refused(refused_session(user, session), "session-limit", quiet_ms, 4))


def refused_session(user: str, session: str) -> Session:
    return Session(session, user, "news", State.STARTING, None, None, None, 0, None, 0, 0, 0)


def word(delivery: Delivery) -> str:
    return delivery.event.type.removeprefix("session.")


class Claims:
    """Who may send what, and until when."""

    async def test_an_empty_outbox_has_nothing_to_give(self, driver: OutboxDriver) -> None:
        assert await driver.claim() == []
        assert await driver.stands() == Backlog("hook")

    async def test_a_users_deliveries_leave_one_by_one_in_order(self, driver: OutboxDriver) -> None:
        await driver.live("alice", streams=3)
        assert await resolved(driver.store.pending()) == 4
        delivery = await driver.claim_one()
        assert (word(delivery), delivery.endpoint, delivery.attempts, delivery.waited_ms) == ("started", "hook", 0, 0)
        assert await resolved(driver.store.pending()) == 4
        assert await driver.settle_all(delivery) == ["started", "moved", "moved", "ended"]
        assert await driver.claim() == []
        assert await resolved(driver.store.pending()) == 0

    async def test_nothing_of_a_user_overtakes_a_delivery_under_claim(self, driver: OutboxDriver) -> None:
        await driver.live("alice")
        await driver.claim_one()
        assert await driver.claim() == []
        await driver.live("alice", "phone")
        assert await driver.claim() == []

    async def test_users_do_not_wait_for_each_other(self, driver: OutboxDriver) -> None:
        for user in ("alice", "bob", "carol"):
            await driver.live(user)
        deliveries = await driver.claim()
        assert {delivery.event.session.user_id for delivery in deliveries} == {"alice", "bob", "carol"}
        assert [word(delivery) for delivery in deliveries] == ["started"] * 3
        assert await driver.settle_all(deliveries[1]) == ["started", "ended"]
        assert await driver.claim() == []

    async def test_a_claim_takes_no_more_users_than_it_asked_for(self, driver: OutboxDriver) -> None:
        for user in ("alice", "bob", "carol"):
            await driver.live(user)
        first, second = await driver.claim(at_most=2), await driver.claim(at_most=2)
        assert (len(first), len(second)) == (2, 1)
        assert {delivery.event.session.user_id for delivery in first + second} == {"alice", "bob", "carol"}

    async def test_a_claim_for_one_user_finds_their_deliveries(self, driver: OutboxDriver) -> None:
        await driver.live("alice")
        [delivery] = [seen for seen in await driver.claim(users=["alice"]) if seen.event.session.user_id == "alice"]
        assert word(delivery) == "started"
        assert await driver.claim(users=["nobody"]) == []

    async def test_another_process_does_not_get_what_is_claimed(self, driver: OutboxDriver) -> None:
        await driver.live("alice")
        await driver.live("bob")
        mine = await driver.claim(at_most=1)
        other = await driver.claim(outbox=await driver.another())
        assert {delivery.event.session.user_id for delivery in mine + other} == {"alice", "bob"}

    async def test_a_claim_that_ran_out_is_anyones_again_with_the_same_event(self, driver: OutboxDriver) -> None:
        await driver.live("alice")
        first = await driver.claim_one()
        driver.later(LEASE - 1)
        assert await driver.claim() == []
        driver.later(1)
        again = await driver.claim_one(outbox=await driver.another())
        assert (again.event, again.number, again.attempts) == (first.event, first.number, 0)
        assert again.event.id == first.event.id
        assert again.waited_ms == LEASE

    async def test_a_late_word_of_an_old_holder_changes_nothing(self, driver: OutboxDriver) -> None:
        await driver.live("alice")
        old = await driver.claim_one()
        driver.later(LEASE)
        new = await driver.claim_one()
        assert await driver.settle(old) is None
        await driver.fail(old, wait_ms=0)
        await driver.give_up(old)
        await resolved(driver.outbox.release(old))
        assert await driver.claim() == []
        assert (await driver.stands()).retrying == (await driver.stands()).dead == 0
        assert await driver.settle_all(new) == ["started", "ended"]

    async def test_settling_holds_the_users_next_delivery_as_long_again(self, driver: OutboxDriver) -> None:
        await driver.live("alice")
        first = await driver.claim_one()
        driver.later(LEASE - 1)
        second = await driver.settle(first)
        assert second is not None
        assert second.ticket == first.ticket
        driver.later(LEASE - 1)
        assert await driver.claim() == []
        assert await driver.settle_all(second) == ["ended"]

    async def test_settling_twice_is_settling_once(self, driver: OutboxDriver) -> None:
        await driver.live("alice")
        first = await driver.claim_one()
        second = await driver.settle(first)
        assert await driver.settle(first) is None
        assert await driver.settle_all(second) == ["ended"]
        assert (await driver.stands()).pending == 0

    async def test_what_is_released_is_anyones_at_once_and_no_attempt(self, driver: OutboxDriver) -> None:
        await driver.live("alice")
        delivery = await driver.claim_one()
        await resolved(driver.outbox.release(delivery))
        again = await driver.claim_one()
        assert (again.event.id, again.attempts) == (delivery.event.id, 0)
        await resolved(driver.outbox.release(delivery))
        assert await driver.claim() == []

    def test_of_many_claimers_each_delivery_is_given_to_one(
        self, open_store: OpenStore, open_outbox: OpenStore
    ) -> None:
        users = [new_user() for _ in range(40)]

        async def fill() -> None:
            async with OutboxDriver(open_store, open_outbox) as driver:
                for user in users:
                    await driver.live(user)

        async def take(outbox: Any, number: int) -> list[str]:
            seen = []
            for delivery in await resolved(outbox.claim("hook", f"{id(outbox)}-{number}", 3, LEASE)):
                following: Delivery | None = delivery
                while following is not None:
                    seen.append(f"{following.event.session.user_id} {word(following)}")
                    following = await resolved(outbox.settle(following, LEASE))
            return seen

        asyncio.run(fill())
        rounds = race(open_outbox, [take] * 4, 8, subscriptions=HOOK)
        told = [entry for answers in rounds for seen in answers for entry in seen]
        assert sorted(told) == sorted(f"{user} {kind}" for user in users for kind in ("started", "ended"))


class Failures:
    """Retries, dead letters, and their replay."""

    async def test_a_failed_delivery_is_due_later_and_nothing_overtakes_it(self, driver: OutboxDriver) -> None:
        await driver.live("alice")
        delivery = await driver.claim_one()
        await driver.fail(delivery, wait_ms=X, problem="503")
        driver.later(X - 1)
        assert await driver.claim() == []
        assert await driver.claim(users=["alice"]) == []
        stands = await driver.stands()
        assert (stands.pending, stands.retrying, stands.problem) == (2, 1, "503")
        driver.later(1)
        again = await driver.claim_one()
        assert (again.event.id, again.attempts, again.waited_ms) == (delivery.event.id, 1, X)

    async def test_attempts_are_counted_per_delivery(self, driver: OutboxDriver) -> None:
        await driver.live("alice")
        for attempts in range(3):
            delivery = await driver.claim_one()
            assert delivery.attempts == attempts
            await driver.fail(delivery, wait_ms=0)
            await driver.fail(delivery, wait_ms=0)  # twice is once
        following = await driver.settle(await driver.claim_one())
        assert following is not None
        assert following.attempts == 0
        assert (await driver.stands()).retrying == 0

    async def test_another_users_deliveries_go_on(self, driver: OutboxDriver) -> None:
        await driver.live("alice")
        await driver.live("bob")
        for delivery in await driver.claim():
            if delivery.event.session.user_id == "alice":
                await driver.fail(delivery, wait_ms=10 * X)
            else:
                assert await driver.settle_all(delivery) == ["started", "ended"]
        assert (await driver.stands()).pending == 2

    async def test_a_delivery_given_up_is_dead_and_the_next_one_is_due(self, driver: OutboxDriver) -> None:
        await driver.live("alice")
        delivery = await driver.claim_one()
        await driver.give_up(delivery, "410")
        await driver.give_up(delivery, "again")
        [dead] = await resolved(driver.outbox.dead_letters("hook", 10))
        assert (dead.event, dead.problem, dead.at_ms) == (delivery.event, "410", driver.clock.now_ms)
        stands = await driver.stands()
        assert (stands.pending, stands.dead, stands.dropped) == (1, 1, 0)
        assert await driver.drain() == ["ended"]
        assert await driver.dead() == ["started"]

    async def test_replayed_deliveries_come_before_younger_ones_and_start_anew(self, driver: OutboxDriver) -> None:
        await driver.live("alice", streams=2)
        for _ in range(2):
            delivery = await driver.claim_one()
            await driver.fail(delivery, wait_ms=0)
            await driver.give_up(await driver.claim_one())
        driver.later(X)
        assert await driver.replay() == 2
        assert await driver.replay() == 0
        delivery = await driver.claim_one()
        assert (delivery.attempts, delivery.waited_ms) == (0, 0)
        assert await driver.settle_all(delivery) == ["started", "moved", "ended"]
        stands = await driver.stands()
        assert (stands.pending, stands.dead) == (0, 0)

    async def test_a_replay_does_not_touch_a_delivery_under_claim(self, driver: OutboxDriver) -> None:
        await driver.live("alice", streams=2)
        await driver.give_up(await driver.claim_one())
        held = await driver.claim_one()
        assert await driver.replay() == 1
        assert await driver.claim() == []
        assert await driver.settle_all(held) == ["moved", "started", "ended"]

    async def test_a_replay_in_steps_begins_with_the_oldest(self, driver: OutboxDriver) -> None:
        await driver.live("alice")
        for _ in range(2):
            await driver.give_up(await driver.claim_one())
        assert await driver.dead() == ["started", "ended"]
        assert await driver.replay(at_most=1) == 1
        assert await driver.dead() == ["ended"]
        assert await driver.drain() == ["started"]

    @opened_with(max_events=2)
    async def test_of_too_many_dead_deliveries_the_oldest_are_dropped(self, driver: OutboxDriver) -> None:
        for session in ("a", "b"):
            await driver.live("alice", session)
            for _ in range(2):
                await driver.give_up(await driver.claim_one(), session)
        dead = await resolved(driver.outbox.dead_letters("hook", 10))
        assert [delivery.problem for delivery in dead] == ["b", "b"]
        stands = await driver.stands()
        assert (stands.dead, stands.dropped, stands.pending) == (2, 2, 0)


class Endpoints:
    """Each endpoint has its own types, progress, room and fate."""

    @opened_with({"hook": {"session.started"}, "other": {"session.ended", "session.moved"}})
    async def test_each_endpoint_gets_its_types(self, driver: OutboxDriver) -> None:
        await driver.live("alice", streams=2)
        assert await driver.drain("hook") == ["started"]
        assert await driver.drain("other") == ["moved", "ended"]
        assert await resolved(driver.store.pending()) == 0

    @opened_with({"hook": ALL_TYPES, "other": ALL_TYPES})
    async def test_both_get_the_same_event_with_the_same_id(self, driver: OutboxDriver) -> None:
        await driver.live("alice")
        hook, other = await driver.claim_one("hook"), await driver.claim_one("other")
        assert hook.event == other.event
        assert hook.event.id == other.event.id

    @opened_with({"hook": ALL_TYPES, "other": ALL_TYPES})
    async def test_one_endpoints_failures_do_not_hold_up_the_other(self, driver: OutboxDriver) -> None:
        await driver.live("alice")
        await driver.fail(await driver.claim_one("hook"), wait_ms=10 * X)
        assert await driver.drain("other") == ["started", "ended"]
        stands = await driver.stands("hook")
        assert (stands.pending, stands.retrying) == (2, 1)

    @opened_with({"hook": ALL_TYPES, "other": ALL_TYPES}, max_events=3)
    async def test_a_full_queue_drops_what_is_new_and_counts_it_for_that_endpoint(self, driver: OutboxDriver) -> None:
        await driver.live("alice", "a")
        await driver.claim("hook")
        assert await driver.drain("other") == ["started", "ended"]
        driver.later(LEASE)
        await driver.live("alice", "b")
        assert await driver.drain("other") == ["started", "ended"]
        assert (await driver.stands("hook")).pending == 3
        assert (await driver.stands("hook")).dropped == 1
        assert (await driver.stands("other")).dropped == 0
        assert await driver.drain("hook") == ["started", "ended", "started"]
        await driver.live("alice", "c")
        assert await driver.drain("hook") == ["started", "ended"]

    @opened_with({"hook": {"session.started"}}, max_events=2)
    async def test_an_outbox_that_nobody_empties_stays_bounded_and_counts_every_drop(
        self, driver: OutboxDriver
    ) -> None:
        for number in range(LIVES):
            await driver.live("alice", f"s{number}")
        assert await resolved(driver.store.pending()) < LIVES
        arrived = await driver.drain()
        assert arrived[:2] == ["started", "started"]
        assert (await driver.stands()).dropped == LIVES - len(arrived)

    @opened_with(
        {"hook": {"session.started", "session.moved"}, "other": {"session.ended"}, "mute": set()}, max_events=2
    )
    async def test_what_an_outbox_drops_is_counted_for_who_wanted_it(self, driver: OutboxDriver) -> None:
        for number in range(LIVES):
            await driver.live("alice", f"s{number}", streams=2)
        [arrived, others] = [await driver.drain("hook"), await driver.drain("other")]
        assert (await driver.stands("hook")).dropped == 2 * LIVES - len(arrived)
        assert (await driver.stands("other")).dropped == LIVES - len(others)
        counts = {"hook": 2 * LIVES - len(arrived), "other": LIVES - len(others), "mute": 0}
        assert await resolved(driver.outbox.dropped()) == counts
        await driver.live("bob")
        assert await driver.drain("other") == ["ended"]
        assert await driver.drain("hook") == ["started"], "there is room again"

    @opened_with({"hook": ALL_TYPES, "other": {"session.ended"}}, max_events=3)
    async def test_a_burst_that_others_want_or_have_no_room_for_is_no_loss_to_an_endpoint(
        self, driver: OutboxDriver
    ) -> None:
        for number in range(3):
            await driver.live("alice", f"s{number}", streams=2)
        await driver.fail(await driver.claim_one("hook"), wait_ms=10 * X)
        assert await driver.drain("other") == ["ended"] * 3
        assert ((await driver.stands("hook")).pending, (await driver.stands("hook")).dropped) == (3, 6)
        assert (await driver.stands("other")).dropped == 0

    @opened_with({"hook": {"session.refused"}}, max_events=2)
    async def test_dropped_refusals_are_counted(self, driver: OutboxDriver) -> None:
        for number in range(LIVES):
            assert await driver.refused(f"s{number}") is not None
        arrived = await driver.drain()
        assert (await driver.stands()).dropped == LIVES - len(arrived)

    @opened_with({"hook": ALL_TYPES, "other": ALL_TYPES})
    async def test_a_disabled_endpoint_gets_nothing_and_keeps_what_waits(self, driver: OutboxDriver) -> None:
        await driver.live("alice", "a")
        held = await driver.claim_one("hook")
        assert await resolved(driver.outbox.disable("hook", "410 Gone")) is True
        assert await resolved(driver.outbox.disable("hook", "again")) is False
        await resolved(driver.outbox.release(held))
        assert await driver.claim("hook") == []
        assert await driver.claim("hook", outbox=await driver.another()) == []
        await driver.live("alice", "b")
        assert await driver.drain("other") == ["started", "ended"] * 2
        stands = await driver.stands("hook")
        assert (stands.disabled, stands.pending, stands.dropped) == ("410 Gone", 2, 2)

    async def test_a_replay_enables_an_endpoint(self, driver: OutboxDriver) -> None:
        await driver.live("alice")
        await driver.give_up(await driver.claim_one())
        await resolved(driver.outbox.disable("hook", "410 Gone"))
        assert await driver.replay() == 1
        assert (await driver.stands()).disabled is None
        assert await driver.drain() == ["started", "ended"]

    @opened_with({"hook": ALL_TYPES, "old": ALL_TYPES})
    async def test_an_endpoint_that_left_the_settings_is_forgotten(self, driver: OutboxDriver) -> None:
        await driver.live("alice")
        await driver.live("bob")
        await driver.give_up(await driver.claim_one("old", at_most=1))
        outbox = await driver.another(subscriptions=HOOK)
        assert [b.endpoint for b in await resolved(outbox.backlog())] == ["hook", "old"]
        while await resolved(outbox.retain(2)):
            pass
        assert [b.endpoint for b in await resolved(outbox.backlog())] == ["hook"]
        assert sorted(await driver.drain("hook")) == ["ended", "ended", "started", "started"]
        assert await resolved(driver.store.pending()) == 0

    @opened_with({})
    async def test_without_a_subscriber_nothing_is_kept(self, driver: OutboxDriver) -> None:
        await driver.live("alice")
        assert await resolved(driver.store.pending()) == 0
        assert await resolved(driver.outbox.backlog()) == ()


class Refusals:
    """What is no state change: kept at most once per session and time."""

    @opened_with({"hook": {"session.refused"}})
    async def test_a_refusal_goes_the_way_of_all_events(self, driver: OutboxDriver) -> None:
        event = await driver.refused("tv")
        assert event is not None
        assert (event.type, event.reason, event.at_ms) == ("session.refused", "session-limit", driver.clock.now_ms)
        assert (await driver.claim_one()).event == event

    @opened_with({"hook": {"session.refused"}})
    async def test_a_session_is_told_once_in_its_time_by_whomever(self, driver: OutboxDriver) -> None:
        first = await driver.refused("tv")
        driver.later(N * X - 1)
        assert await driver.refused("tv") is None
        other = await driver.another()
        assert await resolved(other.refused(refused_session("user", "tv"), "session-limit", N * X)) is None
        assert await driver.refused("phone") is not None
        assert await driver.refused("tv", user="other") is not None
        driver.later(1)
        second = await driver.refused("tv")
        assert first is not None
        assert second is not None
        assert first.id != second.id
        assert await resolved(driver.store.pending()) == 4

    def test_of_a_race_one_refusal_is_kept(self, open_outbox: OpenStore) -> None:
        async def refuse(outbox: Any, number: int) -> bool:
            session = refused_session("user", f"tv-{number}")
            return await resolved(outbox.refused(session, "session-limit", 60_000)) is not None

        subscriptions = {"hook": {"session.refused"}}
        rounds = race(open_outbox, [refuse] * 4, 15, subscriptions=subscriptions)
        assert [sum(answers) for answers in rounds] == [1] * 15


class Closing:
    """A closed outbox."""

    async def test_a_closed_outbox_is_unavailable_and_closing_twice_is_once(self, driver: OutboxDriver) -> None:
        outbox = await driver.another()
        await resolved(outbox.close())
        await resolved(outbox.close())
        try:
            await resolved(outbox.claim("hook", "t", 1, LEASE))
        except StoreUnavailable:
            return
        raise AssertionError("it still gives deliveries")


class OutboxContract(Claims, Failures, Endpoints, Refusals, Closing):
    """All promises; a subclass provides `open_store` and `open_outbox`."""
