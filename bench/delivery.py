"""How many bytes a server CPU second, with receipts, beside nginx's static files on the same core?"""

import os
import tempfile
from contextlib import ExitStack
from pathlib import Path

from bench.load import Load, load
from bench.programs import nginx, streamlimit

SIZES = {"3 MB": 3_000_000, "100 KB": 100_000}
SEGMENTS = 20


def measure(rounds: int = 3, seconds: int = 4) -> dict[str, list[Load]]:
    """Each size on both servers, interleaved."""
    found: dict[str, list[Load]] = {f"{who}, {size}": [] for size in SIZES for who in ("nginx", "streamlimit")}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        for size, count in SIZES.items():
            _make_stream(folder / "streams" / size.replace(" ", "-"), count)
        ours = stack.enter_context(streamlimit(folder, streams=str(folder / "streams")))
        theirs = stack.enter_context(nginx(folder, ""))
        for _ in range(rounds):
            for size in SIZES:
                name = size.replace(" ", "-")
                path = f'"/streams/{name}/seg-"..(n % {SEGMENTS})..".ts"'
                found[f"nginx, {size}"].append(load(theirs, f'return wrk.format("GET", {path})', seconds=seconds))
                body = (
                    f'\'{{"user_id":"u\'..(n % 1000)..\'","session_id":"s","stream_id":"{name}",'
                    f'"segment":"seg-\'..(n % {SEGMENTS})..\'.ts"}}\''
                )
                request = f'return wrk.format("POST", "/v1/segments", {{["Content-Type"]="application/json"}}, {body})'
                found[f"streamlimit, {size}"].append(load(ours, request, seconds=seconds))
    return found


def _make_stream(folder: Path, size: int) -> None:
    folder.mkdir(parents=True)
    lines = ["#EXTM3U", "#EXT-X-TARGETDURATION:6", "#EXT-X-PLAYLIST-TYPE:VOD"]
    for number in range(SEGMENTS):
        (folder / f"seg-{number}.ts").write_bytes(os.urandom(size))
        lines += ["#EXTINF:6.0,", f"seg-{number}.ts"]
    (folder / "index.m3u8").write_text("\n".join([*lines, "#EXT-X-ENDLIST", ""]))
