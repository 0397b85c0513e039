"""Wrong requests of all kinds: the documented error, no seat taken, one line in the log, and the service goes on."""

import asyncio
import http.client
import json
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from streamlimit.bootstrap.service import build_service
from streamlimit.delivery.catalog import Catalog
from streamlimit.edge.protocols import Edge
from streamlimit.settings import load_settings
from streamlimit.web.app import FrontDoor
from streamlimit.web.grants import Grants
from streamlimit.web.problems import PROBLEMS
from tests import servers
from tests.http.servers import connection
from tests.service import OPERATOR_KEY, SAMPLES, Service, started, temporary_folder
from tests.web.folders import make_streams

GRANT_KEY = "the-grant-key-that-no-log-shows"
SECRETS = [GRANT_KEY, OPERATOR_KEY, "127.0.0.1:", "wrong-operator-key", "eyJ"]
GRANT = Grants([GRANT_KEY], 3_600).sign("mallory", "m")
OTHERS_GRANT = Grants([GRANT_KEY], 3_600).sign("alice", "a")
JSON = {"Content-Type": "application/json"}
FORM: dict[str, Any] = {"user_id": "mallory", "session_id": "m", "stream_id": "tiny"}
HERE = "/v1/users/mallory/sessions"


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with temporary_folder() as folder:
        streams = make_streams(folder / "streams")
        (folder / "run").mkdir()
        settings: dict[str, Any] = {"segment_seconds": 6, "grant_keys": [GRANT_KEY]}
        with started(folder / "run", streams=str(streams), **settings) as service:
            yield service
            log = service.log()
            assert "Traceback" not in log
            shown = [secret for secret in SECRETS if secret in "".join(log.splitlines(keepends=True)[2:])]
            assert shown == [], "secrets, grants or addresses in the log"


class Bad(NamedTuple):
    """A request that is wrong, and what it gets."""

    name: str
    method: str
    path: str
    status: int
    code: str
    body: bytes | None = None
    headers: dict[str, str] = JSON


def _segments(name: str, body: Any, status: int = 400, code: str = "malformed", **headers: str) -> Bad:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return Bad(f"segments: {name}", "POST", "/v1/segments", status, code, text, JSON | named)


def _with(**changes: Any) -> dict[str, Any]:
    return FORM | changes


def _padded(size: int) -> bytes:
    text = json.dumps(FORM)[:-1].encode()
    return text + b" " * (size - len(text) - 1) + b"}"


NO_JSON = [
    b"", b" ", b"{", b"}", b"{}x", b"[", b"]", b'"', b"nul", b"True", b"'{}'", b"{'a':1}", b'{"a"}', b'{"a":}', b"{,}",
    b'{"user_id":"mallory",}', b"\x00", b"\xff\xfe{\x00}\x00", b"\xef\xbb\xbf{}", b"<xml/>", b"a=b", b"NaN",
    b"-Infinity", b'{"user_id":"\xff"}', b'{"user_id":"\xc0\xaf"}', b'{"user_id":"\\ud800"}', b'{"\\ud800":1}',
    b'{"user_id":"\\x"}', b'{"user_id":"a\nb"}', b"{" * 5_000, b"[" * 60_000, b'{"a":' * 9_000, b"\x1f\x8b\x08\x00",
    b'{"user_id":1e999}', b'{"user_id":' + b"9" * 5_000 + b"}", b'{"user_id":"mallory"', b"//{}", b"{}{}",
]  # fmt: skip
NO_OBJECT = [None, True, 1, 1.5, "x", [], [FORM], ["user_id"], {}]
NO_ID: list[Any] = [
    "", "a/b", "/", "a\\b", "a\n", "\n", "a\tb", "a\x00", "\x00", "a\x7f", "a\x85b", "a\u2028b", "a\u2029", "\ud800",
    ".", "..", "a" * 129, "é" * 129, "用" * 86, "🎬" * 65, "a" * 10_000, None, True, 0, 1,
    -1, 1.5, [], ["a"], {}, {"a": "b"},
]  # fmt: skip
NO_DEVICE: list[Any] = [
    "", "x" * 129, 1, True, [], ["tv"], {"id": ""}, {"id": 1}, {"id": "x" * 129}, {"id": ["a"]}, {"os": "x"},
    {"id": "a", "name": {}}, {"id": "a", "extra": None}, {"name": 1}, {"type": True},
]  # fmt: skip
NO_SEGMENT: list[Any] = ["", "x" * 1_025, 1, True, [], {}, ["a.ts"]]
NO_NAME: list[str] = [
    "z.ts", "A.TS", "a.ts ", " a.ts", "/a.ts", "./a.ts", "../tiny/a.ts", "a.ts/", "a.ts\x00", "\x00", "a.ts?x", "..",
    "a.ts#x", "%61.ts", "index.m3u8", "C:\\a.ts", "file:///etc/passwd", "http://x/a.ts", "a.ts@0-", "x" * 1_024, "📺",
    "../../run/streamlimit.db", "\u202e", "a.ts\n",
]  # fmt: skip
OTHER_TYPES = [
    "text/plain", "text/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "*/*", "json",
    "application/jsonp", "application/json2", "application", "", ";", "application/problem+json", "application/xml",
]  # fmt: skip
CREDENTIALS = [
    "Bearer wrong-operator-key", "Bearer", "Bearer  ", "Basic bWFsbG9yeTp4", "Digest x", "x", "", "Bearer a.b.c",
    f"Bearer {GRANT}x", f"Bearer {GRANT[:-3]}", f"Token {GRANT}", GRANT, f"Bearer {GRANT} {GRANT}", "Bearer \xff\xfe",
    f"Bearer sha256:{'0' * 64}", "Bearer " + "x" * 9_000, f"Bearer {GRANT},{GRANT}",
]  # fmt: skip
METHODS = [
    ("/v1/segments", "POST", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "TRACE", "PROPFIND"]),
    ("/v1/streams", "GET, HEAD", ["POST", "PUT", "DELETE", "PATCH"]),
    ("/v1/expirations", "POST", ["GET", "HEAD", "PUT", "DELETE", "PATCH"]),
    (f"{HERE}/m/heartbeat", "POST", ["GET", "PUT", "DELETE"]),
    (f"{HERE}/m/end", "POST", ["GET", "HEAD", "PUT", "DELETE"]),
    (f"{HERE}/m", "DELETE, GET, HEAD", ["POST", "PUT", "PATCH"]),
    (f"/play/{GRANT}/tiny/a.ts", "GET, HEAD", ["POST", "PUT", "DELETE", "PATCH"]),
    ("/healthz", "GET, HEAD", ["POST", "PUT", "DELETE"]),
]
NOWHERE = [
    "/v1", "/v1/", "/v2/segments", "/v1/segments/", "/V1/segments", "//v1/segments", "/v1//segments", "/v1/segment",
    "/v1/users", "/v1/users/", "/v1/users//sessions", "/v1/users/mallory/sessions/",
    "/v1/users/a/b/sessions", "/v1/users/mallory/sessions/m/x", "/.env", "/%00", "/%",
    "/..", "/../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/play", "/play/", "/play/x", "/play/x/y", "/play/x/y/",
    "/playx/x/y/z", "/admin", "/problems", "/v1/segments%00", "/v1/segments%20", "/v1/\u202e", "/" + "x" * 8_000,
]  # fmt: skip
NO_ID_IN_PATH = [
    "a%2Fb",
    "a%5cb",
    "%00",
    "a%0a",
    "%C2%85",
    "%E2%80%A8",
    "x" * 129,
    "%ff",
    "%C0%AF",
    "%ED%A0%80",
    "%2e",
    "%2E.",
]


def _corpus() -> Iterator[Bad]:
    yield from (_segments(f"no JSON {i}", body) for i, body in enumerate(NO_JSON))
    yield from (_segments(f"no object {i}", body) for i, body in enumerate(NO_OBJECT))
    for field in ("user_id", "session_id", "stream_id"):
        yield from (_segments(f"{field} {i}", _with(**{field: bad})) for i, bad in enumerate(NO_ID))
        yield _segments(f"no {field}", {key: value for key, value in FORM.items() if key != field})
    yield from (_segments(f"replace {i}", _with(replace=bad)) for i, bad in enumerate(NO_ID) if bad is not None)
    yield from (_segments(f"device {i}", _with(device=bad)) for i, bad in enumerate(NO_DEVICE))
    yield from (_segments(f"segment {i}", _with(segment=bad)) for i, bad in enumerate(NO_SEGMENT))
    for i, name in enumerate(NO_NAME):
        yield _segments(f"no such segment {i}", _with(segment=name), 404, "unknown-segment")
    for stream in ("nothing", "TINY", "tiny.", "index.m3u8", "-", "~", "tiny:1"):
        yield _segments(f"no stream {stream}", _with(stream_id=stream), 404, "unknown-stream")
    for unknown in ("x", "User_id", "user_id ", "", "__proto__", "é", "k" * 50_000, "user_id\x00"):
        yield _segments(f"unknown field {unknown[:9]!r}", _with(**{unknown: 1}))
    yield from (
        _segments(f"type {i}", FORM, 415, "unsupported-media-type", Content_Type=kind)
        for i, kind in enumerate(OTHER_TYPES)
    )
    yield from (
        _segments(f"credential {i}", FORM, 401, "unauthenticated", Authorization=credential)
        for i, credential in enumerate(CREDENTIALS)
    )
    yield _segments("other's grant", FORM, 403, "forbidden", Authorization=f"Bearer {OTHERS_GRANT}")
    yield _segments("64 KiB and one", _padded(65_537), 413, "too-large")
    yield _segments("1 MiB", _padded(1 << 20), 413, "too-large")
    yield _segments("9 MiB", b"x" * (9 << 20), 413, "too-large")
    yield from _control_corpus()


def _control_corpus() -> Iterator[Bad]:
    for path, _allowed, methods in METHODS:
        for method in methods:
            name = f"{method} {path[:24]} {path[-9:]}"
            yield Bad(name, method, path, 405, "method-not-allowed", None, {})
    yield from (Bad(f"nowhere {i}", "GET", path, 404, "not-found", None, {}) for i, path in enumerate(NOWHERE))
    for i, bad in enumerate(NO_ID_IN_PATH):
        yield Bad(f"user in path {i}", "GET", f"/v1/users/{bad}/sessions", 400, "malformed", None, {})
        yield Bad(f"session in path {i}", "DELETE", f"{HERE}/{bad}", 400, "malformed", None, {})
    opened = [_with(user_id="a/b"), _with(extra=1), _with(segment="a.ts"), {"user_id": "mallory"}, [], _with(device=1)]
    for i, form in enumerate(opened):
        yield Bad(f"open {i}", "POST", "/v1/sessions", 400, "malformed", json.dumps(form).encode())
    yield Bad("open nothing", "POST", "/v1/sessions", 404, "unknown-stream", json.dumps(_with(stream_id="z")).encode())
    yield Bad("open as text", "POST", "/v1/sessions", 415, "unsupported-media-type", b"{}", {"Content-Type": "text/x"})
    yield Bad("open too large", "POST", "/v1/sessions", 413, "too-large", _padded(65_537))
    for i, beat in enumerate(
        [b"", b"{}", b"[]", b'{"stream_id":1}', b'{"stream_id":"tiny","x":1}', b'{"stream_id":""}']
    ):
        yield Bad(f"beat {i}", "POST", f"{HERE}/m/heartbeat", 400, "malformed", beat)
    yield Bad("beat nothing", "POST", f"{HERE}/m/heartbeat", 404, "unknown-stream", b'{"stream_id":"z"}')
    yield Bad("no session", "GET", f"{HERE}/never", 404, "unknown-session", None, {})
    for i, credential in enumerate(CREDENTIALS):
        headers = {"Authorization": credential}
        yield Bad(f"watch as {i}", "GET", HERE, 401, "unauthenticated", None, headers)
    yield Bad("watch other", "GET", HERE, 403, "forbidden", None, {"Authorization": f"Bearer {OTHERS_GRANT}"})
    yield Bad("sweep", "POST", "/v1/expirations", 401, "unauthenticated")
    yield Bad(
        "sweep by viewer", "POST", "/v1/expirations", 403, "forbidden", None, {"Authorization": f"Bearer {GRANT}"}
    )
    yield Bad("no grant", "GET", "/play/x/tiny/a.ts", 401, "unauthenticated", None, {})
    yield Bad("no file", "GET", f"/play/{GRANT}/tiny/z.ts", 404, "unknown-segment", None, {})
    yield Bad("no range", "GET", f"/play/{GRANT}/tiny/a.ts", 416, "range-not-satisfiable", None,
              {"Range": "bytes=9999999-"})  # fmt: skip


CORPUS = list(_corpus())


def _ask(service: Service, bad: Bad) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=20)
    target = "".join(c if 33 <= ord(c) < 127 else "".join(f"%{b:02x}" for b in c.encode()) for c in bad.path)
    connection.request(bad.method, target, bad.body, bad.headers)
    response = connection.getresponse()
    headers = {name.lower(): value for name, value in response.getheaders()}
    answer = response.status, headers, response.read()
    connection.close()
    return answer


def _refusals(service: Service) -> list[dict[str, Any]]:
    lines = (json.loads(line) for line in service.log().splitlines() if line.startswith("{"))
    return [line for line in lines if line["event"] == "refused"]


def test_the_corpus_is_large() -> None:
    assert len(CORPUS) >= 200
    assert len({bad.name for bad in CORPUS}) == len(CORPUS)


@pytest.mark.parametrize("bad", CORPUS, ids=[bad.name for bad in CORPUS])
def test_a_bad_request_gets_the_error_of_the_contract(service: Service, bad: Bad) -> None:
    seen = len(_refusals(service))

    status, headers, body = _ask(service, bad)

    assert (status, headers["content-type"]) == (bad.status, "application/problem+json")
    assert headers["cache-control"] == "no-store"
    assert headers["access-control-allow-origin"] == "*"
    if bad.method != "HEAD":
        told = json.loads(body)
        assert told["code"] == bad.code
        assert told["type"] == f"/problems/{bad.code}"
        assert (told["status"], told["title"]) == PROBLEMS[bad.code]
        assert told["detail"]
        assert len(body) < 2_000
    if status == 401:
        assert headers["www-authenticate"] == "Bearer"
    lines = _refusals(service)[seen:]
    assert [(line["code"], line["status"], line["method"]) for line in lines] == [(bad.code, bad.status, bad.method)]
    assert service.watching("mallory")["live_sessions"] == 0


@pytest.mark.parametrize(
    ("form", "field"),
    [
        (_with(user_id="a/b"), "user_id"),
        (_with(session_id=1), "session_id"),
        (_with(stream_id=None), "stream_id"),
        (_with(segment=""), "segment"),
        (_with(replace=".."), "replace"),
        (_with(extra=1), "extra"),
        (_with(device={"id": 1}), "device.id"),
        (_with(device={"id": "tv", "os": "x"}), "device.os"),
        (_with(session_id="m\ud800"), "session_id"),
        (_with(stream_id="\udfffm"), "stream_id"),
        (_with(segment="\ud800\ud800"), "segment"),
        ({"session_id": "m", "stream_id": "tiny"}, "user_id"),
        (_with(user_id="m\nm"), "user_id"),
        (_with(session_id=""), "session_id"),
        (_with(session_id="m\n"), "session_id"),
        (_with(stream_id="m" * 129), "stream_id"),
    ],
)
def test_what_is_malformed_is_named(service: Service, form: dict[str, Any], field: str) -> None:
    answer = service.post("/v1/segments", form)
    assert (answer.status, answer.json["field"]) == (400, field)
    assert field.split(".")[-1] in answer.json["detail"]


def test_a_bad_id_is_explained_in_words(service: Service) -> None:
    said = "user_id: holds a control character (U+0009), which is in no id"
    assert service.post("/v1/segments", _with(user_id="a\tb")).json["detail"] == said
    assert service.get("/v1/users/a%09b/sessions").json["detail"] == said
    asked = service.get("/v1/sessions?user_id=a%09b", key=OPERATOR_KEY).json
    assert (asked["detail"], asked["field"]) == (said, "user_id")
    assert service.get("/v1/users/%ff/sessions").json["detail"] == "user_id: is not UTF-8, percent-encoded"


@pytest.mark.parametrize(("path", "allowed"), [(path, allowed) for path, allowed, _ in METHODS])
def test_what_may_be_done_is_said(service: Service, path: str, allowed: str) -> None:
    answer = service.call("PATCH", path)
    assert answer.status == 405
    assert set(answer.headers["allow"].split(", ")) == {*allowed.split(", "), "OPTIONS"}


@pytest.mark.parametrize("size", [65_535, 65_536])
def test_a_body_of_up_to_64_kib_is_read(service: Service, size: int) -> None:
    user = "u-" + secrets.token_hex(4)
    text = json.dumps(FORM | {"user_id": user})[:-1].encode()
    body = text + b" " * (size - len(text) - 1) + b"}"
    assert len(body) == size
    assert service.post("/v1/segments", body).status == 200


@pytest.mark.parametrize("size", [65_536, 65_537, 300_000])
def test_a_body_that_comes_in_chunks_is_measured_too(service: Service, size: int) -> None:
    body = _padded(size) if size > 65_536 else b"x" * size
    head = b"POST /v1/segments HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(c), c) for c in (body[i : i + 9_999] for i in range(0, size, 9_999)))
    answer = _raw(service, head + chunks + b"0\r\n\r\n")
    assert answer.split(b" ")[1] == (b"413" if size > 65_536 else b"400")


def test_who_asks_before_sending_too_much_is_told_at_once(service: Service) -> None:
    head = b"POST /v1/segments HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\nExpect: 100-continue\r\n\r\n"
    assert _raw(service, head).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8", "Application/JSON", None])
def test_json_by_its_names(service: Service, kind: str | None) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=10)
    form = json.dumps(FORM | {"user_id": "u-" + secrets.token_hex(4)}).encode()
    connection.request("POST", "/v1/segments", form, {} if kind is None else {"Content-Type": kind})
    assert connection.getresponse().status == 200
    connection.close()


# What is no HTTP: the server's own answer

RAW = {
    "length is a word": b"POST /v1/segments HTTP/1.1\r\nHost: x\r\nContent-Length: abc\r\n\r\n",
    "length is negative": b"POST /v1/segments HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    "length is no whole number": b"POST /v1/segments HTTP/1.1\r\nHost: x\r\nContent-Length: 1.5\r\n\r\n",
    "length is beyond all": b"POST /v1/segments HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"9" * 40 + b"\r\n\r\n",
    "two lengths": b"POST /v1/segments HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
    "length and chunks": b"POST / HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
    "bad chunk": b"POST /v1/segments HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n",
    "garbage": b"GARBAGE\r\n\r\n",
    "binary": bytes(range(256)) + b"\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 100,
    "NUL in the path": b"GET /v1/str\x00eams HTTP/1.1\r\nHost: x\r\n\r\n",
    "bytes in the path": b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
    "NUL in a header": b"GET /v1/streams HTTP/1.1\r\nHost: x\r\nX: a\x00b\r\n\r\n",
    "space in a header's name": b"GET /v1/streams HTTP/1.1\r\nHost: x\r\nX Y: a\r\n\r\n",
    "header without a name": b"GET /v1/streams HTTP/1.1\r\nHost: x\r\n: a\r\n\r\n",
    "folded header": b"GET /v1/streams HTTP/1.1\r\nHost: x\r\n y\r\n\r\n",
    "unknown method": b"BREW /v1/streams HTTP/1.1\r\nHost: x\r\n\r\n",
    "lower case method": b"get /v1/streams HTTP/1.1\r\nHost: x\r\n\r\n",
    "CONNECT": b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n",
    "huge URL": b"GET /" + b"a" * 300_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "smuggled": b"POST /v1/segments HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: x\r\n\r\n{}abc",
    "HTTP/9": b"GET /v1/streams HTTP/9.9\r\nHost: x\r\n\r\n",
    "bare CR": b"GET /v1/streams HTTP/1.1\rHost: x\r\r",
}


@pytest.mark.parametrize("name", RAW)
def test_what_is_no_http_gets_400_and_does_no_harm(service: Service, name: str) -> None:
    answer = _raw(service, RAW[name])
    status = b"505" if name == "HTTP/9" else b"4"
    assert answer == b"" or answer.startswith(b"HTTP/1.1 " + status), answer[:200]
    assert service.watching("mallory")["live_sessions"] == 0


WEIRD = [
    b"X: " + b"a" * 20_000, b"Cookie: " + b"a=b; " * 5_000, b"Accept: */*, \xff", b"User-Agent: \xf0\x9f\x8e\xac",
    b"Range: bytes=0-1,2-3,4-5", b"If-None-Match: " + b'"x",' * 1_000, b"Accept-Encoding: gzip, br, zstd, \xe9",
    b"Origin: null", b"Origin: javascript:alert(1)", b"X-Forwarded-For: 1.2.3.4\r\nForwarded: for=1.2.3.4",
    b"Upgrade: websocket\r\nSec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13", b"TE: trailers",
    b"X-HTTP-Method-Override: DELETE", b"Content-Type: \xff", b"Content-Length: 0", b"Expect: 200-ok",
    b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA",
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(WEIRD)))
def test_a_weird_header_changes_nothing(service: Service, number: int) -> None:
    head = b"GET /v1/streams?%ff=%00&a&&== HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    answer = _raw(service, head + WEIRD[number] + b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200"), answer[:300]


def _raw(service: Service, request: bytes) -> bytes:
    """All that comes back; the connection is half closed after *request*."""
    answer = b""
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        try:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(65_536):
                answer += part
        except (ConnectionResetError, BrokenPipeError):
            pass
    return answer


# What comes from us


def test_a_store_that_is_away_is_503_with_retry_after(tmp_path: Path) -> None:
    with servers.single("redis") as server, started(tmp_path, segment_seconds=6, store=server.url) as service:
        assert service.segment("u", "s", "orchard").status == 200
        server.kill()
        for answer in (
            service.segment("new", "s", "orchard"),
            service.get("/readyz"),
            service.post("/v1/expirations", key=OPERATOR_KEY),
            service.get("/v1/users/u/sessions"),
        ):
            assert (answer.status, answer.json["code"]) == (503, "store-unavailable")
            assert int(answer.headers["retry-after"]) >= 1
            assert str(server.port) not in answer.body.decode()
        assert service.get("/healthz").status == 200
        causes = [line["cause"] for line in _refusals(service) if line["code"] == "store-unavailable"]
        assert len(causes) == 4
        assert all(causes), "the log says why; the answers do not say where"


async def _ask_in_process(door: FrontDoor, path: str) -> httpx.Response:
    server = await asyncio.get_running_loop().create_server(lambda: connection(door.handle), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        return await client.get(path)


@pytest.mark.parametrize("path", ["/v1/streams", "/play/GRANT/orchard/master.m3u8"])
async def test_what_is_our_own_fault_is_a_problem_too(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a bug of ours")

    monkeypatch.setattr(Catalog, "look_over", broken)
    monkeypatch.setattr(Catalog, "stream", broken)

    settings = load_settings(store=f"sqlite:///{tmp_path}/x.db", streams=str(SAMPLES), grant_keys=[GRANT_KEY])
    service = await build_service(settings)
    answer = await _ask_in_process(FrontDoor(service, Edge(service)), path.replace("GRANT", GRANT))

    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert answer.json()["code"] == "internal"
    assert "a bug of ours" not in answer.text
    assert GRANT not in capsys.readouterr().err
