"""The same heartbeat again and again, byte for byte, as players send it: never good for somebody else, never for
longer than its credential, never past what happened to its session meanwhile.

What a credential allows is remembered when it was verified once: so each is sent many times.
"""

import json
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from streamlimit.refusal_limiter import REFUSALS
from streamlimit.web.address import place_of
from streamlimit.web.grants import Grant, Grants
from tests import servers
from tests.e2e.clients import GRANT_KEY, Client, connected, endpoint, is_read
from tests.service import OPERATOR_KEY, Service, started, temporary_folder, wait_until
from tests.streams import make_stream
from tests.web.provider import SERVICE_KEY, Provider, new_key

ORIGIN = "https://player.example.org"
PROXY, ELSEWHERE = "127.0.0.9", "127.0.1.1"
PATIENCE = 2.0
BIG = 2_000_000
OFTEN = 40


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """On SQLite, which is asked every time. Nothing expires while a test runs."""
    with temporary_folder() as folder:
        for stream in ("film", "gone"):
            make_stream(folder / "streams", stream, 10, BIG)
        settings: dict[str, Any] = {
            "streams": str(folder / "streams"),
            "segment_seconds": 60,
            "request_seconds": PATIENCE,
            "service_keys": [SERVICE_KEY],
            "grant_keys": [GRANT_KEY],
            "trusted_proxies": [PROXY],
            "cors_origins": [ORIGIN],
            "plans": {"basic": 1},
        }
        with started(folder, **settings) as service:
            yield service


def beat(user: str, session: str = "tv", stream: str = "film", key: str | None = None, **more: str) -> bytes:
    """A heartbeat. *more*: headers, `_` for `-`; but a `plan` goes into the body."""
    form = {"stream_id": stream} | ({"plan": more.pop("plan")} if "plan" in more else {})
    body = json.dumps(form).encode()
    headers = {"Host": "t"} | {name.replace("_", "-"): value for name, value in more.items()}
    headers |= {} if key is None else {"Authorization": f"Bearer {key}"}
    headers |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST /v1/users/{user}/sessions/{session}/heartbeat HTTP/1.1\r\n{lines}\r\n".encode() + body


def statuses(client: Client, *requests: bytes) -> list[int]:
    return [client.send(request).whole()[0].status for request in requests]


def learnt(client: Client, request: bytes) -> bytes:
    """The same request, sent so often that its bytes are known."""
    assert set(statuses(client, *[request] * OFTEN)) == {200}
    return request


def in_pieces(client: Client, *parts: bytes) -> Client:
    """Sends each part when the server has read the one before."""
    for part in parts:
        client.send(part)
        wait_until(lambda: is_read(client.socket), 5, "the server to read")
    return client


def lines(service: Service, event: str, **fields: Any) -> list[dict[str, Any]]:
    """Those of the log."""
    every = [json.loads(text) for text in service.log().splitlines() if text.startswith("{")]
    return [each for each in every if each["event"] == event and fields.items() <= each.items()]


def counted(service: Service, name: str) -> float:
    """A number of /metrics; with a label's value behind its name where it has one."""
    text = service.get("/metrics", key=OPERATOR_KEY).body.decode()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    found = {
        s.name.removeprefix("streamlimit_") + "".join(f" {v}" for v in s.labels.values()): s.value for s in samples
    }
    return found.get(name, 0)


def granted(user: str, session: str = "tv", seconds: float = 3_600, **terms: Any) -> str:
    return Grants([GRANT_KEY], 60).write(Grant(user, session, round(time.time() + seconds, 3), **terms))


# Each counts


def test_the_same_bytes_again_and_again_are_activity_each_time(service: Service, line: Client, user: str) -> None:
    seen: list[str] = []
    while len(set(seen)) < 5:  # the clock tells milliseconds
        told = line.json(beat(user))
        assert (told["session_id"], told["user_id"], told["state"]) == ("tv", user, "active")
        assert [told | each for each in service.watching(user)["sessions"]] == [told]
        seen.append(told["last_activity_at"])
    assert seen == sorted(seen)


def test_all_is_counted_as_if_each_had_been_read(service: Service, line: Client, user: str) -> None:
    """Three sit and a fourth is refused: by the same bytes each time, or never by the same."""
    names = ["admissions_total", "confirmations_total", "refusals_total session-limit", "problems_total session-limit"]
    for session in "abc":
        learnt(line, beat(user, session))
    for varied in (False, True):
        before = [counted(service, name) for name in names]
        for number in range(5):
            more = {"X_Number": str(number)} if varied else {}
            assert statuses(line, *(beat(user, session, **more) for session in "abcd")) == [200, 200, 200, 409]
        assert [counted(service, name) - was for name, was in zip(names, before, strict=True)] == [15, 15, 5, 5]


def test_many_in_one_packet_are_answered_one_by_one(line: Client, user: str) -> None:
    for session in "ab":
        learnt(line, beat(user, session))
    for order in ("ab", "abba", "ab", "abba", "abba" * 25):  # a packet of several is none that is known
        line.send(b"".join(beat(user, session) for session in order))
        assert [json.loads(line.whole()[1])["session_id"] for _ in order] == list(order)


@pytest.mark.parametrize("key", [None, SERVICE_KEY], ids=["nobody", "a back end"])
def test_what_is_known_of_one_sessions_heartbeat_serves_for_all_others(
    service: Service, line: Client, user: str, key: str | None
) -> None:
    learnt(line, beat(user, key=key))
    for number, session in enumerate(["a", "0.9_~:@-", "s" * 128, "tv", "tv"]):
        other = f"{number}~{user}"
        told = line.json(beat(other, session, key=key))
        assert (told["user_id"], told["session_id"]) == (other, session)
        assert [told | each for each in service.watching(other)["sessions"]] == [told]
    for wrong, status in (("s" * 129, 400), ("a%00b", 400), ("..", 400), ("%2e%2e", 400), ("a b", 400), ("a/b", 404)):
        with connected(service.port) as client:
            assert client.send(beat(user, wrong, key=key)).whole()[0].status == status
    assert [each["session_id"] for each in service.watching(user)["sessions"]] == ["tv"]


def test_beside_other_requests_all_are_answered_in_their_order(line: Client, user: str) -> None:
    known, other = learnt(line, beat(user)), b"GET /healthz HTTP/1.1\r\nHost: t\r\n\r\n"
    for packets in ([known, other, known], [known + other + known], [other + known, known]):
        in_pieces(line, *packets)
        answers = [json.loads(line.whole()[1]) for _ in range(3)]
        wanted = ["ok", "tv", "tv"] if packets[0].startswith(other) else ["tv", "ok", "tv"]
        assert [each.get("session_id", each.get("status")) for each in answers] == wanted


def test_behind_a_segment_under_way_it_waits_and_sees_the_outcome(service: Service, user: str) -> None:
    with connected(service.port, receive_buffer=65_536) as client:
        known = learnt(client, beat(user))
        head = client.send(endpoint(user, "tv", "film", "3.ts")).head()
        in_pieces(client, known)
        assert client.read(head.length) == head.length == BIG
        told = json.loads(client.whole()[1])
    assert (told["segment"], told["sequence"]) == ("3.ts", 3)


def test_who_half_closes_behind_it_is_answered_and_the_connection_ends(
    service: Service, line: Client, user: str
) -> None:
    known = learnt(line, beat(user))
    with connected(service.port) as fresh:
        for client in (line, fresh):
            client.send(known).socket.shutdown(socket.SHUT_WR)
            assert client.rest().count(b"HTTP/1.1 200 ") == 1


def test_a_new_connection_that_begins_with_known_bytes_is_kept(service: Service, line: Client, user: str) -> None:
    """Answered at once, or not plainly good: nothing was parsed on it that would say whether it is to be kept."""
    for session in "abc":
        learnt(line, beat(user, session))
    refused = beat(user, "d")
    assert statuses(line, refused, refused) == [409, 409]
    for request, status in ((beat(user, "a"), 200), (refused, 409)):
        with connected(service.port) as fresh:
            head, _ = fresh.send(request).whole()
            assert (head.status, head.headers.get("connection")) == (status, None)
            assert statuses(fresh, request, beat(user, "b")) == [status, 200]


# Never for somebody else


@pytest.mark.parametrize("cut", [b"Content-Type", b"\r\n\r\n{"])
def test_the_rest_of_a_request_is_no_request(service: Service, line: Client, user: str, cut: bytes) -> None:
    """Its path and its credential were in the part before."""
    whole = learnt(line, beat(user, key=SERVICE_KEY))
    rest = whole[whole.index(cut) :]
    in_pieces(line, whole[: -len(rest)], rest)
    assert line.whole()[0].status == 200
    with connected(service.port) as other:
        assert other.send(rest).whole()[0].status == 400


def test_a_heartbeat_inside_the_head_of_anothers_is_not_remembered_for_it(
    service: Service, line: Client, user: str
) -> None:
    """Else one user could answer for another behind the same address, whose session would run out unnoticed."""
    inner = beat(user)
    outer = f"POST /v1/users/mallory-{user}/sessions/tv/heartbeat HTTP/1.1\r\nX: ".encode()
    in_pieces(line, outer, inner)
    assert json.loads(line.whole()[1])["user_id"] == f"mallory-{user}"
    with connected(service.port) as other:
        assert other.json(inner)["user_id"] == user


def test_the_credential_of_the_head_around_it_is_not_remembered_with_a_heartbeat(
    guarded: tuple[Service, Provider], user: str
) -> None:
    service, _ = guarded
    inner = beat(user, stream="orchard")
    outer = f"POST /v1/users/x-{user}/sessions/tv/heartbeat HTTP/1.1\r\nAuthorization: Bearer {SERVICE_KEY}\r\nX: "
    with connected(service.port) as client:
        learnt(client, beat(user, stream="orchard", key=SERVICE_KEY))
        assert in_pieces(client, outer.encode(), inner).whole()[0].status == 200
    with connected(service.port) as other:
        assert statuses(other, inner, inner) == [401, 401]


def test_known_bytes_that_are_the_body_of_another_request_are_that(line: Client, user: str) -> None:
    known = learnt(line, beat(user))
    head = f"POST /v1/users/{user}/sessions/tv/heartbeat HTTP/1.1\r\nHost: t\r\nContent-Length: {len(known)}\r\n\r\n"
    in_pieces(line, head.encode(), known)
    assert (line.whole()[0].status, *statuses(line, known)) == (400, 200)


def test_a_grant_bound_to_an_address_opens_nothing_from_another(service: Service, line: Client, user: str) -> None:
    known = learnt(line, beat(user, key=granted(user, place=place_of("127.0.0.1"))))
    with connected(service.port, address=ELSEWHERE) as other:
        assert statuses(other, known, known, known) == [403] * 3
    with connected(service.port, address="127.0.0.200") as neighbour:
        assert statuses(neighbour, known, known, known) == [200] * 3
    assert statuses(line, known) == [200]


def test_an_address_that_a_proxy_tells_counts_only_from_that_proxy(service: Service, line: Client, user: str) -> None:
    request = beat(user, key=granted(user, place=place_of("203.0.113.7")), X_Forwarded_For="203.0.113.9")
    with connected(service.port, address=PROXY) as proxy:
        learnt(proxy, request)
        assert statuses(line, request, request) == [403, 403]
        assert statuses(proxy, request.replace(b"113.9", b"114.9")) == [403]


def test_what_is_forbidden_or_refused_stays_so_whatever_is_known(service: Service, line: Client, user: str) -> None:
    grant = granted(user)
    learnt(line, beat(user, key=grant))
    learnt(line, beat(user, key=SERVICE_KEY))
    for wrong, status in [
        (beat(user, "pc", key=grant), 403),
        (beat(f"not-{user}", key=grant), 403),
        (beat(user, key=grant, plan="basic"), 403),
        (beat(user, key=granted(user, streams=frozenset({"gone"}))), 403),
        (beat(user, key=grant + "x"), 401),
        (beat(user, stream="nowhere"), 404),
        (beat(user, Content_Encoding="x").replace(b"application/json", b"text/plain"), 415),
        (beat(user).replace(b"stream_id", b"stream-id"), 400),
        (beat("a%00b"), 400),
    ]:
        assert statuses(line, *[wrong] * 3) == [status] * 3, wrong


def test_a_plan_that_a_back_end_names_is_remembered_with_it(line: Client, user: str) -> None:
    learnt(line, beat(user, "a", key=SERVICE_KEY, plan="basic"))
    refused = line.send(beat(user, "b", key=SERVICE_KEY, plan="basic")).whole()[1]
    assert json.loads(refused)["limit"] == 1
    assert statuses(line, *[beat(user, "b", key=SERVICE_KEY, plan="basic")] * 2) == [409, 409]
    assert statuses(line, beat(user, "b", key=SERVICE_KEY)) == [200]


# Never for longer


def test_a_grant_that_expired_meanwhile_lets_who_sits_go_on_and_starts_nothing(
    service: Service, line: Client, user: str
) -> None:
    expires = time.time() + 1
    known = learnt(line, beat(user, key=granted(user, seconds=1)))
    wait_until(lambda: time.time() > expires + 0.01, 5, "the grant to expire")
    assert statuses(line, known, known, known) == [200] * 3
    service.post(f"/v1/users/{user}/sessions/tv/end")
    assert statuses(line, known, known, known) == [401] * 3
    assert service.watching(user)["sessions"] == []


def test_a_stream_that_goes_and_comes_back(service: Service, line: Client, user: str) -> None:
    known = learnt(line, beat(user, stream="gone"))
    streams = service.log_path.parent / "streams"
    (streams / "gone").rename(streams.parent / "gone")
    wait_until(lambda: statuses(line, known) == [404], 5, "the stream to go")
    (streams.parent / "gone").rename(streams / "gone")
    wait_until(lambda: statuses(line, known) == [200], 5, "the stream to come back")


def test_an_expired_token_is_worth_nothing_to_who_sits_either(guarded: tuple[Service, Provider], user: str) -> None:
    service, provider = guarded
    expires = int(time.time()) + 2
    with connected(service.port) as client:
        known = learnt(client, beat(user, stream="orchard", key=provider.token(user, exp=expires)))
        wait_until(lambda: time.time() >= expires, 5, "the token to expire")
        assert statuses(client, known, known) == [401, 401]


def test_a_token_of_a_key_that_was_taken_back_is_worth_nothing(guarded: tuple[Service, Provider], user: str) -> None:
    service, provider = guarded
    with connected(service.port) as client:
        key = provider.token(user)
        known = learnt(client, beat(user, stream="orchard", key=key))
        assert statuses(client, *[beat(f"not-{user}", stream="orchard", key=key)] * 3) == [403] * 3
        provider.keys = [new_key("ES256")]
        new = provider.token(user, algorithm="ES256")
        wait_until(lambda: service.get("/v1/streams", key=new).status == 200, 5, "the new key")
        assert statuses(client, known, known) == [401, 401]


# Never past what happened meanwhile


@pytest.mark.parametrize("how", ["terminated", "replaced"])
def test_who_was_sent_away_hears_so_at_once(service: Service, line: Client, user: str, how: str) -> None:
    for session in ("tv", "b", "c"):
        learnt(line, beat(user, session))
    if how == "terminated":
        service.call("DELETE", f"/v1/users/{user}/sessions/tv", key=OPERATOR_KEY)
    else:
        form = {"user_id": user, "session_id": "new", "stream_id": "film", "replace": "tv"}
        assert service.post("/v1/sessions", form).status == 201
    assert statuses(line, beat(user), beat(user), beat(user, "b")) == [410, 410, 200]


def test_who_was_ended_begins_anew(service: Service, line: Client, user: str) -> None:
    before = line.json(learnt(line, beat(user)))
    service.post(f"/v1/users/{user}/sessions/tv/end")
    assert line.json(beat(user))["started_at"] > before["started_at"]
    assert len(lines(service, "session.started", user_id=user)) == 2


def test_a_limit_that_is_lowered_lets_who_sits_go_on_and_nobody_else_in(
    service: Service, line: Client, user: str
) -> None:
    for session in "abc":
        learnt(line, beat(user, session))
    service.post(f"/v1/users/{user}/sessions/c/end")
    service.call("PUT", f"/v1/users/{user}/limit", {"max_sessions": 1}, key=OPERATOR_KEY)
    assert statuses(line, *(beat(user, session) for session in "abcabc")) == [200, 200, 409] * 2


def test_a_session_in_ping_pong_is_refused(line: Client, user: str) -> None:
    here, there = learnt(line, beat(user)), learnt(line, beat(user, stream="gone"))
    assert statuses(line, here, there, here, there) == [200, 200, 409, 200]


def test_who_hammers_is_told_to_wait_and_who_sits_is_not(line: Client, user: str) -> None:
    for session in "abc":
        learnt(line, beat(user, session))
    answers = statuses(line, *[beat(user, "d")] * (3 * REFUSALS))
    assert set(answers) == {409, 429}
    assert statuses(line, beat(user, "a"), beat(user, "d")) == [200, 429]
    assert line.send(beat(user, "d")).whole()[0].headers["retry-after"] == "1"


def test_a_dry_run_says_each_time_what_it_would_have_done(tmp_path: Path, user: str) -> None:
    with started(tmp_path, enforce=False, segment_seconds=60) as service, connected(service.port) as client:
        known = learnt(client, beat(user, stream="orchard"))
        service.call("DELETE", f"/v1/users/{user}/sessions/tv", key=OPERATOR_KEY)
        heads = [client.send(known).whole()[0] for _ in range(2)]
        assert [head.status for head in heads] == [200, 200]
        assert heads[0].headers["streamlimit-would-refuse"] == "session-terminated"


# What goes with every answer


def test_pages_of_the_origins_that_are_allowed_may_read_it(line: Client, user: str) -> None:
    for session in "abc":
        learnt(line, beat(user, session, Origin=ORIGIN))
    for session, status in (("a", 200), ("d", 409), ("d", 409)):
        head, _ = line.send(beat(user, session, Origin=ORIGIN)).whole()
        allowed, vary = head.headers["access-control-allow-origin"], head.headers["vary"]
        assert (head.status, allowed, vary) == (status, ORIGIN, "origin")
    for origin in ("https://evil.example.org", "null"):
        for session in "aaadd":
            head, _ = line.send(beat(user, session, Origin=origin)).whole()
            assert "access-control-allow-origin" not in head.headers
            assert head.headers["x-content-type-options"] == "nosniff"


def test_each_refusal_has_its_own_id_or_the_one_that_was_given(service: Service, line: Client, user: str) -> None:
    for session in "abc":
        learnt(line, beat(user, session, X_Request_Id="of-those-who-sit"))
    for given in ("given-1", None):
        request = beat(user, "d") if given is None else beat(user, "d", X_Request_Id=given)
        told = [line.send(request).whole()[0].headers["x-request-id"] for _ in range(4)]
        logged = [each["request_id"] for each in lines(service, "refused", user_id=user)][-4:]
        assert logged == told
        assert set(told) == {given} if given else len({*told, "of-those-who-sit"}) == 5


def test_a_session_that_known_bytes_start_is_logged_with_their_id(service: Service, line: Client, user: str) -> None:
    learnt(line, beat(user, X_Request_Id="one"))
    learnt(line, beat(f"other-{user}", X_Request_Id="two"))
    service.post(f"/v1/users/{user}/sessions/tv/end")
    assert statuses(line, beat(user, X_Request_Id="one")) == [200]
    assert [each["request_id"] for each in lines(service, "session.started", user_id=user)] == ["one", "one"]


def test_what_is_logged_while_a_heartbeat_is_understood_has_its_id(service: Service, line: Client, user: str) -> None:
    learnt(line, beat(user, X_Request_Id="before"))
    assert statuses(line, beat(user, X_Request_Id="now", plan="unheard-of")) == [400]
    (told,) = lines(service, "refused", request_id="now")
    assert told["code"] == "malformed"


# The guard on connections


def test_a_connection_of_known_heartbeats_alone_is_not_given_up(service: Service, line: Client, user: str) -> None:
    known = learnt(line, beat(user))
    with connected(service.port) as client, connected(service.port) as idle:
        assert statuses(client, known) == [200]
        assert idle.rest() == b"", "shown out: who never asked, and came later"
        assert statuses(client, known, known) == [200, 200]


def test_half_a_request_behind_known_heartbeats_is_given_up(line: Client, user: str) -> None:
    known = learnt(line, beat(user))
    assert statuses(line, known) == [200]
    assert line.send(known[:-1]).rest().startswith(b"HTTP/1.1 408 ")


# Two workers on servers across a wire: who is known is answered without asking


X, N = 2.0, 3


@pytest.fixture(scope="module")
def redis() -> Iterator[servers.Server]:
    with servers.single("redis") as server:
        yield server


@pytest.fixture(scope="module")
def pair(redis: servers.Server) -> Iterator[tuple[Service, Service]]:
    with temporary_folder() as one, temporary_folder() as other:
        settings: dict[str, Any] = {"store": redis.url, "segment_seconds": X, "missed_segments": N}
        with started(one, **settings) as here, started(other, **settings) as there:
            yield here, there


@pytest.fixture
def here(pair: tuple[Service, Service]) -> Iterator[Client]:
    with connected(pair[0].port) as client:
        yield client


def afar(user: str, session: str = "tv", **more: str) -> bytes:
    return beat(user, session, "orchard", **more)


def until_heard(service: Service, change: Callable[[], None]) -> None:
    """*change* sends a heartbeat: returns when this worker has heard that the session is gone."""
    before = counted(service, "known")
    change()
    wait_until(lambda: counted(service, "known") < before, 5, "the store's no")


@pytest.mark.parametrize("how", ["terminated", "replaced"])
def test_who_was_sent_away_elsewhere_hears_so_at_the_next_but_one(
    pair: tuple[Service, Service], here: Client, user: str, how: str
) -> None:
    for session in ("tv", "b", "c"):
        learnt(here, afar(user, session))
    if how == "terminated":
        pair[1].call("DELETE", f"/v1/users/{user}/sessions/tv", key=OPERATOR_KEY)
    else:
        form = {"user_id": user, "session_id": "new", "stream_id": "orchard", "replace": "tv"}
        assert pair[1].post("/v1/sessions", form).status == 201
    until_heard(pair[0], lambda: here.send(afar(user)).whole())
    assert statuses(here, afar(user), afar(user), afar(user, "b")) == [410, 410, 200]
    assert "tv" not in [session["session_id"] for session in pair[1].watching(user)["sessions"]]


def test_who_was_ended_elsewhere_is_not_brought_back_and_may_begin_anew(
    pair: tuple[Service, Service], here: Client, user: str
) -> None:
    before = here.json(learnt(here, afar(user)))
    pair[1].post(f"/v1/users/{user}/sessions/tv/end")
    until_heard(pair[0], lambda: here.send(afar(user)).whole())
    assert pair[1].watching(user)["sessions"] == []
    assert here.json(afar(user))["started_at"] > before["started_at"]
    assert pair[1].watching(user)["live_sessions"] == 1


def test_who_half_closes_while_the_store_is_asked_is_answered(
    pair: tuple[Service, Service], here: Client, user: str
) -> None:
    known = learnt(here, afar(user))
    pair[0].post(f"/v1/users/{user}/sessions/tv/end")
    with connected(pair[0].port) as fresh:
        fresh.send(known).socket.shutdown(socket.SHUT_WR)
        assert fresh.rest().startswith(b"HTTP/1.1 200 ")


def test_a_new_connection_is_kept_while_the_store_is_asked(
    pair: tuple[Service, Service], here: Client, user: str
) -> None:
    known = learnt(here, afar(user))
    pair[0].post(f"/v1/users/{user}/sessions/tv/end")
    with connected(pair[0].port) as fresh:
        assert statuses(fresh, known, known) == [200, 200]


def test_what_the_store_tells_later_is_logged_with_the_id_of_the_heartbeat(
    pair: tuple[Service, Service], redis: servers.Server, here: Client, user: str
) -> None:
    learnt(here, afar(user, X_Request_Id="known"))
    redis.client.flushall()  # it is seated again
    assert statuses(here, afar(user, X_Request_Id="known")) == [200]
    wait_until(lambda: len(lines(pair[0], "session.started", user_id=user)) == 2, 5, "the event")
    assert [each.get("request_id") for each in lines(pair[0], "session.started", user_id=user)] == ["known"] * 2


def is_degraded(client: Client, request: bytes) -> bool:
    head, _ = client.send(request).whole()
    assert head.status == 200
    return head.headers.get("streamlimit-degraded") == "true"


def test_who_is_known_goes_on_while_the_store_is_away_and_the_limit_holds_afterwards(
    pair: tuple[Service, Service], redis: servers.Server, here: Client, user: str
) -> None:
    service, marked = pair[0], counted(pair[0], "degraded_total")
    for session in "abc":
        learnt(here, afar(user, session))
    redis.kill()
    wait_until(lambda: is_degraded(here, afar(user, "a")), 2, "the outage to be noticed")
    assert [is_degraded(here, afar(user, session)) for session in "abcabc"] == [True] * 6
    head, body = here.send(afar(user, "d")).whole()
    assert (head.status, head.headers["retry-after"], json.loads(body)["code"]) == (503, "2", "store-unavailable")
    assert (counted(service, "degraded_total") - marked, counted(service, "kept")) == (7, 3)
    redis.restart()  # it has lost everything
    for each in pair:
        wait_until(lambda each=each: counted(each, "store_away") == 0, 5, "the end of the outage")  # type: ignore[misc]
    assert counted(service, "kept") == 0
    assert pair[1].watching(user)["live_sessions"] == 3
    assert statuses(here, *(afar(user, session) for session in "abcd")) == [200, 200, 200, 409]
    assert not is_degraded(here, afar(user, "a"))


def test_one_that_waits_for_the_store_is_answered_before_those_behind_it(
    pair: tuple[Service, Service], redis: servers.Server, here: Client, user: str
) -> None:
    known = learnt(here, afar(user))
    redis.hang()
    try:
        in_pieces(here, afar(user, "new"), known, known)
        assert [here.whole()[0].status for _ in range(3)] == [503, 200, 200]
    finally:
        redis.resume()
    for each in pair:
        wait_until(lambda each=each: counted(each, "store_away") == 0, 5, "the end of the outage")  # type: ignore[misc]


def test_a_stop_while_the_store_is_asked_says_that_the_connection_ends(
    redis: servers.Server, tmp_path: Path, user: str
) -> None:
    with started(tmp_path, store=redis.url) as service, connected(service.port) as client:
        known = learnt(client, afar(user))
        service.post(f"/v1/users/{user}/sessions/tv/end")
        redis.hang()
        try:
            in_pieces(client, known)
            service.process.send_signal(signal.SIGTERM)
            wait_until(lambda: not is_listening(service), 10, "the end of listening")
        finally:
            redis.resume()
        head, _ = client.whole()
        assert head.status in (200, 503)
        assert head.headers.get("connection") == "close"
        assert client.rest() == b""


def is_listening(service: Service) -> bool:
    try:
        Client(service.port).close()
    except OSError:
        return False
    return True
