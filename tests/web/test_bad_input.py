"""Several hundred bad requests: each gets a 4xx that says why, none takes a seat, and the process does not grow.

The meaning of the commonest ones is tested in test_errors.py; this is the long list.
"""

# ruff: noqa: E501  (lists of inputs read better with as many on a line as fit)

import json
import socket
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest

from streamlimit.web.grants import Grants
from streamlimit.web.problems import PROBLEMS
from tests.service import OPERATOR_KEY, Service, started, temporary_folder

GRANT_KEY = "the-grant-key-of-the-bad-input"
DEEP = "device=tv&cursor=" + urlsafe_b64encode(b"[null,null,null," + b"[" * 1_100).decode().rstrip("=")
GRANT = Grants([GRANT_KEY], 3_600).sign("mallory", "m")
SETTINGS: dict[str, Any] = {"segment_seconds": 60, "grant_keys": [GRANT_KEY], "request_seconds": 1}
JSON = "Content-Type: application/json"
OPERATOR = f"Authorization: Bearer {OPERATOR_KEY}"
FORM: dict[str, Any] = {"user_id": "mallory", "session_id": "m", "stream_id": "orchard"}
ME = "/v1/users/mallory/sessions"


class Case(NamedTuple):
    """One request, as bytes."""

    name: str
    request: bytes


def _case(name: str, method: str, path: str, body: bytes | None = None, *headers: str) -> Case:
    lines = [f"{method} {path} HTTP/1.1", "Host: x", "Connection: close", *headers]
    if body is not None and not any(header.lower().startswith("content-length") for header in headers):
        lines.append(f"Content-Length: {len(body)}")
    head = "\r\n".join(lines).encode("utf-8", "surrogateescape")
    return Case(f"{name}: {method} {path[:60]}", head + b"\r\n\r\n" + (body or b""))


def _json(name: str, path: str, form: Any) -> Case:
    return _case(name, "POST", path, json.dumps(form).encode(), JSON)


NO_IDS: list[Any] = [
    0, -1, 1.5, True, [], {}, ["a"], "", "a/b", "a\\b", "a\0b", "a\nb", "\x1b[2J", "a\x7fb", "a\x85b", "a\r\nX: y", "\u2028",
    "a\u2029b", "a" * 129, "\ud800", "a\udfff", "é" * 129, "\N{CLAPPER BOARD}" * 65, ".", "..", "/", "\\",
]  # fmt: skip
NO_DEVICES: list[Any] = [
    0, True, [], "", "x" * 129, {"id": 1}, {"id": ""}, {"ids": "x"}, {"id": "x" * 129}, {"type": []}, {"name": None, "x": 1},
]  # fmt: skip
NO_SEGMENTS: list[Any] = [
    0, [], "", "x" * 1_025, "../x", "..", ".", "/etc/passwd", "a\\b", "%2e%2e/x", "a\0b", "//x", "http://x/y", "a/../../b",
    "\N{CLAPPER BOARD}", "....//x", "master.m3u8", "no-such.ts", "video-180p", "video-180p/", "./000.ts",
]  # fmt: skip


def _forms() -> Iterator[Case]:
    for value in NO_IDS:
        shown = ascii(value)[:20]
        for field in ("user_id", "session_id", "stream_id", "replace"):
            yield _json(f"{field}={shown}", "/v1/segments", FORM | {field: value})
            yield _json(f"{field}={shown}", "/v1/sessions", FORM | {field: value})
        yield _json(f"stream_id={shown}", f"{ME}/m/heartbeat", {"stream_id": value})
    for value in NO_DEVICES:
        for path in ("/v1/segments", "/v1/sessions"):
            yield _json(f"device={ascii(value)[:20]}", path, FORM | {"device": value})
    for value in NO_SEGMENTS:
        yield _json(f"segment={ascii(value)[:20]}", "/v1/segments", FORM | {"segment": value})
    for value in (0, "", "p" * 129, [], True):
        yield _json(f"plan={ascii(value)[:20]}", "/v1/sessions", FORM | {"plan": value})
    for field in FORM:
        rest = {name: value for name, value in FORM.items() if name != field}
        yield _json(f"without {field}", "/v1/segments", rest)
        yield _json(f"{field} null", "/v1/segments", FORM | {field: None})
    for extra in ("User_id", "user_id ", "admin", "__proto__", "limit", "max_sessions", "", "é", "x" * 10_000):
        yield _json(f"and {extra[:20]}", "/v1/segments", FORM | {extra: 1})
        yield _json(f"and {extra[:20]}", "/v1/sessions", FORM | {extra: 1})
    for stream in ("no-such", "..", ".", "~", "-", "%", "orchard.", "Orchard", "a" * 128):
        yield _json(f"stream {stream[:20]}", "/v1/segments", FORM | {"stream_id": stream})
        yield _json(f"stream {stream[:20]}", "/v1/sessions", FORM | {"stream_id": stream})


BODIES: dict[str, bytes] = {
    "half": b"{", "list": b"[]", "null": b"null", "text": b'"x"', "number": b"1", "no UTF-8": b"\xff\xfe\x00",
    "with a BOM": b"\xef\xbb\xbf" + json.dumps(FORM).encode(), "UTF-16": json.dumps(FORM).encode("utf-16"),
    "deep lists": b"[" * 20_000, "deep objects": b'{"user_id":' * 5_000, "a huge number": b'{"user_id":' + b"9" * 5_000 + b"}",
    "NaN": b'{"user_id": NaN}', "trailing": json.dumps(FORM).encode() + b"x", "two": json.dumps(FORM).encode() * 2,
    "single quotes": b"{'user_id': 'x'}", "comment": b"{/* */}", "bad escape": b'{"user_id": "\\x41"}',
    "half a surrogate": b'{"user_id": "\\ud800"}', "control character": b'{"user_id": "\x01"}', "NULs": b"\0" * 100,
    "white space": b" \n\t" * 100, "XML": b"<a/>", "form": b"user_id=mallory&session_id=m", "true": b"true",
    "too large": b'{"user_id": "' + b"x" * 70_000 + b'"}', "a million spaces": b" " * 1_000_000,
}  # fmt: skip


def _bodies() -> Iterator[Case]:
    for name, body in BODIES.items():
        for path in ("/v1/segments", "/v1/sessions", f"{ME}/m/heartbeat"):
            yield _case(name, "POST", path, body, JSON)
        yield _case(name, "PUT", "/v1/users/mallory/limit", body, JSON, OPERATOR)
        yield _case(name, "POST", "/v1/expirations", body, JSON, OPERATOR)
    for value in (0, 65, -1, 1.5, "3", None, True, [], 1e300):
        yield _case(
            f"limit {value}",
            "PUT",
            "/v1/users/mallory/limit",
            json.dumps({"max_sessions": value}).encode(),
            JSON,
            OPERATOR,
        )
    for value in (0, -1, 901, "1", [], True):
        yield _case(
            f"for {value}", "POST", "/v1/expirations", json.dumps({"max_seconds": value}).encode(), JSON, OPERATOR
        )
    for kind in ("text/plain", "application/xml", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded",
                 "application/jsonx", "json", "*/*", "", "application/json/x", "text/json"):  # fmt: skip
        for path in ("/v1/segments", "/v1/sessions", f"{ME}/m/heartbeat"):
            yield _case(f"as {kind}", "POST", path, json.dumps(FORM).encode(), f"Content-Type: {kind}")


def _paths() -> Iterator[Case]:
    ids = [value for value in NO_IDS if isinstance(value, str) and value and "/" not in value]
    for value in ids:
        text = quote(value.encode("utf-8", "surrogatepass"), safe="")
        yield _case("id", "GET", f"/v1/users/{text}/sessions")
        yield _case("id", "DELETE", f"/v1/users/mallory/sessions/{text}")
        yield _case("id", "POST", f"/v1/users/{text}/sessions/m/end")
        yield _case("id", "POST", f"/v1/users/{text}/sessions/m/heartbeat", b'{"stream_id": "orchard"}', JSON)
        yield _case("id", "GET", f"/v1/users/{text}/limit", None, OPERATOR)
        yield _case("id", "GET", f"/v1/sessions?user_id={text}", None, OPERATOR)
    for query in ("limit=0", "limit=-1", "limit=1001", "limit=x", "limit=1e3", "limit=", "state=gone", "state=",
                  "cursor=%00", "cursor=!!", "cursor=e30", "cursor=W10", "cursor=bnVsbA", "cursor=WzEsMiwzXQ",
                  "cursor=" + "A" * 3_000, DEEP, "stream_id=a%2fb", "limit=99999999999999999999", "limit=" + "9" * 5_000, "limit=%EF%BC%91", "limit=NaN", "limit=%00", "state=active&state=x"):  # fmt: skip
        yield _case("query", "GET", f"/v1/sessions?{query}", None, OPERATOR)
    for path in ("/nowhere", "/v1", "/v1/", "/v2/segments", "/v1/segments/", "/v1/sessions/x", "/v1/users", "/v1/users//sessions",
                 "/v1/users/mallory", "//v1/streams", "/v1/../v1/x", "/%2e%2e/x", "/v1/streams/", "/static/", "/static/../watch.html",
                 "/static/%2e%2e/pages.py", "/static/..%2fpages.py", "/.git/config", "/problems", "/metrics/", "/é", "/%ff", "/%",
                 "/play", "/play/", "/play//", "/v1/users/mallory/sessions/m/heartbeat/", "/v1/users/mallory/sessions//heartbeat"):  # fmt: skip
        yield _case("path", "GET", path)
    for method in ("PATCH", "TRACE", "PUT", "PROPFIND", "PURGE", "LOCK"):
        for path in (
            "/v1/segments",
            "/v1/sessions",
            f"{ME}/m/heartbeat",
            "/healthz",
            f"/play/{GRANT}/orchard/master.m3u8",
        ):
            yield _case("method", method, path)


def _credentials() -> Iterator[Case]:
    bad = ["", "x", "Bearer", "Bearer ", "Bearer  ", "Basic eDp4", "Digest x", "Bearer x y", "Bearer " + "x" * 9_000, "bearer x",
           "Bearer \xe9", f"Bearer {GRANT}x", f"Bearer {GRANT[:-1]}", f"Bearer .{GRANT}", "Bearer ..", "Bearer e30.e30.e30",
           "Bearer eyJhbGciOiJub25lIn0.e30.", "Bearer sha256:" + "0" * 64, f"Token {GRANT}", f"{GRANT}", "Bearer null",
           f"Bearer {OPERATOR_KEY} x", f"Bearer {OPERATOR_KEY.upper()}", "Bearer " + "A" * 31 + "." + "B" * 31 + "." + "C" * 31]  # fmt: skip
    for text in bad:
        header = f"Authorization: {text}"
        yield _case(f"credential {text[:20]}", "GET", ME, None, header)
        yield _case(f"credential {text[:20]}", "POST", "/v1/segments", json.dumps(FORM).encode(), JSON, header)
        yield _case(f"credential {text[:20]}", "POST", f"{ME}/m/heartbeat", b'{"stream_id": "orchard"}', JSON, header)
        yield _case(f"credential {text[:20]}", "GET", "/v1/stats", None, header)
    for grant in ("x", "..", "%2e%2e", "a.b.c", GRANT[:-2], GRANT + "A", GRANT.replace(".", "%2E", 1) + "A", "%00", "é", "x" * 8_000,
                  "e30.e30.e30", "eyJhbGciOiJub25lIn0.e30."):  # fmt: skip
        yield _case("grant", "GET", f"/play/{grant}/orchard/master.m3u8")


def _play() -> Iterator[Case]:
    for path in ("../clock/master.m3u8", "..%2fclock%2fmaster.m3u8", "%2e%2e/clock/master.m3u8", "....//x", "/etc/passwd",
                 "%2fetc%2fpasswd", "video-180p", "video-180p/", ".", "..", "%00", "master.m3u8%00", "master.m3u8/",
                 "master.m3u8/x", "MASTER.M3U8", "no-such.ts", "a\\b", "%5c..%5cx", "\xff", "%ff", "x" * 2_000, "%", "%zz",
                 "master.m3u8%0d%0aX:%20y", ".hidden", "~", "*", "video-180p/../../clock/master.m3u8", "streamlimit.json/x"):  # fmt: skip
        yield _case("file", "GET", f"/play/{GRANT}/orchard/{path}")
    for stream in ("no-such", "..", ".", "%2e%2e", "", "orchard%2f..", "a%20b", "%00", "x" * 200, "\xe9"):
        yield _case("stream", "GET", f"/play/{GRANT}/{stream}/master.m3u8")
    media = f"/play/{GRANT}/orchard/video-180p.m3u8"
    for text in ("bytes=999999999-", "bytes=99999999-999999999", "bytes=-0"):
        yield _case("range", "GET", media, None, f"Range: {text}")


def _framing() -> Iterator[Case]:
    raw = {
        "no path": b"GET HTTP/1.1\r\n\r\n",
        "a space too many": b"GET  /x  HTTP/1.1\r\nConnection: close\r\n\r\n",
        "two lengths": b"POST /v1/segments HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}x",
        "length and chunks": b"POST /v1/segments HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "a negative length": b"POST /v1/segments HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        "a length that is none": b"POST /v1/segments HTTP/1.1\r\nHost: x\r\nContent-Length: ten\r\n\r\n",
        "a huge length": b"POST /v1/segments HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        "a bad chunk": b"POST /v1/segments HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "a NUL in a header": b"GET /nowhere HTTP/1.1\r\nX: a\0b\r\n\r\n",
        "a header without a colon": b"GET /healthz HTTP/1.1\r\nHost x\r\n\r\n",
        "a space before the colon": b"GET /healthz HTTP/1.1\r\nHost : x\r\n\r\n",
        "a folded header": b"GET /healthz HTTP/1.1\r\nX: a\r\n\tb\r\n Y\r\n\0\r\n\r\n",
        "control characters": bytes(range(1, 32)) * 4 + b"\r\n\r\n",
        "a proxy's CONNECT": b"CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: x\r\n\r\n",
        "another scheme": b"GET ftp://x/y HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "TLS": b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + b"x" * 100,
        "redis": b"*1\r\n$4\r\nPING\r\n",
    }
    for name, request in raw.items():
        yield Case(name, request)


CASES = [*_forms(), *_bodies(), *_paths(), *_credentials(), *_play(), *_framing()]


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with temporary_folder() as folder, started(folder, **SETTINGS) as service:
        yield service
        assert service.get("/v1/sessions", key=OPERATOR_KEY).json["sessions"] == [], "a bad request takes no seat"
        assert "Traceback" not in service.log()


def ask(service: Service, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", service.port), 20) as line:
        with suppress(ConnectionError):
            line.sendall(request)
        if not request.startswith((b"GET ", b"POST ", b"PUT ")):
            with suppress(OSError):
                line.shutdown(socket.SHUT_WR)
        answer = b""
        with suppress(ConnectionError):
            while part := line.recv(65_536):
                answer += part
        return answer


@pytest.mark.parametrize("number", range(len(CASES)))
def test_a_bad_request_is_refused_in_words(service: Service, number: int) -> None:
    case = CASES[number]
    answer = ask(service, case.request)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith((b"HTTP/1.1 4", b"HTTP/1.1 505")), (case, answer[:300])
    told = json.loads(body)
    assert int(head[9:12]) == told["status"] == PROBLEMS[told["code"]][0]
    assert b"application/problem+json" in head.lower()


def test_there_are_enough_of_them() -> None:
    assert len(CASES) >= 500


def test_again_and_again_they_leave_no_trace_in_memory(service: Service) -> None:
    def rss() -> int:
        return int(Path(f"/proc/{service.process.pid}/statm").read_text().split()[1])

    def all_of_them() -> None:
        for case in CASES:
            ask(service, case.request)

    all_of_them()
    before = rss()
    all_of_them()
    assert rss() <= before * 1.1
