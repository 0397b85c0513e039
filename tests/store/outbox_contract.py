"""The promises of `Outbox` (store/contract.py) as tests: each in its meaning, in its race, and on its second call.

`OutboxContract` is not collected itself: a subclass per engine provides `open_store` (household.py) and
`open_outbox(subscriptions=…, max_events=…, clock=…)`: a fresh `Outbox` on the same data, as another process sees it.
"""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Collection, Mapping
from itertools import count
from typing import Any

from streamlimit.errors import StoreUnavailable
from streamlimit.model import Admitted, Ask, Event, Receipt, Session, State
from streamlimit.store.contract import Backlog, Letter, Outbox, Store, resolved
from tests.store.household import ALL_TYPES, QUICK, ManualClock, N, OpenStore, X, new_user, race

HOOK = {"hook": ALL_TYPES}
LEASE = 30_000
LIVES = 1_030
"""More than any outbox keeps where endpoints may have next to nothing."""


class PostOffice:
    """One outbox and the store that fills it; their clock stands still until told otherwise."""

    def __init__(
        self,
        open_store: OpenStore,
        open_outbox: OpenStore,
        subscriptions: Mapping[str, Collection[str]],
        max_events: int,
    ) -> None:
        self.clock = ManualClock()
        self._open_store, self._open_outbox = open_store, open_outbox
        self._how = {"subscriptions": subscriptions, "max_events": max_events, "clock": self.clock}
        self._opened: list[Any] = []
        self._numbers = count(1)
        self.store: Store
        self.outbox: Outbox

    async def open(self) -> None:
        subscriptions: Any = self._how["subscriptions"]
        types = frozenset(kind for wanted in subscriptions.values() for kind in wanted)
        how = {"policy": QUICK, "subscribed": types, "clock": self.clock, "outbox_max_events": self._how["max_events"]}
        self.store = await resolved(self._open_store(**how))
        self._opened.append(self.store)
        self.outbox = await self.another()

    async def another(self, **changes: Any) -> Outbox:
        """The same outbox as another process sees it."""
        outbox: Outbox = await resolved(self._open_outbox(**(self._how | changes)))
        self._opened.append(outbox)
        return outbox

    async def close(self) -> None:
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

    async def claim(self, endpoint: str = "hook", at_most: int = 100, **more: Any) -> list[Letter]:
        outbox = more.pop("outbox", self.outbox)
        ticket = f"ticket-{next(self._numbers)}"
        return list(await resolved(outbox.claim(endpoint, ticket, at_most, LEASE, **more)))

    async def claim_one(self, endpoint: str = "hook", **more: Any) -> Letter:
        [letter] = await self.claim(endpoint, **more)
        return letter

    async def settle(self, letter: Letter) -> Letter | None:
        return await resolved(self.outbox.settle(letter, LEASE))

    async def settle_all(self, letter: Letter | None) -> list[str]:
        """Settles it and all that follow it; their types."""
        seen = []
        while letter is not None:
            seen.append(word(letter))
            letter = await self.settle(letter)
        return seen

    async def drain(self, endpoint: str = "hook") -> list[str]:
        """Claims and settles until nothing is due."""
        seen: list[str] = []
        while letters := await self.claim(endpoint):
            for letter in letters:
                seen += await self.settle_all(letter)
        return seen

    async def fail(self, letter: Letter, wait_ms: int = X, problem: str = "500") -> None:
        await resolved(self.outbox.retry_later(letter, wait_ms, problem))

    async def give_up(self, letter: Letter, problem: str = "500") -> None:
        await resolved(self.outbox.give_up(letter, problem))

    async def stands(self, endpoint: str = "hook") -> Backlog:
        [found] = [b for b in await resolved(self.outbox.backlog()) if b.endpoint == endpoint]
        return found

    async def dead(self, endpoint: str = "hook") -> list[str]:
        """The dead letters, oldest first."""
        found = await resolved(self.outbox.dead_letters(endpoint, 100))
        return [letter.event.type.removeprefix("session.") for letter in reversed(found)]

    async def replay(self, endpoint: str = "hook", at_most: int = 100) -> int:
        return await resolved(self.outbox.replay(endpoint, at_most))

    async def refused(self, session: str, user: str = "user", quiet_ms: int = N * X) -> Event | None:
        return await resolved(self.outbox.refused(refused_session(user, session), "session-limit", quiet_ms))


def refused_session(user: str, session: str) -> Session:
    return Session(session, user, "news", State.STARTING, None, None, None, 0, None, 0, 0, 0)


def word(letter: Letter) -> str:
    return letter.event.type.removeprefix("session.")


def story(
    subscriptions: Mapping[str, Collection[str]] = HOOK, max_events: int = 1_000_000
) -> Callable[[Callable[..., Awaitable[None]]], Callable[..., None]]:
    """Makes `async def test(self, office)` a test that takes the two fixtures, in an event loop of its own."""

    def made(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
        async def whole(self: object, open_store: OpenStore, open_outbox: OpenStore) -> None:
            office = PostOffice(open_store, open_outbox, subscriptions, max_events)
            try:
                await office.open()
                await test(self, office)
            finally:
                await office.close()

        @functools.wraps(test)
        def run(self: object, open_store: OpenStore, open_outbox: OpenStore) -> None:
            asyncio.run(whole(self, open_store, open_outbox))

        del run.__wrapped__  # type: ignore[attr-defined]  # pytest shall see the fixtures
        return run

    return made


class Claims:
    """Who may send what, and until when."""

    @story()
    async def test_an_empty_outbox_has_nothing_to_give(self, office: PostOffice) -> None:
        assert await office.claim() == []
        assert await office.stands() == Backlog("hook")

    @story()
    async def test_a_users_letters_leave_one_by_one_in_order(self, office: PostOffice) -> None:
        await office.live("alice", streams=3)
        assert await resolved(office.store.pending()) == 4
        letter = await office.claim_one()
        assert (word(letter), letter.endpoint, letter.attempts, letter.waited_ms) == ("started", "hook", 0, 0)
        assert await resolved(office.store.pending()) == 4
        assert await office.settle_all(letter) == ["started", "moved", "moved", "ended"]
        assert await office.claim() == []
        assert await resolved(office.store.pending()) == 0

    @story()
    async def test_nothing_of_a_user_overtakes_a_letter_under_claim(self, office: PostOffice) -> None:
        await office.live("alice")
        await office.claim_one()
        assert await office.claim() == []
        await office.live("alice", "phone")
        assert await office.claim() == []

    @story()
    async def test_users_do_not_wait_for_each_other(self, office: PostOffice) -> None:
        for user in ("alice", "bob", "carol"):
            await office.live(user)
        letters = await office.claim()
        assert {letter.event.session.user_id for letter in letters} == {"alice", "bob", "carol"}
        assert [word(letter) for letter in letters] == ["started"] * 3
        assert await office.settle_all(letters[1]) == ["started", "ended"]
        assert await office.claim() == []

    @story()
    async def test_a_claim_takes_no_more_users_than_it_asked_for(self, office: PostOffice) -> None:
        for user in ("alice", "bob", "carol"):
            await office.live(user)
        first, second = await office.claim(at_most=2), await office.claim(at_most=2)
        assert (len(first), len(second)) == (2, 1)
        assert {letter.event.session.user_id for letter in first + second} == {"alice", "bob", "carol"}

    @story()
    async def test_a_claim_for_one_user_finds_their_letters(self, office: PostOffice) -> None:
        await office.live("alice")
        [letter] = [seen for seen in await office.claim(users=["alice"]) if seen.event.session.user_id == "alice"]
        assert word(letter) == "started"
        assert await office.claim(users=["nobody"]) == []

    @story()
    async def test_another_process_does_not_get_what_is_claimed(self, office: PostOffice) -> None:
        await office.live("alice")
        await office.live("bob")
        mine = await office.claim(at_most=1)
        other = await office.claim(outbox=await office.another())
        assert {letter.event.session.user_id for letter in mine + other} == {"alice", "bob"}

    @story()
    async def test_a_claim_that_ran_out_is_anyones_again_with_the_same_event(self, office: PostOffice) -> None:
        await office.live("alice")
        first = await office.claim_one()
        office.later(LEASE - 1)
        assert await office.claim() == []
        office.later(1)
        again = await office.claim_one(outbox=await office.another())
        assert (again.event, again.number, again.attempts) == (first.event, first.number, 0)
        assert again.event.id == first.event.id
        assert again.waited_ms == LEASE

    @story()
    async def test_a_late_word_of_an_old_holder_changes_nothing(self, office: PostOffice) -> None:
        await office.live("alice")
        old = await office.claim_one()
        office.later(LEASE)
        new = await office.claim_one()
        assert await office.settle(old) is None
        await office.fail(old, wait_ms=0)
        await office.give_up(old)
        await resolved(office.outbox.release(old))
        assert await office.claim() == []
        assert (await office.stands()).retrying == (await office.stands()).dead == 0
        assert await office.settle_all(new) == ["started", "ended"]

    @story()
    async def test_settling_holds_the_users_next_letter_as_long_again(self, office: PostOffice) -> None:
        await office.live("alice")
        first = await office.claim_one()
        office.later(LEASE - 1)
        second = await office.settle(first)
        assert second is not None
        assert second.ticket == first.ticket
        office.later(LEASE - 1)
        assert await office.claim() == []
        assert await office.settle_all(second) == ["ended"]

    @story()
    async def test_settling_twice_is_settling_once(self, office: PostOffice) -> None:
        await office.live("alice")
        first = await office.claim_one()
        second = await office.settle(first)
        assert await office.settle(first) is None
        assert await office.settle_all(second) == ["ended"]
        assert (await office.stands()).pending == 0

    @story()
    async def test_what_is_released_is_anyones_at_once_and_no_attempt(self, office: PostOffice) -> None:
        await office.live("alice")
        letter = await office.claim_one()
        await resolved(office.outbox.release(letter))
        again = await office.claim_one()
        assert (again.event.id, again.attempts) == (letter.event.id, 0)
        await resolved(office.outbox.release(letter))
        assert await office.claim() == []

    def test_of_many_claimers_each_letter_is_given_to_one(self, open_store: OpenStore, open_outbox: OpenStore) -> None:
        users = [new_user() for _ in range(40)]

        async def fill() -> None:
            office = PostOffice(open_store, open_outbox, HOOK, 1_000_000)
            await office.open()
            for user in users:
                await office.live(user)
            await office.close()

        async def take(outbox: Any, number: int) -> list[str]:
            seen = []
            for letter in await resolved(outbox.claim("hook", f"{id(outbox)}-{number}", 3, LEASE)):
                following: Letter | None = letter
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

    @story()
    async def test_a_failed_letter_is_due_later_and_nothing_overtakes_it(self, office: PostOffice) -> None:
        await office.live("alice")
        letter = await office.claim_one()
        await office.fail(letter, wait_ms=X, problem="503")
        office.later(X - 1)
        assert await office.claim() == []
        assert await office.claim(users=["alice"]) == []
        stands = await office.stands()
        assert (stands.pending, stands.retrying, stands.problem) == (2, 1, "503")
        office.later(1)
        again = await office.claim_one()
        assert (again.event.id, again.attempts, again.waited_ms) == (letter.event.id, 1, X)

    @story()
    async def test_attempts_are_counted_per_letter(self, office: PostOffice) -> None:
        await office.live("alice")
        for attempts in range(3):
            letter = await office.claim_one()
            assert letter.attempts == attempts
            await office.fail(letter, wait_ms=0)
            await office.fail(letter, wait_ms=0)  # twice is once
        following = await office.settle(await office.claim_one())
        assert following is not None
        assert following.attempts == 0
        assert (await office.stands()).retrying == 0

    @story()
    async def test_another_users_letters_go_on(self, office: PostOffice) -> None:
        await office.live("alice")
        await office.live("bob")
        for letter in await office.claim():
            if letter.event.session.user_id == "alice":
                await office.fail(letter, wait_ms=10 * X)
            else:
                assert await office.settle_all(letter) == ["started", "ended"]
        assert (await office.stands()).pending == 2

    @story()
    async def test_a_letter_given_up_is_dead_and_the_next_one_is_due(self, office: PostOffice) -> None:
        await office.live("alice")
        letter = await office.claim_one()
        await office.give_up(letter, "410")
        await office.give_up(letter, "again")
        [dead] = await resolved(office.outbox.dead_letters("hook", 10))
        assert (dead.event, dead.problem, dead.at_ms) == (letter.event, "410", office.clock.now_ms)
        stands = await office.stands()
        assert (stands.pending, stands.dead, stands.dropped) == (1, 1, 0)
        assert await office.drain() == ["ended"]
        assert await office.dead() == ["started"]

    @story()
    async def test_replayed_letters_come_before_younger_ones_and_start_anew(self, office: PostOffice) -> None:
        await office.live("alice", streams=2)
        for _ in range(2):
            letter = await office.claim_one()
            await office.fail(letter, wait_ms=0)
            await office.give_up(await office.claim_one())
        office.later(X)
        assert await office.replay() == 2
        assert await office.replay() == 0
        letter = await office.claim_one()
        assert (letter.attempts, letter.waited_ms) == (0, 0)
        assert await office.settle_all(letter) == ["started", "moved", "ended"]
        stands = await office.stands()
        assert (stands.pending, stands.dead) == (0, 0)

    @story()
    async def test_a_replay_does_not_touch_a_letter_under_claim(self, office: PostOffice) -> None:
        await office.live("alice", streams=2)
        await office.give_up(await office.claim_one())
        held = await office.claim_one()
        assert await office.replay() == 1
        assert await office.claim() == []
        assert await office.settle_all(held) == ["moved", "started", "ended"]

    @story()
    async def test_a_replay_in_steps_begins_with_the_oldest(self, office: PostOffice) -> None:
        await office.live("alice")
        for _ in range(2):
            await office.give_up(await office.claim_one())
        assert await office.dead() == ["started", "ended"]
        assert await office.replay(at_most=1) == 1
        assert await office.dead() == ["ended"]
        assert await office.drain() == ["started"]

    @story(max_events=2)
    async def test_of_too_many_dead_letters_the_oldest_are_dropped(self, office: PostOffice) -> None:
        for session in ("a", "b"):
            await office.live("alice", session)
            for _ in range(2):
                await office.give_up(await office.claim_one(), session)
        dead = await resolved(office.outbox.dead_letters("hook", 10))
        assert [letter.problem for letter in dead] == ["b", "b"]
        stands = await office.stands()
        assert (stands.dead, stands.dropped, stands.pending) == (2, 2, 0)


class Endpoints:
    """Each endpoint has its own types, progress, room and fate."""

    @story({"hook": {"session.started"}, "other": {"session.ended", "session.moved"}})
    async def test_each_endpoint_gets_its_types(self, office: PostOffice) -> None:
        await office.live("alice", streams=2)
        assert await office.drain("hook") == ["started"]
        assert await office.drain("other") == ["moved", "ended"]
        assert await resolved(office.store.pending()) == 0

    @story({"hook": ALL_TYPES, "other": ALL_TYPES})
    async def test_both_get_the_same_event_with_the_same_id(self, office: PostOffice) -> None:
        await office.live("alice")
        hook, other = await office.claim_one("hook"), await office.claim_one("other")
        assert hook.event == other.event
        assert hook.event.id == other.event.id

    @story({"hook": ALL_TYPES, "other": ALL_TYPES})
    async def test_one_endpoints_failures_do_not_hold_up_the_other(self, office: PostOffice) -> None:
        await office.live("alice")
        await office.fail(await office.claim_one("hook"), wait_ms=10 * X)
        assert await office.drain("other") == ["started", "ended"]
        stands = await office.stands("hook")
        assert (stands.pending, stands.retrying) == (2, 1)

    @story({"hook": ALL_TYPES, "other": ALL_TYPES}, max_events=3)
    async def test_a_full_queue_drops_what_is_new_and_counts_it_for_that_endpoint(self, office: PostOffice) -> None:
        await office.live("alice", "a")
        await office.claim("hook")
        assert await office.drain("other") == ["started", "ended"]
        office.later(LEASE)
        await office.live("alice", "b")
        assert await office.drain("other") == ["started", "ended"]
        assert (await office.stands("hook")).pending == 3
        assert (await office.stands("hook")).dropped == 1
        assert (await office.stands("other")).dropped == 0
        assert await office.drain("hook") == ["started", "ended", "started"]
        await office.live("alice", "c")
        assert await office.drain("hook") == ["started", "ended"]

    @story({"hook": {"session.started"}}, max_events=2)
    async def test_an_outbox_that_nobody_empties_stays_bounded_and_counts_every_drop(self, office: PostOffice) -> None:
        for number in range(LIVES):
            await office.live("alice", f"s{number}")
        assert await resolved(office.store.pending()) < LIVES
        arrived = await office.drain()
        assert arrived[:2] == ["started", "started"]
        assert (await office.stands()).dropped == LIVES - len(arrived)

    @story({"hook": {"session.started", "session.moved"}, "other": {"session.ended"}, "mute": set()}, max_events=2)
    async def test_what_an_outbox_drops_is_counted_for_who_wanted_it(self, office: PostOffice) -> None:
        for number in range(LIVES):
            await office.live("alice", f"s{number}", streams=2)
        [arrived, others] = [await office.drain("hook"), await office.drain("other")]
        assert (await office.stands("hook")).dropped == 2 * LIVES - len(arrived)
        assert (await office.stands("other")).dropped == LIVES - len(others)
        counts = {"hook": 2 * LIVES - len(arrived), "other": LIVES - len(others), "mute": 0}
        assert await resolved(office.outbox.dropped()) == counts
        await office.live("bob")
        assert await office.drain("other") == ["ended"]
        assert await office.drain("hook") == ["started"], "there is room again"

    @story({"hook": ALL_TYPES, "other": {"session.ended"}}, max_events=3)
    async def test_a_burst_that_others_want_or_have_no_room_for_is_no_loss_to_an_endpoint(
        self, office: PostOffice
    ) -> None:
        for number in range(3):
            await office.live("alice", f"s{number}", streams=2)
        await office.fail(await office.claim_one("hook"), wait_ms=10 * X)
        assert await office.drain("other") == ["ended"] * 3
        assert ((await office.stands("hook")).pending, (await office.stands("hook")).dropped) == (3, 6)
        assert (await office.stands("other")).dropped == 0

    @story({"hook": {"session.refused"}}, max_events=2)
    async def test_dropped_refusals_are_counted(self, office: PostOffice) -> None:
        for number in range(LIVES):
            assert await office.refused(f"s{number}") is not None
        arrived = await office.drain()
        assert (await office.stands()).dropped == LIVES - len(arrived)

    @story({"hook": ALL_TYPES, "other": ALL_TYPES})
    async def test_a_disabled_endpoint_gets_nothing_and_keeps_what_waits(self, office: PostOffice) -> None:
        await office.live("alice", "a")
        held = await office.claim_one("hook")
        assert await resolved(office.outbox.disable("hook", "410 Gone")) is True
        assert await resolved(office.outbox.disable("hook", "again")) is False
        await resolved(office.outbox.release(held))
        assert await office.claim("hook") == []
        assert await office.claim("hook", outbox=await office.another()) == []
        await office.live("alice", "b")
        assert await office.drain("other") == ["started", "ended"] * 2
        stands = await office.stands("hook")
        assert (stands.disabled, stands.pending, stands.dropped) == ("410 Gone", 2, 2)

    @story()
    async def test_a_replay_enables_an_endpoint(self, office: PostOffice) -> None:
        await office.live("alice")
        await office.give_up(await office.claim_one())
        await resolved(office.outbox.disable("hook", "410 Gone"))
        assert await office.replay() == 1
        assert (await office.stands()).disabled is None
        assert await office.drain() == ["started", "ended"]

    @story({"hook": ALL_TYPES, "old": ALL_TYPES})
    async def test_an_endpoint_that_left_the_settings_is_forgotten(self, office: PostOffice) -> None:
        await office.live("alice")
        await office.live("bob")
        await office.give_up(await office.claim_one("old", at_most=1))
        outbox = await office.another(subscriptions=HOOK)
        assert [b.endpoint for b in await resolved(outbox.backlog())] == ["hook", "old"]
        while await resolved(outbox.retain(2)):
            pass
        assert [b.endpoint for b in await resolved(outbox.backlog())] == ["hook"]
        assert sorted(await office.drain("hook")) == ["ended", "ended", "started", "started"]
        assert await resolved(office.store.pending()) == 0

    @story({})
    async def test_without_a_subscriber_nothing_is_kept(self, office: PostOffice) -> None:
        await office.live("alice")
        assert await resolved(office.store.pending()) == 0
        assert await resolved(office.outbox.backlog()) == ()


class Refusals:
    """What is no state change: kept at most once per session and time."""

    @story({"hook": {"session.refused"}})
    async def test_a_refusal_goes_the_way_of_all_events(self, office: PostOffice) -> None:
        event = await office.refused("tv")
        assert event is not None
        assert (event.type, event.reason, event.at_ms) == ("session.refused", "session-limit", office.clock.now_ms)
        assert (await office.claim_one()).event == event

    @story({"hook": {"session.refused"}})
    async def test_a_session_is_told_once_in_its_time_by_whomever(self, office: PostOffice) -> None:
        first = await office.refused("tv")
        office.later(N * X - 1)
        assert await office.refused("tv") is None
        other = await office.another()
        assert await resolved(other.refused(refused_session("user", "tv"), "session-limit", N * X)) is None
        assert await office.refused("phone") is not None
        assert await office.refused("tv", user="other") is not None
        office.later(1)
        second = await office.refused("tv")
        assert first is not None
        assert second is not None
        assert first.id != second.id
        assert await resolved(office.store.pending()) == 4

    def test_of_a_race_one_refusal_is_kept(self, open_outbox: OpenStore) -> None:
        async def refuse(outbox: Any, number: int) -> bool:
            session = refused_session("user", f"tv-{number}")
            return await resolved(outbox.refused(session, "session-limit", 60_000)) is not None

        subscriptions = {"hook": {"session.refused"}}
        rounds = race(open_outbox, [refuse] * 4, 15, subscriptions=subscriptions)
        assert [sum(answers) for answers in rounds] == [1] * 15


class Closing:
    """A closed outbox."""

    @story()
    async def test_a_closed_outbox_is_unavailable_and_closing_twice_is_once(self, office: PostOffice) -> None:
        outbox = await office.another()
        await resolved(outbox.close())
        await resolved(outbox.close())
        try:
            await resolved(outbox.claim("hook", "t", 1, LEASE))
        except StoreUnavailable:
            return
        raise AssertionError("it still gives letters")


class OutboxContract(Claims, Failures, Endpoints, Refusals, Closing):
    """All promises; a subclass provides `open_store` and `open_outbox`."""
