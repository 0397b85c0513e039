"""Requests that arrive while an answer is under way: answered in order, under their own ids, without needless waits."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from uvicorn.server import ServerState

from streamlimit.http.connection import HALF_OPEN_SECONDS, Connection
from streamlimit.http.exchange import Exchange
from streamlimit.http.limits import Connections
from streamlimit.http.reader import MAX_BODY
from streamlimit.http.request import Request
from streamlimit.http.wire import Tap
from tests.e2e.clients import connected, endpoint
from tests.http.servers import connection
from tests.service import Service
from tests.streams import BIG
from tests.web.test_together import beat, clients, looking_away, with_streams

SMALL = 60_000
"""A buffer in which a big segment does not arrive before it is read."""


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with with_streams() as service:
        yield service


# On a service


def test_what_stands_behind_a_refusal_that_comes_later_keeps_its_place(service: Service) -> None:
    """The head of the last one comes with it, its body after it: neither overtakes, and none is lost."""
    seated = b"GET /v1/users/ann/sessions HTTP/1.1\r\nHost: t\r\n\r\n"
    last = beat("ann", "tv-1")
    with clients(service, 9) as some:
        for number in range(3):
            some[number].send(beat("ann", f"tv-{number}")).whole()
        with looking_away(service):
            for number, other in enumerate(some[:8]):
                other.send(beat(f"ann-{number}", "tv"))
            some[8].send(beat("ann", "tv-9") + seated + last[:-5])
        assert some[8].whole()[0].status == 409
        some[8].send(last[-5:])
        told = [some[8].whole() for _ in range(2)]
    assert [head.status for head, _ in told] == [200, 200]
    assert ["sessions" in json.loads(told[0][1]), json.loads(told[1][1])["session_id"]] == [True, "tv-1"]


def test_a_line_of_the_log_names_the_request_that_was_held_back(service: Service) -> None:
    """The second is held back; with the third comes what tells that the second arrived, and that is logged."""

    def asked(user: str, stream: str = "film") -> bytes:
        return endpoint(user, "tv", stream, extra=f"X-Request-Id: for-{user}\r\n")

    users = [f"held-{number}-{place}" for number in range(20) for place in range(3)]
    for first, second, third in zip(users[::3], users[1::3], users[2::3], strict=True):
        with connected(service.port, SMALL) as client:
            client.send(asked(first, "big"))
            assert client.head().length == BIG
            client.send(asked(second))
            client.read(BIG)
            client.answer()
            client.send(asked(third)).answer()
            client.watching(third)
    lines = [json.loads(line) for line in service.log().splitlines() if line.startswith("{")]
    named = {line["user_id"]: line["request_id"] for line in lines if line.get("user_id", "").startswith("held-")}
    assert named == {user: f"for-{user}" for user in users}


def test_half_a_request_behind_the_last_answer_is_not_waited_for_when_no_more_can_come(service: Service) -> None:
    with connected(service.port, SMALL) as client:
        client.send(endpoint("half", "tv", "big"))
        assert client.head().length == BIG
        client.send(beat("half", "tv")[:50])
        client.socket.shutdown(1)
        began = time.monotonic()
        client.read(BIG)
        assert client.rest() == b""
        assert time.monotonic() - began < HALF_OPEN_SECONDS * 0.75  # after which nobody is waited for who is not served


# One connection, by hand


class Line(asyncio.Transport):
    """A connection that notes what becomes of it."""

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.1", 1), "sockname": ("192.0.2.2", 80), "socket": None})
        self.written, self.is_read, self.is_closed = b"", True, False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        self.is_read = False

    def resume_reading(self) -> None:
        self.is_read = True

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True

    abort = close


LARGE = b"POST /large HTTP/1.1\r\nHost: t\r\nContent-Length: %d\r\n\r\n" % MAX_BODY
GET = b"GET /%b HTTP/1.1\r\nHost: t\r\n\r\n"


class Owing:
    """A handler that notes what it is asked for, and whose answers the test gives."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.exchanges: list[Exchange] = []

    def __call__(self, request: Request, exchange: Exchange) -> Awaitable[None]:
        self.asked.append(request.path)
        self.exchanges.append(exchange)
        return asyncio.get_running_loop().create_future()


Story = Callable[[Connection, Line, Owing], Coroutine[Any, Any, None]]


def _no_wire(transport: asyncio.Transport) -> Any:
    return SimpleNamespace(nudge=lambda: None, watcher=None, abort=transport.abort)


def told(story: Story, tap: Tap = _no_wire, keep_alive_seconds: float = 60.0, state: ServerState | None = None) -> None:
    """Plays *story* on a connection."""

    async def play() -> None:
        owing, line = Owing(), Line()
        one = connection(owing, state, keep_alive_seconds=keep_alive_seconds, tap=tap)
        one.connection_made(line)
        await story(one, line, owing)

    asyncio.run(play())


def test_who_sends_more_than_is_held_is_read_from_again_when_the_answer_is_out() -> None:
    async def story(one: Connection, line: Line, owing: Owing) -> None:
        one.data_received(GET % b"first")
        one.data_received(LARGE)
        assert line.is_read
        one.data_received(b" " * (MAX_BODY - 1))
        assert not line.is_read
        owing.exchanges[0].whole(200, b"")
        await asyncio.sleep(0)
        assert line.is_read
        one.data_received(b" ")
        assert owing.asked == ["/first", "/large"]

    told(story)


def test_what_comes_while_an_answer_is_under_way_is_looked_at_when_that_is_out() -> None:
    """However many packets it comes in, and in its order."""

    async def story(one: Connection, line: Line, owing: Owing) -> None:
        one.data_received(GET % b"a" + GET % b"b" + (GET % b"c")[:9])
        one.data_received((GET % b"c")[9:])
        one.data_received(GET % b"d")
        for number, name in enumerate("abcd"):
            assert owing.asked[number:] == [f"/{name}"]
            owing.exchanges[number].whole(200, b"", name.encode())
            await asyncio.sleep(0)
        assert [line.written.count(b"HTTP/1.1 200"), line.is_closed] == [4, False]

    told(story)


def test_what_comes_right_after_the_answer_stands_behind_what_came_before_it() -> None:
    """A head that came while the answer was under way, and its body when that was just out, are one request."""

    async def story(one: Connection, line: Line, owing: Owing) -> None:
        head, body = b"POST /second HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\n\r\n", b"{}  "
        one.data_received(GET % b"first")
        one.data_received(head)
        owing.exchanges[0].whole(200, b"")
        one.data_received(body)
        await asyncio.sleep(0)
        assert owing.asked == ["/first", "/second"]
        assert b" 400 " not in line.written

    told(story)


def test_who_is_in_the_middle_of_a_request_does_not_rest() -> None:
    async def story(one: Connection, line: Line, owing: Owing) -> None:
        one.data_received(GET % b"first")
        owing.exchanges[0].whole(200, b"")
        one.data_received(LARGE)
        await asyncio.sleep(0.01)
        assert not line.is_closed
        one.data_received(b" " * MAX_BODY)
        assert owing.asked == ["/first", "/large"]
        owing.exchanges[1].whole(200, b"")
        while not line.is_closed:
            await asyncio.sleep(0.001)

    told(story, keep_alive_seconds=0.002)


def test_a_connection_whose_handler_ends_without_an_answer_is_closed() -> None:
    state = ServerState()

    async def story(one: Connection, line: Line, owing: Owing) -> None:
        one.data_received(GET % b"first")
        for task in state.tasks:
            task.cancel()
        while not line.is_closed:
            await asyncio.sleep(0)
        assert line.written == b""

    told(story, state=state)


def test_where_no_descriptor_is_left_nothing_is_asked_for_without_a_receipt() -> None:
    def fail(_: asyncio.Transport) -> Any:
        raise OSError(24, "Too many open files")

    async def story(one: Connection, line: Line, owing: Owing) -> None:
        one.data_received(GET % b"first")
        await asyncio.sleep(0)
        assert (line.written, line.is_closed, owing.asked) == (b"", True, [])

    told(story, tap=fail)


class Deaf(Line):
    """A connection to someone who reads nothing: all that is written stays, and soon there is too much of it."""

    protocol: Connection

    def write(self, data: bytes | bytearray | memoryview) -> None:
        super().write(data)
        self.protocol.pause_writing()

    def get_write_buffer_size(self) -> int:
        return len(self.written)


@pytest.mark.parametrize("is_half", [False, True], ids=["between requests", "in the middle of the next"])
@pytest.mark.parametrize("is_late", [False, True], ids=["at once", "later"])
def test_who_does_not_read_the_answers_is_given_up(is_late: bool, is_half: bool) -> None:
    async def later(exchange: Exchange) -> None:
        await asyncio.sleep(0.001)
        exchange.whole(200, b"")

    def handle(_: Request, exchange: Exchange) -> Awaitable[None] | None:
        return later(exchange) if is_late else exchange.whole(200, b"")

    async def story() -> None:
        guard, line = Connections(0, 0.02), Deaf()
        one = line.protocol = connection(handle, tap=_no_wire, guard=guard)
        one.connection_made(line)
        one.data_received(GET % b"first" + (GET % b"second")[: 9 if is_half else None])
        while not line.is_closed:
            await asyncio.sleep(0.001)
        assert guard.tally.given_up == {"reading": 1}
        assert line.written.count(b"HTTP/1.1 200") == 1

    asyncio.run(asyncio.wait_for(story(), 10))
