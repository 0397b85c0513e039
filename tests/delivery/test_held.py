"""Held requests: when their condition is met, and that waiting costs one look a stream."""

import asyncio
from collections import Counter

import pytest

from streamlimit.delivery import held
from streamlimit.delivery.held import Held, Reload, held_seconds
from streamlimit.delivery.segment import Edge
from streamlimit.errors import UnknownStream


@pytest.mark.parametrize(
    ("sequence", "part", "is_met"),
    [
        (8, None, True),
        (9, None, True),
        (9, 3, True),
        (9, 4, True),  # the segment has four parts: the first of the next one is meant, which is there
        (10, None, False),
        (10, 0, True),
        (10, 1, True),
        (10, 2, False),
        (11, None, False),
        (11, 0, False),
    ],
)
def test_what_a_playlist_holds_that_lists_two_parts_of_segment_10(
    sequence: int, part: int | None, is_met: bool
) -> None:
    assert Reload(sequence, part).is_met(Edge(10, 2, 4.0, "", 4)) is is_met


def test_a_part_beyond_the_last_of_its_segment_is_the_first_of_the_next() -> None:
    edge = Edge(10, 0, 4.0, "", 4)
    assert [Reload(9, part).is_met(edge) for part in (3, 4, 9)] == [True, False, False]
    assert Reload(9, 9).is_met(Edge(10, 0, 4.0, "", 0))  # its parts are not listed any more


def test_two_beyond_the_last_segment_is_the_farthest_and_three_target_durations_the_longest() -> None:
    edge = Edge(10, 2, 4.0, "")
    assert [Reload(sequence).is_too_far(edge) for sequence in (10, 11, 12)] == [False, False, True]
    assert held_seconds(edge) == 12.0
    assert held_seconds(edge, held.HINT_TARGETS) == 8.0  # a player that waits ten seconds gets an answer
    assert held_seconds(Edge(10, 2, 1e6, "")) == held.HELD_SECONDS


class Streams:
    """A catalog of numbers that grow when told, in place of streams."""

    def __init__(self) -> None:
        self.numbers, self.looks = {"a": 0, "b": 0}, Counter[str]()

    def stream(self, stream_id: str, fresh: bool = False) -> int:
        assert fresh
        self.looks[stream_id] += 1
        if stream_id not in self.numbers:
            raise UnknownStream(stream_id)
        return self.numbers[stream_id]


async def test_however_many_wait_one_look_a_stream_tells_them_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held, "LOOK_SECONDS", 0.001)
    streams = Streams()
    waits = Held(streams)  # type: ignore[arg-type]

    first = [waits.wait("a", lambda stream: stream == 1, 60) for _ in range(100)]
    others = [waits.wait("b", lambda stream: stream == 1, 60) for _ in range(100)]
    gone = waits.wait("a", lambda stream: stream == 1, 60)
    gone.cancel()
    while streams.looks["b"] < 5:
        await asyncio.sleep(0.001)
    assert abs(streams.looks["a"] - streams.looks["b"]) <= 1
    assert not any(each.done() for each in [*first, *others])
    streams.numbers["a"] = 1
    assert await asyncio.gather(*first) == [True] * 100
    assert not any(each.done() for each in others)
    del streams.numbers["b"]
    assert await asyncio.gather(*others) == [True] * 100
    assert await waits.wait("a", lambda stream: stream == 2, 0.0) is False
    late = waits.wait("a", lambda stream: False, 60)
    late.cancel()
    looks = None
    while looks != streams.looks:  # while somebody waits it looks each millisecond
        looks = streams.looks.copy()
        await asyncio.sleep(0.05)
