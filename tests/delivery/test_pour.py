"""Pouring: bytes go from a file to the kernel past the server, the head first, in order, and no pour waits for ever.

What becomes of the receipts of such bodies is in test_receipt.py.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop

from streamlimit.delivery.receipt import DeliveryTracker
from streamlimit.delivery.wire import Wire

HEAD = b"HTTP/1.1 200 OK\r\n\r\n"
BIG = os.urandom(1 << 20) * 8
LoopFactory = Callable[[], asyncio.AbstractEventLoop] | None


class Transport:
    """As much of one as a wire asks for."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection, self.waiting, self.is_aborted = connection, 0, False
        self.told: dict[str, Any] = {"socket": connection, "peername": connection.getpeername()}

    def get_extra_info(self, name: str) -> Any:
        return self.told.get(name)

    def get_write_buffer_size(self) -> int:
        return self.waiting

    def is_closing(self) -> bool:
        return self.is_aborted

    def abort(self) -> None:
        self.is_aborted = True
        self.connection.close()


class Watcher:
    """Who is told how it goes on."""

    def __init__(self) -> None:
        self.count = self.waits = 0

    def nudge(self) -> None:
        pass

    def handed(self, n: int) -> None:
        self.count += n

    def blocked(self) -> None:
        self.waits += 1

    def acknowledged(self) -> int:
        return 0


class Line:
    """A wire with its two ends."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        server.setblocking(False)
        client.setblocking(False)
        self.client, self.transport, self.watcher = client, Transport(server), Watcher()
        self.fd = os.dup(server.fileno())
        self.wire = Wire(self.fd, self.transport)  # type: ignore[arg-type]
        self.wire.watcher = self.watcher

    async def read(self, count: int) -> bytes:
        found, loop = b"", asyncio.get_running_loop()
        while len(found) < count and (part := await loop.sock_recv(self.client, 1 << 18)):
            found += part
        return found

    async def pour(self, head: bytes, file: int, first: int, count: int) -> None:
        """Until that is over."""
        coming = self.wire.pour(head, file, first, count)
        if coming is not None:
            await coming

    async def blocked(self, *what: Any) -> "asyncio.Task[None]":
        """The pouring of *what*, once the kernel takes no more."""
        task = asyncio.ensure_future(self.pour(*what))
        while not self.watcher.waits:
            await asyncio.sleep(0.001)
        return task


@contextlib.asynccontextmanager
async def line() -> AsyncIterator[Line]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
    made = Line(client, server)
    try:
        async with asyncio.timeout(30):
            yield made
    finally:
        made.wire.close()
        client.close()
        server.close()


@pytest.fixture(params=["asyncio", "uvloop"])
def loop_factory(request: pytest.FixtureRequest) -> LoopFactory:
    return uvloop.new_event_loop if request.param == "uvloop" else None


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "1.ts").write_bytes(BIG)
    return tmp_path / "1.ts"


@pytest.mark.parametrize(("first", "count"), [(0, 1), (5, 100_000), (0, len(BIG)), (len(BIG) - 3, 3), (7, 0)])
async def test_the_head_and_then_the_part_of_the_file_arrive(
    loop_factory: LoopFactory, file: Path, first: int, count: int
) -> None:
    async with line() as one:
        with file.open("rb") as opened:
            pouring = asyncio.ensure_future(one.pour(HEAD, opened.fileno(), first, count))
            assert await one.read(len(HEAD) + count) == HEAD + BIG[first : first + count]
            await pouring
        assert one.watcher.count == count


async def test_one_after_the_other_on_a_line_that_is_full_in_between(loop_factory: LoopFactory, file: Path) -> None:
    async with line() as one:
        with file.open("rb") as opened:
            fd = opened.fileno()

            async def pour() -> None:
                for at in range(0, len(BIG), 300_000):
                    await one.pour(HEAD, fd, at, min(300_000, len(BIG) - at))

            pouring = asyncio.ensure_future(pour())
            expected = b"".join(HEAD + BIG[at : at + 300_000] for at in range(0, len(BIG), 300_000))
            assert await one.read(len(expected)) == expected
            await pouring
        assert one.watcher.waits


async def test_a_file_that_becomes_shorter_ends_it(loop_factory: LoopFactory, file: Path) -> None:
    async with line() as one:
        with file.open("rb") as opened:
            pouring = await one.blocked(HEAD, opened.fileno(), 0, len(BIG))
            os.truncate(file, one.watcher.count + 10)
            assert len(await one.read(len(HEAD) + one.watcher.count + 10)) == len(HEAD) + one.watcher.count
            await pouring
        assert one.watcher.count < len(BIG)
        assert not one.transport.is_aborted


@pytest.mark.parametrize("end", ["close", "abort", "lost", "cancel", "reset"])
async def test_who_waits_for_room_goes_on_when_the_connection_ends(
    loop_factory: LoopFactory, file: Path, end: str
) -> None:
    async with line() as one:
        with file.open("rb") as opened:
            pouring = await one.blocked(HEAD, opened.fileno(), 0, len(BIG))
            match end:
                case "close":
                    one.transport.is_aborted = True
                    one.wire.close()
                case "abort":
                    one.wire.abort()
                case "lost":
                    one.wire.lost(None)
                case "cancel":
                    pouring.cancel()
                case "reset":
                    one.client.close()  # with bytes unread
            await asyncio.wait([pouring])
            assert pouring.cancelled() or pouring.exception() is None
        assert one.watcher.count < len(BIG)
        if end == "reset":
            assert one.transport.is_aborted
        if end == "cancel":  # nobody is left who would be woken
            assert not asyncio.get_running_loop().remove_writer(one.fd)


async def test_what_had_arrived_is_known_though_pouring_finds_the_connection_reset(
    loop_factory: LoopFactory, file: Path
) -> None:
    async with line() as one:
        one.wire.watcher = None
        tracker = DeliveryTracker(one.wire, len(BIG))
        with file.open("rb") as opened:
            pouring = asyncio.ensure_future(one.pour(HEAD, opened.fileno(), 0, len(BIG)))
            await one.read(1 << 20)
            one.client.close()  # with bytes unread: a reset
            await pouring
        assert one.transport.is_aborted
        assert 1 << 19 < tracker.acknowledged() < len(BIG)
        tracker.close()


@pytest.mark.parametrize("before", [0, 4])
async def test_what_is_handed_to_a_connection_that_closes_is_not_received(
    loop_factory: LoopFactory, before: int
) -> None:
    async with line() as one:
        one.wire.watcher = None
        heard: list[bool] = []
        tracker = DeliveryTracker(one.wire, 10)
        tracker.handed(before)
        one.transport.is_aborted = True  # what is written from now on is thrown away
        tracker.handed(10 - before)
        tracker.over().add_callback(heard.append)
        assert heard == [False]


@pytest.mark.parametrize("handed", [9, 10])
async def test_an_outcome_that_is_known_is_heard_at_once(loop_factory: LoopFactory, handed: int) -> None:
    async with line() as one:
        one.wire.watcher = None
        heard: list[bool] = []
        tracker = DeliveryTracker(one.wire, 10)
        tracker.handed(handed)
        tracker.nudge()  # nothing is left in the queue
        tracker.over().add_callback(heard.append)
        assert heard == [handed == 10]


async def test_who_pours_registers_once_however_often_the_line_is_full(file: Path) -> None:
    async with line() as one:
        loop, waits = asyncio.get_running_loop(), []
        add_writer = loop.add_writer
        loop.add_writer = lambda *what: (waits.append(what), add_writer(*what))  # type: ignore[method-assign]
        pushed: list[int] = []
        one.watcher.handed = pushed.append  # type: ignore[method-assign]
        one.transport.connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 256 * 1024)
        with file.open("rb") as opened:
            pouring = asyncio.ensure_future(one.pour(HEAD, opened.fileno(), 0, len(BIG)))
            assert len(await one.read(len(HEAD) + len(BIG))) == len(HEAD) + len(BIG)
            await pouring
        assert sum(pushed) == len(BIG)
        assert len(pushed) > 5
        assert len(waits) == one.watcher.waits == 1
        [(registered, *_)] = waits
        assert not loop.remove_writer(registered)


async def test_nothing_is_poured_past_what_waits_in_the_servers_buffer(loop_factory: LoopFactory) -> None:
    async with line() as one:
        assert one.wire.can_pour
        one.transport.waiting = 1
        assert not one.wire.can_pour
        one.transport.waiting, one.transport.is_aborted = 0, True
        assert not one.wire.can_pour


async def test_of_what_comes_from_elsewhere_the_kernel_keeps_little_for_a_client_that_does_not_read() -> None:
    async with line() as one:
        one.client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32_768)
        one.wire.keep_few()
        with contextlib.suppress(BlockingIOError):
            while True:
                one.transport.connection.send(BIG[:65_536])
        assert 0 < one.wire.queued() <= 1 << 20


async def test_a_wire_that_is_closed_keeps_nothing() -> None:
    async with line() as one:
        one.wire.close()
        one.wire.keep_few()
        assert one.wire.queued() == 0
