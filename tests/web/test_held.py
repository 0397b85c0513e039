"""What comes while an answer is under way (web/holding.py), and what comes behind one that the store owes
(web/exchange.py): each in its place, under its own name, and nobody is waited for in vain.
"""

import asyncio
import json
import time
from collections.abc import Callable, Coroutine, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from streamlimit.delivery.wire import Wire
from streamlimit.web.connections import Connections
from streamlimit.web.exchange import Exchange
from streamlimit.web.guarded import GuardedProtocol
from streamlimit.web.http import MAX_BODY_BYTES
from streamlimit.web.protocol import HALF_OPEN_SECONDS
from tests.e2e.clients import connected, endpoint
from tests.service import Service
from tests.streams import BIG
from tests.web.test_together import beat, clients, looking_away, with_streams

pytestmark = pytest.mark.xdist_group("web-held")

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


Story = Callable[[GuardedProtocol, Line, list[str]], Coroutine[Any, Any, None]]


def told(story: Story) -> None:
    """Plays *story* on a connection; it is given the paths of what the application was asked, too."""

    async def play() -> None:
        asked: list[str] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            asked.append(scope["path"])

        config = uvicorn.Config(app, log_config=None, interface="asgi3", proxy_headers=False)
        protocol, line = GuardedProtocol(config, ServerState(), {}, guard=Connections(0, 60)), Line()
        protocol.connection_made(line)
        await story(protocol, line, asked)

    asyncio.run(play())


def owing(protocol: GuardedProtocol) -> Exchange:
    """An answer that is under way on *protocol*."""
    protocol.wire = SimpleNamespace(nudge=lambda: None, watcher=None)  # type: ignore[assignment]
    exchange = Exchange(protocol, b"", keep_alive=True)
    exchange.stand_by()
    return exchange


LARGE = b"POST /v1/segments HTTP/1.1\r\nHost: t\r\nContent-Length: %d\r\n\r\n" % MAX_BODY_BYTES


def test_who_sends_more_right_after_the_answer_is_read_from_again() -> None:
    """Of a body that is nearly whole, so much is held back that nothing more is read for the time being."""

    async def story(protocol: GuardedProtocol, line: Line, asked: list[str]) -> None:
        exchange = owing(protocol)
        protocol.data_received(LARGE)
        assert line.is_read
        exchange.send_whole(b"the answer")
        protocol.data_received(b" " * (MAX_BODY_BYTES - 1))
        assert not line.is_read
        await asyncio.sleep(0)
        assert line.is_read
        protocol.data_received(b" ")
        assert (line.written, asked) == (b"the answer", ["/v1/segments"])

    told(story)


def test_what_is_known_does_not_overtake_what_an_application_is_at() -> None:
    async def story(protocol: GuardedProtocol, line: Line, asked: list[str]) -> None:
        protocol.wire = SimpleNamespace(nudge=lambda: None, watcher=None)  # type: ignore[assignment]
        known = SimpleNamespace(again=lambda *_: pytest.fail("it is answered at once"))
        protocol._door = SimpleNamespace(heads=known, beats=known)  # type: ignore[assignment]
        protocol._is_half = True  # so that the first one is parsed
        protocol.data_received(b"GET /healthz HTTP/1.1\r\nHost: t\r\n\r\n")
        protocol.data_received(beat("ann", "tv"))
        assert [cycle.scope["path"] for cycle, _ in protocol.pipeline] == ["/v1/users/ann/sessions/tv/heartbeat"]

    told(story)


def test_who_is_in_the_middle_of_a_request_does_not_rest() -> None:
    async def story(protocol: GuardedProtocol, line: Line, asked: list[str]) -> None:
        protocol.timeout_keep_alive = -1
        owing(protocol).send_whole(b"the answer")
        protocol.data_received(LARGE)
        protocol.timeout_keep_alive_handler()
        assert not line.is_closed
        protocol.data_received(b" " * MAX_BODY_BYTES)
        assert asked == ["/v1/segments"]

    told(story)


@pytest.mark.parametrize("path", [b"/v1/segments", b"/healthz"])
def test_where_no_descriptor_is_left_nothing_is_asked_for_without_a_receipt(
    monkeypatch: pytest.MonkeyPatch, path: bytes
) -> None:
    def fail(_: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(Wire, "tap", fail)

    async def story(protocol: GuardedProtocol, line: Line, asked: list[str]) -> None:
        protocol.data_received(b"POST " + path + b" HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\n{}")
        await asyncio.sleep(0)
        assert (line.written, line.is_closed, asked) == (b"", True, [])

    told(story)
