"""The viewer's control calls: open a session, who is watching, keep alive, end; and what players then notice."""

import http.client
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.service import OPERATOR_KEY, Answer, Service, started, temporary_folder, wait_until
from tests.web.folders import make_streams

RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
SESSION = {
    "session_id", "user_id", "stream_id", "state", "device", "segment", "sequence", "started_at", "last_activity_at",
    "expires_at", "plan", "limit",
}  # fmt: skip


@pytest.fixture(scope="module")
def streams() -> Iterator[Path]:
    with temporary_folder() as folder:
        yield make_streams(folder / "streams")


@pytest.fixture(scope="module")
def service(streams: Path) -> Iterator[Service]:
    with temporary_folder() as folder, started(folder, streams=str(streams), segment_seconds=6) as service:
        yield service


def _open(service: Service, user: str, session: str | None = None, stream: str = "tiny", **more: Any) -> Answer:
    named = {} if session is None else {"session_id": session}
    return service.post("/v1/sessions", {"user_id": user, "stream_id": stream} | named | more)


def _beat(service: Service, user: str, session: str, stream: str = "tiny", key: str | None = None) -> Answer:
    return service.post(f"/v1/users/{user}/sessions/{session}/heartbeat", {"stream_id": stream}, key=key)


def _ids(service: Service, user: str) -> set[str]:
    return {s["session_id"] for s in service.watching(user)["sessions"]}


# Opening


def test_a_new_session_reserves_a_seat(service: Service, user: str) -> None:
    answer = _open(service, user, "s", device={"id": "tv"})
    assert answer.status == 201
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    told = answer.json
    assert {"session", "playback_url", "grant", "limit", "live_sessions"} <= told.keys()
    assert (told["limit"], told["live_sessions"]) == (3, 1)
    assert told["session"].keys() == SESSION
    assert told["session"]["state"] == "starting"
    assert told["session"]["device"] == {"id": "tv"}
    assert told["session"]["last_activity_at"] is None
    assert RFC3339.fullmatch(told["session"]["started_at"])
    assert _ids(service, user) == {"s"}


def test_an_existing_session_gets_200_and_keeps_its_seat(service: Service, user: str) -> None:
    first, second = _open(service, user, "s"), _open(service, user, "s")
    assert (first.status, second.status) == (201, 200)
    assert second.json["session"] == first.json["session"]
    assert second.json["live_sessions"] == 1


@pytest.mark.parametrize(("stream", "entry"), [("tiny", "index.m3u8"), ("orchard", "master.m3u8")])
def test_the_playback_url(service: Service, user: str, stream: str, entry: str) -> None:
    told = _open(service, user, "s", stream).json
    assert told["playback_url"] == f"/play/{told['grant']}/{stream}/{entry}"
    assert "." in told["grant"]
    assert "/" not in told["grant"]
    playlist = service.get(told["playback_url"])
    assert playlist.status == 200
    assert playlist.body.startswith(b"#EXTM3U")


def test_without_an_id_the_server_makes_one_nobody_can_guess(service: Service, user: str) -> None:
    told = [_open(service, user).json["session"]["session_id"] for _ in range(3)]
    assert len(set(told)) == 3
    assert all(re.fullmatch(r"[A-Za-z0-9._~:@-]{16,128}", session) for session in told)
    assert _ids(service, user) == set(told)


def test_the_fourth_is_refused_here_already(service: Service, user: str) -> None:
    for session in "abc":
        assert _open(service, user, session).status == 201
    refused = _open(service, user, "d")
    assert (refused.status, refused.json["code"]) == (409, "session-limit")
    assert refused.json["live_sessions"] == 3
    assert _open(service, user, "d", replace="a").status == 201
    assert _ids(service, user) == {"b", "c", "d"}


def test_an_unknown_stream_takes_no_seat(service: Service, user: str) -> None:
    answer = _open(service, user, "s", "nothing")
    assert (answer.status, answer.json["code"]) == (404, "unknown-stream")
    assert _ids(service, user) == set()


def test_a_reservation_becomes_active_by_its_first_segment(service: Service, user: str) -> None:
    opened = _open(service, user, "s").json["session"]
    service.segment(user, "s", "tiny")
    session = service.get(f"/v1/users/{user}/sessions/s").json
    assert (session["state"], session["segment"], session["sequence"]) == ("active", "a.ts", 0)
    assert session["started_at"] == opened["started_at"]


# Who is watching


def test_the_streams(service: Service) -> None:
    answer = service.get("/v1/streams")
    streams = {s["stream_id"]: s for s in answer.json["streams"]}
    assert {"tiny", "orchard", "clock", "packed", "live"} <= streams.keys()
    tiny = {"stream_id": "tiny", "title": "tiny", "entry": "index.m3u8", "segments": 3, "segment_seconds": 2}
    assert streams["tiny"] == tiny | {"live": False}
    assert streams["live"]["live"] is True
    assert streams["orchard"]["title"] != "orchard"


def test_who_is_watching(service: Service, user: str) -> None:
    assert service.watching(user) == {"user_id": user, "limit": 3, "live_sessions": 0, "sessions": []}
    service.segment(user, "a", "tiny", device="tv")
    service.segment(user, "b", "orchard")
    told = service.watching(user)
    assert (told["live_sessions"], told["limit"]) == (2, 3)
    assert [(s["session_id"], s["stream_id"], s["device"]) for s in told["sessions"]] == [
        ("a", "tiny", "tv"),
        ("b", "orchard", None),
    ]
    assert all(s.keys() == SESSION for s in told["sessions"])


def test_one_session(service: Service, user: str) -> None:
    service.segment(user, "a", "tiny")
    assert service.get(f"/v1/users/{user}/sessions/a").json == service.watching(user)["sessions"][0]
    missing = service.get(f"/v1/users/{user}/sessions/b")
    assert (missing.status, missing.json["code"]) == (404, "unknown-session")


def test_users_do_not_see_each_other(service: Service, user: str) -> None:
    service.segment(user, "a", "tiny")
    assert service.watching(user + "x")["live_sessions"] == 0
    assert service.get(f"/v1/users/{user}x/sessions/a").status == 404


def test_a_grant_sees_and_ends_only_what_is_its_own(service: Service, user: str) -> None:
    grant = _open(service, user, "a").json["grant"]
    _open(service, user, "b")
    _open(service, user + "x", "a")
    for path, status in [
        (f"/v1/users/{user}/sessions", 200),
        (f"/v1/users/{user}/sessions/a", 200),
        (f"/v1/users/{user}/sessions/b", 403),
        (f"/v1/users/{user}x/sessions", 403),
        (f"/v1/users/{user}x/sessions/a", 403),
    ]:
        assert service.get(path, key=grant).status == status, path
    for user_id, session in ((user, "b"), (user + "x", "a")):
        assert service.call("DELETE", f"/v1/users/{user_id}/sessions/{session}", key=grant).status == 403
        assert service.post(f"/v1/users/{user_id}/sessions/{session}/end", key=grant).status == 403
        assert _beat(service, user_id, session, key=grant).status == 403
    assert (_ids(service, user), _ids(service, user + "x")) == ({"a", "b"}, {"a"})


def test_a_grant_opens_no_other_session(service: Service, user: str) -> None:
    grant = _open(service, user, "a").json["grant"]
    for form in (
        {"user_id": user, "session_id": "b", "stream_id": "tiny"},
        {"user_id": user + "x", "session_id": "a", "stream_id": "tiny"},
        {"user_id": user, "stream_id": "tiny"},
    ):
        assert service.post("/v1/sessions", form, key=grant).status == 403
    assert _ids(service, user) == {"a"}


# The end


def test_the_end_frees_the_seat_at_once_and_again_says_the_same(service: Service, user: str) -> None:
    for session in "abc":
        service.segment(user, session, "tiny")
    for _ in range(3):
        ended = service.call("DELETE", f"/v1/users/{user}/sessions/a")
        assert (ended.status, ended.body) == (204, b"")
    assert _ids(service, user) == {"b", "c"}
    assert service.segment(user, "d", "tiny").status == 200


def test_an_end_of_what_never_was_is_fine(service: Service, user: str) -> None:
    assert service.call("DELETE", f"/v1/users/{user}/sessions/never").status == 204


def test_an_ended_session_may_come_back_as_a_new_one(service: Service, user: str) -> None:
    first = _open(service, user, "a").json["session"]
    service.call("DELETE", f"/v1/users/{user}/sessions/a")
    again = _open(service, user, "a")
    assert again.status == 201
    assert again.json["session"]["started_at"] >= first["started_at"]


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/plain;charset=UTF-8", b"bye"),
        ("application/json", b"{}"),
        ("application/json", b"no json"),
        ("application/x-www-form-urlencoded", b"a=b"),
        ("multipart/form-data; boundary=x", b"--x--"),
        (None, b""),
        ("", b"\x00\xff"),
    ],
)
def test_a_beacon_ends_a_session_whatever_it_carries(
    service: Service, user: str, content_type: str | None, body: bytes
) -> None:
    service.segment(user, "a", "tiny")
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=10)
    headers = {} if content_type is None else {"Content-Type": content_type}
    connection.request("POST", f"/v1/users/{user}/sessions/a/end", body, headers)
    assert connection.getresponse().status == 204
    connection.close()
    assert _ids(service, user) == set()
    assert service.post(f"/v1/users/{user}/sessions/a/end").status == 204, "again"


def test_an_operators_end_is_a_termination(service: Service, user: str) -> None:
    service.segment(user, "a", "tiny")
    path = f"/v1/users/{user}/sessions/a?reason=password+shared"
    for _ in range(2):
        assert service.call("DELETE", path, key=OPERATOR_KEY).status == 204
    refused = service.segment(user, "a", "tiny")
    assert (refused.status, refused.json["code"]) == (410, "session-terminated")
    assert (refused.json["by"], refused.json["reason"]) == ("operator", "password shared")
    assert RFC3339.fullmatch(refused.json["at"])
    assert _open(service, user, "a").status == 410
    assert _beat(service, user, "a").status == 410
    assert service.segment(user, "b", "tiny").status == 200


def test_a_reason_is_short(service: Service, user: str) -> None:
    service.segment(user, "a", "tiny")
    path = f"/v1/users/{user}/sessions/a?reason="
    refused = service.call("DELETE", path + "r" * 201, key=OPERATOR_KEY)
    assert (refused.status, refused.json["code"], refused.json["field"]) == (400, "malformed", "reason")
    assert service.call("DELETE", path + "r" * 200, key=OPERATOR_KEY).status == 204


@pytest.mark.parametrize("character", ["%0A", "%0d%0a", "%00", "%1b", "%7f", "%C2%85", "%E2%80%A8"])
@pytest.mark.parametrize("session", ["", "/a"])
def test_a_reason_is_one_line(service: Service, user: str, character: str, session: str) -> None:
    service.segment(user, "a", "tiny")
    path = f"/v1/users/{user}/sessions{session}?reason=moved{character}out"
    refused = service.call("DELETE", path, key=OPERATOR_KEY)
    assert (refused.status, refused.json["code"], refused.json["field"]) == (400, "malformed", "reason")
    assert _ids(service, user) == {"a"}


# Heartbeats


def test_a_heartbeat_is_activity(service: Service, user: str) -> None:
    service.segment(user, "a", "tiny")
    before = service.watching(user)["sessions"][0]

    def moved() -> bool:
        answer = _beat(service, user, "a")
        assert answer.status == 200
        assert answer.json.keys() == SESSION | {"heartbeat_seconds", "silent_after_seconds"}
        assert answer.json["state"] == "active"
        return bool(answer.json["last_activity_at"] > before["last_activity_at"])

    wait_until(moved, 5, "a later last activity")
    after = service.watching(user)["sessions"][0]
    assert (after["segment"], after["sequence"]) == (before["segment"], before["sequence"])
    assert after["expires_at"] > before["expires_at"]


def test_a_heartbeat_seats_a_new_session(service: Service, user: str) -> None:
    told = _beat(service, user, "a").json
    assert (told["state"], told["stream_id"], told["segment"]) == ("active", "tiny", None)
    assert _ids(service, user) == {"a"}
    assert service.segment(user, "a", "tiny").headers["streamlimit-sequence"] == "0"


def test_a_heartbeat_is_refused_like_a_segment(service: Service, user: str) -> None:
    for session in "abc":
        assert _beat(service, user, session).status == 200
    refused = _beat(service, user, "d")
    assert (refused.status, refused.json["code"], refused.json["live_sessions"]) == (409, "session-limit", 3)
    assert _beat(service, user, "a").status == 200
    unknown = _beat(service, user, "a", "nothing")
    assert (unknown.status, unknown.json["code"]) == (404, "unknown-stream")


def test_a_heartbeat_for_another_stream_moves_the_session(service: Service, user: str) -> None:
    service.segment(user, "a", "tiny")
    told = _beat(service, user, "a", "orchard").json
    assert (told["stream_id"], told["segment"], told["sequence"]) == ("orchard", None, None)
    assert service.watching(user)["live_sessions"] == 1


# Two players on one session (rule 8)


def _zap(service: Service, user: str, *streams: str) -> list[int]:
    return [service.segment(user, "s", stream).status for stream in streams]


def test_honest_zapping_there_and_back_twice_is_fine(service: Service, user: str) -> None:
    assert _zap(service, user, "tiny", "orchard", "tiny", "clock", "packed") == [200] * 5


def test_ping_pong_is_refused_as_shared_and_the_other_player_goes_on(service: Service, user: str) -> None:
    assert _zap(service, user, "tiny", "orchard", "tiny", "orchard") == [200] * 4
    refused = service.segment(user, "s", "tiny")
    assert (refused.status, refused.json["code"]) == (409, "session-shared")
    assert service.watching(user)["sessions"][0]["stream_id"] == "orchard"
    assert service.segment(user, "s", "orchard").status == 200
    assert service.segment(user, "s", "clock").status == 200, "to a third stream is no ping-pong"


def test_two_addresses_that_fetch_the_same_are_refused_as_shared(service: Service, user: str) -> None:
    def fetch(address: str, segment: str) -> int:
        form = {"user_id": user, "session_id": "s", "stream_id": "tiny", "segment": segment}
        connection = http.client.HTTPConnection("127.0.0.1", service.port, 10, source_address=(address, 0))
        connection.request("POST", "/v1/segments", json.dumps(form), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer.status

    assert fetch("127.0.0.1", "a.ts") == 200
    assert fetch("127.0.0.2", "a.ts") == 200, "one seek from a new address is no sharing"
    statuses = [fetch(f"127.0.0.{1 + i % 2}", "a.ts") for i in range(4)]
    assert statuses[-1] == 409
    assert [fetch("127.0.0.1", "b.ts")] == [200], "a request ahead of all is fetching"


def test_one_player_may_seek_back_as_often_as_it_likes(service: Service, user: str) -> None:
    for _ in range(6):
        assert service.segment(user, "s", "tiny", segment="c.ts").status == 200
        assert service.segment(user, "s", "tiny", segment="a.ts").status == 200


# Who gives way (rule 12)


def test_replace_idle_takes_the_longest_silent_seat(streams: Path, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"over_limit": "replace-idle", "segment_seconds": 0.6, "missed_segments": 5}
    with started(tmp_path, streams=str(streams), **settings) as service:
        for session in "abc":
            service.segment("u", session, "tiny")
        assert service.segment("u", "d", "tiny").status == 409, "nobody is silent for long"

        def admitted() -> bool:
            for session in "bc":
                assert _beat(service, "u", session).status == 200
            return service.segment("u", "d", "tiny").status == 200

        wait_until(admitted, 10, "the silent one to give way")
        assert _ids(service, "u") == {"b", "c", "d"}
        victim = service.segment("u", "a", "tiny")
        assert victim.status in (409, 410)
        if victim.status == 410:  # else it expired at that very moment
            assert victim.json["by"] == "viewer"


def test_replace_oldest_takes_the_oldest_seat_and_tells_it_who_why_and_when(streams: Path, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"over_limit": "replace-oldest", "segment_seconds": 0.6}
    with started(tmp_path, streams=str(streams), **settings) as service:
        for session in "abcd":
            assert service.segment("u", session, "tiny", device=f"device {session}").status == 200
        assert _ids(service, "u") == {"b", "c", "d"}
        victim = service.segment("u", "a", "tiny")
        assert (victim.status, victim.json["code"]) == (410, "session-terminated")
        assert victim.json["by"] == "viewer"
        assert "replaced" in victim.json["reason"]
        assert RFC3339.fullmatch(victim.json["at"])
        assert (victim.json["by_session_id"], victim.json["by_device"]) == ("d", "device d")
        assert _ids(service, "u") == {"b", "c", "d"}, "a retrying player takes no seat back"
        silent_since = time.monotonic()
        wait_until(lambda: time.monotonic() - silent_since > 3 * 0.6 + 0.25, 10, "n·X of silence")
        assert service.segment("u", "a", "tiny").status == 200
