"""The garbage collector does not delay viewers: young objects are collected as usual, old ones periodically."""

import asyncio
import gc
import weakref
from collections.abc import Awaitable, Iterator

import pytest
import uvloop
from uvicorn.server import ServerState

from streamlimit.bootstrap import garbage_collector
from streamlimit.http.connection import Connection
from streamlimit.http.exchange import Exchange
from streamlimit.http.request import Request
from tests.http.servers import connection


@pytest.fixture
def as_it_was() -> Iterator[None]:
    thresholds = gc.get_threshold()
    yield
    gc.set_threshold(*thresholds)
    gc.unfreeze()


class Knot:
    """Holds itself, so that no count of references frees it."""

    def __init__(self) -> None:
        self.itself = self


@pytest.mark.usefixtures("as_it_was")
def test_what_came_and_stayed_is_not_walked_through_again_and_again() -> None:
    garbage_collector.calm()
    walked: list[int] = []

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            walked.append(info["generation"])

    gc.callbacks.append(note)
    try:
        stayed = [[number] for number in range(50 * garbage_collector.YOUNG)]
    finally:
        gc.callbacks.remove(note)
    assert len(stayed) == 50 * garbage_collector.YOUNG
    assert len(walked) >= 40
    assert set(walked) == {0}


@pytest.mark.usefixtures("as_it_was")
@pytest.mark.parametrize(("looks_survived", "rounds"), [(0, 60), (1, 1)])
def test_a_knot_that_stayed_is_found_in_time(monkeypatch: pytest.MonkeyPatch, looks_survived: int, rounds: int) -> None:
    garbage_collector.calm()
    monkeypatch.setattr(garbage_collector, "ROUND_SECONDS", 0.001)
    monkeypatch.setattr(garbage_collector, "ROUNDS", rounds)
    knot = Knot()
    found = weakref.ref(knot)
    gc.collect(looks_survived)
    del knot
    gc.collect(looks_survived)
    assert found() is not None  # it lies where that does not look

    async def wait() -> None:
        task = asyncio.create_task(garbage_collector.collect_forever())
        while found() is not None:
            assert not task.done()
            await asyncio.sleep(0.001)
        task.cancel()

    asyncio.run(asyncio.wait_for(wait(), 10))


@pytest.mark.usefixtures("as_it_was")
@pytest.mark.parametrize("is_late", [False, True], ids=["at once", "later"])
def test_connections_that_are_closed_leave_no_knots(is_late: bool) -> None:
    """Nor do their requests: ten thousand of them would wait for the collector's next look."""
    alive: weakref.WeakSet[Connection] = weakref.WeakSet()

    async def later(exchange: Exchange) -> None:
        await asyncio.sleep(0)
        exchange.whole(204, b"")

    def handle(_: Request, exchange: Exchange) -> Awaitable[None] | None:
        return later(exchange) if is_late else exchange.whole(204, b"")

    async def visit() -> None:
        state, loop = ServerState(), asyncio.get_running_loop()

        def made() -> Connection:
            one = connection(handle, state)
            alive.add(one)
            return one

        server = await loop.create_server(made, "127.0.0.1", 0)
        for number in range(30):
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            if number % 3:
                writer.write(b"GET /play/ HTTP/1.1\r\nHost: x\r\n\r\n" * (number % 3))
                await reader.readuntil(b"\r\n\r\n")
            writer.close()
            await writer.wait_closed()
        while state.connections:
            await asyncio.sleep(0.001)
        server.close()

    gc.collect()
    gc.disable()
    try:
        uvloop.run(asyncio.wait_for(visit(), 20))
        assert len(alive) == 0
    finally:
        gc.enable()
