"""The numbers by time of the console's charts: rates between samples, bounded, honest where nothing is known."""

from collections import Counter
from typing import Any

from streamlimit.census import Census
from streamlimit.web.console.series import DAY_EVERY, KEPT, Sample, Series, columns


def sample(at: float, admissions: float = 0, calls: float = 0, seconds: float = 0, **more: Any) -> Sample:
    numbers = {"admissions": admissions, "confirmations": 0, "store_calls": calls, "store_seconds": seconds}
    return Sample(at, numbers, **({"refusals": {}} | more))


def test_what_is_counted_becomes_how_many_a_second_since_the_sample_before() -> None:
    told = columns([sample(10, 100), sample(20, 150), sample(22, 151)])
    assert told["at"] == [20, 22]
    assert told["admissions"] == [5.0, 0.5]
    assert told["since"] == 10


def test_refusals_are_told_by_reason_also_one_that_is_new() -> None:
    told = columns([sample(0), sample(10, refusals={"session-limit": 20}), sample(20, refusals={"session-limit": 20})])
    assert told["refusals"] == {"session-limit": [2.0, 0.0]}


def test_where_nothing_is_known_nothing_is_told() -> None:
    told = columns([sample(0), sample(10, live=3, at_limit=1), sample(20, calls=4, seconds=0.002)])
    assert told["live_sessions"] == [3, None]
    assert told["users_at_limit"] == [1, None]
    assert told["store_latency_ms"] == [None, 0.5]


def test_two_samples_of_one_moment_and_a_clock_set_back_tell_nothing() -> None:
    assert columns([sample(10), sample(10), sample(5)])["at"] == []


class Numbers:
    """As much of the metrics as is asked: each time one admission more."""

    def __init__(self) -> None:
        self.admissions = 0

    def numbers(self) -> dict[str, dict[str, float]]:
        self.admissions += 1
        return {"admissions": {"": self.admissions}, "callbacks": {"a/sent": 2, "b/sent": 3, "b/failed": 1}}


class Counted:
    """As much of the background count as is asked."""

    newest = Census(taken_at=100.0, states=Counter(active=2, idle=1), users=2, at_limit=1)


def series(clock: list[float]) -> Series:
    return Series(Numbers(), Counted(), lambda: clock[0], lambda: clock[0])  # type: ignore[arg-type]


def test_an_hour_and_a_day_are_kept_and_no_more() -> None:
    clock = [0.0]
    kept = series(clock)
    for _ in range(DAY_EVERY * (KEPT["day"] + 5)):
        clock[0] += 10
        kept.take()
    hour, day = kept.columns("hour")["at"], kept.columns("day")["at"]
    assert len(hour) == KEPT["hour"] - 1  # the sample of this moment is that of the last one
    assert hour[-1] - hour[0] <= 3_600
    assert len(day) == KEPT["day"]
    assert day[-1] - day[0] <= 86_400


def test_a_count_of_sessions_that_is_old_is_none() -> None:
    clock = [100.0]
    kept = series(clock)
    kept.take()
    for now, live in ((159.0, 3), (161.0, None)):
        clock[0] = now
        assert kept.columns("hour")["live_sessions"] == [live]
