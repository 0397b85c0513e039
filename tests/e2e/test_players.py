"""ffmpeg as a viewer: it plays every sample to its end through `/play`, on one seat."""

import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.needs import needs
from tests.service import SAMPLES, Service, started, temporary_folder

STREAMS = sorted(folder.name for folder in SAMPLES.iterdir() if (folder / "stream.json").exists())
BEST = ("-map", "0:v:0", "-map", "0:a:0")
"""What a player chooses: one picture and one tone."""
ALL = ("-map", "0")
"""Every rendition at once: two pictures and a tone, fetched beside each other."""

every_stream = pytest.mark.parametrize("stream_id", STREAMS)


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    needs("ffmpeg")
    with temporary_folder() as folder, started(folder, "demo") as running:
        yield running


@every_stream
def test_ffmpeg_plays_the_hls_stream_to_its_end_on_one_seat(service: Service, stream_id: str) -> None:
    played = play(service, f"hls-{stream_id}", stream_id)
    assert_played_to_the_end(service, played)


@every_stream
def test_ffmpeg_plays_the_dash_stream_to_its_end_on_one_seat(service: Service, stream_id: str) -> None:
    played = play(service, f"dash-{stream_id}", stream_id, manifest="manifest.mpd")
    assert_played_to_the_end(service, played)


@pytest.mark.parametrize("manifest", ["master.m3u8", "manifest.mpd"])
def test_all_renditions_at_once_are_one_session_on_one_seat(service: Service, manifest: str) -> None:
    played = play(service, f"all-{manifest}", STREAMS[0], manifest, ALL)
    assert_played_to_the_end(service, played)


class Played:
    """What came out of one run of ffmpeg, and who was seen watching meanwhile."""

    def __init__(self, session: dict[str, Any], errors: str, seconds: float, seen: list[list[str]]) -> None:
        self.session, self.errors, self.seconds, self.seen = session, errors, seconds, seen


def play(
    service: Service, user: str, stream_id: str, manifest: str = "master.m3u8", chosen: tuple[str, ...] = BEST
) -> Played:
    """Opens a session and lets ffmpeg decode all of it, as fast as it can."""
    opened = service.post("/v1/sessions", {"user_id": user, "stream_id": stream_id})
    assert opened.status == 201, opened.body
    session, url = opened.json["session"], service.url + opened.json["playback_url"]
    url = url.rpartition("/")[0] + "/" + manifest
    command = [
        "ffmpeg",
        "-v",
        "error",
        "-nostdin",
        "-progress",
        "pipe:1",
        "-i",
        url,
        *chosen,
        "-f",
        "null",
        "-",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as player:
        seen = [watching(service, user)]
        while player.poll() is None:
            seen.append(watching(service, user))
        told, errors = player.communicate()
    assert player.returncode == 0, errors
    session = service.get(f"/v1/users/{user}/sessions/{session['session_id']}").json
    return Played(session, errors, decoded(told), seen)


def watching(service: Service, user: str) -> list[str]:
    """The sessions that hold the user's seats right now."""
    return [session["session_id"] for session in service.watching(user)["sessions"]]


def decoded(progress: str) -> float:
    """How much of the stream came out, by ffmpeg's last report."""
    times = [line.partition("=")[2] for line in progress.splitlines() if line.startswith("out_time_us=")]
    return int(times[-1]) / 1_000_000


def assert_played_to_the_end(service: Service, played: Played) -> None:
    streams = {stream["stream_id"]: stream for stream in service.get("/v1/streams").json["streams"]}
    stream = streams[played.session["stream_id"]]
    assert played.errors == ""
    assert played.seconds == pytest.approx(stream["segments"] * stream["segment_seconds"], abs=0.3)
    # Of requests that overlap, the one before the last may be settled last.
    assert played.session["sequence"] in (stream["segments"] - 2, stream["segments"] - 1), played.session
    assert {tuple(sessions) for sessions in played.seen} == {(played.session["session_id"],)}
