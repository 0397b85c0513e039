"""`enforce = false`: everything is decided, counted, shown and announced, and nobody is refused."""

from pathlib import Path

from tests.service import OPERATOR_KEY, Service, service_of_file, started, wait_until
from tests.webhooks.receiver import SECRET, Receiver

service = service_of_file(enforce=False, segment_seconds=60)


def _fill(service: Service, user: str) -> None:
    for session in "abc":
        answer = service.segment(user, session, "orchard")
        assert answer.status == 200
        assert "streamlimit-would-refuse" not in answer.headers


def test_one_too_many_plays_and_is_told(service: Service) -> None:
    _fill(service, "ann")
    answer = service.segment("ann", "d", "orchard")
    assert answer.status == 200
    assert answer.headers["streamlimit-would-refuse"] == "session-limit"
    assert (answer.headers["streamlimit-limit"], answer.headers["streamlimit-live-sessions"]) == ("3", "4")
    assert service.watching("ann")["live_sessions"] == 4, "shown"
    assert "streamlimit-would-refuse" not in service.segment("ann", "d", "orchard").headers, "now it sits"


def test_at_every_door(service: Service) -> None:
    _fill(service, "bob")
    form = {"user_id": "bob", "session_id": "d", "stream_id": "orchard"}
    opened = service.post("/v1/sessions", form)
    assert (opened.status, opened.headers["streamlimit-would-refuse"]) == (201, "session-limit")
    beat = service.post("/v1/users/bob/sessions/e/heartbeat", {"stream_id": "orchard"})
    assert (beat.status, beat.headers["streamlimit-would-refuse"]) == (200, "session-limit")
    grant = service.post("/v1/sessions", form | {"session_id": "f"}).json["grant"]
    service.call("DELETE", "/v1/users/bob/sessions/f", key=OPERATOR_KEY)
    playlist = service.get(f"/play/{grant}/orchard/master.m3u8")
    assert (playlist.status, playlist.headers["streamlimit-would-refuse"]) == (200, "session-terminated")


def test_it_is_counted(service: Service) -> None:
    _fill(service, "cid")
    before = service.get("/v1/stats", key=OPERATOR_KEY).json["would_refuse"].get("session-limit", 0)
    service.segment("cid", "d", "orchard")
    service.segment("cid", "e", "orchard")
    stats = service.get("/v1/stats", key=OPERATOR_KEY).json
    assert stats["would_refuse"]["session-limit"] == before + 2
    assert stats["refusals"] == {}
    assert 'streamlimit_would_refuse_total{code="session-limit"}' in service.get("/metrics").body.decode()


def test_more_than_a_dry_run_keeps_are_let_through_all_the_same(service: Service) -> None:
    for n in range(258):
        assert service.post(f"/v1/users/dan/sessions/s{n}/heartbeat", {"stream_id": "orchard"}).status == 200 or n > 255
    answer = service.segment("dan", "late", "orchard")
    assert (answer.status, answer.headers["streamlimit-would-refuse"]) == (200, "session-limit")
    opened = service.post("/v1/sessions", {"user_id": "dan", "session_id": "later", "stream_id": "orchard"})
    assert opened.status == 201
    assert opened.json["session"] is None
    assert service.get(opened.json["playback_url"]).status == 200
    assert service.watching("dan")["live_sessions"] == 256


def test_a_bad_credential_is_refused_all_the_same(service: Service) -> None:
    grant = service.post("/v1/sessions", {"user_id": "eve", "session_id": "s", "stream_id": "orchard"}).json["grant"]
    service.call("DELETE", "/v1/users/eve/sessions/s")
    assert service.get(f"/play/{grant}/orchard/master.m3u8").status == 401
    assert service.get("/play/no-grant/orchard/master.m3u8").status == 401


def test_it_is_announced(tmp_path: Path) -> None:
    with Receiver() as receiver:
        callbacks = [{"url": receiver.url, "secret": SECRET, "types": ["session.refused"]}]
        settings = {"enforce": False, "callbacks": callbacks, "allow_private_callbacks": True}
        with started(tmp_path, segment_seconds=60, **settings) as service:
            _fill(service, "fay")
            assert service.segment("fay", "d", "orchard").status == 200
            wait_until(lambda: len(receiver.got) > 0, 10, "the call back")


def test_the_start_says_so(service: Service) -> None:
    assert "a dry run: nobody is refused" in service.log()
