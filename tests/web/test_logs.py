"""The log: one line a state change and refusal, with its request's id, and never a secret, a grant or an address."""

import asyncio
import http.client
import json
import secrets
from collections.abc import Iterator
from contextvars import copy_context
from typing import Any, cast

import pytest

from streamlimit.delivery.receipt import Looks
from streamlimit.delivery.wire import Wire
from streamlimit.logs import asking
from streamlimit.web.request_id import own_id
from streamlimit.web.sending import Journey, Pace
from tests.e2e.clients import GRANT_KEY, connected, endpoint, play
from tests.ports import free_port
from tests.service import OPERATOR_KEY, Service, started, temporary_folder, wait_until
from tests.streams import make_stream

X = 2.0
SECRET = "whsec_" + "c2VjcmV0LW9mLXRoZS1jYWxsLWJhY2s="
ADDRESS = "127.9.8.7"


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with temporary_folder() as folder:
        make_stream(folder / "streams", "film", 10, 20_000)
        make_stream(folder / "streams", "big", 3)
        (folder / "streams" / "broken").mkdir()
        (folder / "streams" / "broken" / "manifest.mpd").write_text("<MPD>")
        callback = {"url": f"http://127.0.0.1:{free_port()}/hook-{SECRET[6:20]}", "secret": SECRET}
        settings: dict[str, Any] = {
            "streams": str(folder / "streams"),
            "segment_seconds": X,
            "grant_keys": [GRANT_KEY],
            "callbacks": [callback],
            "allow_private_callbacks": True,
        }
        with started(folder, **settings) as service:
            yield service


def lines(service: Service) -> list[dict[str, Any]]:
    """All of the log but for what is printed at the start."""
    return [json.loads(line) for line in service.log().splitlines() if line.startswith("{")]


def of(service: Service, user: str) -> list[dict[str, Any]]:
    return [line for line in lines(service) if line.get("user_id") == user]


def _beat(service: Service, user: str, session: str, **headers: str) -> Any:
    path = f"/v1/users/{user}/sessions/{session}/heartbeat"
    return service.post(path, {"stream_id": "film"}, headers=headers)


def test_one_line_a_state_change(service: Service, user: str) -> None:
    service.segment(user, "a", "film")
    service.segment(user, "a", "film")
    service.segment(user, "a", "big")
    service.post(f"/v1/users/{user}/sessions/a/end")
    service.segment(user, "b", "film")
    service.call("DELETE", f"/v1/users/{user}/sessions/b?reason=moved", key=OPERATOR_KEY)
    service.segment(user, "c", "film")
    wait_until(lambda: of(service, user)[-1]["event"] == "session.expired", 10, "the sweep")
    told = [(line["event"], line["session_id"], line["stream_id"]) for line in of(service, user)]
    assert told == [
        ("session.started", "a", "film"),
        ("session.moved", "a", "big"),
        ("session.ended", "a", "big"),
        ("session.started", "b", "film"),
        ("session.terminated", "b", "film"),
        ("session.started", "c", "film"),
        ("session.expired", "c", "film"),
    ]
    assert all(line["timestamp"].endswith("Z") and line["level"] == "info" for line in of(service, user))
    assert (of(service, user)[4]["by"], of(service, user)[4]["reason"]) == ("operator", "moved")


def test_every_line_has_the_same_compact_form(service: Service, user: str) -> None:
    for session in "abcd":
        _beat(service, user, session)
    service.segment(user, "a", "broken")
    texts = [line for line in service.log().splitlines() if line.startswith("{")]
    assert {"refused", "session.started", "stream_broken", "server"} <= {line["event"] for line in lines(service)}
    assert [text for text in texts if text != json.dumps(json.loads(text), separators=(",", ":"))] == []


def test_one_line_a_refusal_says_who_and_what(service: Service, user: str) -> None:
    for session in "abc":
        assert _beat(service, user, session).status == 200
    assert _beat(service, user, "d").status == 409
    (line,) = [line for line in of(service, user) if line["event"] == "refused"]
    wanted = {"code": "session-limit", "status": 409, "method": "POST", "session_id": "d", "stream_id": "film"}
    assert wanted.items() <= line.items()
    assert line["route"] == "/v1/users/{user_id}/sessions/{session_id}/heartbeat"


@pytest.mark.parametrize("given", ["abc-123", "0" * 128, "trace:1/2+3==", "a"])
def test_a_sane_id_of_the_callers_own_is_taken_and_told_back(service: Service, user: str, given: str) -> None:
    for session in "abc":
        _beat(service, user, session)
    answer = _beat(service, user, "d", **{"X-Request-Id": given})
    assert answer.headers["x-request-id"] == given
    assert of(service, user)[-1]["request_id"] == given


@pytest.mark.parametrize("given", ["", "0" * 129, "two words", 'quo"te', "<script>", "é"])
def test_any_other_is_replaced(service: Service, user: str, given: str) -> None:
    for session in "abc":
        _beat(service, user, session)
    answer = _beat(service, user, "d", **{"X-Request-Id": given})
    assert answer.headers["x-request-id"] not in ("", given)
    assert of(service, user)[-1]["request_id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/v1/segments", 400),
        ("GET", "/play/nonsense/film/0.ts", 401),
        ("GET", "/v1/stats", 401),
        ("GET", "/nothing", 404),
        ("GET", "/v1/segments", 405),
        ("POST", "/v1/users/a%20b/sessions/c/heartbeat", 400),
    ],
)
def test_every_error_answer_tells_its_id(service: Service, method: str, path: str, status: int) -> None:
    answers = [service.call(method, path) for _ in range(2)]
    assert {answer.status for answer in answers} == {status}
    ids = [answer.headers["x-request-id"] for answer in answers]
    assert len(set(ids)) == 2
    logged = [line["request_id"] for line in lines(service) if "request_id" in line]
    assert all(logged.count(one) == 1 for one in ids)


def test_all_lines_of_one_request_have_its_id_and_other_requests_meanwhile_have_theirs(
    service: Service, user: str
) -> None:
    """A segment is under way on one connection (its request waits) while others come and go on the fast path."""
    other = "other-" + user
    with connected(service.port, receive_buffer=16_384) as slow:
        slow.send(endpoint(user, "tv", "big", extra="X-Request-Id: the-slow-one\r\n"))
        head = slow.head()
        for number in range(5):
            assert _beat(service, other, "s", **{"X-Request-Id": f"quick-{number}"}).status == 200
            assert service.post(f"/v1/users/{other}/sessions/s/end", headers={"X-Request-Id": f"end-{number}"})
        assert slow.read(head.length) == head.length
        wait_until(lambda: of(service, user) != [], 5, "the receipt")
    assert [line["request_id"] for line in of(service, user)][:1] == ["the-slow-one"]
    ids = [line["request_id"] for line in of(service, other)]
    assert ids == [name for number in range(5) for name in (f"quick-{number}", f"end-{number}")]


def test_on_one_connection_each_request_has_an_id_of_its_own(service: Service, user: str) -> None:
    with connected(service.port) as client:
        for session in "abc":
            client.send(endpoint(user, session, "film")).answer()
    wait_until(lambda: len(of(service, user)) >= 3, 5, "the last receipt")
    assert len({line.get("request_id") for line in of(service, user)[:3]}) == 3


def test_what_happens_in_the_background_is_no_requests(service: Service, user: str) -> None:
    _beat(service, user, "a")
    wait_until(lambda: of(service, user)[-1]["event"] == "session.expired", 10, "the sweep")
    assert "request_id" not in of(service, user)[-1]


def test_a_broken_stream_is_one_line_however_often_it_is_asked_for(service: Service, user: str) -> None:
    for _ in range(5):
        answer = service.segment(user, "s", "broken")
        assert (answer.status, answer.json["code"]) == (404, "unknown-stream")
    broken = [line for line in lines(service) if line["event"] == "stream_broken"]
    assert len(broken) == 1
    assert broken[0]["stream_id"] == "broken"
    assert broken[0]["problem"]


def test_nothing_secret_and_no_address_is_ever_logged(service: Service, user: str) -> None:
    """A run that uses all of them: rightly, wrongly, in the wrong place, refused, hung up."""
    opened = service.post("/v1/sessions", {"user_id": user, "stream_id": "film", "session_id": "s"}).json
    grant = opened["grant"]
    secret = "password-" + secrets.token_hex(8)
    calls = http.client.HTTPConnection("127.0.0.1", service.port, source_address=(ADDRESS, 0))
    for method, path, body in [
        ("GET", opened["playback_url"], None),
        ("GET", f"/play/{grant}/film/0.ts?token={secret}", None),
        ("GET", f"/play/{grant}/film/nothing-{secret}.ts", None),
        ("GET", f"/play/{grant}x/film/0.ts", None),
        ("GET", f"/play/{secret}/film/0.ts", None),
        ("GET", f"/plays/{grant}/film/0.ts", None),
        ("PUT", f"/play/{grant}/film/0.ts", None),
        ("GET", f"/v1/{secret}", None),
        ("POST", "/v1/segments", f'{{"user_id": "{secret} "}}'),
        ("POST", "/v1/segments", f'{{"{secret}": 1}}'),
        ("POST", "/v1/segments", secret),
        ("POST", f"/v1/users/{user}/sessions/s%20{secret}/heartbeat", "{}"),
        ("GET", f"/v1/sessions?cursor={secret}", None),
    ]:
        for credential in (grant, OPERATOR_KEY, secret, f"{grant}.{secret}"):
            headers = {"Authorization": f"Bearer {credential}", "X-Forwarded-For": "203.0.113.77", "Cookie": secret}
            calls.request(method, path, body, headers)
            calls.getresponse().read()
    for session in "abcd":
        _beat(service, user, session)
    with connected(service.port) as client:
        client.send(play(user, "e", "film", "0.ts")).answer()
    with connected(service.port, receive_buffer=4_096) as client:
        client.send(play(user, "s", "big", "0.ts")).head()
        client.reset()
    wait_until(lambda: of(service, user)[-1]["event"] == "session.expired", 10, "the sweep, and call backs that fail")
    log = service.log()
    for word in (grant, grant[:24], secret, OPERATOR_KEY, GRANT_KEY, SECRET, SECRET[6:20], ADDRESS, "203.0.113"):
        assert word not in log
    assert all(isinstance(line["event"], str) for line in lines(service))
    assert not [line for line in lines(service) if line["level"] == "error" and line["event"] == "failed"]


async def test_what_arrives_while_the_bytes_move_is_logged_with_the_id_of_who_asked() -> None:
    """However many requests are under way, one timer tells of their progress."""
    seen: list[str] = []

    class Holder:
        async def prolong(self) -> None:
            seen.append(own_id())

    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    timer, wire = copy_context(), Wire.tap(writer.transport)
    asking.set(lambda: "mine")
    journey = Journey(cast(Any, Holder()), wire, Pace(1.0, 1.0, Looks()), 0, 1, ())
    timer.run(asking.set, lambda: "another's")
    timer.run(journey.progressed)
    await asyncio.sleep(0)
    for each in (wire, writer, server):
        each.close()
    assert seen == ["mine"]
