"""How deliveries are carried: in order per user, side by side across users, again after failures, not after a 410."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from streamlimit.model import Admitted, Ask, Event, Receipt
from streamlimit.store.outbox import Outbox
from streamlimit.store.sqlite import SqliteOutbox, SqliteStore
from streamlimit.webhooks.dispatcher import WebhookDispatcher
from streamlimit.webhooks.sender import Failed, Outcome, Sent, Unwanted
from streamlimit.webhooks.worker import LONGEST_PAUSE_SECONDS, PATIENCE, WebhookWorker
from tests.store.store_driver import ALL_TYPES, QUICK, ManualClock

SECOND = 1_000
DAY = 86_400 * SECOND


class Log:
    """What was logged."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def info(self, event: str, **fields: object) -> None:
        self.said.append(event)

    warning = error = info


class Road:
    """A sender whose outcomes are in the test's hands; `hold` keeps deliveries on the way until `let_go`."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []
        self.outcome: Callable[[Event], Outcome] = lambda event: Sent()
        self.hold: Callable[[Event], bool] = lambda event: False
        self.on_the_way = 0
        self.most_on_the_way = 0
        self.let_go = asyncio.Event()
        self.closed = False

    async def send(self, event: Event) -> Outcome:
        self.seen.append((event.session.user_id, event.type.removeprefix("session.")))
        self.on_the_way += 1
        self.most_on_the_way = max(self.most_on_the_way, self.on_the_way)
        try:
            if self.hold(event):
                await self.let_go.wait()
            else:
                await asyncio.sleep(0)
            return self.outcome(event)
        finally:
            self.on_the_way -= 1

    async def close(self) -> None:
        self.closed = True

    def of(self, user: str) -> list[str]:
        return [kind for who, kind in self.seen if who == user]


class Round:
    """A worker, the road, and the outbox on a file; one clock for all."""

    def __init__(self, path: str, **how: Any) -> None:
        self.clock, self.log, self.road = ManualClock(), Log(), Road()
        self.store = SqliteStore(path, QUICK, ALL_TYPES, self.clock)
        self.outbox: Outbox = SqliteOutbox(path, {"hook": ALL_TYPES}, clock=self.clock)
        self.worker = self.another(**how)

    def another(self, **how: Any) -> WebhookWorker:
        clock = lambda: self.clock.now_ms / 1_000  # noqa: E731
        settings: dict[str, Any] = {"types": ALL_TYPES, "clock": clock, "jitter": lambda: 0.0} | how
        return WebhookWorker("hook", self.outbox, self.road, self.log, **settings)

    def live(self, user: str, session: str = "tv") -> None:
        """Started and ended: two events."""
        answer = self.store.admit(Ask(user, session, "news", lease_id="lease"))
        assert isinstance(answer, Admitted)
        assert answer.lease is not None
        self.store.confirm(Receipt(answer.lease))
        self.store.end(user, session)

    def later(self, seconds: float) -> None:
        self.clock.now_ms += round(seconds * SECOND)

    async def deliver(self) -> int:
        """One `deliver_once`, and all that it set off with is back."""
        started = await self.worker.deliver_once()
        while self.worker.in_flight:
            await asyncio.sleep(0)
        return started

    @property
    def stands(self) -> Any:
        return self.outbox.backlog()[0]  # type: ignore[index]


@pytest.fixture(name="round")
def a_round(tmp_path: Path) -> Round:
    return Round(str(tmp_path / "streamlimit.db"))


async def test_one_users_deliveries_leave_in_order_and_the_others_beside_them(round: Round) -> None:
    users = [f"user-{k}" for k in range(10)]
    for user in users:
        round.live(user)
    assert await round.deliver() == 10
    assert all(round.road.of(user) == ["started", "ended"] for user in users)
    assert round.road.most_on_the_way == 10
    assert round.worker.counts.sent == 20
    assert round.stands.pending == 0


async def test_no_more_than_its_places_are_on_the_way(round: Round) -> None:
    round.worker = round.another(places=3)
    for k in range(10):
        round.live(f"user-{k}")
    assert await round.worker.deliver_for(5)
    assert round.road.most_on_the_way == 3
    assert round.stands.pending == 0


async def test_a_hanging_receiver_holds_up_only_those_it_hangs_on(round: Round) -> None:
    round.road.hold = lambda event: event.session.user_id == "slow"
    round.live("slow")
    round.live("quick")
    await round.worker.deliver_once()
    round.live("later")
    await asyncio.sleep(0)
    await round.worker.deliver_once()
    for _ in range(20):
        await asyncio.sleep(0)
    assert round.road.of("quick") == round.road.of("later") == ["started", "ended"]
    assert round.road.of("slow") == ["started"]
    round.road.let_go.set()
    while round.worker.in_flight:
        await asyncio.sleep(0)
    assert round.road.of("slow") == ["started", "ended"]


async def test_a_failed_delivery_is_tried_again_after_1_2_4_8_seconds_and_on_to_an_hour(round: Round) -> None:
    waits = [round.worker.wait_seconds(attempts) for attempts in range(1, 16)]
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600, 3600, 3600]
    assert round.another(jitter=lambda: 1.0).wait_seconds(1) == pytest.approx(1.2)
    round.live("alice")
    round.road.outcome = lambda event: Failed("status 500")
    for wait in (1, 2, 4):
        await round.deliver()
        round.later(wait - 0.001)
        assert await round.deliver() == 0
        round.later(0.001)
    round.road.outcome = lambda event: Sent()
    await round.deliver()
    assert round.road.of("alice") == ["started"] * 4 + ["ended"]
    assert (round.worker.counts.failed, round.worker.counts.sent) == (3, 2)


async def test_retry_after_holds_for_the_whole_endpoint(round: Round) -> None:
    round.live("alice")
    round.road.outcome = lambda event: Failed("status 429", 7.0)
    await round.deliver()
    round.live("bob")
    round.later(6.999)
    assert await round.deliver() == 0
    round.later(0.001)
    round.road.outcome = lambda event: Sent()
    assert await round.deliver() == 2


async def test_a_delivery_that_waited_a_day_is_given_up_and_the_next_has_its_own_try(round: Round) -> None:
    round.live("alice")
    round.road.outcome = lambda event: Failed("status 500")
    await round.deliver()
    round.later(86_400)
    await round.deliver()
    assert (round.stands.dead, round.stands.pending) == (1, 1)
    await round.deliver()
    assert (round.stands.dead, round.stands.pending) == (2, 0)
    assert round.worker.counts.given_up == 2
    assert round.log.said.count("callback_given_up") == 2


async def test_a_410_disables_the_endpoint_once_and_keeps_the_delivery(round: Round) -> None:
    round.live("alice")
    round.live("bob")
    round.road.outcome = lambda event: Unwanted()
    await round.deliver()
    assert round.log.said == ["callback_endpoint_disabled"]
    assert (round.stands.disabled, round.stands.pending, round.stands.dead) == ("status 410", 4, 0)
    assert await round.deliver() == 0
    round.outbox.replay("hook", 10)
    round.road.outcome = lambda event: Sent()
    assert await round.deliver() == 2
    assert round.stands.pending == 0


async def test_a_dead_endpoint_is_tried_with_single_deliveries_and_growing_pauses_until_it_is_back(
    round: Round,
) -> None:
    for k in range(100):
        round.live(f"user-{k:02}")
    round.road.outcome = lambda event: Failed("no connection")
    await round.deliver()
    tried = len(round.road.seen)
    assert tried == 32  # all of the first round
    assert round.log.said == ["callback_endpoint_failing"]
    pauses = []
    for _ in range(9):
        pause = 0.0
        while not await round.deliver():
            round.later(0.5)
            pause += 0.5
        pauses.append(pause)
    assert len(round.road.seen) == tried + 9
    assert pauses == [1, 2, 4, 8, 16] + 4 * [LONGEST_PAUSE_SECONDS]
    round.road.outcome = lambda event: Sent()
    round.later(LONGEST_PAUSE_SECONDS)
    assert await round.deliver() == 1
    assert round.log.said == ["callback_endpoint_failing", "callback_endpoint_back"]
    round.later(3_600)
    assert await round.worker.deliver_for(5)
    assert round.stands.pending == 0


async def test_one_poisonous_delivery_does_not_make_the_endpoint_fail(round: Round) -> None:
    round.live("poison")
    round.road.outcome = lambda event: Failed("status 500") if event.session.user_id == "poison" else Sent()
    for k in range(3 * PATIENCE):
        round.live(f"user-{k}")
        await round.deliver()
        round.later(3_600)
    assert not round.worker.is_failing
    assert round.stands.pending == 2


async def test_stopping_waits_for_deliveries_on_the_way_and_starts_no_more(round: Round) -> None:
    round.live("alice")
    round.road.hold = lambda event: True
    await round.worker.deliver_once()
    await asyncio.sleep(0)
    stopping = asyncio.create_task(round.worker.stop(5))
    await asyncio.sleep(0)
    round.road.let_go.set()
    await stopping
    assert round.road.of("alice") == ["started"]
    assert round.road.closed
    assert [word.event.type for word in round.outbox.claim("hook", "other", 10, 1)] == ["session.ended"]  # type: ignore[union-attr]


async def test_stopping_releases_deliveries_that_take_too_long(round: Round) -> None:
    round.live("alice")
    round.road.hold = lambda event: True
    await round.worker.deliver_once()
    await asyncio.sleep(0)
    await round.worker.stop(0.01)
    await round.worker.stop(0.01)
    assert [word.event.type for word in round.outbox.claim("hook", "other", 10, 1)] == ["session.started"]  # type: ignore[union-attr]


def test_a_local_event_is_on_its_way_within_100_ms_and_others_within_a_second_or_so(tmp_path: Path) -> None:
    async def run() -> tuple[float, float]:
        path = str(tmp_path / "streamlimit.db")
        store, outbox = SqliteStore(path, QUICK, ALL_TYPES), SqliteOutbox(path, {"hook": ALL_TYPES})
        road = Road()
        worker = WebhookWorker("hook", outbox, road, Log(), ALL_TYPES)
        dispatcher = WebhookDispatcher(outbox, [worker])
        tasks = [asyncio.create_task(work()) for work in dispatcher.work()]
        await asyncio.sleep(0.05)
        loop = asyncio.get_running_loop()

        async def until_seen(user: str, wakes: bool) -> float:
            answer = store.admit(Ask(user, "tv", "news", lease_id="lease"))
            assert isinstance(answer, Admitted)
            assert answer.lease is not None
            verdict, began = store.confirm(Receipt(answer.lease)), loop.time()
            if wakes:
                dispatcher.wake(verdict.events[0])
            while not road.of(user):
                await asyncio.sleep(0.001)
            return loop.time() - began

        took = await until_seen("local", wakes=True), await until_seen("other", wakes=False)
        for task in tasks:
            task.cancel()
        await dispatcher.stop()
        store.close()
        return took

    local, other = asyncio.run(run())
    assert local < 0.1
    assert other < 1.5
