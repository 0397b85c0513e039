"""When `make bench` believes itself: the floors, which do the same work each time, must agree from round to round."""

from collections.abc import Callable
from typing import Any

import pytest

from bench import book
from bench.noise import is_too_noisy, noise, quietest, spread
from bench.record import Record

FLOORS = ("still", "restless")


def data(*rates: float) -> dict[str, Any]:
    loads = [{"per_second": rate} for rate in rates]
    rows = {"still": {"loads": [{"per_second": 50.0}] * 3}, "restless": {"loads": loads}, "other": {"loads": []}}
    return {"rounds": len(rates), "rows": rows, "rates": rates}


def runs(*each: dict[str, Any]) -> Callable[[], dict[str, Any]]:
    left = list(each)
    return lambda: left.pop(0)


@pytest.mark.parametrize(
    ("rates", "found"), [([100.0, 110.0, 95.0], 0.15), ([80.0, 100.0], 0.2), ([7.0], 0.0), ([], 0.0)]
)
def test_the_spread_is_the_greatest_less_the_least_round_of_the_median(rates: list[float], found: float) -> None:
    assert spread(rates) == pytest.approx(found)


def test_the_worst_floor_counts_and_other_rows_do_not() -> None:
    assert noise(data(100, 130, 90), FLOORS) == pytest.approx(0.4)
    assert noise(data(100, 130, 90), ("still", "other", "absent")) == 0


@pytest.mark.parametrize(("value", "is_noisy"), [(0.15, False), (0.151, True)])
def test_fifteen_percent_are_believed_and_no_more(value: float, is_noisy: bool) -> None:
    assert is_too_noisy(value) is is_noisy


def test_a_quiet_run_is_made_once() -> None:
    found = quietest(runs(data(100, 101, 102)), FLOORS)
    assert (found["rates"], found["noise"]) == ((100, 101, 102), [pytest.approx(2 / 101)])


def test_after_a_noisy_run_it_is_measured_again() -> None:
    found = quietest(runs(data(100, 150, 100), data(100, 100, 101)), FLOORS)
    assert (found["rates"], found["noise"]) == ((100, 100, 101), [0.5, 0.01])


def test_after_two_more_it_is_left_at_the_quietest_and_said() -> None:
    found = quietest(runs(data(100, 150, 100), data(100, 120, 100), data(100, 140, 100)), FLOORS)
    assert (found["rates"], found["noise"]) == ((100, 120, 100), [0.5, 0.2, 0.4])
    assert book.noisy(found) == [
        "**Too noisy to believe:** the rates of the floors differed by 20% from round to round (15% at most), "
        "in the quietest of 3 runs."
    ]


def test_the_report_says_how_noisy_a_run_was_that_is_believed() -> None:
    said = "Noise: the rates of the floors differed by 3% from round to round (15% at most)."
    assert book.noisy({"noise": [0.03], "rounds": 2}) == [said]
    assert book.noisy({"noise": [0.0], "rounds": 1}) == []


def test_a_run_that_is_not_believed_is_a_problem_of_its_part(tmp_path: Any) -> None:
    measured = {"rounds": 2, "seconds": 1, "rows": {}, "left out": {}}
    assert Record(tmp_path).measure("decisions", lambda: measured | {"noise": [0.5, 0.2]}) == "too noisy to believe"
    assert "**Too noisy to believe:**" in (tmp_path / "report.md").read_text()
    assert Record(tmp_path).measure("decisions", lambda: measured | {"noise": [0.5, 0.1]}) is None
    assert "oo noisy" not in (tmp_path / "report.md").read_text()
