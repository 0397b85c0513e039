"""Players as their users run them: streamlink, yt-dlp, mpv and VLC play the samples by their playback URLs, unmodified."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.needs import needs
from tests.service import SAMPLES, Service, started, temporary_folder, wait_until

pytestmark = pytest.mark.xdist_group("foreign-players")

STREAMS = sorted(folder.name for folder in SAMPLES.iterdir() if (folder / "stream.json").exists())
BIN = Path(sys.executable).parent
Command = Callable[[str, Path], list[str]]


def streamlink(url: str, folder: Path) -> list[str]:
    return [str(BIN / "streamlink"), "--loglevel", "error", "--no-config", "-o", f"{folder}/out.ts", f"hls://{url}", "best"]


def yt_dlp(url: str, folder: Path) -> list[str]:
    quiet = ["--quiet", "--no-config", "--no-cache-dir", "--hls-prefer-native"]
    return [str(BIN / "yt-dlp"), *quiet, "-f", "bv+ba/b", "-o", f"{folder}/out.mp4", url]


def mpv(url: str, _folder: Path) -> list[str]:
    return ["mpv", "--no-config", "--really-quiet", "--vo=null", "--ao=null", "--untimed", "--no-ytdl", url]


def vlc(url: str, _folder: Path) -> list[str]:
    """VLC refuses to run as root."""
    own = ["runuser", "-u", "nobody", "--"] if os.geteuid() == 0 else []
    sinks = ["--vout", "dummy", "--aout", "dummy", "--no-video-title-show", "--quiet", "--rate", "8"]
    return [*own, "env", "HOME=/tmp", "cvlc", *sinks, "--play-and-exit", url, "vlc://quit"]


PLAYERS: dict[str, tuple[Command, str]] = {
    "streamlink": (streamlink, "ffmpeg"),
    "yt-dlp": (yt_dlp, "ffmpeg"),
    "mpv": (mpv, "mpv"),
    "vlc": (vlc, "cvlc"),
}


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with temporary_folder() as folder, started(Path(folder), "demo") as running:
        yield running


def open_session(service: Service, user: str, stream: str, session: str) -> str:
    """The playback URL. A reservation is not waited for: who is refused here gets no URL, which the players could not use."""
    form = {"user_id": user, "stream_id": stream, "session_id": session}
    opened = service.post("/v1/sessions", form)
    assert opened.status in (200, 201), opened.body
    return service.url + str(opened.json["playback_url"])


def session_of(service: Service, user: str) -> dict[str, Any]:
    (session,) = service.watching(user)["sessions"]
    return dict(session)


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("player", PLAYERS)
def test_it_plays_the_stream_to_its_end_on_one_seat(service: Service, tmp_path: Path, player: str, stream: str) -> None:
    command, program = PLAYERS[player]
    needs(program)
    user = f"{player}-{stream}"
    arguments = command(open_session(service, user, stream, "s"), tmp_path)
    seen: set[tuple[str, ...]] = set()
    last: dict[str, Any] = {}
    with subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            sessions = service.watching(user)["sessions"]
            seen.add(tuple(session["session_id"] for session in sessions))
            last = sessions[0] if sessions else last
            time.sleep(0.05)
        errors = process.communicate()[1]
    assert process.returncode == 0, errors
    assert seen == {("s",)}
    assert last["sequence"] >= segments_of(service, stream) - 2, last


def segments_of(service: Service, stream: str) -> int:
    found = {each["stream_id"]: each["segments"] for each in service.get("/v1/streams").json["streams"]}
    return int(found[stream])
