"""How many bytes a server CPU second, with receipts, beside nginx's static files on the same core?"""

import os
import tempfile
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.load import load, post
from bench.programs import nginx, streamlimit

SIZES = {"3 MB": 3_000_000, "100 KB": 100_000}
SEGMENTS = 20
USERS = 1_000


def measure(rounds: int = 3, seconds: int = 3) -> dict[str, Any]:
    """Each size on both servers, interleaved, after a second that does not count."""
    found: dict[str, Any] = {f"{who}, {size}": {"loads": []} for size in SIZES for who in ("nginx", "streamlimit")}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        for size, count in SIZES.items():
            make_stream(folder / "streams" / _stream(size), count)
        ours = stack.enter_context(streamlimit(folder, streams=str(folder / "streams")))
        theirs = stack.enter_context(nginx(folder, ""))
        for number in range(rounds):
            for size in SIZES:
                for who, server, request in (("nginx", theirs, _get(size)), ("streamlimit", ours, issue(size))):
                    if number == 0:
                        load(server, request, seconds=1)
                    found[f"{who}, {size}"]["loads"].append(asdict(load(server, request, seconds=seconds)))
    return {"rounds": rounds, "seconds": seconds, "rows": found}


def _stream(size: str) -> str:
    return size.replace(" ", "-")


def _get(size: str) -> str:
    return f'return wrk.format("GET", "/streams/{_stream(size)}/seg-"..(n % {SEGMENTS})..".ts")'


def issue(size: str) -> str:
    """Lua for a request of a segment of *size*.

    Each size has users of its own: a session that went to and fro between streams would be refused as shared.
    """
    stream = _stream(size)
    body = f'\'{{"user_id":"{stream}-\'..(n % {USERS})..\'","session_id":"s","stream_id":"{stream}",'
    return post('"/v1/segments"', body + f'"segment":"seg-\'..(n % {SEGMENTS})..\'.ts"}}\'')


def make_stream(folder: Path, size: int) -> None:
    """A stream of segments of *size* bytes."""
    folder.mkdir(parents=True)
    lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:6", "#EXT-X-PLAYLIST-TYPE:VOD"]
    for number in range(SEGMENTS):
        (folder / f"seg-{number}.ts").write_bytes(os.urandom(size))
        lines += ["#EXTINF:6.0,", f"seg-{number}.ts"]
    (folder / "index.m3u8").write_text("\n".join([*lines, "#EXT-X-ENDLIST", ""]))
