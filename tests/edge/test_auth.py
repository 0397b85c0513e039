"""`/edge/auth` and `/edge/envoy`: an edge asks, streamlimit decides."""

import http.client
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.edge.calls import Viewer, auth, some_user
from tests.servers import single
from tests.service import OPERATOR_KEY, Service, started, temporary_folder
from tests.web.streams import make_long


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """An edge that may keep a yes for 3 s, in front of one stream of ours and any other."""
    with temporary_folder() as folder:
        streams = make_long(folder / "streams", "film")
        (streams / "film/poster.jpg").write_bytes(b"\xff\xd8\xff\xe0 a picture")
        (streams / "film/hidden.jpg").write_bytes(b"G" + bytes(187) + b"G" + bytes(187) + b"G" + bytes(187))
        settings = {"streams": str(streams), "ledger_streams": "any", "trusted_proxies": ["127.0.0.1"]}
        with started(folder, segment_seconds=6, **settings) as service:
            yield service


@pytest.fixture(scope="module")
def strict() -> Iterator[Service]:
    """The same where no yes is kept, and only streams of ours are played."""
    with temporary_folder() as folder:
        streams = make_long(folder / "streams", "film")
        settings = {"streams": str(streams), "trusted_proxies": ["127.0.0.1"], "edge_cache_seconds": 0.9}
        with started(folder, segment_seconds=6, **settings) as service:
            yield service


# Yes


def test_a_yes_is_an_empty_200_that_says_whose_it_is(service: Service) -> None:
    viewer = Viewer(service, some_user() + "+tv@é", "my tv", "Big Bunny")
    answer = auth(service, f"/play/{viewer.grant}/Big%20Bunny/v%25/7.ts?x=1")
    assert (answer.status, answer.body) == (200, b"")
    told = {name: value for name, value in answer.headers.items() if name.startswith("streamlimit-")}
    assert told == {
        "streamlimit-user": viewer.user.replace("é", "%C3%A9"),
        "streamlimit-session": "my%20tv",
        "streamlimit-stream": "Big%20Bunny",
        "streamlimit-segment": "v%25/7.ts",
        "streamlimit-live-sessions": "1",
        "streamlimit-limit": "3",
    }
    assert answer.headers["cache-control"] == "no-store"  # nothing was received yet


def test_a_name_may_end_with_any_letter(service: Service, user: str) -> None:
    """The last byte of some is a space of Latin-1."""
    viewer = Viewer(service, user, "s")
    with closing(http.client.HTTPConnection("127.0.0.1", service.port, 30)) as edge:
        for name in ("voil\xe0", "\xc5"):
            edge.request("GET", "/edge/auth", headers={"X-Original-URI": viewer.uri(name).encode()})
            answer = edge.getresponse()
            answer.read()
            assert (answer.status, answer.getheader("Streamlimit-Segment")) == (200, quote(name))


def test_a_later_segment_tells_that_the_one_before_was_received(service: Service, user: str) -> None:
    viewer = Viewer(service, user, "s")
    assert viewer.ask("v/1.ts").headers["cache-control"] == "no-store"
    assert viewer.state()["state"] == "starting"  # type: ignore[index]
    assert viewer.ask("v/1.ts").headers["cache-control"] == "no-store"  # a retry tells nothing
    assert viewer.ask("a/2.ts").headers["cache-control"] == "no-store"  # nor does another rendition
    assert viewer.ask("v/0.ts").headers["cache-control"] == "no-store"  # nor what lies behind
    assert viewer.state()["state"] == "starting"  # type: ignore[index]
    answer = viewer.ask("v/4.ts")
    assert answer.headers["cache-control"] == "max-age=3"
    found = viewer.state()
    assert found is not None
    assert (found["state"], found["segment"], found["sequence"]) == ("active", "v/1.ts", 1)


def test_where_no_yes_is_kept_only_the_following_segment_tells(strict: Service, user: str) -> None:
    viewer = Viewer(strict, user, "s", "film")
    assert viewer.ask("000.ts").status == viewer.ask("002.ts").status == 200
    assert viewer.state()["state"] == "starting"  # type: ignore[index]
    assert viewer.ask("003.ts").headers["cache-control"] == "no-store"  # it is never kept
    found = viewer.state()
    assert found is not None
    assert (found["state"], found["segment"]) == ("active", "002.ts")


@pytest.mark.parametrize("path", ["index.m3u8", "a/init.mp4", "key.key", "poster.jpg", ""])
def test_what_is_no_media_takes_no_seat_and_its_yes_is_not_kept(service: Service, user: str, path: str) -> None:
    viewer = Viewer(service, user, "s")
    _end(viewer)
    viewer = Viewer(service, user, "t")
    _end_keeping_grant(viewer)
    answer = viewer.ask(path)
    assert (answer.status, answer.headers["cache-control"]) == (200, "no-store")
    assert "streamlimit-segment" not in answer.headers
    assert viewer.state() is None
    viewer.ask("1.ts")
    viewer.ask("2.ts")  # it is active now
    assert viewer.ask(path).headers["cache-control"] == "no-store"


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "head"])
def test_a_look_neither_seats_nor_confirms(service: Service, user: str, method: str) -> None:
    viewer = Viewer(service, user, "s")
    _end_keeping_grant(viewer)
    assert viewer.ask("1.ts", method=method).headers["cache-control"] == "no-store"
    assert viewer.state() is None
    viewer.ask("1.ts")
    assert viewer.ask("2.ts", method=method).status == 200
    assert viewer.state()["state"] == "starting"  # type: ignore[index]
    forged = {"X-Original-URI": viewer.uri("2.ts"), "X-Forwarded-Method": "GET", "X-Original-Method": method}
    assert service.get("/edge/auth", headers=forged).status == 200
    assert viewer.state()["state"] == "active"  # type: ignore[index]  # of two the one that takes a seat counts


def test_a_look_of_who_plays_may_be_kept_for_its_own_stream_alone(service: Service, user: str) -> None:
    """A look pays no visit, and a yes that an edge keeps opens segments."""
    viewer = Viewer(service, user, "s")
    viewer.ask("1.ts")
    viewer.ask("2.ts")  # it is active now
    assert viewer.ask("3.ts", method="HEAD").headers["cache-control"] == "max-age=3"
    assert viewer.ask("3.ts", "other", method="HEAD").headers["cache-control"] == "no-store"
    assert viewer.ask("index.m3u8", method="HEAD").headers["cache-control"] == "no-store"


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "PROPFIND"])
def test_an_edge_may_ask_by_any_method(service: Service, user: str, method: str) -> None:
    viewer = Viewer(service, user, "s")
    for call in ("/edge/auth", "/edge/envoy" + viewer.uri("1.ts")):
        headers = {"X-Forwarded-Uri": viewer.uri("1.ts"), "Range": "bytes=0-1", "If-None-Match": "*"}
        answer = service.call(method, call, headers=headers)
        assert (answer.status, answer.body, answer.headers["streamlimit-segment"]) == (200, b"", "1.ts")


def test_a_preflight_that_an_edge_hands_on_is_answered_with_exactly_200(service: Service, user: str) -> None:
    viewer = Viewer(service, user, "s")
    headers = {"X-Original-URI": viewer.uri("1.ts"), "Origin": "http://a", "Access-Control-Request-Method": "GET"}
    for call in ("/edge/auth", "/edge/envoy" + viewer.uri("1.ts")):
        answer = service.call("OPTIONS", call, headers=headers)
        assert (answer.status, answer.headers["streamlimit-session"]) == (200, "s")


def test_a_grant_beside_the_path_will_do(service: Service, user: str) -> None:
    viewer = Viewer(service, user, "s")
    for uri, headers in (
        (f"/elsewhere/1.ts?grant={viewer.grant}", {}),
        ("/elsewhere/1.ts", {"Authorization": f"Bearer {viewer.grant}"}),
        ("/elsewhere/1.ts", {"Cookie": f"a=b; streamlimit={viewer.grant}"}),
    ):
        answer = auth(service, uri, **headers)
        assert (answer.status, answer.headers["streamlimit-segment"]) == (200, "1.ts")
    asked = {"X-Original-URI": "/elsewhere/1.ts"}
    assert service.get(f"/edge/auth?grant={viewer.grant}", headers=asked).status == 401  # our own query is no viewer's


def test_a_token_for_another_server_hides_no_grant(service: Service, user: str) -> None:
    viewer, other = Viewer(service, user, "s"), Viewer(service, user, "other")
    theirs = {"Authorization": "Bearer of-our-api", "Cookie": f"streamlimit={viewer.grant}"}
    assert auth(service, "/elsewhere/1.ts", **theirs).headers["streamlimit-session"] == "s"
    both = theirs | {"Authorization": f"Bearer {other.grant}"}
    assert auth(service, "/elsewhere/1.ts", **both).headers["streamlimit-session"] == "other"
    for uri, headers in (
        ("/elsewhere/1.ts", {"Authorization": "Bearer of-our-api", "Cookie": "streamlimit=x"}),
        ("/elsewhere/1.ts?grant=x", theirs),
        ("/play/x/elsewhere/1.ts", theirs),
    ):
        assert auth(service, uri, **headers).status == 401


def test_a_play_behind_the_grant_is_a_player_of_its_own(service: Service, user: str) -> None:
    viewer = Viewer(service, user, "s")
    assert auth(service, f"/play/{viewer.grant}~1f/elsewhere/1.ts").status == 200
    assert auth(service, f"/play/{viewer.grant}~2f/elsewhere/2.ts").headers["cache-control"] == "no-store"
    assert auth(service, f"/play/{viewer.grant}~1f/elsewhere/2.ts").headers["cache-control"] == "max-age=3"
    assert auth(service, f"/play/{viewer.grant}~x/elsewhere/2.ts").status == 401


def test_what_players_tell_in_a_request_changes_no_decision(service: Service, user: str) -> None:
    """CMCD by query or header: `sid` is the player's own name for a play, and seats nobody."""
    viewer = Viewer(service, user, "s")
    told = "CMCD=bl%3D2100%2Cbr%3D3200%2Ccid%3D%22other%22%2Csid%3D%226e2f%22%2Csu&grant=x"
    headers = {"CMCD-Session": 'sid="6e2f",cid="other"', "CMCD-Status": "bs"}
    for path in (f"1.ts?{told}", "2.ts"):
        answer = viewer.ask(path, **headers)
        assert (answer.status, answer.headers["streamlimit-session"]) == (200, "s")
        assert answer.headers["streamlimit-stream"] == "elsewhere"
    assert service.watching(user)["live_sessions"] == 1


def test_a_play_that_is_locked_out_is_refused_keys_and_subtitles_at_the_edge_too(service: Service, user: str) -> None:
    viewer = Viewer(service, user, "s")
    plays = [viewer.grant + f"~{number}" for number in range(1, 4)]

    def ask(grant: str, file: str) -> int:
        return auth(service, f"/play/{grant}/elsewhere/{file}").status

    for number in range(6):
        for grant in plays:
            ask(grant, f"v/{number}.ts")
    for file in ("v/6.ts", "words.vtt", "key.key", "v.m3u8"):
        assert [ask(grant, file) for grant in plays] == [403, 403, 200]


def test_another_address_does_not_tell_what_was_received(service: Service, user: str) -> None:
    viewer = Viewer(service, user, "s")
    viewer.ask("1.ts", X_Forwarded_For="198.51.100.1")
    viewer.ask("2.ts", X_Forwarded_For="198.51.100.2")
    assert viewer.state()["state"] == "starting"  # type: ignore[index]
    viewer.ask("2.ts", X_Forwarded_For="198.51.100.1")
    assert viewer.state()["state"] == "active"  # type: ignore[index]


def test_a_stream_of_ours_is_read_as_it_is(service: Service, user: str) -> None:
    viewer = Viewer(service, user, "s", "film")
    _end_keeping_grant(viewer)
    assert [viewer.ask(path).status for path in ("index.m3u8", "poster.jpg")] == [200, 200]
    assert viewer.state() is None
    assert viewer.ask("hidden.jpg").headers["streamlimit-segment"] == "hidden.jpg"  # it is called so, and holds media
    answer = viewer.ask("none.ts")
    assert (answer.status, answer.headers["streamlimit-code"]) == (403, "unknown-segment")


# No


def test_of_six_sessions_never_more_than_three_are_fed(service: Service, user: str) -> None:
    """Asked for all at once, by ranges, looks, conditions and files that no playlist names."""
    viewers = [Viewer(service, user, f"s{number}") for number in range(3)]
    for viewer in viewers:
        _end_keeping_grant(viewer)
    viewers += [Viewer(service, user, f"s{number}") for number in range(3, 6)]
    for viewer in viewers[3:]:
        _end_keeping_grant(viewer)
    asked = [
        (viewer, path, method, condition)
        for path in ("index.m3u8", "1.ts", "other/2.ts", "x", "3.ts")
        for method in ("HEAD", "GET")
        for viewer in viewers
        for condition in ({"Range": "bytes=0-0"}, {"If_None_Match": "*"})
    ]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda one: one[0].ask(one[1], method=one[2], **one[3]), asked))
    told = list(zip(asked, answers, strict=True))
    assert all(answer.status in (200, 403) for _, answer in told)
    fed = {one[0].session for one, answer in told if answer.status == 200 and "streamlimit-segment" in answer.headers}
    assert len(fed) == 3
    assert {each["session_id"] for each in service.watching(user)["sessions"]} == fed


def test_the_fourth_is_refused_with_the_reason_in_a_header(service: Service, user: str) -> None:
    viewers = [Viewer(service, user, f"s{n}", f"film-{n}") for n in range(3)]
    late = Viewer(service, user, "s0", "film-0")
    _end_keeping_grant(late)
    viewers.append(Viewer(service, user, "s3", "film-3"))
    answer = late.ask("1.ts")
    assert (answer.status, answer.headers["streamlimit-code"]) == (403, "session-limit")
    assert answer.headers["cache-control"] == "no-store"
    told = json.loads(answer.headers["streamlimit-problem"])
    assert {s["session_id"] for s in told["sessions"]} == {"s1", "s2", "s3"}
    assert (told["status"], told["limit"], told == answer.json) == (409, 3, True)
    assert late.ask("index.m3u8").headers["streamlimit-code"] == "session-limit"  # its playlist says so already
    envoy = service.get("/edge/envoy" + late.uri("1.ts"))
    assert (envoy.status, envoy.json["code"], envoy.headers["streamlimit-code"]) == (409, *["session-limit"] * 2)


def test_a_termination_is_told_and_a_dead_grant_is_none(service: Service, user: str) -> None:
    viewer, other = Viewer(service, user, "s"), Viewer(service, user, "t")
    viewer.ask("1.ts")
    service.call("DELETE", f"/v1/users/{user}/sessions/s?reason=enough", key=OPERATOR_KEY)
    answer = viewer.ask("2.ts")
    assert (answer.status, answer.headers["streamlimit-code"]) == (403, "session-terminated")
    assert json.loads(answer.headers["streamlimit-problem"])["reason"] == "enough"
    assert service.get("/edge/envoy" + viewer.uri("2.ts")).status == 410
    _end(other)
    answer = other.ask("1.ts")
    assert (answer.status, answer.headers["streamlimit-code"]) == (401, "unauthenticated")
    assert service.get("/edge/envoy" + other.uri("1.ts")).status == 401


@pytest.mark.parametrize(
    ("uri", "headers", "status", "code"),
    [
        ("/play/G/elsewhere/1.ts", {"X-Forwarded-Uri": "/play/G/elsewhere/2.ts"}, 403, "forbidden"),
        ("/play/G/../elsewhere/1.ts", {}, 403, "malformed"),
        ("/play/G/elsewhere/%2e%2e/1.ts", {}, 403, "malformed"),
        ("/play/G", {}, 403, "malformed"),
        ("", {}, 403, "malformed"),
        ("/play/nothing/elsewhere/1.ts", {}, 401, "unauthenticated"),
        ("/elsewhere/1.ts", {}, 401, "unauthenticated"),
        ("/elsewhere/1.ts", {"Authorization": "Basic eDp5"}, 401, "unauthenticated"),
    ],
)
def test_what_makes_no_sense_is_a_no(
    service: Service, user: str, uri: str, headers: dict[str, str], status: int, code: str
) -> None:
    viewer = Viewer(service, user, "s")
    told = {name: value.replace("/G", f"/{viewer.grant}") for name, value in headers.items()}
    answer = auth(service, uri.replace("/G", f"/{viewer.grant}"), **told)
    assert (answer.status, answer.headers["streamlimit-code"]) == (status, code)
    assert answer.headers["cache-control"] == "no-store"


def test_a_stream_nobody_knows_is_refused(strict: Service, user: str) -> None:
    viewer = Viewer(strict, user, "s", "film")
    answer = viewer.ask("1.ts", stream="other")
    assert (answer.status, answer.headers["streamlimit-code"]) == (403, "unknown-stream")
    assert strict.get("/edge/envoy" + viewer.uri("1.ts", "other")).status == 403
    assert viewer.state()["stream_id"] == "film"  # type: ignore[index]


def test_only_trusted_proxies_may_ask(tmp_path: Path, user: str) -> None:
    with started(tmp_path, ledger_streams="any", trusted_proxies=["192.0.2.1"]) as service:
        viewer = Viewer(service, user, "s")
        for answer in (viewer.ask("1.ts"), service.get("/edge/envoy" + viewer.uri("1.ts"))):
            assert (answer.status, answer.headers["streamlimit-code"]) == (403, "forbidden")
        assert viewer.state()["state"] == "starting"  # type: ignore[index]


def test_the_log_names_no_grant(service: Service, user: str) -> None:
    viewer = Viewer(service, user, "s")
    _end(viewer)
    viewer.ask("1.ts")
    service.get("/edge/envoy" + viewer.uri("1.ts"))
    service.get("/edge/none/" + viewer.grant)
    assert viewer.grant not in service.log()
    assert '"route":"/edge/auth"' in service.log().replace(" ", "")


def _end(viewer: Viewer) -> None:
    path = f"/v1/users/{viewer.user}/sessions/{viewer.session}/end"
    assert viewer.service.post(path, {"grant": viewer.grant}).status == 204


def _end_keeping_grant(viewer: Viewer) -> None:
    path = f"/v1/users/{viewer.user}/sessions/{viewer.session}/end"
    assert viewer.service.post(path, {"grant": viewer.grant, "keep_grant": True}).status == 204


# The store is away


def test_who_sits_goes_on_while_the_store_is_away_and_a_newcomer_is_told_so(tmp_path: Path, user: str) -> None:
    with single("redis") as redis:
        settings = {"ledger_streams": "any", "trusted_proxies": ["127.0.0.1"], "store": redis.url}
        with started(tmp_path, **settings) as service:
            sitting, late = Viewer(service, user, "s"), Viewer(service, user, "t")
            _end_keeping_grant(late)
            sitting.ask("1.ts")
            sitting.ask("2.ts")
            redis.stop()
            answers = [sitting.ask(f"{number}.ts") for number in range(3, 6)]
            assert [answer.status for answer in answers] == [200, 200, 200]
            assert answers[-1].headers["streamlimit-degraded"] == "true"
            refused = late.ask("1.ts")
            assert (refused.status, refused.headers["streamlimit-code"]) == (403, "store-unavailable")
            assert int(refused.headers["retry-after"]) >= 1
            refused = service.get("/edge/envoy" + late.uri("1.ts"))
            assert (refused.status, refused.headers["streamlimit-code"]) == (403, "store-unavailable")


def test_an_edge_that_does_not_say_whose_address_it_is_makes_nobody_two_players(tmp_path: Path, user: str) -> None:
    """One viewer by two proxies, who seeks back: their own addresses are no viewer's."""
    with started(tmp_path, ledger_streams="any", trusted_proxies=["127.0.0.0/8"]) as service:
        viewer = Viewer(service, user, "s")
        for number in range(9, 0, -1):
            path = viewer.uri(f"{number}.ts")
            assert _asked_from(service, f"127.0.0.{number % 2 + 2}", path) == 200
            service.post("/edge/reports", [{"path": path, "complete": True}])


def test_two_players_at_two_addresses_are_still_told_apart(tmp_path: Path, user: str) -> None:
    with started(tmp_path, ledger_streams="any", trusted_proxies=["127.0.0.0/8"]) as service:
        viewer = Viewer(service, user, "s")
        told = []
        for number in range(9, 0, -1):
            told.append(viewer.ask(f"{number}.ts", X_Forwarded_For=f"198.51.100.{number % 2}").status)
            service.post("/edge/reports", [{"path": viewer.uri(f"{number}.ts"), "complete": True}])
        assert told[:2] == [200, 200]
        assert 403 in told


def test_two_players_at_two_addresses_are_told_apart_where_an_edge_only_looks(tmp_path: Path, user: str) -> None:
    """So nginx's scripts renew what they keep of a session that plays; their reports hold no address."""
    with started(tmp_path, ledger_streams="any", trusted_proxies=["127.0.0.0/8"]) as service:
        viewer = Viewer(service, user, "s")
        viewer.ask("20.ts", X_Forwarded_For="198.51.100.0")
        service.post("/edge/reports", [{"path": viewer.uri("20.ts"), "complete": True}])
        told = []
        for number in range(9, 0, -1):
            own = {"X_Original_Method": "HEAD", "X_Forwarded_For": f"198.51.100.{number % 2}"}
            told.append(viewer.ask(f"{number}.ts", **own).headers.get("streamlimit-code"))
            service.post("/edge/reports", [{"path": viewer.uri(f"{number}.ts"), "complete": True}])
        assert told[:2] == [None, None]
        assert "session-shared" in told


def test_the_next_request_says_nothing_of_what_was_only_looked_at(service: Service, user: str) -> None:
    viewer = Viewer(service, user, "s")
    viewer.ask("1.ts")
    viewer.ask("2.ts")
    viewer.ask("2.ts", method="HEAD")  # it was asked for before
    viewer.ask("5.ts", method="HEAD")
    viewer.ask("6.ts")
    state = viewer.state()
    assert state is not None
    assert state["segment"] == "2.ts"


def test_one_player_who_seeks_back_is_no_second_one_where_an_edge_only_looks(tmp_path: Path, user: str) -> None:
    with started(tmp_path, ledger_streams="any", trusted_proxies=["127.0.0.0/8"]) as service:
        viewer = Viewer(service, user, "s")
        viewer.ask("20.ts", X_Forwarded_For="198.51.100.1")
        service.post("/edge/reports", [{"path": viewer.uri("20.ts"), "complete": True}])
        for number in range(9, 0, -1):
            own = {"X_Original_Method": "HEAD", "X_Forwarded_For": "198.51.100.1"}
            assert viewer.ask(f"{number}.ts", **own).status == 200
            service.post("/edge/reports", [{"path": viewer.uri(f"{number}.ts"), "complete": True}])


def _asked_from(service: Service, address: str, uri: str) -> int:
    """The answer to a question of the edge at that address."""
    line = http.client.HTTPConnection("127.0.0.1", service.port, timeout=20, source_address=(address, 0))
    try:
        line.request("GET", "/edge/auth", headers={"X-Original-URI": uri})
        return line.getresponse().status
    finally:
        line.close()
