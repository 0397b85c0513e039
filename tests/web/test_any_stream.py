"""`ledger_streams = "any"`: sessions, grants, heartbeats for streams in no folder of ours; and `public_url`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from streamlimit.errors import SettingsError
from streamlimit.settings import load_settings
from tests.service import Answer, Service, started, temporary_folder


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """Nothing of its own to play."""
    with temporary_folder() as folder:
        settings = {"streams": None, "ledger_streams": "any", "public_url": "https://video.example.org/tv/"}
        with started(folder, **settings) as service:
            yield service


def _open(service: Service, user: str, session: str, stream: str = "elsewhere", **more: Any) -> Answer:
    return service.post("/v1/sessions", {"user_id": user, "session_id": session, "stream_id": stream} | more)


def test_a_session_is_opened_for_a_stream_that_is_elsewhere(service: Service, user: str) -> None:
    answer = _open(service, user, "s", "Big Buck Bunny (2008)")
    assert answer.status == 201
    told = answer.json
    assert told["session"]["stream_id"] == "Big Buck Bunny (2008)"
    path = f"/play/{told['grant']}/Big%20Buck%20Bunny%20(2008)/"
    assert told["playback_url"] == "https://video.example.org/tv" + path


def test_it_counts_against_the_limit_and_may_name_who_gives_way(service: Service, user: str) -> None:
    assert [_open(service, user, f"s{n}", f"film-{n}").status for n in range(4)] == [201, 201, 201, 409]
    assert _open(service, user, "s3", "film-3", replace="s0").status == 201
    assert {each["session_id"] for each in service.watching(user)["sessions"]} == {"s1", "s2", "s3"}


def test_a_grant_beats_for_it(service: Service, user: str) -> None:
    grant = _open(service, user, "s").json["grant"]
    path = f"/v1/users/{user}/sessions/s/heartbeat"
    answer = service.post(path, {"stream_id": "elsewhere"}, key=grant)
    assert (answer.status, answer.json["state"]) == (200, "active")


def test_what_is_no_id_is_no_stream(service: Service, user: str) -> None:
    answer = _open(service, user, "s", "a/b")
    assert (answer.status, answer.json["field"]) == (400, "stream_id")
    assert service.watching(user)["sessions"] == []


def test_its_bytes_are_not_here(service: Service, user: str) -> None:
    grant = _open(service, user, "s").json["grant"]
    assert service.get(f"/play/{grant}/elsewhere/1.ts").json["code"] == "unknown-stream"


def test_beside_a_folder_its_own_streams_are_still_played(tmp_path: Path, user: str) -> None:
    with started(tmp_path, ledger_streams="any") as service:
        listed = service.get("/v1/streams").json["streams"][0]
        told = _open(service, user, "s", listed["stream_id"]).json
        assert told["playback_url"].endswith("/" + listed["entry"])
        assert service.get(told["playback_url"]).status == 200
        assert _open(service, user, "t", "elsewhere").json["playback_url"].endswith("/elsewhere/")
        beat = service.post(f"/v1/users/{user}/sessions/t/heartbeat", {"stream_id": "elsewhere"})
        assert beat.status == 200


@pytest.mark.parametrize(
    "url", ["video.example.org", "ftp://a", "https://", "https://a?b", "https://u@a", "https://a:0", "https://a b"]
)
def test_a_public_address_is_one_of_the_web(url: str) -> None:
    with pytest.raises(SettingsError, match="public_url"):
        load_settings(public_url=url)
