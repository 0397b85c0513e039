"""Files of streams that are deleted while the service has them open."""

import os
from pathlib import Path

from tests.service import Service, started, wait_until


def deleted_but_open(service: Service) -> list[str]:
    """The files without a name that the service has open."""
    folder = f"/proc/{service.process.pid}/fd"
    found = []
    for descriptor in os.listdir(folder):
        try:
            found.append(os.readlink(f"{folder}/{descriptor}"))
        except FileNotFoundError:
            continue  # it was closed meanwhile
    return [target for target in found if target.endswith(".ts (deleted)")]


def test_a_deleted_file_that_was_issued_gives_its_space_back(tmp_path: Path) -> None:
    movie = tmp_path / "streams/movie"
    movie.mkdir(parents=True)
    for name in ("a.ts", "b.ts"):
        (movie / name).write_bytes(bytes(500_000))
    names = "#EXTINF:6,\na.ts\n#EXTINF:6,\nb.ts\n"
    (movie / "index.m3u8").write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:6\n{names}#EXT-X-ENDLIST\n")
    with started(tmp_path, streams=str(movie.parent)) as service:
        seat = {"user_id": "ada", "session_id": "s", "stream_id": "movie"}
        playback = service.post("/v1/sessions", seat).json["playback_url"].rpartition("/")[0]
        assert service.get(f"{playback}/a.ts").status == 200
        assert service.segment("ada", "s", "movie", segment="b.ts").status == 200
        for name in ("a.ts", "b.ts"):
            (movie / name).unlink()
        wait_until(lambda: not deleted_but_open(service), 20, "the files to be closed")
