"""The hooks of nginx-rtmp, SRS, MediaMTX and OvenMediaEngine, each in its documented form."""

import base64
import hmac
import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.edge.calls import Viewer, some_user
from tests.servers import single
from tests.service import OPERATOR_KEY, Answer, Service, await_readiness, started, temporary_folder, wait_until

STREAM = "cam 1"


@pytest.fixture
def service(any_stream_service: Service) -> Service:
    return any_stream_service


def rtmp(service: Service, call: str, grant: str = "", more: str = "", client: str = "7", **fields: str) -> Answer:
    """As nginx-rtmp 1.2 writes it: its own parameters, then the play URL's."""
    said = {
        "app": "live",
        "flashver": "LNX 9,0,124,2",
        "swfurl": "",
        "tcurl": "rtmp://localhost:1935/live",
        "pageurl": "",
        "addr": "192.0.2.7",
        "clientid": client,
        "call": call,
        "name": STREAM,
    } | fields
    if call == "play":
        said |= {"start": "4294966296", "duration": "0", "reset": "0"}
    if call.startswith("update"):
        said |= {"time": "12", "timestamp": "12000"}
    body = urlencode(said) + (f"&grant={grant}" if grant else "") + more
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    return service.post("/edge/rtmp", body.encode("latin-1"), headers=form)


def srs(service: Service, action: str, grant: str = "", **fields: Any) -> Answer:
    said = {
        "server_id": "vid-0xk989d",
        "service_id": "382a568f",
        "action": action,
        "client_id": "9308h583",
        "ip": "192.0.2.7",
        "vhost": "__defaultVhost__",
        "app": "live",
        "stream": STREAM,
        "tcUrl": "rtmp://localhost/live",
        "param": f"?vhost=x&grant={grant}" if grant else "",
        "pageUrl": "",
        "stream_url": f"/live/{STREAM}",
        "stream_id": "vid-124q9y3",
    } | fields
    return service.post("/edge/srs", said)


def mediamtx(service: Service, action: str, grant: str = "", **fields: Any) -> Answer:
    said = {
        "ip": "192.0.2.7",
        "user": "",
        "password": "",
        "token": "",
        "action": action,
        "path": STREAM,
        "protocol": "rtsp",
        "id": "a5a5c4e2-9c1f-4b8e-9d5f-0d3f3c0f9d11",
        "query": f"grant={grant}&x=1" if grant else "",
        "userAgent": "LibVLC/3.0.20",
    } | fields
    return service.post("/edge/mediamtx", said)


def ome_form(status: str, grant: str = "", direction: str = "outgoing", **request: str) -> dict[str, Any]:
    url = f"ws://example.com:3333/app/{STREAM.replace(' ', '%20')}/webrtc" + (f"?grant={grant}" if grant else "")
    return {
        "client": {"address": "127.0.0.1", "port": 29291, "real_ip": "192.0.2.7", "user_agent": "Mozilla/5.0"},
        "request": {
            "direction": direction,
            "protocol": "webrtc",
            "status": status,
            "url": url,
            "new_url": "",
            "time": "2026-11-29T12:00:00.000Z",
        }
        | request,
    }


def ome(service: Service, status: str, grant: str = "", **request: str) -> Answer:
    return service.post("/edge/ome", ome_form(status, grant, **request))


def _asked(server: str, service: Service, grant: str) -> bool:
    """Does that server let the viewer play?"""
    if server == "rtmp":
        return rtmp(service, "play", grant).status == 200
    if server == "srs":
        answer = srs(service, "on_play", grant)
        return answer.status == 200 and answer.json == {"code": 0}
    if server == "mediamtx":
        return mediamtx(service, "read", grant).status == 200
    answer = ome(service, "opening", grant)
    assert answer.status == 200
    assert answer.json["allowed"] is ("reason" not in answer.json)
    return bool(answer.json["allowed"])


SERVERS = ["rtmp", "srs", "mediamtx", "ome"]


@pytest.mark.parametrize("server", SERVERS)
def test_three_play_and_the_fourth_is_refused(service: Service, user: str, server: str) -> None:
    first = [Viewer(service, user, str(number), STREAM) for number in range(2)]
    late = Viewer(service, some_user(), "x", STREAM)
    assert all(_asked(server, service, viewer.grant) for viewer in first)
    opened = Viewer(service, user, "opened", STREAM)
    assert _asked(server, service, opened.grant)
    assert [each["state"] for each in service.watching(user)["sessions"]] == ["active"] * 3
    service.call("POST", f"/v1/users/{user}/sessions/opened/end", {"keep_grant": True})
    assert _asked(server, service, Viewer(service, user, "fourth", STREAM).grant)
    assert not _asked(server, service, opened.grant)
    assert len(service.watching(user)["sessions"]) == 3
    assert _asked(server, service, late.grant)


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("grant", ["", "nonsense", "a.b.c~1"])
def test_without_a_grant_nobody_plays(service: Service, server: str, grant: str) -> None:
    assert not _asked(server, service, grant)


@pytest.mark.parametrize("server", SERVERS)
def test_who_was_terminated_does_not_play(service: Service, user: str, server: str) -> None:
    viewer = Viewer(service, user, "s", STREAM)
    assert _asked(server, service, viewer.grant)
    service.call("DELETE", f"/v1/users/{user}/sessions/s?reason=x", key=OPERATOR_KEY)
    assert not _asked(server, service, viewer.grant)
    assert viewer.state() is None


def test_an_update_of_nginx_keeps_the_seat_and_kicks_the_terminated(service: Service, user: str) -> None:
    viewer = Viewer(service, user, "s", STREAM)
    assert rtmp(service, "play", viewer.grant).status == 200
    before = viewer.state()
    assert rtmp(service, "update_play", viewer.grant).status == 200
    after = viewer.state()
    assert before is not None
    assert after is not None
    assert after["last_activity_at"] > before["last_activity_at"]
    service.call("DELETE", f"/v1/users/{user}/sessions/s?reason=x", key=OPERATOR_KEY)
    assert rtmp(service, "update_play", viewer.grant).status == 410
    assert rtmp(service, "play_done", viewer.grant).status == 200
    for call in ("update_publish", "publish", "publish_done", "done", "connect", "record_done"):
        assert rtmp(service, call).status == 200


def test_what_players_append_besides_may_be_anything(service: Service, user: str) -> None:
    """A publisher whose hook fails is cut, and so is a viewer."""
    viewer = Viewer(service, user, "s", STREAM)
    for more in ("&title=caf%e9", "&title=caf\xe9", "&grant=%ff", "&&=&%", "&addr"):
        for call in ("play", "update_play", "publish", "update_publish"):
            assert rtmp(service, call, viewer.grant, more).status == 200


def test_of_repeated_parameters_the_first_counts(service: Service, user: str) -> None:
    viewer, other = Viewer(service, user, "s", STREAM), Viewer(service, user, "t", STREAM)
    forged = f"&grant={other.grant}&call=update_publish&name=else&addr=10.0.0.1&clientid=8"
    assert rtmp(service, "play", viewer.grant, forged).status == 200
    found = viewer.state()
    assert found is not None
    assert (found["state"], found["stream_id"]) == ("active", STREAM)
    assert rtmp(service, "play", "", "&call=update_publish").status == 401
    assert rtmp(service, "play_done", viewer.grant, forged).status == 200
    assert viewer.state() is None
    left = other.state()
    assert left is not None
    assert left["state"] == "starting"


@pytest.mark.parametrize("server", ["rtmp", "srs", "ome"])
def test_who_stops_is_gone_unless_they_went_on(service: Service, user: str, server: str) -> None:
    def stop(grant: str, client: str, stream: str = STREAM) -> None:
        if server == "rtmp":
            assert rtmp(service, "play_done", grant, client=client, name=stream).status == 200
        elif server == "srs":
            assert srs(service, "on_stop", grant, client_id=client, stream=stream).json == {"code": 0}
        else:
            assert ome(service, "closing", grant, url=f"rtsp://h/app/{stream}?grant={grant}").json == {}

    def play(grant: str, client: str) -> None:
        if server == "rtmp":
            assert rtmp(service, "play", grant, client=client).status == 200
        elif server == "srs":
            assert srs(service, "on_play", grant, client_id=client).status == 200
        else:
            assert ome(service, "opening", grant).json["allowed"]

    viewer = Viewer(service, user, "s", STREAM)
    play(viewer.grant, "1")
    play(viewer.grant, "2")
    if server != "ome":  # which names no connections
        stop(viewer.grant, "1")
        assert viewer.state() is not None
    stop(viewer.grant, "2", "another")
    assert viewer.state() is not None
    if server == "srs":
        stop(viewer.grant, "")  # as it says of HLS
        assert viewer.state() is not None
    stop(viewer.grant, "2")
    assert viewer.state() is None
    play(viewer.grant, "3")
    assert viewer.state() is not None


def test_of_several_workers_any_may_be_told_of_an_end(tmp_path: Path, user: str) -> None:
    """Each is told of some connections only: an old one's end ends no new one, and a seat is free at its own end."""
    settings = {"store": f"sqlite:///{tmp_path}/one.db", "ledger_streams": "any", "trusted_proxies": ["127.0.0.1"]}
    with ExitStack() as running:
        folders = [running.enter_context(temporary_folder()) for _ in range(3)]
        one, two, three = (running.enter_context(started(folder, **settings)) for folder in folders)
        viewer = Viewer(one, user, "s", STREAM)

        def told(worker: Service, action: str, client: str) -> None:
            assert srs(worker, action, viewer.grant, client_id=client).status == 200

        told(one, "on_play", "1")
        told(two, "on_play", "2")
        for worker in (one, two, three):
            told(worker, "on_stop", "1")
            assert viewer.state() is not None
        told(one, "on_stop", "2")
        assert viewer.state() is None
        for client, worker in (("3", three), ("4", one), ("5", two)):
            told(two, "on_play", client)
            told(worker, "on_stop", client)
            assert viewer.state() is None


@pytest.mark.parametrize("server", ["srs", "ome"])
def test_who_leaves_while_the_store_is_away_keeps_no_seat(server: str, tmp_path: Path) -> None:
    """The end is not repeated, and the seat was held as long as it did not come: it expires when nobody holds it."""
    with single("redis") as redis:
        settings = {"store": redis.url, "ledger_streams": "any", "trusted_proxies": ["127.0.0.1"]}
        with started(tmp_path, segment_seconds=0.3, **settings) as service:
            viewer = Viewer(service, "u", "s", STREAM)
            assert _asked(server, service, viewer.grant)
            begun = viewer.state()
            assert begun is not None
            wait_until(lambda: (viewer.state() or {"expires_at": ""})["expires_at"] > begun["expires_at"], 10, "a hold")
            redis.hang()
            if server == "srs":
                assert srs(service, "on_stop", viewer.grant).status == 503
            else:
                assert ome(service, "closing", viewer.grant).status == 200
            redis.resume()
            await_readiness(service)
            wait_until(lambda: viewer.state() is None, 10, "the seat to be free")


def test_an_end_of_srs_that_names_no_client_says_nothing(service: Service, user: str) -> None:
    viewer = Viewer(service, user, "s", STREAM)
    assert srs(service, "on_stop", viewer.grant, client_id="").json == {"code": 0}
    assert viewer.state() is not None
    assert srs(service, "on_stop", viewer.grant, client_id="5").json == {"code": 0}
    assert viewer.state() is None


def test_one_grant_is_one_connection_of_rtmp(service: Service, user: str) -> None:
    viewer = Viewer(service, user, "s", STREAM)
    for client in ("1", "2"):
        assert rtmp(service, "play", viewer.grant, client=client).status == 200
    statuses = [rtmp(service, "update_play", viewer.grant, client=client).status for client in "121212"]
    assert statuses[:2] == [200, 200]
    assert statuses[-2] == 409
    assert statuses[-1] == 200


def test_publishers_pass_and_nobody_gets_at_the_interfaces_of_mediamtx(service: Service) -> None:
    assert mediamtx(service, "publish").status == 200
    assert srs(service, "on_publish").json == {"code": 0}
    assert ome(service, "opening", direction="incoming").json == {"allowed": True}
    assert ome(service, "closing", direction="incoming").json == {}
    for action in ("api", "metrics", "pprof", "?"):
        assert mediamtx(service, action).status == 401


def test_mediamtx_takes_a_grant_as_token_or_password_and_paths_with_slashes(service: Service, user: str) -> None:
    for session, field in (("s", "token"), ("t", "password")):
        viewer = Viewer(service, user, session, "live%2Fcam%25")
        answer = mediamtx(service, "playback", path="live/cam%", **{field: viewer.grant})
        assert answer.status == 200
        found = viewer.state()
        assert found is not None
        assert (found["state"], found["stream_id"]) == ("active", "live%2Fcam%25")


MALFORMED = [b"", b"null", b"[]", b"{}", b'{"action": 5}', b"\xff", b"{" * 5000]


@pytest.mark.parametrize("body", MALFORMED, ids=range(len(MALFORMED)))
def test_what_is_no_hook_is_malformed(service: Service, body: bytes) -> None:
    for server in ("srs", "mediamtx", "ome"):
        answer = service.post(f"/edge/{server}", body)
        assert (answer.status, answer.json["code"]) == (400, "malformed")


def test_what_names_no_stream_is_malformed(service: Service, user: str) -> None:
    grant = Viewer(service, user, "s", STREAM).grant
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for body in (b"", b"x", b"call=play", b"name=%ff&call=play", b"\xff"):
        assert service.post("/edge/rtmp", body, headers=form).status in (400, 401)
    for name in ("", "..", "a/b", "c" * 129, "a\0"):
        assert rtmp(service, "play", grant, name=name).status == 400
        assert srs(service, "on_play", grant, stream=name).status == 400
    for path in ("", "..", "c" * 129, "a\0"):
        assert mediamtx(service, "read", grant, path=path).status == 400
    for url in (
        "",
        "rtmp://h/app",
        "rtmp://[h/app/s",
        f"rtmp://h/app/?grant={grant}",
        f"rtmp://h/app/..?grant={grant}",
        f"rtmp://h/app/%ff?grant={grant}",
    ):
        assert ome(service, "opening", grant, url=url).json["allowed"] is False
    assert rtmp(service, "play", more="&grant=%ff").status == 400
    assert service.post("/edge/rtmp", b"call=play").status == 415
    for server in SERVERS:
        assert service.get(f"/edge/{server}").status == 405
        assert service.post(f"/edge/{server}/x", {}).status == 404
    state = Viewer(service, user, "s", STREAM).state()
    assert state is not None
    assert state["state"] == "starting"


def test_only_servers_may_call_and_ovenmediaengine_signs() -> None:
    with temporary_folder() as folder:
        settings = {"ledger_streams": "any", "trusted_proxies": ["127.0.0.9"], "ome_secret": "se cret"}
        with started(folder, **settings) as service:
            viewer = Viewer(service, "u", "s", STREAM)
            for answer in (
                rtmp(service, "play", viewer.grant),
                rtmp(service, "update_publish"),
                srs(service, "on_play", viewer.grant),
                mediamtx(service, "read", viewer.grant),
                ome(service, "opening", viewer.grant),
            ):
                assert (answer.status, answer.json["code"]) == (403, "forbidden")
            body = json.dumps(ome_form("opening", viewer.grant)).encode()
            made = base64.urlsafe_b64encode(hmac.digest(b"se cret", body, "sha1")).decode()
            for signature, status in ((made, 200), (made.rstrip("="), 200), (made[::-1], 403), ("é", 403)):
                headers = {"X-OME-Signature": signature, "Content-Type": "application/json"}
                assert service.post("/edge/ome", body, headers=headers).status == status
            assert service.post("/edge/ome", body + b" ", headers={"X-OME-Signature": made}).status == 403
            found = viewer.state()
            assert found is not None
            assert found["state"] == "active"
