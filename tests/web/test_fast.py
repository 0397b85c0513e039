"""The fast path and uvicorn's own way answer alike: the same requests to the same application, byte for byte.

Two servers in this process, one with each protocol class; only dates, times and etags are passed over.
"""

import json
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from pydantic import SecretStr

from streamlimit.bootstrap import WorkerFactory
from streamlimit.settings import Settings
from streamlimit.web.exchange import Exchange
from streamlimit.web.fast import FastProtocol
from streamlimit.web.grants import Grants
from streamlimit.web.protocol import ReceiptProtocol
from tests.service import wait_until
from tests.web.folders import make_streams

KEY = "the-key-of-these-grants"
GRANT = Grants([KEY], 3_600).sign("u", "s")
VOLATILE = re.compile(
    rb"(?mi)^(date|etag|streamlimit-expires-at|x-request-id): .*?\r\n|\d{4}-\d\d-\d\dT[\d:.]+Z|"
    rb'"retry_after_seconds":[\d.]+|free in [\d.]+ s'
)


class Server:
    """uvicorn in a thread, with one protocol class."""

    def __init__(self, protocol: Any, streams: Path, folder: Path) -> None:
        folder.mkdir()
        settings = Settings(
            streams=str(streams),
            store=f"sqlite:///{folder}/fast.db",
            grant_keys=[SecretStr(KEY)],
            segment_seconds=60,
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

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(15)


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


def segment(session: str, stream: str = "tiny", **more: Any) -> bytes:
    form = {"user_id": "u", "session_id": session, "stream_id": stream} | more
    return request("POST", "/v1/segments", json.dumps(form).encode())


def beat(session: str, stream: str = "tiny") -> bytes:
    body = json.dumps({"stream_id": stream}).encode()
    return request("POST", f"/v1/users/u/sessions/{session}/heartbeat", body)


def play(path: str, *headers: str, method: str = "GET") -> bytes:
    return request(method, f"/play/{GRANT}/{path}", None, *headers)


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
]


def test_both_ways_answer_alike(both: tuple[Server, Server]) -> None:
    for name, sent in STORY:
        fast, slow = (VOLATILE.sub(b"", server.exchange(sent)) for server in both)
        assert fast[:2_000] == slow[:2_000], name
        assert fast == slow, name


def test_pipelined_requests_are_answered_in_their_order(both: tuple[Server, Server]) -> None:
    """One after the other they arrive in one piece: hot, cold and hot again."""
    keeping = [segment("p", "clock").replace(b"Connection: close\r\n", b"") for _ in range(3)]
    cold = request("GET", "/healthz").replace(b"Connection: close\r\n", b"")
    sent = (
        keeping[0]
        + cold
        + keeping[1]
        + beat("p", "clock").replace(b"Connection: close\r\n", b"")
        + segment("p", "clock")
    )
    for server in both:
        server.exchange(request("DELETE", "/v1/users/u/sessions", None))
    answers = [VOLATILE.sub(b"", server.exchange(sent)) for server in both]
    heads = re.findall(rb"HTTP/1\.1 (\d+)|streamlimit-sequence: (\d+)|\"status\":\"(ok)\"", answers[0])
    assert [b"".join(found) for found in heads] == [b"200", b"0", b"200", b"ok", b"200", b"1", b"200", b"200", b"2"]
    assert answers[0] == answers[1]


def test_hot_requests_really_take_the_fast_path(both: tuple[Server, Server], monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[str] = []
    begin = Exchange.begin

    def noting(self: Exchange) -> None:
        taken.append(self._protocol.url.decode())
        begin(self)

    monkeypatch.setattr(Exchange, "begin", noting)
    both[0].exchange(beat("s"))
    both[0].exchange(segment("s"))
    both[0].exchange(play("tiny/a.ts"))
    both[0].exchange(request("GET", "/healthz"))
    both[1].exchange(beat("s"))
    assert [url.split("/")[1] for url in taken] == ["v1", "v1", "play"]


def test_a_rested_connection_is_closed_and_a_busy_one_is_not(both: tuple[Server, Server]) -> None:
    fast = both[0]
    fast.server.config.timeout_keep_alive, kept = 1, fast.server.config.timeout_keep_alive
    try:
        with socket.create_connection(fast.listening.getsockname(), 10) as connection:
            for _ in range(3):
                connection.sendall(beat("s").replace(b"Connection: close\r\n", b""))
                assert connection.recv(65_536).startswith(b"HTTP/1.1 200")
            connection.settimeout(8)
            assert connection.recv(65_536) == b""  # closed by the server, after its second of rest
    finally:
        fast.server.config.timeout_keep_alive = kept
