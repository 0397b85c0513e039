"""When `make bench` believes itself: the floors, which do the same work each time, must agree from round to round."""

from typing import Any

import pytest

from bench import book
from bench.decisions import joined
from bench.noise import Rows, agreeing, is_too_noisy, noise, spread
from bench.record import Record

FLOORS = ("still", "restless")


def rounds(*rates: float) -> list[Rows]:
    return [
        {
            "still": {"loads": [{"per_second": 50.0}]},
            "restless": {"loads": [{"per_second": rate}]},
            "other": {"loads": []},
        }
        for rate in rates
    ]


def rates(made: list[Rows]) -> list[float]:
    return [each["restless"]["loads"][0]["per_second"] for each in made]


@pytest.mark.parametrize(
    ("some", "found"), [([100.0, 110.0, 95.0], 0.15), ([80.0, 100.0], 0.2), ([7.0], 0.0), ([], 0.0)]
)
def test_the_spread_is_the_greatest_less_the_least_round_of_the_median(some: list[float], found: float) -> None:
    assert spread(some) == pytest.approx(found)


def test_the_worst_floor_counts_and_other_rows_do_not() -> None:
    assert noise(rounds(100, 130, 90), FLOORS) == pytest.approx(0.4)
    assert noise(rounds(100, 130, 90), ("still", "other", "absent")) == 0


@pytest.mark.parametrize(("value", "is_noisy"), [(0.15, False), (0.151, True)])
def test_fifteen_percent_are_believed_and_no_more(value: float, is_noisy: bool) -> None:
    assert is_too_noisy(value) is is_noisy


def measured(*found: float) -> tuple[list[float], list[float], int]:
    """Rates and spreads of what is kept of rounds with these rates, and how many were made."""
    given, numbers = rounds(*found), list[int]()

    def measure(number: int) -> Rows:
        numbers.append(number)
        return given[number - 1]

    kept, spreads = agreeing(measure, FLOORS, 3)
    assert numbers == list(range(1, len(numbers) + 1))
    return rates(kept), spreads, len(numbers)


def test_rounds_that_agree_are_no_more_than_asked_for() -> None:
    assert measured(100, 101, 102, 0) == ([100, 101, 102], [pytest.approx(2 / 101)], 3)


def test_a_round_that_does_not_agree_is_made_up_for_by_one_more() -> None:
    assert measured(100, 150, 100, 101) == ([100, 100, 101], [0.5, 0.01], 4)


def test_a_round_more_that_is_noisy_as_well_is_left_out() -> None:
    assert measured(100, 120, 100, 180, 100) == ([100, 120, 100], [0.2, 0.2], 4)


def test_where_no_three_agree_the_report_says_so() -> None:
    assert book.noisy({"noise": [0.5, 0.2], "rounds": 3}) == [
        "**Too noisy to believe:** the rates of the floors differed by 20% from round to round (15% at most), "
        "in the 3 that agree best of 4."
    ]


def test_the_joined_rounds_have_all_loads_and_the_worst_race() -> None:
    one = {"ours": {"loads": [1], "half": [], "over": 0}, "theirs": {"loads": [], "half": [], "problem": "no answer"}}
    other = {"ours": {"loads": [2], "half": [3], "over": 1}, "theirs": {"loads": [4], "half": []}}
    assert joined([one, other]) == {
        "ours": {"loads": [1, 2], "half": [3], "over": 1},
        "theirs": {"loads": [4], "half": [], "problem": "no answer"},
    }


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
