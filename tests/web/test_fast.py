"""The fast path and uvicorn's own way answer alike: the same requests to the same application, byte for byte.

Two servers in this process, one with each protocol class; only dates, times and etags are passed over.
"""

import asyncio
import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from pydantic import SecretStr
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from streamlimit.bootstrap.worker import WorkerFactory
from streamlimit.delivery.receipt import Passage
from streamlimit.limiter import Limiter
from streamlimit.model import Ask
from streamlimit.settings import Settings
from streamlimit.web.app import FrontDoor
from streamlimit.web.delivery import Deliverer
from streamlimit.web.exchange import Exchange
from streamlimit.web.fast import FastProtocol
from streamlimit.web.grants import Grants
from streamlimit.web.protocol import ReceiptProtocol
from streamlimit.web.viewer import Viewer
from tests.e2e.clients import is_read
from tests.service import wait_until
from tests.web.folders import content, make_streams

KEY = "the-key-of-these-grants"
GRANT = Grants([KEY], 3_600).sign("u", "s")
VOLATILE = re.compile(
    rb"(?mi)^(date|etag|streamlimit-expires-at|x-request-id): .*?\r\n|\d{4}-\d\d-\d\dT[\d:.]+Z|"
    rb'"retry_after_seconds":[\d.]+|free in [\d.]+ s'
)
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)")
_WAITING = re.compile(rb"\r\n(?:content-length|retry-after): \d+")


class Server:
    """uvicorn in a thread, with one protocol class."""

    def __init__(self, protocol: Any, streams: Path, folder: Path) -> None:
        folder.mkdir()
        settings = Settings(
            streams=str(streams),
            store=f"sqlite:///{folder}/fast.db",
            grant_keys=[SecretStr(KEY)],
            segment_seconds=60,
            max_returns=0,  # one session is asked for in every way here, by one player after the other
            visit_burst=10_000,
            operator_keys=[SecretStr("an-operator-key")],
        )
        options = {
            "lifespan": "on",
            "interface": "asgi3",
            "server_header": False,
            "log_config": None,
            "ws": "none",
            "proxy_headers": False,
        }
        config = uvicorn.Config(WorkerFactory(settings), factory=True, http=protocol, access_log=False, **options)  # type: ignore[arg-type]
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, args=([self.listening],), daemon=True)
        self.thread.start()
        wait_until(lambda: self.server.started, 20, "the server")

    def exchange(self, request: bytes) -> bytes:
        """All that comes back on a connection of its own."""
        with socket.create_connection(self.listening.getsockname(), 10) as connection:
            connection.sendall(request)
            found = b""
            while part := connection.recv(65_536):
                found += part
        return found

    def converse(self, *requests: bytes) -> list[bytes]:
        """The answers on one connection; each request is sent when the one before was answered."""
        with socket.create_connection(self.listening.getsockname(), 10) as connection:
            return [_ask(connection, request) for request in requests]

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(15)


def _ask(connection: socket.socket, request: bytes) -> bytes:
    """One answer of a known length; nothing where the connection is closed instead."""
    with suppress(ConnectionError):
        connection.sendall(request)
    found, length = b"", -1
    while length < 0 or len(found) < length:
        try:
            part = connection.recv(65_536)
        except ConnectionError:
            part = b""
        if not part:
            break
        found += part
        if length < 0 and b"\r\n\r\n" in found:
            length = found.index(b"\r\n\r\n") + 4 + int((_LENGTH.findall(found) or [b"0"])[0])
    return found


def lasting(answer: bytes) -> bytes:
    """What is the same however long it took. A refusal tells seconds, of as many digits as there are."""
    answer = re.sub(rb"~[0-9a-f]+/", b"~play/", VOLATILE.sub(b"", answer))
    return _WAITING.sub(b"", answer, count=2) if answer[9:12] in (b"409", b"429") else answer


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Server]]:
    root = tmp_path_factory.mktemp("fast")
    streams = make_streams(root / "streams")
    servers = Server(FastProtocol, streams, root / "a"), Server(ReceiptProtocol, streams, root / "b")
    yield servers
    for server in servers:
        server.stop()


def request(method: str, path: str, body: bytes | None = None, *headers: str) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: here", "Connection: close", *headers]
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")


def segment(session: str, stream: str = "tiny", headers: tuple[str, ...] = (), **more: Any) -> bytes:
    form = {"user_id": "u", "session_id": session, "stream_id": stream} | more
    return request("POST", "/v1/segments", json.dumps(form).encode(), *headers)


def beat(session: str, stream: str = "tiny", *headers: str) -> bytes:
    body = json.dumps({"stream_id": stream}).encode()
    return request("POST", _beats_of(session), body, *headers)


def kept(sent: bytes) -> bytes:
    """The same request on a connection that is kept."""
    return sent.replace(b"Connection: close\r\n", b"")


def _beats_of(session: str) -> str:
    return f"/v1/users/u/sessions/{session}/heartbeat"


def play(path: str, *headers: str, method: str = "GET") -> bytes:
    return request(method, f"/play/{GRANT}/{path}", None, *headers)


CHUNKS = b'15\r\n{"stream_id": "tiny"}\r\n0\r\n\r\n'

STORY = [
    ("a first segment", segment("s")),
    ("the next one", segment("s")),
    ("the last one", segment("s", segment="c.ts")),
    ("the end of the stream", segment("s")),
    ("a big segment in slices", segment("s", "packed")),
    ("the live edge", segment("s", "live")),
    ("the live edge again", segment("s", "live")),
    ("and again", segment("s", "live")),
    ("a beat", beat("s")),
    ("a second session", beat("t")),
    ("a third", segment("v", device={"id": "tv", "name": "Wohnzimmer"})),
    ("the fourth is refused", segment("w")),
    ("its beat, too", beat("w")),
    ("an unknown stream", segment("s", "nowhere")),
    ("an unknown segment", segment("s", segment="nothing.ts")),
    ("no JSON", request("POST", "/v1/segments", b"{")),
    ("an unknown field", segment("s", colour="red")),
    ("a wrong method", request("GET", "/v1/segments")),
    ("a query", request("POST", "/v1/segments?x=1", b"{}")),
    (
        "a preflight",
        request("OPTIONS", "/v1/segments", None, "Origin: http://a", "Access-Control-Request-Method: POST"),
    ),
    ("a playlist", play("tiny/index.m3u8")),
    ("media", play("tiny/a.ts")),
    ("a range", play("tiny/a.ts", "Range: bytes=10-99")),
    ("no such range", play("tiny/a.ts", "Range: bytes=999999-")),
    ("only the head", play("tiny/a.ts", method="HEAD")),
    ("an odd name", play("odd/prvn%C3%AD%20d%C3%ADl.ts")),
    ("out of the folder", play("tiny/%2e%2e/tiny/a.ts")),
    ("a forged grant", request("GET", "/play/forged/tiny/a.ts")),
    ("too large", request("POST", "/v1/segments", b" " * 70_000)),
    ("in chunks", request("POST", "/v1/segments", None, "Transfer-Encoding: chunked") + b"2\r\n{}\r\n0\r\n\r\n"),
    ("asking first", request("POST", "/v1/segments", b"{}", "Expect: 100-continue")),
    ("HTTP/1.0", segment("s").replace(b"HTTP/1.1", b"HTTP/1.0")),
    ("another origin's bearer", segment("s").replace(b"Host: here", b"Host: here\r\nAuthorization: Bearer nonsense")),
    ("a beat with a key", beat("s", "tiny", "Authorization: Bearer an-operator-key")),
    ("with a wrong one", beat("s", "tiny", "Authorization: Bearer nonsense")),
    ("with two", beat("s", "tiny", "Authorization: Bearer an-operator-key", "Authorization: Bearer nonsense")),
    ("with the wrong one first", beat("s", "tiny", "Authorization: Bearer x", "Authorization: Bearer an-operator-key")),
    ("with an id", beat("w", "tiny", "X-Request-Id: given")),
    ("from a page", beat("s", "tiny", "Origin: http://a")),
    ("of an unknown stream", beat("s", "nowhere")),
    ("of no session", beat("s%20s")),
    ("of no UTF-8", beat("%ff")),
    ("of an encoded slash", beat("s%2Fs")),
    ("of a folder", beat("%2e.")),
    ("of a provider", beat("auth0%7C1")),
    ("spelled otherwise", beat("%73")),
    ("with a query", request("POST", _beats_of("s") + "?x=1", b'{"stream_id": "tiny"}')),
    ("with a query of its own shape", request("POST", "/v1/users/u/sessions/s?/heartbeat", b'{"stream_id": "tiny"}')),
    ("at a whole URL", request("POST", "http://here" + _beats_of("s"), b'{"stream_id": "tiny"}')),
    ("without a body", request("POST", _beats_of("s"))),
    ("no JSON in a beat", request("POST", _beats_of("s"), b"{")),
    ("a field too many", request("POST", _beats_of("s"), b'{"stream_id": "tiny", "x": 1}')),
    ("lines in its body", request("POST", _beats_of("s"), b'\r\n\r\n{"stream_id": "tiny"}\r\n\r\n')),
    ("another kind of body", beat("s").replace(b"application/json", b"text/plain")),
    ("of its kind in other words", beat("s").replace(b"application/json", b"Application/JSON; charset=utf-8")),
    ("of no kind", beat("s").replace(b"Content-Type: application/json\r\n", b"")),
    ("of two kinds", beat("s", "tiny", "Content-Type: text/plain")),
    ("a beat in chunks", request("POST", _beats_of("s"), None, "Transfer-Encoding: chunked") + CHUNKS),
    ("a beat that asks first", request("POST", _beats_of("s"), b'{"stream_id": "tiny"}', "Expect: 100-continue")),
    ("a beat by HTTP/1.0", beat("s").replace(b"HTTP/1.1", b"HTTP/1.0")),
    ("an empty line before it", b"\r\n" + beat("s")),
    ("a beat got", request("GET", _beats_of("s"))),
    ("its head", request("HEAD", _beats_of("s"))),
    ("its preflight", request("OPTIONS", _beats_of("s"), None, "Access-Control-Request-Method: POST")),
]

BEAT, HEALTH = kept(beat("s")), kept(request("GET", "/healthz"))

CONVERSATIONS = {
    "one": [BEAT],
    "the same bytes twice": [BEAT] * 2,
    "three times": [BEAT] * 3,
    "refused ones": [HEALTH, *[kept(beat("w"))] * 3],
    "refused from the start": [kept(beat("x"))] * 3,
    "two in turn": [BEAT, kept(beat("t"))] * 3,
    "refused between good ones": [BEAT, kept(beat("y"))] * 3,
    "beside others": [BEAT, HEALTH, BEAT, kept(segment("v")), BEAT, kept(play("tiny/index.m3u8")), BEAT],
    "empty lines between": [BEAT, b"\r\n" + BEAT, BEAT, b"\r\n\r\n" + BEAT],
    "of an unknown stream": [HEALTH, *[kept(beat("s", "nowhere"))] * 3],
    "with a key": [kept(beat("s", "tiny", "Authorization: Bearer an-operator-key"))] * 4,
    "with an id": [HEALTH, *[kept(beat("z", "tiny", "X-Request-Id: given"))] * 3],
    "segments": [kept(segment("s", segment="a.ts"))] * 3,
    "other segments": [kept(segment("s", segment=name)) for name in ("a.ts", "b.ts", "c.ts")],
    "the next ones": [kept(segment("s")), *[HEALTH, kept(segment("s"))] * 2],
    "of another stream": [kept(segment("s", segment="a.ts")), kept(segment("s", "packed"))],
    "a refused segment": [kept(segment("w"))] * 3,
    "an unknown one": [kept(segment("s", segment="x.ts")), kept(segment("s", segment="y.ts"))],
    "a segment with an id": [HEALTH, *[kept(segment("z", headers=("X-Request-Id: given",)))] * 3],
    "files": [kept(play(f"tiny/{name}")) for name in ("a.ts", "index.m3u8", "b.ts", "x.ts", "a.ts", "a.ts?x", "c.ts")],
    "files of odd names": [kept(play("odd/prvn%C3%AD%20d%C3%ADl.ts"))] * 2,
    "ranges of files": [kept(play("tiny/a.ts", "Range: bytes=10-99")), kept(play("tiny/a.ts"))] * 2,
    "a forged grant": [kept(play("tiny/a.ts")), kept(play("tiny/a.ts").replace(GRANT.encode(), b"forged"))],
    "segments by HTTP/1.0": [kept(segment("s")), kept(segment("s")).replace(b"HTTP/1.1", b"HTTP/1.0")],
    "a segment that ends it": [kept(segment("s")), segment("s")],
    "a file that ends it": [kept(play("tiny/a.ts")), play("tiny/a.ts")],
    "ended by the client": [BEAT, BEAT, beat("s")],
    "ended by HTTP/1.0": [BEAT, kept(beat("s")).replace(b"HTTP/1.1", b"HTTP/1.0")],
    "no HTTP behind it": [BEAT, b"{}\r\n\r\n"],
}


def test_both_ways_answer_alike(both: tuple[Server, Server]) -> None:
    different = {}
    for name, sent in STORY:
        fast, slow = (lasting(server.exchange(sent)) for server in both)
        if fast != slow:
            different[name] = (fast[:2_000], slow[:2_000])
    assert different == {}


def test_both_ways_answer_alike_on_a_connection_that_is_kept(both: tuple[Server, Server]) -> None:
    """Each twice: the second time all bytes are known from the start."""
    for server in both:
        server.exchange(request("DELETE", "/v1/users/u/sessions", None))
        for session in "stv":
            server.exchange(beat(session))
    different = {}
    for name, sent in [*CONVERSATIONS.items(), *CONVERSATIONS.items()]:
        fast, slow = ([lasting(answer) for answer in server.converse(*sent)] for server in both)
        if fast != slow:
            different[name] = [(one[:2_000], other[:2_000]) for one, other in zip(fast, slow, strict=True)]
    assert different == {}


def test_a_known_heartbeat_may_come_in_any_two_pieces(both: tuple[Server, Server]) -> None:
    with socket.create_connection(both[0].listening.getsockname(), 10) as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        whole = lasting(_ask(line, BEAT))
        for cut in range(1, len(BEAT)):
            line.sendall(BEAT[:cut])
            wait_until(lambda: is_read(line), 5, "the server to read")
            assert [lasting(_ask(line, rest)) for rest in (BEAT[cut:], BEAT)] == [whole] * 2, cut


def breaks(is_late: bool) -> Callable[[Limiter, Ask], Any]:
    """Stands for an operation of the limiter."""

    def break_at_once(self: Limiter, ask: Ask) -> None:
        raise RuntimeError("broken")

    async def break_later(self: Limiter, ask: Ask) -> None:
        await asyncio.sleep(0.001)
        raise RuntimeError("broken")

    return break_later if is_late else break_at_once


@pytest.mark.parametrize("is_late", [False, True], ids=["at once", "later"])
def test_what_breaks_a_heartbeat_is_our_fault_and_not_the_clients(
    both: tuple[Server, Server], monkeypatch: pytest.MonkeyPatch, is_late: bool
) -> None:
    """CachedSession, read before and never seen."""
    for server in both:
        server.converse(BEAT, BEAT, BEAT)
    monkeypatch.setattr(Limiter, "beat", breaks(is_late))
    for sent in (BEAT, kept(beat("t", "tiny", "X-Late: " + str(is_late)))):
        for server in both:
            assert [answer[:12] for answer in server.converse(HEALTH, sent, sent)[1:]] == [b"HTTP/1.1 500"] * 2


def test_who_hammers_hears_the_same_from_both(both: tuple[Server, Server]) -> None:
    """Refused from memory: known by the head, by a head of its own, at the end of a connection."""
    asked = segment("hammer")
    told = []
    for server in both:
        for session in "stv":
            server.exchange(segment(session, segment="a.ts"))
        answers = server.converse(*[kept(asked)] * 60)
        assert {answer[9:12] for answer in answers} == {b"409", b"429"}
        told.append([lasting(answers[-1])])
        for other in (kept(asked), kept(asked).replace(b"Host: here", b"Host: there"), asked):
            told[-1].append(lasting(server.converse(other)[0]))
        assert [answer[9:12] for answer in told[-1]] == [b"429"] * 4
    assert told[0] == told[1]


@pytest.mark.parametrize("is_late", [False, True], ids=["at once", "later"])
def test_what_breaks_a_segment_is_our_fault_and_not_the_clients(
    both: tuple[Server, Server], monkeypatch: pytest.MonkeyPatch, is_late: bool
) -> None:
    sent = [kept(segment("s", segment="a.ts")), kept(play("tiny/a.ts"))]
    for server in both:
        assert {answer[9:12] for answer in server.converse(*sent, *sent)} == {b"200"}
    monkeypatch.setattr(Limiter, "decide", breaks(is_late))
    told = [[lasting(answer) for answer in server.converse(*sent, *sent)] for server in both]
    assert {answer[:12] for answer in told[0]} == {b"HTTP/1.1 500"}
    assert told[0] == told[1]


def test_what_breaks_where_a_segment_is_looked_for_is_our_fault_too(
    both: tuple[Server, Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of heads that are known and of those that are parsed."""
    sent = [kept(segment("s", segment="a.ts")), kept(play("tiny/a.ts"))]
    for server in both:
        assert {answer[9:12] for answer in server.converse(*sent, *sent)} == {b"200"}

    def fail(*_: Any) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(Viewer, "_open", fail)
    sent += [one.replace(b"Host: here", b"Host: there") for one in sent]
    told = [[lasting(answer) for answer in server.converse(*sent, HEALTH)] for server in both]
    assert [answer[9:12] for answer in told[0]] == [b"500"] * 4 + [b"200"]
    assert told[0] == told[1]


@pytest.mark.parametrize("sent", [kept(segment("s", segment="a.ts")), kept(play("tiny/a.ts"))], ids=["segment", "file"])
def test_what_breaks_before_the_first_byte_is_told_and_afterwards_ends_the_connection(
    both: tuple[Server, Server], monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("broken")

    for server in both:
        assert {answer[9:12] for answer in server.converse(sent, sent)} == {b"200"}
    monkeypatch.setattr(Passage, "is_arriving", fail)
    told = [[lasting(answer) for answer in server.converse(sent, HEALTH)] for server in both]
    assert [told[0][0][9:12], told[0][0][-6_000:], told[0][1]] == [b"200", content("a.ts"), b""]
    assert told[0] == told[1]
    monkeypatch.setattr(Deliverer, "deliver", fail)
    told = [[lasting(answer) for answer in server.converse(sent, HEALTH)] for server in both]
    assert [answer[9:12] for answer in told[0]] == [b"500", b"200"]
    assert told[0] == told[1]


def test_a_known_head_is_not_parsed_again(both: tuple[Server, Server], monkeypatch: pytest.MonkeyPatch) -> None:
    asked = [kept(segment("s", segment="b.ts")), kept(play("tiny/b.ts"))]
    both[0].converse(*asked, *asked)
    read: list[bytes] = []
    parse = FastProtocol._parse
    monkeypatch.setattr(FastProtocol, "_parse", lambda self, data: (read.append(data), parse(self, data))[1])
    assert [answer[:12] for answer in both[0].converse(*asked, *asked)] == [b"HTTP/1.1 200"] * 4
    assert both[0].converse(kept(segment("s", segment="a.ts")))[0].startswith(b"HTTP/1.1 200")
    assert read == []


def test_pipelined_requests_are_answered_in_their_order(both: tuple[Server, Server]) -> None:
    """One after the other they arrive in one piece: hot, cold and hot again."""
    keeping = [kept(segment("p", "clock")) for _ in range(3)]
    sent = keeping[0] + HEALTH + keeping[1] + kept(beat("p", "clock")) + segment("p", "clock")
    for server in both:
        server.exchange(request("DELETE", "/v1/users/u/sessions", None))
    answers = [VOLATILE.sub(b"", server.exchange(sent)) for server in both]
    heads = re.findall(rb"HTTP/1\.1 (\d+)|streamlimit-sequence: (\d+)|\"status\":\"(ok)\"", answers[0])
    assert [b"".join(found) for found in heads] == [b"200", b"0", b"200", b"ok", b"200", b"1", b"200", b"200", b"2"]
    assert answers[0] == answers[1]


def test_hot_requests_really_take_the_fast_path(both: tuple[Server, Server], monkeypatch: pytest.MonkeyPatch) -> None:
    """What is good without an application, what is not by an exchange, and neither as a task of uvicorn's."""
    taken: list[str] = []

    def noting(kind: type[Any], name: str) -> None:
        method = getattr(kind, name)
        monkeypatch.setattr(kind, name, lambda *given: (taken.append(name), method(*given))[1])

    noting(FrontDoor, "serve")
    noting(Exchange, "begin")
    noting(RequestResponseCycle, "run_asgi")
    for sent in (beat("s"), segment("s"), play("tiny/a.ts"), play("tiny/index.m3u8"), play("odd/a%20b.ts")):
        both[0].exchange(sent)
    assert taken == ["begin", "serve", "serve", "serve", "begin"]
    both[0].exchange(play("tiny/a.ts", method="HEAD"))
    both[0].exchange(request("GET", "/healthz"))
    both[1].exchange(segment("s"))
    assert taken[5:] == ["begin", "run_asgi", "run_asgi"]


def test_a_rested_connection_is_closed_and_a_busy_one_is_not(both: tuple[Server, Server]) -> None:
    fast = both[0]
    fast.server.config.timeout_keep_alive, kept = 1, fast.server.config.timeout_keep_alive
    try:
        address = fast.listening.getsockname()
        with socket.create_connection(address, 10) as connection, socket.create_connection(address, 10) as another:
            for line in (connection, connection, connection, another):  # to this one nothing but known bytes come
                assert _ask(line, BEAT).startswith(b"HTTP/1.1 200")
            for line in (connection, another):
                line.settimeout(8)
                assert line.recv(65_536) == b""  # closed by the server, after its second of rest
    finally:
        fast.server.config.timeout_keep_alive = kept
