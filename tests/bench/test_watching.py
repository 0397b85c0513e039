"""The page that says how many streams one account can watch says what the rules do."""

from pathlib import Path

import pytest

from bench.watching import RESULT, Turn, line, rows

PAGE = Path(__file__).parents[2] / "docs/how-many-streams.md"


@pytest.mark.parametrize(("what", "made"), [row[:2] for row in rows()], ids=[row[0] for row in rows()])
def test_a_tool_of_one_seat_reaches_what_is_written(what: str, made: type[Turn]) -> None:
    found = line(what, made, 1)
    assert found in RESULT.read_text().splitlines()


def test_the_page_shows_all_that_was_measured() -> None:
    measured = [row for row in RESULT.read_text().splitlines() if row.startswith("|")]
    assert len(measured) > len(rows())
    assert [row for row in measured if row not in PAGE.read_text().splitlines()] == []
