"""Requests that come again byte for byte: answered unread while that is known to be right, and only then."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from uvicorn.server import ServerState

from streamlimit.http.connection import Connection
from streamlimit.http.exchange import Exchange, dated
from streamlimit.http.repeats import MOST
from streamlimit.http.request import Request
from tests.http.raw import answers_in, head, post
from tests.http.servers import connection, make_parts

Told = tuple[int, bytes, bytes] | None
ASKED = post("/v1/segments", {"user_id": "ann"})
SHORT = (429, b"x-short: yes\r\n", b"no, again")


class Line(asyncio.Transport):
    """A connection of *host* to which anything can be written."""

    def __init__(self, host: str = "192.0.2.1") -> None:
        super().__init__({"peername": (host, 1)})
        self.sent = b""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += data

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return False

    def resume_reading(self) -> None:
        pass

    def close(self) -> None:
        pass


class Server:
    """What a handler is asked; it says no, and how to say it *again*."""

    def __init__(self, again: Callable[[], Told] = lambda: SHORT) -> None:
        self.again, self.read = again, list[Request]()
        self.state = ServerState()
        wire: Any = SimpleNamespace(nudge=lambda: None, watcher=None)
        self.parts = make_parts(tap=lambda _: wire)
        self.repeats = self.parts.repeats
        self.first = connection(self.handle, self.state, parts=self.parts)
        self.connected(self.first)

    def handle(self, request: Request, exchange: Exchange) -> None:
        self.read.append(request)
        exchange.common = b"x-common: yes\r\n"
        exchange.again(self.again)
        exchange.whole(409, b"", b"no")

    def connected(self, one: Connection, host: str = "192.0.2.1") -> Line:
        self.line = Line(host)
        one.connection_made(self.line)
        return self.line

    def other(self, host: str = "192.0.2.1") -> Connection:
        """Another connection to the same worker."""
        one = Connection(
            SimpleNamespace(loaded_app=SimpleNamespace(handle=self.handle), timeout_keep_alive=60.0),
            self.state,
            {},
            parts=self.parts,
        )
        self.connected(one, host)
        return one


@contextmanager
def running() -> Iterator[None]:
    """An event loop that does not turn: what is told it is told at once."""

    async def nothing() -> None: ...

    with asyncio.Runner() as runner:
        runner.run(nothing())
        asyncio._set_running_loop(runner.get_loop())
        try:
            yield
        finally:
            asyncio._set_running_loop(None)


@pytest.fixture(autouse=True)
def loop() -> Iterator[None]:
    with running():
        yield


def statuses(line: Line) -> list[int]:
    return [answer.status for answer in answers_in(line.sent)]


def test_what_comes_again_is_answered_unread_with_the_headers_of_every_answer() -> None:
    server = Server()
    server.state.default_headers = dated.headers = [(b"date", b"now")]
    dated.lines = b"date: now\r\n"
    server.first.data_received(ASKED)
    server.line.sent = b""
    server.first.data_received(ASKED)
    assert server.line.sent == (
        b"HTTP/1.1 429 Too Many Requests\r\ndate: now\r\nx-short: yes\r\ncontent-length: 9\r\nx-common: yes\r\n\r\n"
        b"no, again"
    )
    assert len(server.read) == 1
    assert server.state.total_requests == 2
    assert server.first.patience.is_resting


def test_on_another_connection_of_the_same_client_too_but_of_no_other() -> None:
    server = Server()
    server.first.data_received(ASKED)
    server.other().data_received(ASKED)
    assert statuses(server.line) == [429]
    server.other("192.0.2.2").data_received(ASKED)
    assert statuses(server.line) == [409]


def test_other_bytes_are_read() -> None:
    server = Server()
    server.first.data_received(ASKED)
    server.first.data_received(post("/v1/segments", {"user_id": "bob"}))
    server.first.data_received(ASKED + ASKED)
    assert statuses(server.line) == [409] * 4


def test_when_there_is_no_answer_any_more_it_is_read_and_may_be_told_anew() -> None:
    told: list[Told] = [SHORT, None, SHORT]
    server = Server(lambda: told.pop(0))
    for _ in range(4):
        server.first.data_received(ASKED)
    assert statuses(server.line) == [409, 429, 409, 429]


def test_the_first_of_each_second_is_read() -> None:
    server = Server()
    server.first.data_received(ASKED)
    server.state.default_headers = [(b"date", b"a second later")]
    server.first.data_received(ASKED)
    assert statuses(server.line) == [409, 409]
    server.first.data_received(ASKED)
    assert statuses(server.line) == [409, 409, 429]


@pytest.mark.parametrize(
    "asked",
    [
        head("GET / HTTP/1.1", "Connection: close"),
        head("GET / HTTP/1.0"),
        head("HEAD / HTTP/1.1"),
        ASKED + ASKED,
        ASKED + b"POST",
        post("/v1/segments", {"user_id": "a" * 5_000}),
    ],
    ids=["closes", "old", "head", "two", "more", "long"],
)
def test_nothing_else_is_remembered(asked: bytes) -> None:
    server = Server()
    server.first.data_received(asked)
    assert server.read
    assert not server.repeats.known


def test_a_part_of_a_request_is_none_however_much_it_looks_like_one() -> None:
    server = Server()
    server.first.data_received(ASKED)
    outer = head("POST /outer HTTP/1.1", f"Content-Length: {len(ASKED)}")
    server.first.data_received(outer)
    server.first.data_received(ASKED)  # its body
    assert statuses(server.line) == [409, 409]
    assert server.read[-1].body == ASKED
    assert len(server.repeats.known) == 1, "and the body is not remembered for the request"


def test_a_server_that_stops_reads_and_closes() -> None:
    server = Server()
    server.first.data_received(ASKED)
    server.first.is_draining = True
    server.first.data_received(ASKED)
    assert statuses(server.line) == [409, 409]
    assert b"connection: close" in server.line.sent


def test_memory_is_bounded() -> None:
    server = Server()
    for number in range(3 * MOST):
        server.first.data_received(post("/v1/segments", {"user_id": f"u{number}"}))
        assert len(server.repeats.known) <= MOST
