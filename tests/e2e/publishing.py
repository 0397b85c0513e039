"""ffmpeg as a publisher: a test picture and a tone into a stream's folder, at once or live. One-second segments."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.service import wait_until

_PICTURE = ("-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "ultrafast", "-g", "10", "-keyint_min", "10",
            "-sc_threshold", "0")  # fmt: skip
_CODECS = (*_PICTURE, "-c:a", "aac", "-b:a", "24k")


def _command(seconds: float, *how: str, live: bool = False, beside: tuple[str, ...] = ()) -> list[str]:
    picture = ["-f", "lavfi", "-i", f"testsrc=s=160x90:r=10:d={seconds}"]
    tone = ["-f", "lavfi", "-i", f"sine=d={seconds}:r=24000"]
    pace = ["-re"] if live else []
    return ["ffmpeg", "-v", "error", "-nostdin", "-y", *pace, *picture, *pace, *tone, *beside, *_CODECS, *how]


HLS_LIVE = ("-f", "hls", "-hls_time", "1", "-hls_list_size", "6", "-hls_flags", "delete_segments+temp_file",
            "-hls_delete_threshold", "3", "index.m3u8")  # fmt: skip
DASH_LIVE = ("-f", "dash", "-seg_duration", "1", "-window_size", "6", "-extra_window_size", "4", "-use_timeline", "1",
             "-use_template", "1", "manifest.mpd")  # fmt: skip


def make(folder: Path, seconds: float, *how: str, beside: tuple[str, ...] = ()) -> None:
    """A finished stream. *how*: ffmpeg's arguments for the output; *beside*: for further inputs."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(_command(seconds, *how, beside=beside), cwd=folder, check=True, timeout=60)


@contextmanager
def on_air(folder: Path, *how: str, seconds: float = 3_600) -> Iterator["subprocess.Popen[bytes]"]:
    """A live stream, in real time, until the end of the block; entered when its first segments are there."""
    folder.mkdir(parents=True, exist_ok=True)
    with subprocess.Popen(_command(seconds, *how, live=True), cwd=folder, stderr=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: (folder / how[-1]).exists(), 20, "the publisher")
            yield process
        finally:
            process.kill()


def make_encrypted(folder: Path, seconds: float) -> None:
    """An AES-128 stream with its key beside it."""
    folder.mkdir(parents=True)
    (folder / "secret.key").write_bytes(bytes(range(16)))
    (folder / "key.info").write_text(f"secret.key\n{folder}/secret.key\n")
    make(folder, seconds, "-f", "hls", "-hls_time", "1", "-hls_playlist_type", "vod", "-hls_key_info_file", "key.info",
         "index.m3u8")  # fmt: skip
    (folder / "key.info").unlink()


def make_subtitled(folder: Path, seconds: float) -> None:
    """A picture, a tone, and WebVTT subtitles in segments of their own."""
    folder.mkdir(parents=True)
    cues = (f"{n}\n00:00:{n:02},000 --> 00:00:{n:02},900\nline {n}\n" for n in range(int(seconds)))
    (folder / "words.srt").write_text("\n".join(cues))
    streams = ["-map", "0:v", "-map", "1:a", "-map", "2:s", "-c:s", "webvtt"]
    output = ["-f", "hls", "-hls_time", "1", "-hls_playlist_type", "vod", "-master_pl_name", "master.m3u8"]
    variants = ["-var_stream_map", "v:0,a:0,s:0,sgroup:subs", "stream_%v.m3u8"]
    make(folder, seconds, *streams, *output, *variants, beside=("-i", "words.srt"))
    (folder / "words.srt").unlink()
