"""Every call with every kind of credential: exactly the documented answer (docs/how-to/credentials.md)."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.routing import Route

from streamlimit.web import rights
from streamlimit.web.control_plane import ROUTERS
from tests.service import OPERATOR_KEY, Answer, Service, started, temporary_folder
from tests.web.provider import Provider, new_key, token

SERVICE_KEY, READ_KEY = "service-key-of-the-tests", "read-key-of-the-tests"
ONE = "/v1/users/{user_id}/sessions/{session_id}"
ALL = "/v1/users/{user_id}/sessions"
LIMIT = "/v1/users/{user_id}/limit"
HISTORY = "/v1/users/{user_id}/history"
GONE = "/v1/users/{user_id}/terminations"

KINDS = ("none", "malformed", "wrong", "expired", "other user", "viewer", "grant", "other grant", "service", "read",
         "operator")  # fmt: skip

# The answers in the order of KINDS. "other grant": for another session of the same user.
DOCUMENTED: dict[str, str] = {
    #                             none  bad  wrong  exp  other viewer grant og  svc  read  op
    "POST /v1/segments":          "401  401  401    401  403   200    200   403 200  403   200",
    "POST /v1/sessions":          "401  401  401    401  403   200    200   403 200  403   200",
    "GET /v1/me":                 "401  401  401    401  200   200    200   200 200  200   200",
    "GET /v1/streams":            "401  401  401    401  200   200    200   200 200  200   200",
    f"GET {ALL}":                 "401  401  401    401  403   200    200   200 200  200   200",
    f"DELETE {ALL}":              "401  401  401    401  403   204    204   204 204  403   204",
    f"GET {ONE}":                 "401  401  401    401  403   200    200   403 200  200   200",
    f"DELETE {ONE}":              "401  401  401    401  403   204    204   403 204  403   204",
    f"POST {ONE}/end":            "401  401  401    401  403   204    204   403 204  403   204",
    f"POST {ONE}/heartbeat":      "401  401  401    401  403   200    200   403 200  403   200",
    "POST /edge/reports":         "401  401  401    401  403   403    403   403 200  403   200",
    "POST /v1/expirations":       "401  401  401    401  403   403    403   403 403  403   200",
    "GET /v1/sessions":           "401  401  401    401  403   403    403   403 403  200   200",
    f"PUT {LIMIT}":               "401  401  401    401  403   403    403   403 403  403   200",
    f"GET {LIMIT}":               "401  401  401    401  403   403    403   403 200  200   200",
    f"DELETE {LIMIT}":            "401  401  401    401  403   403    403   403 403  403   204",
    "DELETE /v1/users/{user_id}": "401  401  401   401  403   403    403   403 403  403   204",
    f"DELETE {GONE}":            "401  401  401    401  403   403    403   403 403  403   204",
    f"DELETE {GONE}/{{session_id}}": "401 401 401 401  403   403    403   403 403  403   204",
    "GET /v1/limits":             "401  401  401    401  403   403    403   403 403  200   200",
    "GET /v1/stats":              "401  401  401    401  403   403    403   403 403  200   200",
    "GET /v1/reports":            "401  401  401    401  403   403    403   403 403  200   200",
    "GET /v1/stats/series":       "401  401  401    401  403   403    403   403 403  200   200",
    f"GET {HISTORY}":               "401  401  401    401  403   403    403   403 403  200   200",
    "GET /metrics":               "401  401  401    401  403   403    403   403 403  200   200",
}  # fmt: skip


def _body(call: str, user: str) -> Any:
    return {
        "POST /v1/segments": {"user_id": user, "session_id": "a1", "stream_id": "orchard"},
        "POST /v1/sessions": {"user_id": user, "session_id": "a1", "stream_id": "orchard"},
        f"POST {ONE}/heartbeat": {"stream_id": "orchard"},
        "POST /edge/reports": [],
        f"PUT {LIMIT}": {"max_sessions": 5},
    }.get(call)


ELSEWHERE = {"GET /v1/events"}
"""Calls with tests of their own: an answer without an end."""


@pytest.fixture(scope="module")
def service(provider: Provider) -> Iterator[Service]:
    settings = provider.settings() | {"service_keys": [SERVICE_KEY], "operator_read_keys": [READ_KEY]}
    with temporary_folder() as folder, started(folder, **settings) as service:
        yield service


def _seated(service: Service, user: str, session: str = "a1") -> dict[str, Any]:
    form = {"user_id": user, "session_id": session, "stream_id": "orchard"}
    answer = service.post("/v1/sessions", form, key=SERVICE_KEY)
    assert answer.status in (200, 201), answer.body
    told: dict[str, Any] = answer.json
    return told


def _headers(kind: str, service: Service, provider: Provider, user: str) -> dict[str, str]:
    if kind == "none":
        return {}
    if kind == "malformed":
        return {"Authorization": "Basic YWxpY2U6cHc="}
    makers: dict[str, Callable[[], str]] = {
        "wrong": lambda: token(new_key("ES256"), user, "ES256"),
        "expired": lambda: provider.token(user, exp=1_000_000_000),
        "other user": lambda: provider.token("mallory"),
        "viewer": lambda: provider.token(user),
        "grant": lambda: _seated(service, user)["grant"],
        "other grant": lambda: _seated(service, user, "a2")["grant"],
        "service": lambda: SERVICE_KEY,
        "read": lambda: READ_KEY,
        "operator": lambda: OPERATOR_KEY,
    }
    return {"Authorization": f"Bearer {makers[kind]()}"}


def _call(service: Service, call: str, user: str, headers: dict[str, str]) -> Answer:
    method, path = call.split(" ", 1)
    path = path.replace("{user_id}", user).replace("{session_id}", "a1")
    return service.call(method, path, _body(call, user), headers=headers)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("call", DOCUMENTED)
def test_each_call_with_each_credential(service: Service, provider: Provider, call: str, kind: str, user: str) -> None:
    _seated(service, user)
    headers = _headers(kind, service, provider, user)
    expected = int(DOCUMENTED[call].split()[KINDS.index(kind)])
    answer = _call(service, call, user, headers)
    fits = (200, 201) if expected == 200 else (expected,)
    assert answer.status in fits, (answer.status, answer.body)
    if expected in (401, 403):
        assert answer.json["code"] == {401: "unauthenticated", 403: "forbidden"}[expected]
        assert ("www-authenticate" in answer.headers) is (expected == 401)
        sits = service.get(f"/v1/users/{user}/sessions/a1", key=SERVICE_KEY)
        assert sits.status == 200, "a refused call changes nothing"


@pytest.mark.parametrize("call", [f"DELETE {ONE}", f"DELETE {ALL}"])
def test_the_operator_terminates_where_the_others_end(service: Service, call: str, user: str) -> None:
    _seated(service, user)
    _call(service, call, user, {"Authorization": f"Bearer {SERVICE_KEY}"})
    assert _call(service, "POST /v1/segments", user, {"Authorization": f"Bearer {SERVICE_KEY}"}).status == 200
    _call(service, call, user, {"Authorization": f"Bearer {OPERATOR_KEY}"})
    assert _call(service, "POST /v1/segments", user, {"Authorization": f"Bearer {SERVICE_KEY}"}).status == 410


def test_the_table_here_the_one_in_the_code_and_the_routes_name_the_same_calls() -> None:
    routes = {
        f"{method} {route.path}"
        for router in ROUTERS
        for route in router.routes
        if isinstance(route, Route) and route.path not in rights.PUBLIC
        for method in route.methods or ()
    }
    hot = {"POST /edge/reports", "POST /v1/segments", f"POST {ONE}/heartbeat"}
    assert routes | hot == set(rights.RIGHTS)
    assert set(DOCUMENTED) == set(rights.RIGHTS) - ELSEWHERE


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/openapi.json", "/docs"])
def test_what_tells_nothing_asks_for_nothing(service: Service, path: str) -> None:
    assert service.get(path).status == 200


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("none", "grant", "other grant")])
def test_in_the_path_only_a_grant_counts(service: Service, provider: Provider, kind: str, user: str) -> None:
    headers = _headers(kind, service, provider, user)
    credential = headers["Authorization"].split()[-1]
    answer = service.get(f"/play/{credential}/orchard/master.m3u8", headers=headers)
    assert (answer.status, answer.json["code"]) == (401, "unauthenticated")


def test_the_grant_in_the_path_is_enough(service: Service) -> None:
    assert service.get(_seated(service, "bob", "b1")["playback_url"]).status == 200


def test_a_credential_that_is_none_is_refused_also_where_none_is_needed() -> None:
    with temporary_folder() as folder, started(folder) as service:
        assert service.get("/v1/streams").status == 200
        assert service.get("/metrics").status == 200
        for bad in ("Basic x", "Bearer", "Bearer ", "Bearer a b", "bearer not-one-of-ours", "Bearer a.b.c"):
            answer = service.get("/v1/streams", headers={"Authorization": bad})
            assert (answer.status, answer.json["code"]) == (401, "unauthenticated"), bad
        assert service.get("/v1/stats").status == 401


def test_a_hash_from_the_settings_is_no_credential(tmp_path: Path) -> None:
    from streamlimit.settings import key_hash

    with started(tmp_path, operator_keys=[key_hash(OPERATOR_KEY)]) as service:
        assert service.get("/v1/stats", key=OPERATOR_KEY).status == 200
        assert service.get("/v1/stats", key=key_hash(OPERATOR_KEY)).status == 401


def test_a_viewers_streams_bind_every_call(service: Service, provider: Provider) -> None:
    key = provider.token("carol", streamlimit_streams=["harbour"])
    shown = service.get("/v1/streams", key=key).json["streams"]
    assert [stream["stream_id"] for stream in shown] == ["harbour"]
    for path, form in (
        ("/v1/segments", {"user_id": "carol", "session_id": "c", "stream_id": "orchard"}),
        ("/v1/sessions", {"user_id": "carol", "session_id": "c", "stream_id": "orchard"}),
        ("/v1/users/carol/sessions/c/heartbeat", {"stream_id": "orchard"}),
        ("/v1/segments", {"user_id": "carol", "session_id": "c", "stream_id": "no-such-stream"}),
    ):
        answer = service.post(path, form, key=key)
        assert (answer.status, answer.json["code"]) == (403, "forbidden"), path
    form = {"user_id": "carol", "session_id": "c", "stream_id": "harbour"}
    grant = service.post("/v1/sessions", form, key=key).json["grant"]
    assert service.get(f"/play/{grant}/orchard/master.m3u8").status == 403
    assert service.get("/v1/users/carol/sessions", key=key).json["live_sessions"] == 1


def test_a_grant_chooses_no_other_session_to_give_way(service: Service) -> None:
    grant = _seated(service, "dora", "d1")["grant"]
    _seated(service, "dora", "d2")
    form = {"user_id": "dora", "session_id": "d1", "stream_id": "orchard", "replace": "d2"}
    for path in ("/v1/segments", "/v1/sessions"):
        answer = service.post(path, form, key=grant)
        assert (answer.status, answer.json["code"]) == (403, "forbidden")
    assert service.get("/v1/users/dora/sessions", key=SERVICE_KEY).json["live_sessions"] == 2


def test_every_answer_carries_the_security_headers_and_no_version(service: Service) -> None:
    from streamlimit import __version__

    for method, path in (("GET", "/healthz"), ("GET", "/watch"), ("GET", "/v1/stats"), ("GET", "/nowhere"),
                         ("OPTIONS", "/v1/segments"), ("POST", "/v1/segments"), ("GET", "/play/x/y/z")):  # fmt: skip
        answer = service.call(method, path)
        assert answer.headers["x-content-type-options"] == "nosniff", path
        assert answer.headers["referrer-policy"] == "no-referrer", path
        assert "server" not in answer.headers
        assert not re.search(rf"\b{re.escape(__version__)}\b", str(answer.headers))


# Beacons: no headers, the grant in the body

BEAT, END = f"{ONE}/heartbeat", f"{ONE}/end"


def _beacon(service: Service, path: str, user: str, body: Any, kind: str = "text/plain;charset=UTF-8") -> Answer:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    place = path.format(user_id=user, session_id="a1")
    return service.call("POST", place, data, {"Content-Type": kind})


def _grant(service: Service, user: str, session: str = "a1") -> str:
    grant: str = _seated(service, user, session)["grant"]
    return grant


@pytest.mark.parametrize("kind", ["text/plain;charset=UTF-8", "application/json", "Text/Plain"])
def test_a_heartbeat_may_bring_its_grant_in_the_body(service: Service, user: str, kind: str) -> None:
    body = {"grant": _grant(service, user), "stream_id": "orchard"}
    for _ in range(3):
        answer = _beacon(service, BEAT, user, body, kind)
        assert (answer.status, answer.json["state"]) == (200, "active")


@pytest.mark.parametrize("kind", ["text/plain", "application/json", "application/x-www-form-urlencoded", ""])
def test_an_end_may_bring_its_grant_as_the_body(service: Service, user: str, kind: str) -> None:
    body = {"grant": _grant(service, user)}
    assert _beacon(service, END, user, body | {"keep_grant": True}, kind).status == 204
    assert service.get(ALL.format(user_id=user), key=OPERATOR_KEY).json["sessions"] == []
    assert _beacon(service, BEAT, user, body | {"stream_id": "orchard"}).status == 200, "the grant was kept"
    assert _beacon(service, END, user, body, kind).status == 204
    assert _beacon(service, END, user, body, kind).status == 204, "again"
    assert _beacon(service, BEAT, user, body | {"stream_id": "orchard"}).status == 401, "and now it was not"


def test_a_grant_in_the_body_is_the_credential_whatever_the_header_says(service: Service, user: str) -> None:
    """It speaks for its own session, and with an operator's key beside it is still the viewer's own end."""
    other = _grant(service, user, "b2")
    for path, more in ((BEAT, {"stream_id": "orchard"}), (END, {})):
        assert _beacon(service, path, user, {"grant": other} | more).status == 403
        assert _beacon(service, path, user, {"grant": "forged"} | more).status == 401
        place = path.format(user_id=user, session_id="a1")
        assert service.post(place, {"grant": other} | more, key=SERVICE_KEY).status == 403


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        (BEAT, {"stream_id": "orchard"}, 401),
        (BEAT, b"no json", 401),
        (BEAT, {"grant": 5, "stream_id": "orchard"}, 400),
        (END, {"keep_grant": True}, 401),
        (END, b"bye", 401),
        (END, {"grant": 5}, 400),
        (END, {"grant": "GRANT", "keep_grant": "yes"}, 400),
        (END, {"grant": "GRANT", "colour": "red"}, 400),
        (BEAT, {"grant": "GRANT"}, 400),
        (END, b'{"grant": "' + b"a" * 70_000 + b'"}', 413),
    ],
)
def test_a_beacon_that_is_wrong_changes_nothing(service: Service, user: str, path: str, body: Any, status: int) -> None:
    grant = _grant(service, user)
    if isinstance(body, dict) and body.get("grant") == "GRANT":
        body = body | {"grant": grant}
    assert _beacon(service, path, user, body).status == status
    assert len(service.get(ALL.format(user_id=user), key=OPERATOR_KEY).json["sessions"]) == 1


def test_a_text_without_a_grant_is_no_heartbeat(service: Service, user: str) -> None:
    _seated(service, user)
    text, place = {"Content-Type": "text/plain"}, BEAT.format(user_id=user, session_id="a1")
    body = b'{"stream_id": "orchard"}'
    assert service.call("POST", place, body, text, key=SERVICE_KEY).status == 415
