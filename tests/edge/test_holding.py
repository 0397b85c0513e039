"""Seats held between seldom calls, and calls counted by the minute: by clocks of the tests."""

import asyncio
from typing import Any

from streamlimit.edge.holding import Holding
from streamlimit.edge.throttle import Throttle
from streamlimit.model import Ask, Gone, Lease, State
from tests.background import until_nothing_is_done_beside


class Calls:
    """A limiter that is told to prolong."""

    def __init__(self, answer: Gone | None = None) -> None:
        self.prolonged: list[Lease] = []
        self.answer = answer

    def prolong(self, lease: Lease) -> Gone | None:
        self.prolonged.append(lease)
        return self.answer


def _lease(session: str = "s", stream: str = "news") -> Lease:
    return Lease(Ask("u", session, stream), 1, 0)


async def _run(limiter: Any, life: float, expiry: float, act: Any) -> Holding:
    holding = Holding(limiter, expiry, life)
    act(holding)
    await until_nothing_is_done_beside()
    return holding


def test_a_seat_is_prolonged_until_so_long_before_its_end_as_it_then_lives_on() -> None:
    calls = Calls()
    holding = asyncio.run(_run(calls, 0.2, 0.05, lambda held: held.hold(_lease())))
    assert 1 <= len(calls.prolonged) <= 6 + 1  # 0.15 s in steps of 0.025, fewer where the machine is busy
    assert holding.stream_of("u", "s") is None


def test_a_seat_that_lives_longer_by_itself_is_not_held() -> None:
    calls = Calls()
    asyncio.run(_run(calls, 0.2, 0.3, lambda held: held.hold(_lease())))
    assert calls.prolonged == []


def test_a_seat_that_is_gone_or_let_go_is_prolonged_no_more() -> None:
    gone = Calls(Gone(State.TERMINATED))
    asyncio.run(_run(gone, 0.2, 0.02, lambda held: held.hold(_lease())))
    assert len(gone.prolonged) == 1

    def let_go(holding: Holding) -> None:
        holding.hold(_lease())
        assert holding.stream_of("u", "s") == "news"
        holding.let_go("u", "s")
        holding.let_go("u", "nobody")

    left = Calls()
    asyncio.run(_run(left, 60, 0.02, let_go))
    assert left.prolonged == []


def test_calls_are_counted_in_a_minute_from_the_first() -> None:
    now = [10.0]
    throttle = Throttle(200, lambda: now[0])
    assert [throttle.wait_seconds("a") for _ in range(50)] == [0.0] * 50
    now[0] = 50.0
    assert [throttle.wait_seconds("a") for _ in range(150)] == [0.0] * 150
    assert throttle.wait_seconds("a") == 20.0
    assert throttle.wait_seconds("b") == 0.0
    now[0] = 61.0
    assert throttle.wait_seconds("a") == 9.0
    now[0] = 70.0
    assert throttle.wait_seconds("a") == 0.0
