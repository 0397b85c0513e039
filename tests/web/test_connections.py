"""Limits on connections: slow heads and bodies, idle ones, too many of one address, large heads, unread answers."""

import asyncio
import resource
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from streamlimit.http.limits import AT_ONCE, ROUNDS, Connections
from streamlimit.http.reader import MAX_HEAD, MAX_HEADERS, MAX_URL
from streamlimit.web.address import Proxies
from tests.ports import free_port
from tests.service import OPERATOR_KEY, Service, service_of_file, started, wait_until

PATIENCE = 0.6
LATE = 10.0
"""For a machine that is shared: nobody is kept without end, is what counts."""

service = service_of_file(request_seconds=PATIENCE, segment_seconds=60)


@pytest.fixture
def line(service: Service) -> Iterator[socket.socket]:
    with _connected(service) as line:
        yield line


def _connected(service: Service, **options: int) -> "closing[socket.socket]":
    line = socket.socket()
    if "receive" in options:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, options["receive"])
    line.settimeout(10)
    line.connect(("127.0.0.1", service.port))
    return closing(line)


def _rest(line: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    got = b""
    with suppress(ConnectionError):
        while part := line.recv(65_536):
            got += part
    return got


GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


def test_who_never_asks_is_shown_out(line: socket.socket) -> None:
    began = time.monotonic()
    assert _rest(line) == b""
    assert PATIENCE * 0.9 < time.monotonic() - began < LATE


def test_a_slow_head_is_given_up_however_it_trickles(service: Service, line: socket.socket) -> None:
    line.sendall(b"GET /healthz HTTP/1.1\r\n")
    began = time.monotonic()
    answer = b""
    with suppress(OSError):
        for n in range(200):
            line.sendall(b"X-%d: y\r\n" % n)
            time.sleep(0.05)
            line.settimeout(0.001)
            with suppress(TimeoutError):
                answer += line.recv(65_536)
                if answer:
                    break
    assert time.monotonic() - began < LATE
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert service.get("/healthz").status == 200


@pytest.mark.parametrize("path", [b"/v1/segments", b"/v1/sessions"])
@pytest.mark.parametrize("framing", [b"Content-Length: 60", b"Transfer-Encoding: chunked"])
def test_a_slow_body_is_given_up(line: socket.socket, path: bytes, framing: bytes) -> None:
    line.sendall(b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n%b\r\n\r\n" % (path, framing))
    began = time.monotonic()
    line.sendall(b"1\r\n{\r\n" if b"chunked" in framing else b"{")
    assert _rest(line).startswith(b"HTTP/1.1 408 ")
    assert time.monotonic() - began < LATE


def test_the_body_has_its_own_time(service: Service, line: socket.socket) -> None:
    body = b'{"user_id": "slow", "session_id": "s", "stream_id": "orchard"}'
    head = b"POST /v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body)
    line.sendall(head[:20])
    time.sleep(PATIENCE * 0.7)
    line.sendall(head[20:] + body[:5])
    time.sleep(PATIENCE * 0.7)
    line.sendall(body[5:])
    assert _rest(line).startswith(b"HTTP/1.1 201 ")


def test_half_a_request_behind_a_whole_one_is_given_up_too(line: socket.socket) -> None:
    line.sendall(GET + b"GET /healthz HT")
    got = _rest(line)
    assert got.count(b"HTTP/1.1 200 ") == 1
    assert got.count(b"HTTP/1.1 408 ") == 1


# Counted


def _counted(service: Service, name: str) -> dict[str, float]:
    """A counter of /metrics, by label; of several workers, nothing before the first count."""
    families = text_string_to_metric_families(service.get("/metrics", key=OPERATOR_KEY).body.decode())
    samples = [sample for family in families for sample in family.samples]
    return {"".join(s.labels.values()): s.value for s in samples if s.name == f"streamlimit_{name}_total"}


BODY_TO_COME = b"POST /v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Length: 60\r\n\r\n{"


def test_who_is_given_up_is_counted_once_by_what_did_not_come(service: Service) -> None:
    before = Counter(_counted(service, "connections_given_up"))
    late = Counter(_counted(service, "problems"))["request-timeout"]
    lines = [socket.create_connection(("127.0.0.1", service.port), 10) for _ in range(7)]
    for line in lines[1:3]:
        line.sendall(GET[:-2])
    for line in lines[3:6]:
        line.sendall(BODY_TO_COME)
    lines[6].sendall(GET + GET + GET[:-4])
    for line in lines[:6]:
        _rest(line)  # to the end, though the client still holds it open
    time.sleep(PATIENCE * 2 + 1)  # refused connections are looked at once more
    for line in lines:
        line.close()
    given_up = Counter(_counted(service, "connections_given_up"))
    assert given_up - before == Counter(request=1, head=3, body=3)
    assert Counter(_counted(service, "problems"))["request-timeout"] - late == 6


def test_who_never_reads_is_counted(service: Service) -> None:
    before = Counter(_counted(service, "connections_given_up"))["reading"]
    with _connected(service, receive=2_048) as line:
        _ask_without_reading(line)
        wait_until(lambda: _counted(service, "connections_given_up").get("reading", 0) > before, PATIENCE * 3 + 6)
    assert _counted(service, "connections_given_up")["reading"] == before + 1


def test_what_two_workers_count_is_added_up(tmp_path: Path) -> None:
    with started(tmp_path, workers=2, request_seconds=PATIENCE) as service:
        lines = [socket.create_connection(("127.0.0.1", service.port), 10) for _ in range(12)]
        for line in lines:
            line.sendall(GET[:-2])
        for line in lines:
            assert _rest(line).startswith(b"HTTP/1.1 408 ")
            line.close()
        wait_until(lambda: _counted(service, "connections_given_up") == {"head": 12}, 5, "the other worker's numbers")


def test_keep_alive_is_as_long_as_ever(line: socket.socket) -> None:
    for rest_seconds in (0, PATIENCE * 2):
        time.sleep(rest_seconds)
        line.sendall(GET)
        answer = b""
        while not answer.endswith(b"}"):  # head and body may come in two pieces
            part = line.recv(65_536)
            assert part, answer
            answer += part
        assert answer.startswith(b"HTTP/1.1 200 ")


def test_a_slow_viewer_of_a_segment_is_not_given_up(service: Service) -> None:
    """Delivery looks after those itself: X without progress."""
    with _connected(service, receive=4_096) as line:
        body = b'{"user_id": "far", "session_id": "s", "stream_id": "orchard"}'
        line.sendall(b"POST /v1/segments HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        got = line.recv(2_000)
        length = int(got.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        body_at = got.index(b"\r\n\r\n") + 4
        while len(got) - body_at < length:
            time.sleep(0.02)
            got += line.recv(max(length // 60, 1_000))
    assert got.startswith(b"HTTP/1.1 200 ")
    assert service.watching("far")["live_sessions"] == 1


def _ask_without_reading(line: socket.socket) -> None:
    line.settimeout(1)
    with suppress(OSError):
        for _ in range(2_000):  # far more than both buffers hold
            line.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n")


def test_who_asks_and_never_reads_is_shown_out(service: Service) -> None:
    with _connected(service, receive=2_048) as line:
        _ask_without_reading(line)
        line.settimeout(10)

        def is_gone() -> bool:
            try:
                return line.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != 1
            except OSError:
                return True

        wait_until(is_gone, PATIENCE * 3 + 6, "the connection's end")


# Heads

LARGE = {
    "a long header": (b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: %b\r\n\r\n" % (b"a" * MAX_HEAD), b"431"),
    "many headers": (b"GET /healthz HTTP/1.1\r\n" + b"X: y\r\n" * (MAX_HEADERS + 1) + b"\r\n", b"431"),
    "a header without an end": (b"GET /healthz HTTP/1.1\r\nX: " + b"a" * 300_000, b"431"),
    "a long URL": (b"GET /%b HTTP/1.1\r\nHost: x\r\n\r\n" % (b"a" * (MAX_URL + 1)), b"414"),
    "a long query": (b"GET /v1/streams?%b HTTP/1.1\r\nHost: x\r\n\r\n" % (b"a" * (MAX_URL + 1)), b"414"),
    "no HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"400"),
}


@pytest.mark.parametrize("name", LARGE)
def test_a_head_that_is_too_large_is_refused_in_words(line: socket.socket, name: str) -> None:
    request, status = LARGE[name]
    line.sendall(request)
    answer = _rest(line)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 " + status), answer[:100]
    assert b"application/problem+json" in head
    assert b"nosniff" in head
    assert b'"status":' + status in body


CHUNKED = (
    b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"
)
TRAILERS = {"one": b"X: " + b"y" * 3_000_000, "many": b"X: y\r\n" * 500_000}


@pytest.mark.parametrize("path", [b"/v1/segments", b"/v1/sessions"])
@pytest.mark.parametrize("kind", TRAILERS)
def test_trailers_without_an_end_are_refused(line: socket.socket, path: bytes, kind: str) -> None:
    with suppress(ConnectionError):
        line.sendall(CHUNKED % path + b"0\r\n" + TRAILERS[kind])
    assert _rest(line).startswith(b"HTTP/1.1 431 ")


def test_a_body_in_chunks_of_one_byte_is_read(line: socket.socket) -> None:
    form = b'{"user_id":"chunks","session_id":"tv","stream_id":"%b"}' % (b"a" * 120)
    head, _, _ = CHUNKED.partition(b"2\r\n{}")
    pieces = b"".join(b"1;why=not\r\n%c\r\n" % byte for byte in form + b" " * 50_000)
    line.sendall(head % b"/v1/segments" + pieces + b"0\r\n\r\n")
    assert line.recv(65_536).startswith(b"HTTP/1.1 404 ")  # understood: there is no such stream


@pytest.mark.parametrize("place", ["head", "trailer"])
def test_a_trailer_says_nothing_of_who_asks(line: socket.socket, place: str) -> None:
    key = b"Authorization: Bearer %b\r\n" % OPERATOR_KEY.encode()
    head = CHUNKED % b"/v1/expirations"
    if place == "head":
        line.sendall(head.replace(b"Host", key + b"Host") + b"0\r\nX: y\r\n\r\n")
    else:
        line.sendall(head + b"0\r\n" + key + b"\r\n")
    assert line.recv(65_536).startswith(b"HTTP/1.1 200 " if place == "head" else b"HTTP/1.1 401 ")


def test_as_much_as_is_allowed_is_served(line: socket.socket) -> None:
    headers = b"".join(b"X-%d: y\r\n" % n for n in range(MAX_HEADERS - 2))
    line.sendall(
        b"GET /healthz?%b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%b\r\n" % (b"a" * (MAX_URL - 9), headers)
    )
    assert _rest(line).startswith(b"HTTP/1.1 200 ")


# How many


def test_idle_connections_hurt_nobody_and_go(service: Service) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    many = min(2_000, hard // 4)
    lines = []
    try:
        for _ in range(many):
            line = socket.socket()
            line.connect(("127.0.0.1", service.port))
            lines.append(line)
        assert service.segment("calm", "s", "orchard").status == 200
        lines[0].settimeout(PATIENCE + 5)
        assert lines[0].recv(1) == b""
    finally:
        for line in lines:
            line.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert service.get("/healthz").status == 200


def test_as_many_of_one_address_as_the_setting_says() -> None:
    guard = Connections(at_most=2, trusted=Proxies(["10.0.0.0/8"]).trusts)
    assert [guard.enter("192.0.2.1") for _ in range(3)] == [True, True, False]
    assert guard.enter("192.0.2.2")
    guard.leave("192.0.2.1")
    assert guard.enter("192.0.2.1")
    for free in ("127.0.0.1", "::1", "10.1.2.3", ""):
        assert all(guard.enter(free) for _ in range(10)), free
    assert all(Connections(at_most=0).enter("192.0.2.1") for _ in range(10))
    for _ in range(2):
        guard.leave("192.0.2.1")
    assert "192.0.2.1" not in guard.by_address, "nothing is kept of those who left"


def _own_address() -> str | None:
    """An address of this machine that is not loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        address: str = probe.getsockname()[0]
        return None if address.startswith("127.") else address


@pytest.mark.parametrize(("count", "at_once"), [(95, AT_ONCE), (5 * ROUNDS + 95, 5)])
def test_thousands_whose_time_is_over_go_a_few_at_a_time(count: int, at_once: int) -> None:
    async def work() -> list[int]:
        guard, loop = Connections(seconds=0.01), asyncio.get_running_loop()
        batches, is_open = list[int](), [False]

        class Idle:
            def __init__(self) -> None:
                self.loop = loop

            def is_excused(self) -> bool:
                return False

            def give_up(self) -> None:
                if not is_open[0]:
                    batches.append(0)
                    is_open[0] = True
                    loop.call_soon(is_open.__setitem__, 0, False)  # before the loop serves anybody else
                batches[-1] += 1

        for _ in range(count):
            guard.await_client(Idle())
        while sum(batches) < 95:
            await asyncio.sleep(0)
        return batches

    assert max(asyncio.run(asyncio.wait_for(work(), 60))) == at_once


@pytest.mark.skipif(_own_address() is None, reason="this machine has loopback alone")
def test_one_more_is_turned_away_at_the_door(tmp_path: Path) -> None:
    address = _own_address()
    assert address is not None
    port = free_port()
    settings: dict[str, Any] = {"listen": f"0.0.0.0:{port}", "allow_open": True, "connections_per_address": 5}
    with started(tmp_path, **settings) as service:
        lines = [socket.create_connection((address, port), 5) for _ in range(6)]
        try:
            for line in lines[:5]:
                line.sendall(GET)
                assert line.recv(65_536).startswith(b"HTTP/1.1 200 ")
            assert _rest(lines[5]) == b""
            assert _counted(service, "connections_turned_away") == {"": 1}
            lines[0].close()
            time.sleep(0.2)
            with socket.create_connection((address, port), 5) as again:
                again.sendall(GET)
                assert again.recv(65_536).startswith(b"HTTP/1.1 200 ")
        finally:
            for line in lines:
                line.close()


def test_an_offer_of_http_2_is_passed_over(service: Service) -> None:
    """As Java's client makes it with every first request; the parser would take the body for HTTP/2."""
    offer = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAEAAEAAAAIAAAABAAMAAABk"}
    form = {"user_id": "java", "session_id": "h2c", "stream_id": "orchard"}
    assert service.post("/v1/segments", form, headers=offer).status == 200
    assert service.post("/v1/sessions", form, headers=offer).status == 200
    assert service.watching("java")["live_sessions"] == 1
