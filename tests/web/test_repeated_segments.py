"""Requests for segments that are alike but for a line, as players and back ends send them: never good for somebody
else, never for longer than their credential.

What a credential allows is remembered when it was verified once: so each is sent several times.
"""

import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from streamlimit.web.address import place_of
from streamlimit.web.plays import new_play, with_play
from tests.e2e.clients import GRANT_KEY, Client, connected
from tests.service import Service, started, temporary_folder, wait_until
from tests.web.folders import content, make_streams
from tests.web.provider import Provider, new_key
from tests.web.test_repeated_beats import counted, granted, in_pieces, lines, statuses

SERVICE_KEY, ORIGIN = "service-key-of-the-tests", "https://player.example.org"
PROXY, ELSEWHERE, NEIGHBOUR = "127.0.0.9", "127.0.1.1", "127.0.0.200"
PATIENCE = 2.0
FIRST = "audio/seg-00001.m4s"


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with temporary_folder() as folder:
        streams = make_streams(folder / "streams")
        settings: dict[str, Any] = {
            "streams": str(streams),
            "segment_seconds": 60,
            "max_returns": 0,  # one session is asked for from several addresses
            "request_seconds": PATIENCE,
            "service_keys": [SERVICE_KEY],
            "grant_keys": [GRANT_KEY],
            "trusted_proxies": [PROXY],
            "cors_origins": [ORIGIN],
        }
        with started(folder, **settings) as service:
            yield service


def post(user: str, segment: str | None = "a.ts", session: str = "tv", stream: str = "tiny", **more: str) -> bytes:
    """*more*: headers, `_` for `-`; but `key`, `replace` and `plan` are what they are."""
    key, form = more.pop("key", None), {"user_id": user, "session_id": session, "stream_id": stream}
    form |= {} if segment is None else {"segment": segment}
    form |= {name: more.pop(name) for name in ("replace", "plan") if name in more}
    body = json.dumps(form).encode()
    headers = {"Host": "t"} | {name.replace("_", "-"): value for name, value in more.items()}
    headers |= {} if key is None else {"Authorization": f"Bearer {key}"}
    headers |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
    return b"POST /v1/segments HTTP/1.1\r\n" + _told(headers) + body


def get(grant: str, path: str = "tiny/a.ts", **more: str) -> bytes:
    headers = {"Host": "t"} | {name.replace("_", "-"): value for name, value in more.items()}
    return f"GET /play/{grant}/{path} HTTP/1.1\r\n".encode() + _told(headers)


def _told(headers: dict[str, str]) -> bytes:
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode() + b"\r\n"


def learnt(client: Client, request: bytes) -> bytes:
    """The same request, sent until its head is known."""
    assert statuses(client, *[request] * 3) == [200] * 3
    return request


# The same through the service


def test_each_request_on_a_connection_gets_what_it_asks_for(service: Service, line: Client, user: str) -> None:
    grant = granted(user)
    for _ in range(3):
        for name in ("a.ts", "b.ts", "c.ts"):
            for asked in (post(user, name), get(grant, f"tiny/{name}")):
                head, body = line.send(asked).whole()
                assert (head.status, body, head.headers["streamlimit-segment"]) == (200, content(name), name)
        assert line.send(post(user, None)).head().status == 204
        assert statuses(line, post(user)[:-1] + b" ", post(user, stream="nowhere"), post(user, "x.ts")) == [
            400,
            404,
            404,
        ]
        assert statuses(line, post(user, key="x"), post(user, Content_Encoding="x").replace(b"json", b"x")) == [
            401,
            415,
        ]
        assert statuses(line, get("forged"), get(grant, "tiny/x.ts"), get(grant, "nowhere/a.ts")) == [401, 404, 404]
        for first, last in ((1, 2), (3, 9), (1, 5_999), (0, 5_999)):
            head, body = line.send(get(grant, "tiny/c.ts", Range=f"bytes={first}-{last}")).whole()
            told = head.headers["content-range"], int(head.headers["content-length"])
            assert (head.status, body, *told) == (
                206,
                content("c.ts")[first : last + 1],
                f"bytes {first}-{last}/6000",
                last + 1 - first,
            )
        under = with_play(grant, new_play())
        etag = line.send(get(under, "tiny/index.m3u8")).whole()[0].headers["etag"]
        assert line.send(get(under, "tiny/index.m3u8", If_None_Match=etag)).head().status == 304
    told = service.watching(user)
    assert [(each["segment"], each["sequence"]) for each in told["sessions"]] == [("c.ts", 2)]


def test_in_pieces_and_together_they_are_read_too(line: Client, user: str) -> None:
    grant = granted(user)
    for request in (post(user), get(grant)):
        learnt(line, request)
        for cut in (1, 20, 40, len(request) - 1):
            assert in_pieces(line, request[:cut], request[cut:]).whole()[1] == content("a.ts")
        line.send(request * 3)
        assert [line.whole()[1] for _ in range(3)] == [content("a.ts")] * 3


def test_a_known_head_inside_anothers_is_not_remembered_with_its_credential(
    guarded: tuple[Service, Provider], user: str
) -> None:
    service, _ = guarded
    inner = post(user, None, stream="orchard")
    outer = f"POST /v1/segments HTTP/1.1\r\nAuthorization: Bearer {SERVICE_KEY}\r\nX: ".encode()
    with connected(service.port) as client:
        learnt(client, post(user, FIRST, stream="orchard", key=SERVICE_KEY))
        assert in_pieces(client, outer, inner).whole()[0].status in (200, 204)
    with connected(service.port) as other:
        assert statuses(other, inner, inner) == [401, 401]


def test_known_bytes_that_are_the_body_of_another_request_are_that(line: Client, user: str) -> None:
    for known in (learnt(line, post(user)), learnt(line, get(granted(user)))):
        head = b"POST /v1/segments HTTP/1.1\r\nHost: t\r\nContent-Length: %d\r\n\r\n" % len(known)
        in_pieces(line, head, known)
        assert (line.whole()[0].status, *statuses(line, known)) == (400, 200)


def test_a_grant_bound_to_an_address_opens_nothing_from_another(service: Service, line: Client, user: str) -> None:
    grant = granted(user, place=place_of("127.0.0.1"))
    for known in (learnt(line, post(user, key=grant)), learnt(line, get(grant))):
        with connected(service.port, address=ELSEWHERE) as other:
            assert statuses(other, known, known, known) == [403] * 3
        with connected(service.port, address=NEIGHBOUR) as neighbour:
            assert statuses(neighbour, known, known, known) == [200] * 3
        assert statuses(line, known) == [200]


def test_an_address_that_a_proxy_tells_counts_only_from_that_proxy(service: Service, line: Client, user: str) -> None:
    grant = granted(user, place=place_of("203.0.113.7"))
    for known in (post(user, key=grant, X_Forwarded_For="203.0.113.9"), get(grant, X_Forwarded_For="203.0.113.9")):
        with connected(service.port, address=PROXY) as proxy:
            learnt(proxy, known)
            assert statuses(line, known, known) == [403, 403]
            assert statuses(proxy, known.replace(b"113.9", b"114.9")) == [403]


def test_what_is_forbidden_stays_so_whatever_is_known(line: Client, user: str) -> None:
    grant = granted(user)
    learnt(line, post(user, key=grant))
    for wrong in (
        post(user, session="pc", key=grant),
        post(f"{user[:-1]}x", key=grant),
        post(user, key=grant, replace="pc"),
        post(user, key=grant, plan="basic"),
        post(user, key=granted(user, streams=frozenset({"odd"}))),
        get(granted(user, streams=frozenset({"odd"}))),
    ):
        assert statuses(line, *[wrong] * 3) == [403] * 3, wrong


def test_a_grant_that_expired_meanwhile_lets_who_sits_go_on_and_starts_nothing(
    service: Service, line: Client, user: str
) -> None:
    grant, expires = granted(user, seconds=1), time.time() + 1
    known = learnt(line, post(user, key=grant)), learnt(line, get(grant))
    wait_until(lambda: time.time() > expires + 0.01, 5, "the grant to expire")
    assert statuses(line, *known, *known) == [200] * 4
    service.post(f"/v1/users/{user}/sessions/tv/end")
    assert statuses(line, *known, *known) == [401] * 4
    assert service.watching(user)["sessions"] == []


def test_a_token_is_worth_nothing_after_its_time_or_its_keys(guarded: tuple[Service, Provider], user: str) -> None:
    service, provider = guarded
    expires = int(time.time()) + 2
    with connected(service.port) as client:
        known = learnt(client, post(user, FIRST, stream="orchard", key=provider.token(user, exp=expires)))
        wait_until(lambda: time.time() >= expires, 5, "the token to expire")
        assert statuses(client, known, known) == [401, 401]
        known = learnt(client, post(user, FIRST, stream="orchard", key=provider.token(user)))
        provider.keys = [new_key("ES256")]
        new = provider.token(user, algorithm="ES256")
        wait_until(lambda: service.get("/v1/streams", key=new).status == 200, 5, "the new key")
        assert statuses(client, known, known) == [401, 401]


def test_pages_of_the_origins_that_are_allowed_may_read_it(line: Client, user: str) -> None:
    for session in "abc":
        learnt(line, post(user, session=session, Origin=ORIGIN))
    for origin, allowed in ((ORIGIN, ORIGIN), ("https://evil.example.org", None)):
        for request in (post(user, session="a", Origin=origin), get(granted(user, "a"), Origin=origin)):
            for _ in range(3):
                head, _ = line.send(request).whole()
                assert (head.status, head.headers.get("access-control-allow-origin")) == (200, allowed)
                assert head.headers["x-content-type-options"] == "nosniff"
        told = [line.send(post(user, session="d", Origin=origin)).whole()[0] for _ in range(30)]
        assert {head.status for head in told} <= {409, 429}
        assert {head.headers.get("access-control-allow-origin") for head in told} == {allowed}


def test_who_hammers_is_told_to_wait_each_time_with_an_id_of_its_own_and_is_counted(
    service: Service, line: Client, user: str
) -> None:
    for session in "abc":
        learnt(line, post(user, session=session))
    names = ["refusals_total too-many-requests", "problems_total too-many-requests"]
    before = [counted(service, name) for name in names]
    told = [line.send(post(user, session="d")).whole() for _ in range(60)]
    held = [(head, json.loads(body)) for head, body in told if head.status == 429]
    assert len(held) >= 30
    assert [counted(service, name) - was for name, was in zip(names, before, strict=True)] == [len(held)] * 2
    assert len({head.headers["x-request-id"] for head, _ in held}) == len(held)
    assert {(head.headers["retry-after"], body["code"]) for head, body in held} == {("1", "too-many-requests")}
    given = line.send(post(user, session="d", X_Request_Id="mine")).whole()[0]
    assert (given.status, given.headers["x-request-id"]) == (429, "mine")
    assert statuses(line, post(user, session="a")) == [200]


def test_each_is_counted_once_whether_its_head_was_known_or_not(service: Service, line: Client, user: str) -> None:
    grant, names = granted(user), ["admissions_total", "confirmations_total", "problems_total unknown-segment"]
    for varied in (False, True):
        before = [counted(service, name) for name in names]
        for number in range(5):
            more = {"X_Number": str(number)} if varied else {}
            asked = post(user, **more), get(grant, **more), get(grant, "tiny/index.m3u8", **more)
            assert statuses(line, *asked, post(user, "x.ts", **more)) == [200, 200, 200, 404]
        line.send(post(user, "x.ts")).whole()  # all before it is settled
        assert [counted(service, name) - was for name, was in zip(names, before, strict=True)] == [15, 10, 6]


def test_refusals_and_starts_are_logged_with_their_ids(service: Service, line: Client, user: str) -> None:
    learnt(line, post(user, session="a", X_Request_Id="one"))
    for session in "bc":
        learnt(line, post(user, session=session))
    told = [line.send(post(user, session="d")).whole()[0].headers["x-request-id"] for _ in range(4)]
    assert [each["request_id"] for each in lines(service, "refused", user_id=user)] == told
    started_by = [each["request_id"] for each in lines(service, "session.started", user_id=user)]
    assert (started_by[0], len({*started_by, *told})) == ("one", 7)


def test_the_same_file_in_another_place_of_the_playlist_has_another_number(
    service: Service, line: Client, user: str
) -> None:
    folder = service.log_path.parent / "streams" / "tiny"
    playlist, known = (folder / "index.m3u8").read_text(), [post(user, "b.ts"), get(granted(user), "tiny/b.ts")]

    def numbers() -> list[str]:
        return [line.send(each).whole()[0].headers["streamlimit-sequence"] for each in known]

    assert numbers() == ["1", "1"]
    (folder / "index.m3u8").write_text(playlist.replace("a.ts", "x").replace("b.ts", "a.ts").replace("x", "b.ts"))
    wait_until(lambda: numbers() == ["0", "0"], 5, "the other place")
    (folder / "index.m3u8").write_text(playlist)
    wait_until(lambda: numbers() == ["1", "1"], 5, "the first place")


def test_a_stream_that_goes_and_comes_back(service: Service, line: Client, user: str) -> None:
    streams = service.log_path.parent / "streams"
    known = [learnt(line, post(user)), learnt(line, get(granted(user)))]
    (streams / "tiny").rename(streams.parent / "gone")
    wait_until(lambda: statuses(line, *known) == [404, 404], 5, "the stream to go")
    (streams.parent / "gone").rename(streams / "tiny")
    wait_until(lambda: statuses(line, *known) == [200, 200], 5, "the stream to come back")


def test_a_new_connection_that_begins_with_known_bytes_is_kept_and_not_given_up(service: Service, user: str) -> None:
    with connected(service.port) as client:
        known = learnt(client, post(user)), learnt(client, get(granted(user)))
    for each in known:
        with connected(service.port) as fresh, connected(service.port) as idle:
            head, body = fresh.send(each).whole()
            assert (head.status, head.headers.get("connection"), body) == (200, None, content("a.ts"))
            assert idle.rest() == b"", "shown out: who never asked, and came later"
            assert statuses(fresh, *known) == [200, 200]
            fresh.send(each).socket.shutdown(socket.SHUT_WR)
            assert fresh.rest().endswith(content("a.ts"))
