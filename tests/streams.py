"""Makes folders of streams for tests: random bytes and a playlist written by hand. Nobody can decode them."""

import os
from pathlib import Path

BIG = 3_000_000


def make_stream(folder: Path, stream_id: str, segments: int, size: int = BIG, seconds: float = 1.0) -> list[str]:
    """A finished HLS stream of *segments* of *size* bytes in *folder*/*stream_id*; returns the segments' names.

    All segments are hard links to one file: the names tell them apart, and a long stream costs no disk.
    """
    home = folder / stream_id
    home.mkdir(parents=True)
    names = [f"{n}.ts" for n in range(segments)]
    (home / names[0]).write_bytes(os.urandom(size))
    for name in names[1:]:
        os.link(home / names[0], home / name)
    (home / "index.m3u8").write_text(_playlist(names, seconds))
    return names


def make_single_file(folder: Path, stream_id: str, name: str, segments: int, size: int) -> None:
    """A stream whose segments are byte ranges of one (sparse) file of *size* bytes, a second each."""
    home, each = folder / stream_id, size // segments
    home.mkdir(parents=True)
    with (home / name).open("wb") as file:
        file.truncate(size)
    ranges = [f"#EXTINF:1,\n#EXT-X-BYTERANGE:{each}@{n * each}\n{name}" for n in range(segments)]
    head = "#EXTM3U\n#EXT-X-VERSION:4\n#EXT-X-TARGETDURATION:1\n#EXT-X-PLAYLIST-TYPE:VOD\n"
    (home / "index.m3u8").write_text(head + "\n".join(ranges) + "\n#EXT-X-ENDLIST\n")


def _playlist(names: list[str], seconds: float) -> str:
    longest = max(round(seconds), 1)
    head = ["#EXTM3U", "#EXT-X-VERSION:3", f"#EXT-X-TARGETDURATION:{longest}", "#EXT-X-PLAYLIST-TYPE:VOD"]
    media = [line for name in names for line in (f"#EXTINF:{seconds:.3f},", name)]
    return "\n".join([*head, *media, "#EXT-X-ENDLIST", ""])
