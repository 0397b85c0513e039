"""A slow line keeps its seat as long as bytes move (rule 6). Here a paced client is the test."""

import time
from pathlib import Path

import pytest

from tests.e2e.clients import Client, connected, endpoint
from tests.service import started
from tests.streams import make_stream

X, N = 0.5, 3
BYTES_PER_SECOND = 50_000
SIZE = 160_000
REFUSED = (409, 429)
"""At the limit; and, for who asks too often after that, too many requests."""


@pytest.mark.parametrize("is_new", [True, False], ids=["new", "sitting"])
def test_who_reads_50_kb_a_second_for_longer_than_n_x_keeps_the_seat(tmp_path: Path, is_new: bool) -> None:
    """The receive buffer is small, so that what the kernel takes ahead is less than a step of the pace."""
    make_stream(tmp_path / "streams", "film", 4, SIZE)
    settings = {"segment_seconds": X, "missed_segments": N, "max_sessions": 1}
    with (
        started(tmp_path, streams=str(tmp_path / "streams"), **settings) as service,
        connected(service.port) as observer,
        connected(service.port, receive_buffer=4096) as slow,
    ):
        if not is_new:
            observer.send(endpoint("user", "slow", "film")).answer()
            assert observer.watching("user")["slow"]["segment"] == "0.ts"
        head, began = slow.send(endpoint("user", "slow", "film")).head(), time.monotonic()
        count = 0
        while count < head.length:
            count += read_paced(slow, began, count, head.length)
            assert list(observer.watching("user")) == ["slow"]
            for other in ("one", "two", "three"):
                assert observer.send(endpoint("user", other, "film")).answer().status in REFUSED
        assert count == SIZE
        assert time.monotonic() - began > 2 * N * X
        slow.send(b"OPTIONS / HTTP/1.1\r\nHost: t\r\n\r\n").answer()  # by now it is settled
        sat = observer.watching("user")["slow"]
        assert (sat["state"], sat["segment"]) == ("active", "0.ts" if is_new else "1.ts")


def read_paced(slow: Client, began: float, count: int, size: int) -> int:
    """A twentieth of a second's worth, not before its time."""
    time.sleep(max(began + count / BYTES_PER_SECOND - time.monotonic(), 0))
    return slow.read(min(BYTES_PER_SECOND // 20, size - count))
