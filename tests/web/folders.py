"""Stream folders for the tests of the web layer: small, of every shape, with bytes that tell where they are from."""

import random
import shutil
from pathlib import Path

from tests.service import SAMPLES

SEGMENT_BYTES = 6_000
INIT_BYTES = 800
PACKED_SEGMENT_BYTES = 400_000
PACKED_SEGMENTS = 4
TAIL_BYTES = 300


def make_streams(root: Path) -> Path:
    """`orchard` and `clock` are samples; `tiny`, `packed`, `live`, `locked` and `odd` are made up."""
    for sample in ("orchard", "clock"):
        shutil.copytree(SAMPLES / sample, root / sample)
    _make_whole(root / "tiny", ["a.ts", "b.ts", "c.ts"])
    _make_whole(root / "live", ["a.ts", "b.ts"], end="")
    _make_whole(root / "odd", ["první díl.ts", "100%.ts"], ["prvn%C3%AD%20d%C3%ADl.ts", "100%25.ts"])
    _make_whole(root / "locked", ["a.ts"], extra='#EXT-X-KEY:METHOD=AES-128,URI="secret.key"\n')
    (root / "locked" / "secret.key").write_bytes(b"k" * 16)
    (root / "locked" / "words.vtt").write_text("WEBVTT\n\n00:00.000 --> 00:01.000\nyes\n")
    _make_packed(root / "packed")
    return root


def content(seed: str, size: int = SEGMENT_BYTES) -> bytes:
    """The bytes of the made-up file of that name."""
    return random.Random(seed).randbytes(size)


def packed_range(index: int) -> tuple[int, int]:
    """First and last byte of a segment of `packed/all.mp4`."""
    first = INIT_BYTES + index * PACKED_SEGMENT_BYTES
    return first, first + PACKED_SEGMENT_BYTES - 1


def packed_size() -> int:
    """Of `packed/all.mp4`: init, segments, and an index that nobody lists."""
    return INIT_BYTES + PACKED_SEGMENTS * PACKED_SEGMENT_BYTES + TAIL_BYTES


def _make_whole(
    folder: Path, names: list[str], uris: list[str] | None = None, extra: str = "", end: str = "#EXT-X-ENDLIST\n"
) -> None:
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_bytes(content(name))
    lines = "".join(f"#EXTINF:2.0,\n{uri}\n" for uri in uris or names)
    (folder / "index.m3u8").write_text(f"#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:2\n{extra}{lines}{end}")


def _make_packed(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "all.mp4").write_bytes(content("all", packed_size()))
    lines = "".join(
        f"#EXTINF:2.0,\n#EXT-X-BYTERANGE:{PACKED_SEGMENT_BYTES}@{packed_range(i)[0]}\nall.mp4\n"
        for i in range(PACKED_SEGMENTS)
    )
    (folder / "index.m3u8").write_text(
        "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:2\n"
        f'#EXT-X-MAP:URI="all.mp4",BYTERANGE="{INIT_BYTES}@0"\n{lines}#EXT-X-ENDLIST\n'
    )
