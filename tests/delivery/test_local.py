"""Files are opened once, read in slices, and nothing that happens to them meanwhile ends the process."""

import os
from itertools import takewhile
from pathlib import Path

import pytest

from streamlimit.delivery.body import NOTES, SLICE, SMALL, SPAN
from streamlimit.delivery.local import TRUSTED_SECONDS, LocalFiles
from streamlimit.errors import CatalogError, UnknownSegment

BIG = bytes(range(256)) * 4096  # 1 MiB


@pytest.fixture
def files() -> LocalFiles:
    return LocalFiles()


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def read(files: LocalFiles, path: Path, first: int = 0, last: int | None = None) -> bytes:
    return b"".join(files.open(path).chunks(first, last))


@pytest.mark.parametrize("size", [0, 1, SMALL, SMALL + 1, SLICE, SLICE + 1, len(BIG)])
def test_all_of_a_file_arrives_the_first_time_and_again(files: LocalFiles, tmp_path: Path, size: int) -> None:
    path = write(tmp_path / "1.ts", BIG[:size])
    for _ in range(3):
        body = files.open(path)
        pieces = list(body.chunks())
        assert b"".join(pieces) == BIG[:size]
        assert (body.size, body.media_type) == (size, "video/mp2t")
    assert (body.content is not None) is (size <= SMALL)


@pytest.mark.parametrize(("first", "last"), [(0, 0), (5, 99), (SLICE - 1, SLICE), (100, None), (len(BIG) - 1, 10**9)])
def test_ranges(files: LocalFiles, tmp_path: Path, first: int, last: int | None) -> None:
    path = write(tmp_path / "1.mp4", BIG)
    for _ in range(3):
        assert read(files, path, first, last) == BIG[first : None if last is None else last + 1]


def test_slices_are_of_bounded_size(files: LocalFiles, tmp_path: Path) -> None:
    sizes = [len(piece) for piece in files.open(write(tmp_path / "1.ts", BIG)).chunks()]
    assert max(sizes) <= SLICE


def test_a_range_beyond_the_end_is_empty(files: LocalFiles, tmp_path: Path) -> None:
    for content in (BIG, b"abc"):
        assert read(files, write(tmp_path / f"{len(content)}.ts", content), len(content)) == b""


def test_a_file_is_opened_once(files: LocalFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "1.ts", BIG)
    body = files.open(path)
    monkeypatch.setattr(os, "open", None)
    assert files.open(path) is body


def test_an_etag_is_the_versions_own(files: LocalFiles, tmp_path: Path) -> None:
    path = write(tmp_path / "1.ts", BIG)
    tags = {files.open(path).etag for _ in range(3)}
    assert len(tags) == 1
    assert next(iter(tags)).startswith('"')
    stamp = path.stat().st_mtime_ns
    write(tmp_path / "new", BIG[::-1])
    os.utime(tmp_path / "new", ns=(stamp, stamp))
    os.replace(tmp_path / "new", path)  # same size, same mtime, another file
    tags.add(files.open(path).etag)
    os.utime(path, ns=(stamp, stamp + 1))
    tags.add(files.open(path).etag)
    write(path, BIG[1:])
    tags.add(files.open(path).etag)
    assert len(tags) == 4


def test_a_replaced_file_is_delivered_to_its_end_as_it_was(files: LocalFiles, tmp_path: Path) -> None:
    path = write(tmp_path / "1.ts", BIG)
    chunks = files.open(path).chunks()
    start = bytes(next(chunks))
    os.replace(write(tmp_path / "new", b"new"), path)
    files.close()
    assert start + b"".join(chunks) == BIG
    assert read(files, path) == b"new"


def test_a_file_that_becomes_shorter_is_an_error_and_no_signal(files: LocalFiles, tmp_path: Path) -> None:
    path = write(tmp_path / "1.ts", BIG)
    chunks = files.open(path).chunks()
    next(chunks)
    os.truncate(path, SLICE + 10)
    assert len(next(chunks)) == 10
    with pytest.raises(CatalogError, match="shorter"):
        next(chunks)


def test_notes_of_a_file_are_bounded_and_go_with_its_version(files: LocalFiles, tmp_path: Path) -> None:
    path = write(tmp_path / "1.ts", b"old")
    body = files.open(path)
    for number in range(3 * NOTES):
        assert body.notes.get(("is", number)) is None
        assert body.keep(("is", number), b"%d" % number) == b"%d" % number
    kept = [number for number in range(3 * NOTES) if body.notes.get(("is", number)) == b"%d" % number]
    assert len(kept) <= NOTES
    assert kept[-1] == 3 * NOTES - 1
    write(path, b"newer")
    assert files.open(path).notes.get(("is", kept[-1])) is None


def test_what_is_no_regular_file_is_unknown(files: LocalFiles, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in ("gone.ts", "pipe", ".", "a\0b", "x" * 300):
        with pytest.raises(UnknownSegment):
            files.open(f"{tmp_path}/{name}")
    with pytest.raises(UnknownSegment):
        files.open("/dev/zero")


def test_a_file_that_went_away_is_unknown_though_it_was_open(files: LocalFiles, tmp_path: Path) -> None:
    path = write(tmp_path / "1.ts", BIG)
    files.open(path)
    path.unlink()
    with pytest.raises(UnknownSegment):
        files.open(path)


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_descriptors_and_memory_are_bounded_and_given_back(tmp_path: Path) -> None:
    files = LocalFiles(max_open=4, max_bytes=3 * SMALL)
    before = open_descriptors()
    large = [write(tmp_path / f"{n}.ts", BIG) for n in range(10)]
    small = [write(tmp_path / f"{n}.m3u8", BIG[:SMALL]) for n in range(10)]
    for path in (large + small) * 3:
        age(path)
        assert read(files, path) == path.read_bytes()
        assert open_descriptors() <= before + 4
    bodies = {path: files.open(path) for path in small}
    kept = takewhile(lambda path: files.open(path) is bodies[path], reversed(small))  # the newest first
    assert len(list(kept)) == 3
    files.close()
    assert open_descriptors() == before


def test_one_in_use_stays_open_though_it_is_pushed_out(tmp_path: Path) -> None:
    files = LocalFiles(max_open=1)
    body = files.open(write(tmp_path / "0.ts", BIG))
    for n in range(1, 5):
        files.open(write(tmp_path / f"{n}.ts", BIG))
    assert b"".join(body.chunks()) == BIG


def test_a_deleted_file_does_not_go_on_taking_its_space(files: LocalFiles, tmp_path: Path) -> None:
    kept, deleted, replaced = (age(write(tmp_path / f"{n}.ts", BIG)) for n in range(3))
    small = age(write(tmp_path / "small.ts", BIG[:SMALL]))
    before, opened = open_descriptors(), files.open(kept)
    reader = files.open(deleted).chunks()
    for path in (small, deleted, replaced):
        assert len(next(files.open(path).chunks())) > 0
    deleted.unlink()
    os.replace(write(tmp_path / "new", b"new"), replaced)
    files.let_go()
    assert open_descriptors() == before + 2  # and the one that somebody reads
    assert b"".join(reader) == BIG
    del reader
    assert open_descriptors() == before + 1
    assert files.open(kept) is opened


def age(path: Path) -> Path:
    """As if nobody had written into it for an hour."""
    os.utime(path, ns=(0, path.stat().st_mtime_ns - 3_600 * 10**9))
    return path


def test_a_file_that_was_long_not_written_is_looked_at_now_and_then(tmp_path: Path) -> None:
    now = [100.0]
    files, path = LocalFiles(clock=lambda: now[0]), age(write(tmp_path / "1.ts", BIG))
    body = files.open(path)
    os.replace(age(write(tmp_path / "new", b"new")), path)
    assert files.open(path) is body
    now[0] += TRUSTED_SECONDS
    assert read(files, path) == b"new"
    path.unlink()
    assert read(files, path) == b"new"
    now[0] += TRUSTED_SECONDS
    with pytest.raises(UnknownSegment):
        files.open(path)


def test_a_file_that_is_written_lately_is_looked_at_each_time(tmp_path: Path) -> None:
    files, path = LocalFiles(clock=lambda: 0.0), write(tmp_path / "1.ts", BIG[:10])
    for size in (20, 1000, SMALL + 1):
        files.open(path)
        write(path, BIG[:size])
        assert files.open(path).size == size


def test_nothing_is_trusted_that_is_not_kept(tmp_path: Path) -> None:
    files = LocalFiles(max_open=1, clock=lambda: 0.0)
    first = files.open(age(write(tmp_path / "1.ts", BIG)))
    files.open(age(write(tmp_path / "2.ts", BIG)))
    assert files.open(tmp_path / "1.ts") is not first


def test_spans_cover_the_range(files: LocalFiles, tmp_path: Path) -> None:
    path = tmp_path / "1.mp4"
    with path.open("wb") as file:
        file.truncate(2 * SPAN + 5)
    body = files.open(path)
    assert list(body.spans(0, body.size - 1)) == [(0, SPAN), (SPAN, SPAN), (2 * SPAN, 5)]
    assert list(body.spans(7, 10**9)) == [(7, SPAN), (SPAN + 7, SPAN - 2)]
    assert list(body.spans(7, 8, 1)) == [(7, 1), (8, 1)]
    assert list(body.spans(body.size, body.size)) == []


def test_who_gets_a_file_in_pieces_does_not_get_the_last_one_of_another_version(
    files: LocalFiles, tmp_path: Path
) -> None:
    path = age(write(tmp_path / "1.ts", BIG))
    chunks, spans = files.open(path).chunks(), files.open(path).spans(0, len(BIG) - 1, len(BIG) // 2)
    for _ in range(3):
        next(chunks)
    next(spans)
    with path.open("r+b") as file:
        file.write(b"another")
    for pieces in (chunks, spans):
        with pytest.raises(CatalogError, match="changed"):
            next(pieces)  # type: ignore[call-overload]
