"""Folders of streams for the tests of this room: written by hand, or by ffmpeg where it is installed."""

import os
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from streamlimit.delivery.catalog import Catalog
from streamlimit.delivery.stream import Stream

LONG_AGO_NS = 1_700_000_000_000_000_000


class Clock:
    """Monotonic seconds that only move when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def tick(self, seconds: float = 1.0) -> None:
        self.now += seconds


class Folder:
    """One stream's folder; every write has an older-than-now mtime of its own."""

    written = 0

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)

    def write(self, name: str, content: str | bytes = b"x") -> Path:
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        Folder.written += 1
        os.utime(file, ns=(LONG_AGO_NS, LONG_AGO_NS + Folder.written * 1_000_000_000))
        return file

    def media(self, *names: str) -> None:
        for name in names:
            self.write(name)


def read_stream(path: Path) -> Stream:
    """The one stream in the folder at *path*."""
    return Catalog(path.parent, clock=Clock()).stream(path.name)


def playlist(
    names: list[str], *, first: int = 0, over: bool = True, seconds: float = 2.0, head: str = "", vod: bool = False
) -> str:
    """A media playlist of equal segments."""
    lines = ["#EXTM3U", "#EXT-X-VERSION:7", "#EXT-X-TARGETDURATION:2", f"#EXT-X-MEDIA-SEQUENCE:{first}"]
    lines += ["#EXT-X-PLAYLIST-TYPE:VOD"] * vod + ([head] if head else [])
    for name in names:
        lines += [f"#EXTINF:{seconds},", name]
    return "\n".join(lines + ["#EXT-X-ENDLIST"] * over) + "\n"


def mpd(periods: str, *, live: bool = False, duration: str = "PT10S") -> str:
    """A manifest around the periods."""
    kind = 'type="dynamic"' if live else f'type="static" mediaPresentationDuration="{duration}"'
    return f'<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" {kind}>{periods}</MPD>\n'


def video_set(inside: str, rep_id: str = "v1", extra: str = "") -> str:
    """One video AdaptationSet with one Representation."""
    return (
        f'<AdaptationSet contentType="video" mimeType="video/mp4">'
        f'<Representation id="{rep_id}" bandwidth="1000">{inside}</Representation>{extra}</AdaptationSet>'
    )


def sidx(sizes: list[int], *, seconds: int = 2, offset: int = 0, version: int = 0) -> bytes:
    """A sidx box whose segments have these sizes."""
    times = struct.pack(">QQ" if version else ">II", 0, offset)
    body = struct.pack(">III", version << 24, 1, 1000) + times + struct.pack(">HH", 0, len(sizes))
    body += b"".join(struct.pack(">III", size, seconds * 1000, 0x90000000) for size in sizes)
    return struct.pack(">I4s", 8 + len(body), b"sidx") + body


needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")


def ffmpeg(folder: Path, *arguments: str) -> None:
    """Six seconds of a tiny picture and a tone, two seconds a segment, made with these arguments."""
    folder.mkdir(parents=True, exist_ok=True)
    source = ["-f", "lavfi", "-i", "testsrc=s=64x64:r=10:d=6", "-f", "lavfi", "-i", "sine=d=6:r=24000"]
    codec = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "20", "-keyint_min", "20", "-sc_threshold", "0"]
    command = ["ffmpeg", "-v", "error", "-y", *source, *codec, "-c:a", "aac", "-b:a", "24k", *arguments]
    subprocess.run(command, cwd=folder, check=True, timeout=60)
