"""The console over 10,000 sessions, and five minutes of 200 events a second: no task is felt, and nothing grows."""

import pytest

from bench.pages import LONG_MS, Look, looks

MB = 1.0
"""Memory after the first round and after the last one differ by less: 48,000 events that are kept, of about a kB each,
would be fifty times as much."""


@pytest.fixture(scope="module")
def measured() -> list[Look]:
    return looks()


@pytest.mark.parametrize("number", [0, 1], ids=["sessions", "events"])
def test_the_console_stays_smooth_and_small(measured: list[Look], number: int) -> None:
    look = measured[number]
    assert max(look.tasks) < LONG_MS, look.row
    assert abs(look.memory[-1] - look.memory[1]) < MB, look.row
    assert look.elements[-1] < 1.1 * look.elements[1], look.row
