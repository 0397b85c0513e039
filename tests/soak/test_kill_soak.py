"""Ten times `kill -9` of the whole service under load, on one file."""

from pathlib import Path

from tests.e2e.killing import make_films, one_round


def test_ten_kills_lose_nothing_confirmed_and_leave_no_seat_stuck(tmp_path: Path) -> None:
    settings = make_films(tmp_path)
    for number in range(10):
        one_round(tmp_path, settings, f"round-{number}", seconds=1.0 + 0.037 * number)
