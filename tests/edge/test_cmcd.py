"""`POST /edge/cmcd/<grant>`: what players report of themselves keeps, pauses and frees a seat."""

import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.edge.calls import Viewer, some_user
from tests.service import OPERATOR_KEY, Answer, Service, started, temporary_folder, wait_until
from tests.web.streams import make_long

TS = "ts=1764406800000"
HLS = (
    'br=(1200;v),cid="elsewhere",e=t,mtp=(25000),sf=h,sid="6e2fb550-c457-11e9-bb97-0800200c9a66",'
    f"sn=0,st=v,sta=p,{TS},v=2"
)
SHAKA = f'bg,bl=(5300;v 4100;a),cid="elsewhere",com.example-x="a,b;\\"c\\"",e=ps,sid="s",sta=p,{TS},v=2'
DASH = f'cid="elsewhere",e=t,sf=d,sid="b8a2",{TS},v=2'
OLD = f'cid="elsewhere",e=t,sid="x",{TS}'
PLAIN_V1 = 'bl=2100,br=3200,cid="elsewhere",d=4004,mtp=25400,nor="..%2F300kbps%2Ftrack.m4v",ot=v,sf=h,sid="x",st=v,su'


@pytest.fixture
def service(any_stream_service: Service) -> Service:
    return any_stream_service


def tell(service: Service, grant: str, *reports: str | bytes, kind: str = "application/cmcd") -> Answer:
    body = b"\n".join(report if isinstance(report, bytes) else report.encode() for report in reports)
    return service.post(f"/edge/cmcd/{grant}", body, headers={"Content-Type": kind})


def event(name: str, state: str | None = None, stream: str | None = "elsewhere") -> str:
    cid = "" if stream is None else f'cid="{stream}",'
    return f'{cid}e={name},sid="x",' + ("" if state is None else f"sta={state},") + f"{TS},v=2"


def _state(viewer: Viewer) -> str | None:
    found = viewer.state()
    return None if found is None else str(found["state"])


@pytest.mark.parametrize("report", [HLS, SHAKA, DASH, OLD, PLAIN_V1])
@pytest.mark.parametrize("kind", ["application/cmcd", "text/cmcd; charset=utf-8"])
def test_what_players_send_while_they_play_keeps_the_seat(service: Service, user: str, report: str, kind: str) -> None:
    viewer = Viewer(service, user, "s")
    answer = tell(service, viewer.grant, report + "\n", kind=kind)
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == "*"
    assert _state(viewer) == "active"


def test_the_browser_may_send_it_from_another_origin(service: Service, user: str) -> None:
    headers = {
        "Origin": "https://player.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
    }
    answer = service.call("OPTIONS", f"/edge/cmcd/{Viewer(service, user, 's').grant}", headers=headers)
    assert answer.status == 204
    assert answer.headers["access-control-allow-headers"] == "content-type"
    assert "POST" in answer.headers["access-control-allow-methods"]


@pytest.mark.parametrize("state", ["e", "q", "f"])
def test_the_end_frees_the_seat_and_the_grant_goes_on_to_be_good(service: Service, user: str, state: str) -> None:
    viewer = Viewer(service, user, "s")
    assert tell(service, viewer.grant, event("ps", "p"), event("t", "p"), event("ps", state)).status == 204
    assert viewer.state() is None
    assert tell(service, viewer.grant, event("t", state)).status == 204
    assert viewer.state() is None
    assert tell(service, viewer.grant, event("ps", "p")).status == 204
    assert _state(viewer) == "active"


def test_who_starts_again_in_the_same_batch_sits(service: Service, user: str) -> None:
    viewer = Viewer(service, user, "s")
    assert tell(service, viewer.grant, event("ps", "e"), event("ps", "s"), event("ps", "p")).status == 204
    assert _state(viewer) == "active"


def test_a_late_end_of_what_was_left_ends_nothing(service: Service, user: str) -> None:
    """Reports of two contents overtake one another, and one that failed is sent again with the next."""
    viewer = Viewer(service, user, "s")
    zapped = [event("t", "p"), event("ps", "s", "film"), event("ps", "q")]
    for batch in (zapped[:2], zapped[2:], zapped):
        assert tell(service, viewer.grant, *batch).status == 204
        found = viewer.state()
        assert found is not None
        assert found["stream_id"] == "film"
    assert tell(service, viewer.grant, event("ps", "q", "film")).status == 204
    assert viewer.state() is None
    assert tell(service, viewer.grant, event("t", "p")).status == 204
    assert tell(service, viewer.grant, event("t", "p", "film"), event("ps", "e", "film")).status == 204
    assert viewer.state() is None  # it ended what it had just begun


@pytest.mark.parametrize("state", ["k", "w"])
def test_a_player_that_seeks_or_waits_keeps_its_seat_and_takes_none(service: Service, user: str, state: str) -> None:
    viewer = Viewer(service, user, "s")
    assert tell(service, viewer.grant, event("ps", state)).status == 204
    assert _state(viewer) == "active"
    assert tell(service, viewer.grant, event("ps", "e"), event("ps", state), event("t", state)).status == 204
    assert viewer.state() is None
    assert tell(service, viewer.grant, event("ps", state)).status == 204
    assert viewer.state() is None
    assert tell(service, viewer.grant, event("ps", "p")).status == 204
    assert _state(viewer) == "active"


def test_of_several_workers_on_one_file_each_knows_who_sits_and_where(tmp_path: Path, user: str) -> None:
    """A player's reports go to any of them: what one of them saw last says nothing of what another was told since."""
    with ExitStack() as running:
        settings = {"store": f"sqlite:///{tmp_path}/one.db", "ledger_streams": "any", "streams": None}
        folders = [running.enter_context(temporary_folder()) for _ in range(2)]
        one, two = (running.enter_context(started(folder, **settings)) for folder in folders)
        viewer = Viewer(one, user, "s")
        assert tell(one, viewer.grant, HLS).status == tell(one, viewer.grant, HLS).status == 204
        assert tell(two, viewer.grant, event("t", "p", "film")).status == 204
        assert tell(one, viewer.grant, event("t", "p", None)).status == 204
        found = viewer.state()
        assert found is not None
        assert found["stream_id"] == "film"
        assert tell(two, viewer.grant, event("ps", "e", "film")).status == 204
        assert tell(one, viewer.grant, event("ps", "k", "film")).status == 204
        assert viewer.state() is None


def test_a_pause_is_no_activity(service: Service, user: str) -> None:
    viewer = Viewer(service, user, "s")
    assert tell(service, viewer.grant, event("ps", "a"), event("t", "a")).status == 204
    assert _state(viewer) == "starting"
    assert tell(service, viewer.grant, event("t", "p"), event("ps", "a")).status == 204
    before = viewer.state()
    assert before is not None
    assert before["state"] == "active"
    assert tell(service, viewer.grant, event("t", "a")).status == 204
    assert viewer.state() == before


def test_other_events_say_nothing(service: Service, user: str) -> None:
    viewer = Viewer(service, user, "s")
    said = [event("rr"), event("c"), event("ce", "p"), event("e", "p"), "v=3,xyz", "e=q,v=3"]
    assert tell(service, viewer.grant, *said).status == 204
    assert _state(viewer) == "starting"


def test_the_content_names_the_stream_and_without_one_it_is_the_sessions(service: Service, user: str) -> None:
    viewer = Viewer(service, user, "s")
    assert tell(service, viewer.grant, event("t", "p", None)).status == 204
    assert tell(service, viewer.grant, event("t", "p", "film")).status == 204
    assert tell(service, viewer.grant, event("t", "p", None)).status == 204
    found = viewer.state()
    assert found is not None
    assert found["stream_id"] == "film"
    assert tell(service, viewer.grant, event("ps", "q", None)).status == 204
    assert tell(service, viewer.grant, event("t", "p", None)).status == 410
    assert viewer.state() is None


def test_the_fourth_is_refused_and_sits_once_a_seat_is_free(service: Service, user: str) -> None:
    four = [Viewer(service, user, str(number)) for number in range(3)]
    grant = Viewer(service, some_user(), "3").grant
    for viewer in four:
        assert tell(service, viewer.grant, HLS).status == 204
    assert tell(service, four[0].grant, event("ps", "q")).status == 204
    again = Viewer(service, user, "4")
    assert tell(service, again.grant, HLS).status == 204
    refused = tell(service, four[0].grant, HLS)
    assert (refused.status, refused.json["code"]) == (409, "session-limit")
    assert len(service.watching(user)["sessions"]) == 3
    assert tell(service, grant, HLS).status == 204
    assert tell(service, again.grant, event("ps", "e")).status == 204
    assert tell(service, four[0].grant, HLS).status == 204


def test_who_was_sent_away_is_told_to_stop_sending(service: Service, user: str) -> None:
    viewer, other = Viewer(service, user, "s"), Viewer(service, user, "t")
    assert tell(service, viewer.grant, HLS).status == 204
    service.call("DELETE", f"/v1/users/{user}/sessions/s?reason=x", key=OPERATOR_KEY)
    for report in (HLS, event("t", "a")):
        answer = tell(service, viewer.grant, report)
        assert (answer.status, answer.json["code"]) == (410, "session-terminated")
    service.call("DELETE", f"/v1/users/{user}/sessions/t")
    assert tell(service, other.grant, HLS).status == 410
    assert service.watching(user)["sessions"] == []


WRONG = [
    b"",
    b"\n\n",
    b"not cmcd at all",
    b"\xff\xfe=1",
    b'e=t,sid="x',
    b'e=t,cid="a"b',
    b"e=t,,v=2",
    b"e=t,",
    b"=t",
    b'{"e": "t"}',
    b'cid="elsewhere",sid="x",ts=1,v=2',
    b'cid="elsewhere"',
    b"hello",
    b'e=ps,cid="elsewhere",v=2',
    b"e=t,cid=elsewhere,v=2",
    b"e=t,cid,v=2",
    b'e=t,cid="",v=2',
    b'e=t,cid="a/b",v=2',
    b'e=t,cid="..",v=2',
    b'e=t,cid="' + b"c" * 129 + b'",v=2',
    b'e=t,sid="' + b"s" * 65 + b'",v=2',
    b"e=t,ts=now,v=2",
    b"e=t,ts=1.5,v=2",
    b"e=t,v=two",
    b"e=t,v=" + b"9" * 5000,
    b"e=(t),v=2",
    b"e=t,sta=1,v=2",
    b"e=t,br=((1),v=2",
    b"e=t,v=2;",
    b'e=t,cid="a\x00b",v=2',
    b"e=t,v=2\x00",
    b"(" * 2000,
    HLS.encode() + b"\nx y",
]


@pytest.mark.parametrize("body", WRONG, ids=range(len(WRONG)))
def test_a_malformed_report_makes_none_of_its_batch_count(service: Service, user: str, body: bytes) -> None:
    viewer = Viewer(service, user, "s")
    answer = tell(service, viewer.grant, body)
    assert (answer.status, answer.json["code"]) == (400, "malformed")
    assert _state(viewer) == "starting"


def test_what_is_no_report_is_told_so(service: Service, user: str) -> None:
    viewer = Viewer(service, user, "s")
    assert service.get(f"/edge/cmcd/{viewer.grant}").status == 405
    assert tell(service, viewer.grant, HLS, kind="application/json").status == 415
    assert tell(service, viewer.grant, b"e=t," + b"x" * 70_000).status == 413
    assert tell(service, "nobody", HLS).status == 401
    assert tell(service, "nobody", b"").status == 401
    for path in ("/edge/cmcd", "/edge/cmcd/", f"/edge/cmcd/{viewer.grant}/x"):
        assert service.post(path, HLS.encode(), headers={"Content-Type": "text/cmcd"}).status == 404
    assert _state(viewer) == "starting"
    assert viewer.grant not in service.log()


def test_a_play_may_stand_behind_the_grant(service: Service, user: str) -> None:
    viewer = Viewer(service, user, "s")
    assert tell(service, viewer.grant + "~1f", HLS).status == 204
    assert _state(viewer) == "active"


def test_where_the_catalog_counts_other_streams_are_unknown() -> None:
    with temporary_folder() as folder:
        streams = make_long(folder / "streams", "film")
        with started(folder, segment_seconds=6, streams=str(streams)) as service:
            viewer = Viewer(service, "u", "s", "film")
            answer = tell(service, viewer.grant, HLS)
            assert (answer.status, answer.json["code"]) == (404, "unknown-stream")
            assert _state(viewer) == "starting"
            assert tell(service, viewer.grant, event("t", "p", "film")).status == 204
            assert tell(service, viewer.grant, event("t", "p", None)).status == 204
            assert _state(viewer) == "active"


def test_a_pause_may_last_longer_and_ends_by_itself() -> None:
    with temporary_folder() as folder:
        settings = {"ledger_streams": "any", "paused_seconds": 2, "sweep_seconds": 0}
        with started(folder, segment_seconds=1, **settings) as service:
            resting, silent = Viewer(service, "u", "resting"), Viewer(service, "u", "silent")
            assert tell(service, silent.grant, HLS).status == 204
            assert tell(service, resting.grant, HLS, event("ps", "a")).status == 204
            begun, last = time.monotonic(), resting.state()
            assert last is not None
            wait_until(lambda: silent.state() is None, 20, "who does not pause to be gone")
            tell(service, resting.grant, event("t", "a"))
            if time.monotonic() - begun < 4.5:  # the machine was not busy with something else
                found = resting.state()
                assert found is not None
                assert found["last_activity_at"] == last["last_activity_at"]
            wait_until(lambda: resting.state() is None, 20, "the pause to be over")
