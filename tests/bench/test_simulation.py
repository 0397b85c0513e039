"""The simulation gives what closed forms give, where there are any. No timings."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import pytest

from bench.simulation import (
    BEAT,
    SEGMENT,
    Audience,
    Handled,
    Outcome,
    Process,
    Request,
    Service,
    Work,
    simulate,
    workload,
)

FOREVER = float("inf")
ENDLESS = Audience(
    users=80, fourth=0.0, strays=0.0, zap_seconds=FOREVER, life_seconds=(1e9, 1e9), segments=1.0, jitter=0.0
)
"""Nobody leaves or zaps; all are segments."""

APART = {"a": Process("core a", has_loop=False), "b": Process("core b", has_loop=False)}
"""Each has a core, and hands on piece by piece."""


def counted(audience: Audience, seconds: float = 300, since: float = 60) -> Outcome:
    """What there is to count; nothing takes any time."""
    requests = workload(audience, seconds, 1)
    return simulate(requests, Service(audience), lambda *_: [Work("", 0.0)], {}, 1, since)


def arrivals(rate: float, count: int, seed: int) -> Iterator[Request]:
    """By chance (Poisson), each of another user."""
    dice, at = random.Random(seed), 0.0
    for number in range(count):
        at += dice.expovariate(rate)
        yield Request(at, 0, number, "tv", BEAT, 0, 0)


@pytest.mark.parametrize("load", [0.2, 0.5, 0.8])
def test_a_queue_of_constant_work_waits_as_pollaczek_and_khinchin_say(load: float) -> None:
    cost = 1.0
    stages = lambda *_: [Work("a", cost)]  # noqa: E731
    outcome = simulate(arrivals(load / cost, 40_000, 7), Service(ENDLESS), stages, APART, 1)
    mean_wait = sum(outcome.waits) / len(outcome.waits) - cost
    assert mean_wait == pytest.approx(load * cost / (2 * (1 - load)), rel=0.1)


def test_a_queue_of_work_by_chance_waits_as_an_m_m_1() -> None:
    def stages(handled: Handled, request: Request, dice: random.Random) -> Sequence[Work]:
        return [Work("a", dice.expovariate(1.0))]

    outcome = simulate(arrivals(0.5, 40_000, 7), Service(ENDLESS), stages, APART, 1)
    assert sum(outcome.waits) / len(outcome.waits) == pytest.approx(1 / (1 - 0.5), rel=0.1)


def test_what_passes_two_stations_waits_at_both_and_a_delay_keeps_nobody() -> None:
    stages = lambda *_: [Work("a", 1.0), Work("", 5.0), Work("b", 2.0)]  # noqa: E731
    three = [Request(0.0, 0, user, "tv", BEAT, 0, 0) for user in range(3)]
    outcome = simulate(iter(three), Service(ENDLESS), stages, APART, 1)
    assert outcome.waits == [8.0, 10.0, 12.0]
    assert outcome.busy == {"core a": 3.0, "core b": 6.0}


def test_a_loop_hands_on_all_that_has_come_at_once() -> None:
    loops = {"a": Process("core")}
    asked = [Request(at, 0, user, "tv", BEAT, 0, 0) for user, at in enumerate((0.0, 0.1, 0.2))]
    outcome = simulate(iter(asked), Service(ENDLESS), lambda *_: [Work("a", 1.0)], loops, 1)
    assert outcome.waits == pytest.approx([1.0, 2.9, 2.8])  # the second is ready at 2.0, and is kept for the third


@pytest.mark.parametrize(("yields", "waits"), [(False, [1.0, 1.9, 2.8]), (True, [1.0, 1.8, 2.9])])
def test_processes_of_a_core_work_by_turns_and_one_may_yield(yields: bool, waits: list[float]) -> None:
    shared = {"a": Process("core"), "b": Process("core", yields=yields)}
    asked = [Request(at, 0, user, "tv", BEAT, 0, 0) for user, at in enumerate((0.0, 0.1, 0.2))]
    outcome = simulate(
        iter(asked), Service(ENDLESS), lambda _, asked, __: [Work("b" if asked.user == 1 else "a", 1.0)], shared, 1
    )
    assert outcome.waits == pytest.approx(waits)
    assert outcome.busy == {"core": pytest.approx(3.0)}


@pytest.mark.parametrize("fourth", [0.0, 0.25, 1.0])
def test_of_endless_sessions_one_player_too_many_is_refused_each_time(fourth: float) -> None:
    outcome = counted(replace(ENDLESS, fourth=fourth))
    assert outcome.refused / outcome.requests == pytest.approx(fourth / (3 + fourth), rel=0.001)


def test_a_silent_session_holds_its_seat_for_n_x_and_no_longer() -> None:
    service = Service(replace(ENDLESS, limit=1))

    def refused(at: float, session: str) -> bool:
        return service.handle(Request(at, 0, 1, session, BEAT, 0, 0)).refused

    assert [refused(0.0, "tv"), refused(17.9, "phone"), refused(18.0, "phone")] == [False, True, False]


@pytest.mark.parametrize(("strays", "n", "known"), [(0.0, 3, 1), (1.0, 3, 5 / 8), (1.0, 4, 13 / 16)])
def test_a_segment_costs_one_call_where_the_worker_knows_the_session_and_two_where_not(
    strays: float, n: int, known: float
) -> None:
    """Of two workers one is asked by chance each time. It knows who came to it within (n-1)·X: one of the last n-2
    times, or the time before, which is as often a little sooner than that as it is later.
    """
    outcome = counted(replace(ENDLESS, strays=strays, missed_segments=n, jitter=0.05))
    assert outcome.calls / outcome.requests == pytest.approx(known + 2 * (1 - known), rel=0.02)
    assert outcome.kinds[f"{SEGMENT}, known"] / outcome.requests == pytest.approx(known, rel=0.02)


def test_a_heartbeat_costs_one_call_known_or_not() -> None:
    outcome = counted(replace(ENDLESS, segments=0.0, strays=1.0))
    assert outcome.calls == outcome.requests


def test_a_zap_is_asked_of_the_store_each_time() -> None:
    outcome = counted(replace(ENDLESS, zap_seconds=60.0), seconds=3_000)
    asked = outcome.kinds[f"{SEGMENT}, asked"] / outcome.requests
    assert asked == pytest.approx(6 / (60 + 3), rel=0.05)  # it is noticed half a segment late


def test_requests_come_in_order_and_a_seed_is_a_workload() -> None:
    audience = Audience(users=50)
    once, twice = (list(workload(audience, 100, 3)) for _ in range(2))
    assert once == twice != list(workload(audience, 100, 4))
    assert all(a.at <= b.at for a, b in pairwise(once))
    assert len(once) == pytest.approx(audience.players * 100 / 6, rel=0.1)
