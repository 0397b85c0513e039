"""One session, one player: the entry playlist of a playback URL leads its player through a play of its own."""

import secrets
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin
from xml.etree import ElementTree

import pytest

from streamlimit.web.plays import AHEAD_MS, RANDOM_BITS, BadPlay, new_play, split_play, with_play
from tests.service import Answer, Service, started, temporary_folder
from tests.web.folders import make_streams

pytestmark = pytest.mark.xdist_group("web-plays")

NOW_MS = 1_764_000_000_000
MPD = """<MPD type="{kind}"><Period duration="PT12S"><AdaptationSet mimeType="video/mp4">
<Representation id="v" bandwidth="1000"><SegmentList duration="6"><SegmentURL media="a.m4s"/><SegmentURL media="b.m4s"/>
</SegmentList></Representation></AdaptationSet></Period></MPD>"""


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with temporary_folder() as folder:
        streams = make_streams(Path(folder) / "streams")
        _make_dash(streams / "still", "static")
        _make_dash(streams / "on air", "dynamic")
        with started(Path(folder), streams=str(streams), segment_seconds=6) as service:
            yield service


def _make_dash(folder: Path, kind: str) -> None:
    folder.mkdir()
    (folder / "m.mpd").write_text(MPD.format(kind=kind))
    for name in ("a.m4s", "b.m4s"):
        (folder / name).write_bytes(bytes(1_000))


def opened(service: Service, stream: str) -> tuple[str, str]:
    """A user of a session of its own, and its playback URL."""
    user = "u-" + secrets.token_hex(4)
    told = service.post("/v1/sessions", {"user_id": user, "session_id": "tv", "stream_id": stream}).json
    return user, told["playback_url"]


def uris(answer: Answer) -> list[str]:
    return [line for line in answer.body.decode().splitlines() if line and not line.startswith("#")]


def followed(service: Service, url: str) -> tuple[str, Answer]:
    """What the playlist at *url* names first, resolved as players do."""
    found = urljoin(url, uris(service.get(url))[0])
    return found, service.get(found)


@pytest.mark.parametrize("stream", ["orchard", "clock", "tiny", "live", "odd", "locked", "packed"])
def test_a_player_of_hls_is_led_through_a_play_down_to_its_segments(service: Service, stream: str) -> None:
    _, url = opened(service, stream)
    playlist, answer = followed(service, url)
    assert "~" in playlist.split("/")[2], "the play stands behind the grant"
    assert uris(answer), "under a play a playlist is as it is"
    segment, answer = followed(service, playlist)
    assert segment.split("/")[2] == playlist.split("/")[2]
    assert answer.status == 200


@pytest.mark.parametrize("stream", ["still", "on%20air"])
def test_a_player_of_dash_is_led_through_a_play(service: Service, stream: str) -> None:
    _, url = opened(service, stream.replace("%20", " "))
    manifest = ElementTree.fromstring(service.get(url).body)
    base = urljoin(url, manifest.findtext("BaseURL"))
    assert base.split("/")[2].startswith(url.split("/")[2] + "~")
    assert base.split("/")[3] == stream
    assert service.get(urljoin(base, "a.m4s")).status == 200
    location = manifest.findtext("Location")
    assert (location is not None) == (stream == "on%20air")
    again = service.get(urljoin(url, location or urljoin(base, "m.mpd")))
    assert b"BaseURL" not in again.body, "under its play it is as it is"


@pytest.mark.parametrize("stream", ["orchard", "tiny", "still"])
def test_an_entry_begins_another_play_each_time_and_is_nobodys_to_keep(service: Service, stream: str) -> None:
    user, url = opened(service, stream)
    first, second = (service.get(url, headers={"Range": "bytes=0-9", "If-None-Match": "*"}) for _ in range(2))
    assert (first.status, first.body != second.body) == (200, True)
    for answer in (first, second):
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-length"] == str(len(answer.body))
        assert not {"etag", "accept-ranges", "content-range"} & answer.headers.keys()
    assert service.call("HEAD", url).status == 200
    assert service.watching(user)["sessions"][0]["last_activity_at"] is None, "it is no activity"


def test_whoever_could_not_be_issued_a_segment_is_refused_the_entry(service: Service) -> None:
    user, url = opened(service, "tiny")
    service.call("DELETE", f"/v1/users/{user}/sessions/tv")
    assert service.get(url).json["code"] == "unauthenticated"


def test_a_reload_of_a_live_playlist_is_no_beginning(service: Service) -> None:
    _, url = opened(service, "live")
    assert uris(service.get(url + "?_HLS_msn=0")) == ["a.ts", "b.ts"]


@pytest.mark.parametrize("stream", ["orchard", "tiny", "live", "packed", "still", "on%20air"])
def test_of_three_players_on_one_url_one_goes_on_however_they_retry(service: Service, stream: str) -> None:
    _, url = opened(service, stream.replace("%20", " "))
    players = [_media(service, url) for _ in range(3)]
    answers = [[service.get(*player).status for player in players] for _ in range(5)]
    assert answers[-1] == [409, 409, 200], "the youngest"
    told = [service.get(*player).json for player in players[:2]]
    assert {each["code"] for each in told} == {"session-shared"}


def _media(service: Service, url: str) -> tuple[str]:
    """What a player that fetches the entry at *url* plays first."""
    entry = service.get(url).body
    if entry.startswith(b"#EXTM3U"):
        playlist = urljoin(url, uris(service.get(url))[0])
        return (urljoin(playlist, uris(service.get(playlist))[0]),)
    return (urljoin(urljoin(url, ElementTree.fromstring(entry).findtext("BaseURL")), "a.m4s"),)


def test_urls_without_a_play_go_on_to_work(service: Service) -> None:
    user, url = opened(service, "tiny")
    assert service.get(urljoin(url, "a.ts")).status == 200
    assert service.watching(user)["sessions"][0]["segment"] == "a.ts"


@pytest.mark.parametrize("play", ["", "0", "x", "1~1", "FF", "-1", "fffffffffffffffff", "ffffffffffffffff"])
def test_what_is_no_play_opens_nothing(service: Service, play: str) -> None:
    _, url = opened(service, "tiny")
    grant = url.split("/")[2]
    assert service.get(f"/play/{grant}~{play}/tiny/a.ts").json["code"] == "unauthenticated"


def test_wherever_a_grant_is_taken_its_play_may_follow(service: Service) -> None:
    user, url = opened(service, "tiny")
    grant = with_play(url.split("/")[2], new_play())
    form = {"user_id": user, "session_id": "tv", "stream_id": "tiny"}
    assert service.post("/v1/segments", form, key=grant).status == 200
    assert service.post(f"/v1/users/{user}/sessions/tv/heartbeat", {"stream_id": "tiny"}, key=grant).status == 200
    end = service.call("POST", f"/v1/users/{user}/sessions/tv/end", f'{{"grant": "{grant}"}}'.encode())
    assert end.status == 204


def test_a_newer_play_is_the_larger_number_and_is_read_as_it_was_written() -> None:
    plays = [new_play(NOW_MS), new_play(NOW_MS + 1), new_play(NOW_MS + 60_000)]
    assert plays == sorted(plays)
    for play in plays:
        assert split_play(with_play("a.b.c", play), NOW_MS) == ("a.b.c", play)
    assert split_play("a.b.c", NOW_MS) == ("a.b.c", 0)
    with pytest.raises(BadPlay):
        split_play(with_play("g", (NOW_MS + AHEAD_MS + 1) << RANDOM_BITS), NOW_MS)
