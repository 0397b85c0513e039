"""The promises of `Feed` (store/feed.py) as tests: each in its meaning, in its race, and on its second call.

`FeedContract` is not collected itself: a subclass per engine provides `open_feed(history_events=…, kept=…, clock=…)`: a
fresh `Feed` on the same data, as another process sees it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from msgspec.structs import replace

from streamlimit.errors import StoreUnavailable
from streamlimit.model import Device, Event, Session, State
from streamlimit.store.contract import resolved
from streamlimit.store.feed import FORGOTTEN, START, Feed, FeedPage, Place
from tests.store.store_driver import ManualClock, OpenStore, new_user, race

KEPT = 100
"""Of a feed that is bounded: Valkey keeps up to a hundred more."""


def event(user: str, number: int = 0, kind: str = "started", reason: str = "", at_ms: int = 1_750_000_000_000) -> Event:
    """One of a session with everything in it."""
    session = Session(
        session_id=f"tv-{number}",
        user_id=user,
        stream_id="news",
        state=State.ACTIVE,
        device=Device(id="d", name="Wohnzimmer", type="tv"),
        segment="video-7.m4s",
        sequence=7,
        started_at_ms=1,
        last_activity_ms=None,
        expires_at_ms=3,
        generation=4,
        move=number,
        plan="basic",
        limit=2,
        play=2**63,
    )
    return Event(f"session.{kind}", session, at_ms + number, reason, "operator", 3)


@dataclass
class FeedDriver:
    """One open feed, whose clock stands still until told otherwise."""

    open_feed: OpenStore
    clock: ManualClock = field(default_factory=ManualClock)
    feed: Feed = field(init=False)
    opened: list[Feed] = field(default_factory=list)

    async def __aenter__(self) -> "FeedDriver":
        self.feed = await self.another()
        return self

    async def __aexit__(self, *_: object) -> None:
        for feed in self.opened:
            await resolved(feed.close())

    async def another(self, **how: Any) -> Feed:
        """As another process sees it."""
        feed: Feed = await resolved(self.open_feed(**({"history_events": 5, "clock": self.clock} | how)))
        self.opened.append(feed)
        return feed

    async def append(self, *events: Event) -> None:
        await resolved(self.feed.append(events))

    async def remember(self, *events: Event) -> None:
        assert list(await resolved(self.feed.remember(events))) == []

    async def read(self, after: Place | None = START, at_most: int = 1_000) -> FeedPage:
        return await resolved(self.feed.read(after, at_most))

    async def told(self, after: Place = START) -> list[Event]:
        page = await self.read(after)
        assert page.is_whole
        return [entry.event for entry in page.entries]

    async def history(self, user: str) -> list[Event]:
        return list(await resolved(self.feed.history(user)))


class FeedStories:
    """Tests whose `home` has a feed."""

    @pytest.fixture
    def home(self, open_feed: OpenStore) -> FeedDriver:
        return FeedDriver(open_feed)


class FeedContract(FeedStories):
    """All of them."""

    async def test_what_was_put_in_comes_out_in_its_order_and_whole(self, home: FeedDriver) -> None:
        user = new_user()
        one = event(user, 1)
        other = Event("session.refused", replace(one.session, device="tv", segment=None, play=0), 5, "session-limit")
        await home.append(one, other)
        await home.append(one)
        assert await home.told() == [one, other, one]

    async def test_a_reader_goes_on_behind_any_place_that_it_had(self, home: FeedDriver) -> None:
        user = new_user()
        events = [event(user, number) for number in range(5)]
        await home.append(*events)
        places = [START, *(entry.place for entry in (await home.read()).entries)]
        assert places == sorted(set(places))
        for number, place in enumerate(places):
            assert await home.told(place) == events[number:]
        first = await home.read(START, 2)
        assert [entry.event for entry in first.entries] == events[:2]
        assert first.newest == places[-1]

    async def test_who_asks_for_the_newest_place_alone_is_given_no_event(self, home: FeedDriver) -> None:
        assert await home.read(None) == FeedPage((), START)
        await home.append(event(new_user()))
        page = await home.read(None)
        assert page == FeedPage((), (await home.read()).entries[0].place)
        assert await home.told(page.newest) == []

    async def test_another_process_reads_what_this_one_puts_in(self, home: FeedDriver) -> None:
        other = await home.another()
        one = event(new_user())
        await home.append(one)
        assert [entry.event for entry in (await resolved(other.read(START, 10))).entries] == [one]

    async def test_the_oldest_go_and_who_comes_from_there_is_told_of_a_gap(self, home: FeedDriver) -> None:
        feed = await home.another(kept=KEPT)
        user = new_user()
        await resolved(feed.append([event(user, 0)]))
        early = (await resolved(feed.read(START, 1))).newest
        for first in range(1, 4 * KEPT, KEPT):
            await resolved(feed.append([event(user, first + number) for number in range(KEPT)]))
        page = await resolved(feed.read(early, 1_000))
        assert not page.is_whole
        assert KEPT <= len(page.entries) < 4 * KEPT
        assert page.entries[-1].event.session.move == 4 * KEPT
        kept = page.entries[len(page.entries) - KEPT].place
        assert (await resolved(feed.read(kept, 1_000))).is_whole

    async def test_a_place_that_the_feed_never_had_is_a_gap_too(self, home: FeedDriver) -> None:
        await home.append(event(new_user()))
        newest = (await home.read()).newest
        for place in ((newest[0] + 1, 0), (2**70, 2**70)):
            page = await home.read(place)
            assert not page.is_whole
            assert len(page.entries) == 1

    async def test_an_empty_feed_misses_nothing_but_what_a_stranger_had(self, home: FeedDriver) -> None:
        assert await home.read(START) == FeedPage((), START)
        assert await home.read((5, 0)) == FeedPage((), START, is_whole=False)

    async def test_a_history_is_newest_first_bounded_and_each_users_own(self, home: FeedDriver) -> None:
        user, neighbour = new_user(), new_user()
        events = [event(user, number) for number in range(8)]
        await home.remember(*events, event(neighbour, 1))
        assert await home.history(user) == events[:2:-1]
        assert await home.history(neighbour) == [event(neighbour, 1)]
        assert await home.history(new_user()) == []

    async def test_the_same_event_twice_is_once_in_the_history(self, home: FeedDriver) -> None:
        user = new_user()
        await home.remember(event(user, 1), event(user, 2))
        await home.remember(event(user, 1))
        assert await home.history(user) == [event(user, 2), event(user, 1)]

    async def test_of_one_moment_the_event_that_made_room_is_the_older(self, home: FeedDriver) -> None:
        user = new_user()
        started, terminated = event(user, 1, "started"), event(user, 1, "terminated")
        await home.remember(started)
        await home.remember(terminated)
        assert await home.history(user) == [started, terminated]

    async def test_a_history_of_no_events_keeps_none(self, home: FeedDriver) -> None:
        feed, user = await home.another(history_events=0), new_user()
        assert list(await resolved(feed.remember([event(user)]))) == []
        assert await resolved(feed.history(user)) == ()
        assert await home.history(user) == []

    async def test_a_shorter_history_shows_fewer_of_what_is_there(self, home: FeedDriver) -> None:
        user = new_user()
        await home.remember(*(event(user, number) for number in range(4)))
        shorter = await home.another(history_events=2)
        assert [e.session.move for e in await resolved(shorter.history(user))] == [3, 2]

    async def test_who_is_forgotten_has_no_history_and_is_in_the_feed_by_their_end_alone(
        self, home: FeedDriver
    ) -> None:
        user, neighbour = new_user(), new_user()
        last = event(user, 3, "terminated", FORGOTTEN)
        await home.append(event(user, 1), event(neighbour, 2), last)
        await home.remember(event(user, 1), event(neighbour, 2), last)
        for _ in range(2):
            await resolved(home.feed.forget(user))
            assert await home.history(user) == []
            assert [each.event for each in (await home.read()).entries] == [event(neighbour, 2), last]
        assert await home.history(neighbour) == [event(neighbour, 2)]

    async def test_an_event_of_forgetting_is_in_no_history(self, home: FeedDriver) -> None:
        user = new_user()
        await home.remember(event(user, 3, "terminated", FORGOTTEN))
        assert await home.history(user) == []

    async def test_a_refusal_is_told_once_until_it_was_quiet_long_enough(self, home: FeedDriver) -> None:
        session = event(new_user(), 1).session
        other = await home.another()

        async def refused(feed: Feed, whose: Session = session) -> Event | None:
            return await resolved(feed.refused(whose, "session-limit", 3_000, 2))

        told = await refused(home.feed)
        assert told == Event("session.refused", session, home.clock(), "session-limit", None, 2)
        assert await refused(other) is None
        assert await refused(other, replace(session, session_id="phone")) is not None
        home.clock.now_ms += 2_999
        assert await refused(home.feed) is None
        home.clock.now_ms += 1
        assert await refused(other) is not None

    async def test_refusals_at_once_are_told_each_and_one_of_each_session(self, home: FeedDriver) -> None:
        sessions = [event(new_user(), 1).session for _ in range(250)]
        asked = [home.feed.refused(session, "session-limit", 3_000) for session in [*sessions, *sessions[:3]]]
        told = [await resolved(answer) for answer in asked]
        assert [each and each.session for each in told] == [*sessions, None, None, None]

    def test_of_four_who_tell_of_one_refusal_at_once_one_does(self, open_feed: OpenStore) -> None:
        users = [new_user() for _ in range(20)]

        async def tell(feed: Any, number: int) -> bool:
            session = event(users[number]).session
            return await resolved(feed.refused(session, "session-limit", 60_000)) is not None

        rounds = race(open_feed, [tell] * 4, len(users), history_events=5)
        assert [sum(answers) for answers in rounds] == [1] * len(users)

    def test_of_four_who_put_events_in_at_once_none_loses_any(self, open_feed: OpenStore) -> None:
        user = new_user()

        def step(number: int) -> Callable[[Any, int], Awaitable[None]]:
            async def put(feed: Any, turn: int) -> None:
                some: Sequence[Event] = [event(user, number, at_ms=turn), event(user, number, "ended", at_ms=turn)]
                await resolved(feed.append(some))

            return put

        race(open_feed, [step(number) for number in range(4)], 20, history_events=5)

        async def read() -> FeedPage:
            feed = open_feed(history_events=5)
            try:
                page: FeedPage = await resolved(feed.read(START, 1_000))
                return page
            finally:
                await resolved(feed.close())

        found = [(e.event.session.move, e.event.at_ms, e.event.type) for e in asyncio.run(read()).entries]
        assert len(found) == len(set(found)) == 160

    async def test_closing_twice_is_once_and_ends_it(self, home: FeedDriver) -> None:
        await resolved(home.feed.close())
        await resolved(home.feed.close())
        with pytest.raises(StoreUnavailable):
            await resolved(home.feed.read(START, 1))
