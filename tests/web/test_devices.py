"""One seat a device (`reclaim_device = "always"`, rule 12), by HTTP: the next session on it replaces the last."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.service import Answer, Service, started, temporary_folder
from tests.web.streams import make_long

TV = {"id": "tv-1", "name": "Telly", "type": "tv"}


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """X is a minute: nobody falls silent while a test runs."""
    with temporary_folder() as folder:
        streams = make_long(folder / "streams", "e1", "e2", "e3", segments=5)
        settings = {"streams": str(streams), "segment_seconds": 60, "reclaim_device": "always"}
        with started(folder, **settings) as service:
            yield service


def opened(service: Service, user: str, session: str, stream: str, device: Any) -> str:
    form = {"user_id": user, "session_id": session, "stream_id": stream, "device": device}
    answer = service.post("/v1/sessions", form)
    assert answer.status == 201, answer.body
    return str(answer.json["playback_url"]).rsplit("/", 1)[0]


def play(service: Service, url: str, number: int) -> Answer:
    return service.get(f"{url}/{number:03}.ts")


def sitting(service: Service, user: str) -> list[str]:
    return [each["session_id"] for each in service.watching(user)["sessions"]]


def test_of_two_tabs_of_one_device_the_newer_plays_and_the_older_is_told_by_whom(service: Service, user: str) -> None:
    older = opened(service, user, "tab-1", "e1", TV)
    assert play(service, older, 0).status == 200
    newer = opened(service, user, "tab-2", "e2", TV)
    assert sitting(service, user) == ["tab-2"], "though two seats are free"
    for _ in range(3):
        told = play(service, older, 1)
        assert (told.status, told.json["code"], told.json["by"]) == (410, "session-terminated", "viewer")
        assert (told.json["by_session_id"], told.json["by_device"]) == ("tab-2", TV)
        assert play(service, newer, 0).status == 200
    assert sitting(service, user) == ["tab-2"], "and it cannot take the seat back in turns"


def test_the_next_episode_in_a_new_session_is_never_refused(service: Service, user: str) -> None:
    for name in ("pad", "phone"):
        assert play(service, opened(service, user, name, "e1", name), 0).status == 200
    for number in range(6):
        url = opened(service, user, f"episode-{number}", f"e{1 + number % 3}", TV)
        assert [play(service, url, k).status for k in range(3)] == [200] * 3
    assert sitting(service, user) == ["pad", "phone", "episode-5"]
    assert service.segment(user, "more", "e1", device="another").status == 409, "another device is another viewer"


def test_by_endpoint_1_and_by_heartbeats_it_is_the_same(service: Service, user: str) -> None:
    assert service.segment(user, "one", "e1", device=TV).status == 200
    assert service.segment(user, "two", "e2", device="tv-1").status == 200, "a bare string is the device's id"
    assert sitting(service, user) == ["two"]
    beat = {"stream_id": "e3", "device": TV}
    assert service.post(f"/v1/users/{user}/sessions/three/heartbeat", beat).status == 200
    assert sitting(service, user) == ["three"]
    told = service.segment(user, "two", "e2", device=TV)
    assert (told.status, told.json["by_session_id"]) == (410, "three")


def test_who_names_no_device_and_whose_name_alone_is_the_same_keep_their_seats(service: Service, user: str) -> None:
    for session, device in (("a", None), ("b", None), ("c", {"name": "Telly"})):
        assert service.segment(user, session, "e1", device=device).status == 200
    assert sitting(service, user) == ["a", "b", "c"]


def test_the_same_device_of_another_user_is_another_device(service: Service, user: str) -> None:
    assert service.segment(user, "tv", "e1", device=TV).status == 200
    assert service.segment(user + "-2", "tv-2", "e1", device=TV).status == 200
    assert sitting(service, user) == ["tv"]


def test_a_playlist_replaces_nobody(service: Service, user: str) -> None:
    """The new session's URL is asked for before the old one ended; who only looks takes no seat."""
    old = opened(service, user, "old", "e1", TV)
    new = opened(service, user, "new", "e2", TV)
    service.post(f"/v1/users/{user}/sessions/new/end", {"keep_grant": True})
    again = opened(service, user, "third", "e3", TV)
    assert service.get(f"{new}/index.m3u8").status == 200
    assert sitting(service, user) == ["third"]
    assert [play(service, url, 0).status for url in (old, again)] == [410, 200]


def test_picture_in_picture_plays_the_newer_picture_alone_with_one_seat_a_device(service: Service, user: str) -> None:
    large = opened(service, user, "large", "e1", TV)
    assert play(service, large, 0).status == 200
    small = opened(service, user, "small", "e2", TV)
    assert [play(service, small, 0).status, play(service, large, 1).status] == [200, 410]
    assert sitting(service, user) == ["small"]
