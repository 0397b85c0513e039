"""One session, one player: the entry playlist of a playback URL leads its player through a play of its own."""

import secrets
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin
from xml.etree import ElementTree

import pytest

from streamlimit.web.plays import AHEAD_US, RANDOM_BITS, BadPlay, new_play, split_play, with_play
from tests.service import Answer, Service, started, temporary_folder
from tests.web.folders import make_streams, packed_range
from tests.web.streams import Client

NOW_US = 1_764_000_000_000
MPD = """<MPD type="{kind}"><Period duration="PT12S"><AdaptationSet mimeType="video/mp4">
<Representation id="v" bandwidth="1000"><SegmentList duration="6"><SegmentURL media="a.m4s"/><SegmentURL media="b.m4s"/>
</SegmentList></Representation></AdaptationSet></Period></MPD>"""


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with temporary_folder() as folder:
        streams = make_streams(folder / "streams")
        _make_dash(streams / "still", "static")
        _make_dash(streams / "on air", "dynamic")
        with started(folder, streams=str(streams), segment_seconds=6) as service:
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


EACH = pytest.mark.parametrize("stream", ["orchard", "tiny", "live", "packed", "still", "on%20air"])
"""HLS with a master and without, finished and live, byte ranges; DASH that stands and that goes on."""


@EACH
def test_of_three_players_on_one_url_one_goes_on_however_they_retry(service: Service, stream: str) -> None:
    _, url = opened(service, stream.replace("%20", " "))
    home = Client(service, "127.0.0.1")
    players = [media(home, url)[0] for _ in range(3)]
    answers = [[service.get(player).status for player in players] for _ in range(5)]
    assert answers[-1] == [409, 409, 200], "the youngest"
    assert {service.get(player).json["code"] for player in players[:2]} == {"session-shared"}


@EACH
def test_reloads_and_hand_overs_between_screens_are_one_viewer_and_never_refused(service: Service, stream: str) -> None:
    user, url = opened(service, stream.replace("%20", " "))
    screens = [Client(service, f"127.0.0.{k}") for k in (1, 2)]
    for turn in range(10):
        screen = screens[turn // 2 % 2]  # each is reloaded once, then the other takes over
        screen.open(user, "tv", stream.replace("%20", " "))  # as a page does, that keeps its session
        for uri in media(screen, url)[:2]:
            assert screen.call("GET", uri).status == 200
    assert service.watching(user)["live_sessions"] == 1


@EACH
def test_a_player_that_fetches_the_entry_twice_and_a_phone_that_roams_are_one_viewer(
    service: Service, stream: str
) -> None:
    user, url = opened(service, stream.replace("%20", " "))
    unused, used = media(Client(service, "127.0.0.1"), url), media(Client(service, "127.0.0.1"), url)
    assert unused != used
    for number, uri in enumerate(used):
        first, last = packed_range(number)
        part = {"Range": f"bytes={first}-{last}"} if stream == "packed" else {}
        assert Client(service, f"127.0.{number}.9").call("GET", uri, **part).status in (200, 206)
    assert service.watching(user)["live_sessions"] == 1


def test_whose_play_is_over_is_refused_keys_and_subtitles_too(service: Service) -> None:
    _, url = opened(service, "locked")
    players = [media(Client(service, "127.0.0.1"), url)[0] for _ in range(3)]
    for _ in range(3):
        answers = [service.get(player).status for player in players]
    assert answers == [409, 409, 200]
    keys = [service.get(urljoin(player, "secret.key")) for player in players]
    assert [key.status for key in keys] == [409, 409, 200]
    assert keys[2].body == b"k" * 16
    words = [service.get(urljoin(player, "words.vtt")) for player in players]
    assert [each.status for each in words] == [409, 409, 200]
    assert words[2].body.startswith(b"WEBVTT")
    assert {each.json["code"] for each in (*keys[:2], *words[:2])} == {"session-shared"}


def media(client: Client, url: str) -> list[str]:
    """What a player that fetches the entry at *url* plays, in order."""
    entry = client.call("GET", url)
    if entry.body.startswith(b"#EXTM3U"):
        playlist = urljoin(url, uris(entry)[0])
        return [urljoin(playlist, uri) for uri in uris(client.call("GET", playlist))]
    base = urljoin(url, ElementTree.fromstring(entry.body).findtext("BaseURL"))
    return [urljoin(base, name) for name in ("a.m4s", "b.m4s")]


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
    plays = [new_play(NOW_US), new_play(NOW_US + 1), new_play(NOW_US + 60_000_000)]
    assert plays == sorted(plays)
    for play in plays:
        assert split_play(with_play("a.b.c", play), NOW_US) == ("a.b.c", play)
    assert split_play("a.b.c", NOW_US) == ("a.b.c", 0)
    with pytest.raises(BadPlay):
        split_play(with_play("g", (NOW_US + AHEAD_US + 1) << RANDOM_BITS), NOW_US)
