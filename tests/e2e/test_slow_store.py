"""The position is right whatever the delays of the store, over HTTP, by `/v1/segments` and `/play` (rule 3)."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count

import pytest

from tests import servers
from tests.e2e.clients import GRANT_KEY, Client, connected, endpoint, play
from tests.e2e.slowing import slow_line
from tests.service import Service, started, wait_until
from tests.streams import make_stream

THERE_MS = [1, 28, 2, 0, 17, 3, 30, 0, 1, 9, 24, 2, 0]
BACK_MS = [3, 0, 11, 1, 0, 25, 2, 0, 7]
SETTLED_SECONDS = 2
APART_SECONDS = 0.008
"""Of requests to two workers: the clocks that they guess, and the delays of this machine, are as exact as that."""

_users = count(1)


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Service]]:
    """One on a line that varies, one on a line that is long, one beside the store."""
    folder = tmp_path_factory.mktemp("slow")
    make_stream(folder / "streams", "film", 60, 1_000)
    with ExitStack() as stack:
        server = stack.enter_context(servers.single("valkey"))
        varying = stack.enter_context(slow_line(server.port, THERE_MS, BACK_MS))
        long = stack.enter_context(slow_line(server.port, [20], [20]))
        common = {"streams": str(folder / "streams"), "grant_keys": [GRANT_KEY], "segment_seconds": 6}
        found = []
        for port in (varying, long, server.port):
            (home := folder / str(port)).mkdir()
            service = started(home, store=f"valkey://127.0.0.1:{port}", **common)
            found.append(stack.enter_context(service))
        yield found


def test_unnamed_segments_after_named_ones_go_on_where_those_were(workers: list[Service]) -> None:
    with connected(workers[0].port) as client:
        for _ in range(12):
            user = f"named-{next(_users)}"
            for number in range(5):
                client.send(endpoint(user, "tv", "film", f"{number}.ts")).answer()
                time.sleep(number % 3 / 100)
            issued = [client.send(endpoint(user, "tv", "film")).answer().sequence for _ in range(5)]
            assert issued == [5, 6, 7, 8, 9]


@pytest.mark.parametrize("door", [endpoint, play])
def test_after_segments_in_a_row_the_position_is_that_of_the_last(workers: list[Service], door: type) -> None:
    with connected(workers[0].port) as client, connected(workers[2].port) as observer:
        for turn in range(12):
            user = f"row-{next(_users)}"
            for number in range(9 + turn):
                client.send(door(user, "tv", "film", f"{number}.ts")).answer()
                time.sleep((0, 0.003, 0.025)[(number * number + turn) % 3])
            require_position(observer, user, 8 + turn)


@pytest.mark.parametrize("door", [endpoint, play])
def test_a_session_that_goes_from_worker_to_worker_is_where_it_was_last(workers: list[Service], door: type) -> None:
    with connected(workers[1].port) as far, connected(workers[2].port) as near:
        for _ in range(6):
            user = f"nomad-{next(_users)}"
            for number in range(14):
                client = (far, near)[number % 2]
                client.send(door(user, "tv", "film", f"{number}.ts")).answer()
                time.sleep(APART_SECONDS)
            require_position(near, user, 13)


def require_position(observer: Client, user: str, number: int) -> None:
    """As soon as the last words have come; a receipt that was dropped never comes."""
    wait_until(
        lambda: observer.watching(user)["tv"]["sequence"] == number, SETTLED_SECONDS, f"{user} to be at {number}"
    )
