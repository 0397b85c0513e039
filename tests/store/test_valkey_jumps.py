"""A jump of the store's clock is reported once, of the same server's clock or of one that took over."""

import logging
from typing import Any

from streamlimit.store.valkey.jumps import Jumps

HOUR, NOW = 3_600_000, 1_790_000_000_000


class Kept(logging.Handler):
    """The events that are logged, with their fields."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[tuple[str, dict[str, Any]]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.events.append((str(record.msg), vars(record)["fields"]))


def told(*heard: tuple[str, int, float]) -> list[Any]:
    jumps, kept, logger = Jumps(), Kept(), logging.getLogger("streamlimit.store")
    logger.addHandler(kept)
    found = [jumps.note(*each) for each in heard]
    logger.removeHandler(kept)
    assert found.count(True) == len(kept.events)
    return [(event, fields["server"], fields["seconds"]) for event, fields in kept.events]


def test_a_clock_that_goes_on_is_not_told_of() -> None:
    assert told(("a", NOW, 5.0), ("a", NOW + 6_000, 11.0), ("a", NOW + HOUR, 3_605.0), ("b", NOW + HOUR, 3_604.0)) == []


def test_a_clock_that_was_set_is_told_of_once() -> None:
    back = ("store_clock_jumped", "a", -3_600.0)
    assert told(("a", NOW, 5.0), ("a", NOW - HOUR, 5.0), ("a", NOW - HOUR + 1_000, 6.0)) == [back]
    assert told(("a", NOW, 5.0), ("a", NOW + HOUR, 5.0)) == [("store_clock_jumped", "a", 3_600.0)]


def test_a_server_that_takes_over_with_a_clock_behind_is_told_of_once() -> None:
    later = [("b", NOW - HOUR + ms, 5.0 + ms / 1_000) for ms in range(0, 5_000, 1_000)]
    assert told(("a", NOW, 5.0), *later) == [("store_clock_jumped", "b", -3_600.0)]


def test_two_servers_that_differ_are_told_of_once() -> None:
    ahead = (("a", 0), ("b", -HOUR))
    both = [(server, NOW + by + ms, ms / 1_000) for ms in range(0, 4_000, 500) for server, by in ahead]
    assert told(*both) == [("store_clock_jumped", "b", -3_600.0)]
