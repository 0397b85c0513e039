"""Any request to `/edge/…` gets a proper answer: no failure, and no seat without a right to it."""

import base64
import http.client
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.edge.calls import Viewer, some_user
from tests.service import Service

JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
CMCD = {"Content-Type": "application/cmcd"}
BASIC = {"Authorization": "Basic " + base64.b64encode(b"app:").decode()}
G = "\0"
"""In what follows: the viewer's grant."""

WRONG_URIS = [
    "",
    "?",
    "*",
    "a",
    "/",
    "//play",
    "/play/",
    f"/play/{G}",
    f"/play/{G}~~1/film/000.ts",
    f"/play/{G}~1~2/film/000.ts",
    f"/play/{G}~/film/000.ts",
    "/play/~1/film/000.ts",
    f"/play/{G}~{'f' * 400}/film/000.ts",
    f"/play/{G}/film/%00.ts",
    f"/play/{G}/film/%ff.ts",
    f"/play/{G}/%ff/x.ts",
    f"/play/{G}/film/..%2f000.ts",
    f"/film/000.ts?grant=x&grant={G}",
    f"/film/000.ts?Grant={G}",
    "/film/000.ts?grant=%ff%fe",
    f"/play/{G}/film/000.ts#x",
    f"/play/{G}/film\\000.ts",
    f"/PLAY/{G}/film/000.ts",
    f"/%70lay/{G}/film/000.ts",
    f"/play/{G}/film/%2e/000.ts",
    f"/play/{G}/./film/000.ts",
    f"/play/{G}//film/000.ts",
    "\xff\xfe",
    "/play/\xff/film/000.ts",
    "/" + "a/" * 3_000,
    f"/play/{G}/../1.ts",
    f"/play/{G}/%ED%A0%80/1.ts",
    f"/play/{G}/elsewhere/%ED%A0%80.ts",
    f"/play/{G}/{'x' * 129}/0.ts",
    f"/play/{G}/film/nothing.ts",
]
REPORT = {"grant": G, "path": "elsewhere/1.ts", "complete": True}
REPORTS: list[Any] = [
    REPORT,
    [[]],
    None,
    "x",
    {},
    [REPORT] * 1_001,
    [REPORT | {"x": 1}],
    [REPORT | {"complete": "yes"}],
    *(
        [REPORT | {"at": at}]
        for at in (
            1e308,
            -1e308,
            10**400,
            "now",
            "",
            True,
            "2026-01-01",
            "0001-01-01T00:00:00+23:59",
            "9999-12-31T23:59:59-23:59",
            "2999-01-01T00:00:00Z",
        )
    ),
    *(
        [REPORT | {"path": path}]
        for path in ("", "/", "film", "film/../x", "\ud800", "film/\u2028.ts", "film/\0.ts", "é" * 9)
    ),
    *([REPORT | {"grant": grant}] for grant in ("x", "a.b.c", f"{G}~zz", "é", "\ud800", "a" * 9_000)),
    [REPORT | {"status": 99}],
    [REPORT | {"bytes": 10**30}],
    [REPORT | {"path": "elsewhere/" + "9" * 4_000 + ".ts"}],
]
FORMS = [
    b"",
    b"call=\xff",
    b"call=play&name=%ff&grant=\0",
    b"&&&=",
    b"call=play&name=a/b&grant=\0",
    b"call=%" + b"%" * 99,
    b"call=play&name=film&addr=%00&grant=\0",
    b"call=play&name=film&addr=garbage&grant=\0",
    b"call=play&name=film&addr=fe80::1%25eth0&grant=\0",
    b"call=update_play&name=film&clientid=%E2%80%A8&grant=\0",
    b"call=play_done&name=" + b"x" * 5_000 + b"&grant=\0",
    b"call=play&call=x",
    b"a=b&" * 9_000,
]
SRS = {"action": "on_play", "stream": "film", "param": f"?grant={G}"}
MEDIAMTX = {"action": "read", "path": "film", "token": G}
OUTGOING = {"direction": "outgoing", "url": f"ws://h/app/film?grant={G}"}
HOOKS: list[tuple[str, Any]] = [
    *(
        ("srs", SRS | odd)
        for odd in (
            {"client_id": 10**50},
            {"client_id": 1.5},
            {"stream": "a/b"},
            {"ip": "fe80::1%eth0"},
            {"action": 1},
            {"ip": "\ud800"},
            {"param": "?grant=%ff"},
            {"action": "on_stop", "stream": ""},
        )
    ),
    *(
        ("mediamtx", MEDIAMTX | odd)
        for odd in (
            {"path": ""},
            {"path": "//"},
            {"path": "a/../b"},
            {"path": "x" * 300},
            {"id": None},
            {"action": "\ud800"},
            {"ip": "fe80::1%eth0"},
            {"token": "é" * 9_000},
        )
    ),
    *(
        ("ome", {"request": OUTGOING | odd})
        for odd in (
            {"url": "x"},
            {"url": f"ws://[h/app/film?grant={G}"},
            {"url": "\ud800"},
            {"url": f"ws://h/app/%ff?grant={G}"},
            {"status": "odd"},
            {"direction": "x"},
        )
    ),
    *((name, odd) for name in ("srs", "mediamtx", "ome") for odd in ({}, [], None, {"request": None})),
]
BEATS = [
    b"",
    b"\n\n",
    b"\xff",
    b"e=t," * 9_000,
    b'e=t,cid="\xff"',
    b'e=t,cid="' + b"x" * 200 + b'"',
    b"v=" + b"9" * 20,
    b'e=t;x="',
    b"(" * 30_000,
    b'a="' + b"\\" * 30_000,
    b'e=t,cid=".."',
    'e=t,cid="\u2028"'.encode(),
    b"e=t,ts=-1",
    b"a=(" + b'"x" ' * 9_000,
]
CALLS = [
    "sessions/%ff/b",
    "sessions//",
    "sessions/a/b/" + "f" * 99,
    "runningStreams/%00/b",
    "sessions/%2F/%5C",
    "",
    "x",
    "sessions/a/b?channel=%ff",
    "sessions/a/b?" + "a=b&" * 300,
    "sessions/a/b?channel=" + "x" * 300,
]
DIGITS = "9" * 16_000 + "x1y-"
DEVIOUS: list[tuple[str, dict[str, str], Any]] = [
    ("cmcd/" + G, CMCD, b"e=t,a=(" + b'%""' * 9_000),
    ("cmcd/" + G, CMCD, b"e=t,a=(" + b'%"' * 30_000),
    ("reports", JSON, [REPORT | {"path": "film/" + DIGITS}] * 200),
    ("reports", JSON, [{"path": f"/play/x/film/{DIGITS}", "complete": True}] * 200),
]
"""Texts that a careless pattern tries to read in more ways than anybody has time for."""

METHODS = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "TRACE", "PROPFIND", "X" * 30]
PLACES = [
    "auth",
    f"envoy/play/{G}/film/nothing.ts",
    "reports",
    f"cmcd/{G}",
    "rtmp",
    "srs",
    "mediamtx",
    "ome",
    "adobe/v2/x",
    "",
    "auth/x",
    "envoy",
    "envoyx",
]


class Attacker:
    """One connection, and a grant that is good."""

    def __init__(self, service: Service, grant: str) -> None:
        self._line, self._grant = http.client.HTTPConnection("127.0.0.1", service.port, timeout=20), grant

    def send(self, method: str, target: str, headers: dict[str, str] | None = None, body: Any = None) -> int:
        """The status. What cannot be written as it is goes out as Latin-1."""
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        self._line.putrequest(method, f"/edge/{target}".replace(G, self._grant), skip_accept_encoding=True)
        for name, value in (headers or {}).items():
            self._line.putheader(name, value.replace(G, self._grant).encode("latin-1"))
        content = (body or b"").replace(b"\\u0000", G.encode()).replace(G.encode(), self._grant.encode())
        self._line.putheader("Content-Length", str(len(content)))
        self._line.endheaders(content)
        answer = self._line.getresponse()
        answer.read()
        return answer.status

    def close(self) -> None:
        self._line.close()


@pytest.fixture
def viewer(any_stream_service: Service) -> Viewer:
    """Whose session has ended, and whose grant is good."""
    viewer = Viewer(any_stream_service, some_user(), "s", "film")
    any_stream_service.post(f"/v1/users/{viewer.user}/sessions/s/end", {"grant": viewer.grant, "keep_grant": True})
    return viewer


@pytest.fixture
def attacker(any_stream_service: Service, viewer: Viewer) -> Iterator[Attacker]:
    attacker = Attacker(any_stream_service, viewer.grant)
    yield attacker
    attacker.close()


def test_no_odd_uri_is_a_yes_or_a_failure(attacker: Attacker, viewer: Viewer) -> None:
    good = f"/play/{G}/film/000.ts"
    for uri in WRONG_URIS:
        for name, other in (("X-Original-URI", "X-Forwarded-Uri"), ("X-Forwarded-Uri", "X-Original-URI")):
            assert attacker.send("GET", "auth", {name: uri}) in (401, 403), uri
            if uri:  # an empty one says nothing
                assert attacker.send("GET", "auth", {name: uri, other: good}) in (401, 403), uri
        if uri.startswith("/") and uri.isascii() and "#" not in uri and "\\" not in uri:
            assert attacker.send("GET", "envoy" + uri) in (400, 401, 403, 404), uri
    assert viewer.state() is None


def test_no_odd_report_gives_a_seat_or_is_a_failure(attacker: Attacker, viewer: Viewer) -> None:
    for report in REPORTS:
        assert attacker.send("POST", "reports", JSON, report) in (200, 400), report
    for body in (b"[", b"\xff", b"[" * 60_000, b"[]\x01", b"", b"NaN", "[]".encode("utf-16")):
        assert attacker.send("POST", "reports", JSON, body) == 400
    assert viewer.state() is None


def test_no_odd_hook_is_a_failure(attacker: Attacker) -> None:
    for form in FORMS:
        assert attacker.send("POST", "rtmp", FORM, form) in (200, 400, 401, 409), form
    for name, hook in HOOKS:
        assert attacker.send("POST", name, JSON, hook) in (200, 400, 401, 409), hook
    for name in ("srs", "mediamtx", "ome"):
        for body in (b"\xff", b"{", b"[" * 50_000, "{}".encode("utf-16")):
            assert attacker.send("POST", name, JSON, body) == 400


def test_no_odd_beat_and_no_odd_call_of_an_app_is_a_failure(attacker: Attacker, viewer: Viewer) -> None:
    for beat in BEATS:
        for place in ("cmcd/" + G, f"cmcd/{G}~zz", "cmcd/x"):
            assert attacker.send("POST", place, CMCD, beat) in (204, 400, 401, 410), beat
    assert viewer.state() is None
    for call in CALLS:
        for method in ("GET", "POST", "DELETE"):
            for body in (b"", b"\xff", b"channel=%00", b"channel=film&deviceName=" + b"x" * 9_000):
                assert attacker.send(method, "adobe/v2/" + call, BASIC | {"X-Terminate": "a, \xff"}, body) < 500, call


def test_no_text_keeps_a_worker_busy(attacker: Attacker) -> None:
    for place, headers, body in DEVIOUS:
        assert attacker.send("POST", place, headers, body) in (200, 400), place


def test_no_method_anywhere_is_a_failure(attacker: Attacker, viewer: Viewer) -> None:
    for method in METHODS:
        for place in PLACES:
            uri = {"X-Original-URI": f"/play/{G}/film/nothing.ts", "X-Original-Method": method}
            assert attacker.send(method, place, uri) in (400, 401, 403, 404, 405, 415), (method, place)
    assert viewer.state() is None
