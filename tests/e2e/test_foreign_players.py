"""Players as their users run them: streamlink, yt-dlp, mpv and VLC play the samples by playback URL, unmodified."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.needs import needs
from tests.service import OPERATOR_KEY, SAMPLES, Service, service_of_file, started, wait_until

STREAMS = sorted(folder.name for folder in SAMPLES.iterdir() if (folder / "stream.json").exists())
BIN = Path(sys.executable).parent
Command = Callable[[str, Path], list[str]]


def streamlink(url: str, folder: Path) -> list[str]:
    quiet = ["--loglevel", "error", "--no-config", "--force"]
    return [str(BIN / "streamlink"), *quiet, "-o", f"{folder}/streamlink.ts", f"hls://{url}", "best"]


def yt_dlp(url: str, folder: Path) -> list[str]:
    quiet = ["--quiet", "--no-config", "--no-cache-dir", "--hls-prefer-native"]
    return [str(BIN / "yt-dlp"), *quiet, "-f", "bv+ba/b", "-o", f"{folder}/yt-dlp.mp4", url]


def mpv(url: str, _folder: Path) -> list[str]:
    return [
        "mpv",
        "--no-config",
        "--really-quiet",
        "--vo=null",
        "--ao=null",
        "--ao-null-untimed",
        "--untimed",
        "--no-ytdl",
        url,
    ]


def vlc(url: str, _folder: Path) -> list[str]:
    """VLC refuses to run as root."""
    own = ["runuser", "-u", "nobody", "--"] if os.geteuid() == 0 else []
    sinks = ["--vout", "dummy", "--aout", "dummy", "--no-video-title-show", "--quiet", "--rate", "8"]
    return [*own, "env", "HOME=/tmp", "cvlc", *sinks, "--play-and-exit", url, "vlc://quit"]


def ffmpeg(url: str, _folder: Path) -> list[str]:
    return ["ffmpeg", "-v", "error", "-nostdin", "-i", url, "-map", "0:v:0", "-map", "0:a:0", "-f", "null", "-"]


PLAYERS: dict[str, tuple[Command, str]] = {
    "streamlink": (streamlink, "ffmpeg"),
    "yt-dlp": (yt_dlp, "ffmpeg"),
    "mpv": (mpv, "mpv"),
    "vlc": (vlc, "cvlc"),
}
FIVE = PLAYERS | {"ffmpeg": (ffmpeg, "ffmpeg")}

service = service_of_file(segment_seconds=20, start_seconds=60)
"""Reservations wait long: some of these programs take seconds to start."""


@pytest.fixture
def strict(tmp_path: Path) -> Iterator[Service]:
    """Reservations are soon gone, and who sat once sits to the end of the test."""
    settings: dict[str, Any] = {"segment_seconds": 30, "start_seconds": 0.5}
    with started(tmp_path, **settings) as running:
        yield running


def open_session(service: Service, user: str, stream: str, session: str) -> str:
    """The playback URL."""
    form = {"user_id": user, "stream_id": stream, "session_id": session}
    opened = service.post("/v1/sessions", form)
    assert opened.status == 201, opened.body
    return service.url + str(opened.json["playback_url"])


def segments_of(service: Service, stream: str) -> int:
    found = {each["stream_id"]: each["segments"] for each in service.get("/v1/streams").json["streams"]}
    return int(found[stream])


class Show:
    """A player that plays one stream, and who was seen on its user's seats meanwhile."""

    def __init__(self, service: Service, player: str, stream: str, folder: Path) -> None:
        self.service, self.stream, self.user = service, stream, f"{player}-{stream}"
        self.seen: set[tuple[str, ...]] = set()
        self.last: dict[str, Any] = {}
        folder.mkdir()
        command = PLAYERS[player][0](open_session(service, self.user, stream, "s"), folder)
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def is_over(self) -> bool:
        if self.process.poll() is not None:
            return True
        sessions = self.service.watching(self.user)["sessions"]
        self.seen.add(tuple(session["session_id"] for session in sessions))
        self.last = sessions[0] if sessions else self.last
        return False


@pytest.mark.parametrize("player", PLAYERS)
def test_it_plays_streams_to_their_end_on_one_seat_each(service: Service, tmp_path: Path, player: str) -> None:
    needs(PLAYERS[player][1])
    mine = STREAMS[list(PLAYERS).index(player) % 2 :: 2]  # every stream is played by two of them
    shows = [Show(service, player, stream, tmp_path / stream) for stream in mine]
    try:
        while [show for show in shows if not show.is_over()]:  # each is looked at each time
            time.sleep(0.05)
    finally:
        for show in shows:
            show.process.kill()
    for show in shows:
        errors = show.process.communicate()[1]
        assert show.process.returncode == 0, errors
        assert show.seen == {("s",)}
        assert show.last["sequence"] >= segments_of(service, show.stream) - 2, show.last


def test_of_five_at_once_two_are_refused_and_the_others_are_undisturbed(strict: Service, tmp_path: Path) -> None:
    needs(*{program for _, program in FIVE.values()})
    limit = {"max_sessions": 5}
    assert strict.call("PUT", "/v1/users/ada/limit", limit, key=OPERATOR_KEY).status == 200
    urls = {player: open_session(strict, "ada", "orchard", player) for player in FIVE}
    wait_until(lambda: not strict.watching("ada")["live_sessions"], 10, "the reservations to run out")
    assert strict.call("DELETE", "/v1/users/ada/limit", key=OPERATOR_KEY).status == 204
    running = {player: _start(FIVE[player][0](urls[player], tmp_path)) for player in FIVE}
    ended = {player: process.wait(100) for player, process in running.items()}
    lines = [json.loads(line) for line in strict.log().splitlines() if line.startswith("{")]
    sat = {line["session_id"] for line in lines if line["event"] == "session.started"}
    refused = {line.get("session_id") for line in lines if line["event"] == "refused"} - {None}
    assert len(sat) == 3
    assert refused == set(FIVE) - sat
    assert {player: ended[player] for player in sat} == dict.fromkeys(sat, 0)
    last = {session["session_id"]: session["sequence"] for session in strict.watching("ada")["sessions"]}
    assert last.keys() == sat
    assert min(last.values()) >= segments_of(strict, "orchard") - 2


def _start(command: list[str]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
