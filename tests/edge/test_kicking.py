"""A viewer of a media server who lost the seat is cut by its API: servers of their documented form, scripted here."""

import asyncio
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from streamlimit.edge.kicking import Kicker, KickFailed, ServerApi, mediamtx_cut, srs_cut
from streamlimit.edge.watching import Watching
from streamlimit.errors import SettingsError, StoreUnavailable
from streamlimit.settings import load_settings
from tests.answering import Quiet, serving
from tests.background import until_nothing_is_done_beside
from tests.edge.calls import Viewer, some_user
from tests.edge.test_media_servers import mediamtx, srs
from tests.service import OPERATOR_KEY, Service, started, temporary_folder, wait_until

CONNECTION, SESSION = "6f0c5fd0-connection", "0d3f3c0f-session"


class Api:
    """What was asked of it, in order. *failures*: of so many calls first 500 is the answer."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.failures = 0
        self.port = 0

    def answer(self, call: str) -> tuple[int, Any]:
        """SRS 6: `{"code":0}`; MediaMTX: nothing, or the connection; 404 for whom neither knows."""
        self.calls.append(call)
        if self.failures:
            self.failures -= 1
            return 500, {"error": "no"}
        if call.startswith(f"GET /v3/rtspconns/get/{CONNECTION}"):
            return 200, {"id": CONNECTION, "session": SESSION}
        known = (r"DELETE /api/v1/clients/\w+", f"POST /v3/rtspsessions/kick/{SESSION}", r"POST /v3/\w+/kick/[hr]\d")
        is_known = any(re.fullmatch(each, call) for each in known) and "/rtmpconns/" not in call
        return (200, {"code": 0}) if is_known else (404, {"error": "not found"})


@contextmanager
def scripted() -> Iterator[Api]:
    api = Api()

    class Handler(Quiet):
        def _answer(self) -> None:
            status, body = api.answer(f"{self.command} {self.path}")
            self.reply(status, json.dumps(body).encode())

        do_GET = do_POST = do_DELETE = _answer

    with serving(Handler) as api.port:
        yield api


@pytest.fixture(scope="module")
def api() -> Iterator[Api]:
    with scripted() as api:
        yield api


@pytest.fixture(scope="module")
def service(api: Api) -> Iterator[Service]:
    """A termination is noticed within half of n·X by SRS, within X by MediaMTX."""
    address = f"http://127.0.0.1:{api.port}"
    settings = {"ledger_streams": "any", "trusted_proxies": ["127.0.0.1"], "segment_seconds": 0.5}
    with temporary_folder() as folder:
        apis = {"srs_api": address, "mediamtx_api": address + "/"}
        with started(folder, streams=None, missed_segments=8, **apis, **settings) as service:
            yield service


def terminated(service: Service, viewer: Viewer) -> None:
    answer = service.call("DELETE", f"/v1/users/{viewer.user}/sessions/s?reason=x", key=OPERATOR_KEY)
    assert answer.status == 204


def test_a_terminated_viewer_of_srs_is_cut_and_who_leaves_is_not(service: Service, api: Api) -> None:
    viewer, leaver = Viewer(service, some_user(), "s", "cam 1"), Viewer(service, some_user(), "s", "cam 1")
    for each, client in ((viewer, "c1"), (leaver, "c2")):
        assert srs(service, "on_play", each.grant, client_id=client).status == 200
    assert srs(service, "on_stop", leaver.grant, client_id="c2").status == 200
    terminated(service, viewer)
    wait_until(lambda: "DELETE /api/v1/clients/c1" in api.calls, 10, "the cut")
    assert "DELETE /api/v1/clients/c2" not in api.calls


def test_a_terminated_viewer_of_mediamtx_is_cut_though_its_api_fails_at_first(service: Service, api: Api) -> None:
    viewer = Viewer(service, some_user(), "s", "cam 1")
    assert mediamtx(service, "read", viewer.grant, protocol="hls", id="h1").status == 200
    api.failures = 1
    terminated(service, viewer)
    wait_until(lambda: api.calls.count("POST /v3/hlssessions/kick/h1") == 2, 10, "the second try")


def cut_by(way: Any, api: Api, player: str, protocol: str = "") -> bool:
    cut = way(ServerApi(f"http://127.0.0.1:{api.port}"))
    return bool(asyncio.run(cut(player, protocol)))


def test_of_rtsp_the_session_of_the_connection_is_cut(api: Api) -> None:
    assert cut_by(mediamtx_cut, api, CONNECTION, "rtsp")
    assert f"POST /v3/rtspsessions/kick/{SESSION}" in api.calls
    assert not cut_by(mediamtx_cut, api, "nobody", "rtsp")


def test_who_has_gone_already_is_no_failure_and_an_id_is_no_path(api: Api) -> None:
    assert cut_by(mediamtx_cut, api, "r1", "rtmp"), "by one of its two kinds"
    for protocol in ("srt", "webrtc", "another"):
        assert not cut_by(mediamtx_cut, api, "nobody", protocol)
    assert not cut_by(srs_cut, api, "../../v3/config?x=#")
    assert api.calls[-1] == "DELETE /api/v1/clients/..%2F..%2Fv3%2Fconfig%3Fx%3D%23"


def test_a_server_that_fails_is_tried_a_few_times_and_no_more() -> None:
    tries: list[str] = []

    async def cut(player: str, protocol: str) -> bool:
        tries.append(player)
        raise KickFailed("status 500")

    async def run() -> None:
        kicker = Kicker("srs", cut, (0, 0))
        kicker.kick("c1")
        await until_nothing_is_done_beside()

    asyncio.run(run())
    assert tries == ["c1"] * 3
    with pytest.raises(KickFailed):
        asyncio.run(srs_cut(ServerApi("http://127.0.0.1:1"))("c1", ""))


def test_while_the_store_is_away_nobody_loses_anything() -> None:
    answers: list[bool | Exception] = [True, StoreUnavailable("away"), False]
    lost: list[str] = []

    async def sits(user_id: str, session_id: str) -> bool:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def run() -> None:
        watching = Watching(sits, 0.001, 60)
        watching.watch(("u", "s"), lambda: lost.append("before"))
        watching.watch(("u", "s"), lambda: lost.append("cut"))
        await until_nothing_is_done_beside()

    asyncio.run(run())
    assert (lost, answers) == (["cut"], [])


@pytest.mark.parametrize("wrong", ["127.0.0.1:1985", "ftp://h", "http://u:p@h", "http://h?x"])
def test_where_an_api_is_has_one_form(wrong: str) -> None:
    for name in ("srs_api", "mediamtx_api"):
        with pytest.raises(SettingsError, match=name):
            load_settings(**{name: wrong})
