"""Added and removed folders are noticed, also on mounts without mtimes; oddities are reported to the operator."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from streamlimit.delivery import folders
from streamlimit.delivery.catalog import Catalog
from streamlimit.delivery.folders import LIST_SECONDS, LOOKS, Folders
from streamlimit.delivery.survey import MOST_NOTES, survey
from streamlimit.errors import UnknownStream
from tests.delivery.stream_folders import LONG_AGO_NS, Clock, Folder, mpd, playlist, video_set

VOD = playlist(["1.ts", "2.ts"], vod=True)


class Mount:
    """A folder of streams whose directories never change their time, as on rclone, gcsfuse and some NAS."""

    def __init__(self, root: Path) -> None:
        self.root, self.clock = root, Clock()
        root.mkdir()
        self.catalog = Catalog(root, clock=self.clock)
        self.still()

    def still(self) -> None:
        for folder in (self.root, *(path for path in self.root.rglob("*") if path.is_dir())):
            os.utime(folder, ns=(LONG_AGO_NS, LONG_AGO_NS))

    def add(self, name: str, *media: str, **files: str) -> None:
        folder = Folder(self.root / name)
        for file, content in files.items():
            folder.write(file.replace("_", "."), content)
        folder.media(*media)
        self.still()

    def ids(self) -> list[str]:
        return [stream.stream_id for stream in self.catalog.streams()]

    def notes(self) -> list[tuple[str, str]]:
        return list(survey(self.catalog))


@pytest.fixture
def mount(tmp_path: Path) -> Mount:
    return Mount(tmp_path / "streams")


def test_a_stream_that_appears_is_served_at_once_whatever_its_folder_says(mount: Mount) -> None:
    mount.add("a", index_m3u8=VOD)
    assert mount.ids() == ["a"]
    mount.clock.tick(5)
    assert mount.ids() == ["a"]
    mount.add("b", index_m3u8=VOD)
    assert mount.catalog.stream("b").segments == 2


def test_a_stream_that_was_asked_for_too_early_is_served_a_second_later(mount: Mount) -> None:
    mount.ids()
    with pytest.raises(UnknownStream):
        mount.catalog.stream("b")
    mount.add("b", index_m3u8=VOD)
    mount.clock.tick(1.1)
    assert mount.catalog.stream("b").segments == 2


def test_names_are_listed_anew_every_minute_whatever_the_folder_says(mount: Mount) -> None:
    mount.add("a", index_m3u8=VOD)
    mount.ids()
    mount.clock.tick()
    mount.ids()
    mount.add("b", index_m3u8=VOD)
    mount.clock.tick()
    assert mount.ids() == ["a"]
    mount.clock.tick(LIST_SECONDS)
    assert mount.ids() == ["a", "b"]


def test_a_stream_that_disappears_is_gone_and_one_of_its_name_comes_back(mount: Mount) -> None:
    mount.add("a", index_m3u8=VOD)
    mount.catalog.stream("a")
    shutil.rmtree(mount.root / "a")
    mount.still()
    mount.clock.tick(1.1)
    with pytest.raises(UnknownStream):
        mount.catalog.stream("a")
    mount.add("a", index_m3u8=playlist(["9.ts"]))
    mount.clock.tick(1.1)
    assert [segment.name for segment in mount.catalog.stream("a").main] == ["9.ts"]


def test_a_folder_becomes_a_stream_and_gets_another_entry_whatever_it_says(mount: Mount) -> None:
    mount.add("a", "1.ts")
    with pytest.raises(UnknownStream):
        mount.catalog.stream("a")
    mount.add("a", index_m3u8=VOD)
    mount.clock.tick(1.1)
    assert mount.catalog.stream("a").entry == "index.m3u8"
    mount.add("a", master_m3u8="#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nindex.m3u8\n")
    mount.clock.tick(LIST_SECONDS + 1)
    assert mount.catalog.stream("a").entry == "master.m3u8"


def test_live_numbers_on_disk_go_on_whatever_their_folder_says(mount: Mount) -> None:
    template = '<SegmentTemplate media="$Number$.m4s" duration="2"/>'
    mount.add("a", "1.m4s", manifest_mpd=mpd(f"<Period>{video_set(template)}</Period>", live=True))
    assert mount.catalog.stream("a").segments == 1
    mount.add("a", "2.m4s")
    mount.clock.tick(2.1)
    assert mount.catalog.stream("a").segments == 2


def test_a_million_unknown_names_cost_a_hundred_looks_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks, looked = list[str](), os.path.isdir

    def counted(path: str) -> bool:
        looks.append(path)
        return looked(path)

    monkeypatch.setattr(folders.os.path, "isdir", counted)
    here = Folders(str(tmp_path))
    here.listed(0.0)
    assert not any(here.has(f"no-{n}") for n in range(10 * LOOKS))
    assert len(looks) == LOOKS
    here.listed(1.1)
    assert not any(here.has("the-same") for _ in range(10))
    assert len(looks) == LOOKS + 1


def test_a_link_in_a_circle_among_the_streams_costs_no_stream(mount: Mount) -> None:
    mount.add("one", "1.ts", "2.ts", index_m3u8=VOD)
    (mount.root / "circle").symlink_to("circle")
    (mount.root / "there").symlink_to("back")
    (mount.root / "back").symlink_to("there")
    os.mkfifo(mount.root / "pipe")
    assert mount.ids() == ["one"]
    assert mount.notes() == []


def test_a_folder_of_streams_that_cannot_be_listed_for_a_moment_keeps_its_streams(
    mount: Mount, monkeypatch: pytest.MonkeyPatch
) -> None:
    mount.add("one", "1.ts", "2.ts", index_m3u8=VOD)
    assert mount.ids() == ["one"]

    def fails(_: str) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(folders.os, "scandir", fails)
        mount.clock.tick(LIST_SECONDS + 1)
        assert mount.ids() == ["one"]
    mount.add("two", "1.ts", "2.ts", index_m3u8=VOD)
    mount.clock.tick()
    assert mount.ids() == ["one", "two"]


@pytest.mark.parametrize("kind", ["a pipe", "a folder", "a link out"])
def test_a_playlist_that_is_no_file_is_told_as_what_it_is(mount: Mount, tmp_path: Path, kind: str) -> None:
    folder = mount.root / "one"
    folder.mkdir()
    (tmp_path / "away.m3u8").write_text(VOD)
    {
        "a pipe": lambda: os.mkfifo(folder / "index.m3u8"),
        "a folder": lambda: (folder / "index.m3u8").mkdir(),
        "a link out": lambda: (folder / "index.m3u8").symlink_to(tmp_path / "away.m3u8"),
    }[kind]()
    assert mount.ids() == []
    why = "a link that leads out of the folder of streams" if kind == "a link out" else "no regular file"
    assert mount.catalog.problems == {"one": f"index.m3u8 cannot be read: it is {why}"}


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "a/b", "/", "a\0b", "\ud800", "x" * 5_000, "file"])
def test_what_is_no_folders_name_is_not_there(tmp_path: Path, name: str) -> None:
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "file").touch()
    here = Folders(str(tmp_path))
    here.listed(0.0)
    assert not here.has(name)


# What is said of them


def _shorten(mount: Mount) -> None:
    (mount.root / "a" / "2.ts").write_bytes(b"")


def _link_out(mount: Mount) -> None:
    for name in ("1.ts", "2.ts"):
        shutil.move(mount.root / "a" / name, mount.root.parent / name)
        (mount.root / "a" / name).symlink_to(mount.root.parent / name)


def _make_folder(mount: Mount) -> None:
    (mount.root / "a" / "1.ts").unlink()
    (mount.root / "a" / "1.ts").mkdir()


LINK = "is a link that leads out of the folder of streams"


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda mount: None, []),
        (lambda mount: (mount.root / "a" / "2.ts").unlink(), ["2.ts, a segment of index.m3u8, is not there"]),
        (_shorten, ["2.ts, a segment of index.m3u8, is empty"]),
        (_make_folder, ["1.ts, a segment of index.m3u8, is no regular file"]),
        (
            _link_out,
            [
                *(f"{name}, a segment of index.m3u8, {LINK}" for name in ("1.ts", "2.ts")),
                "1.ts and 1 more: links that lead out of the folder of streams, and are not served",
            ],
        ),
    ],
)
def test_the_first_and_the_last_segment_are_looked_at(
    mount: Mount, spoil: Callable[[Mount], None], said: list[str]
) -> None:
    mount.add("a", "1.ts", "2.ts", index_m3u8=VOD)
    spoil(mount)
    assert mount.notes() == [("a", note) for note in said]


def test_a_range_beyond_the_file_a_missing_init_and_a_missing_playlist_are_said(mount: Mount) -> None:
    head = '#EXT-X-MAP:URI="init.mp4"\n#EXT-X-BYTERANGE:900@100'
    master = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nindex.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=2\nhigh.m3u8\n"
    mount.add("a", "all.mp4", index_m3u8=playlist(["all.mp4"], head=head), master_m3u8=master)
    assert [note for _, note in mount.notes()] == [
        "high.m3u8, which a master playlist names, is not there",
        "all.mp4@100-999, a segment of index.m3u8, lies beyond the file's 1 bytes",
        "init.mp4, the init of a rendition, is not there",
    ]


def test_streams_further_down_and_playlists_outside_of_folders_are_said(mount: Mount) -> None:
    mount.add("Show/Season 1/E01", "1.ts", index_m3u8=playlist(["1.ts"]))
    mount.add("pictures", "1.jpg")
    (mount.root / "index.m3u8").write_text(VOD)
    assert mount.notes() == [
        (".", "a playlist right in the folder of streams belongs to no stream; a stream is a folder in it"),
        (
            "Show",
            "holds no playlist, but Show/Season 1/E01/ does: only folders right in the folder of streams are streams",
        ),
    ]


def test_only_so_many_notes_of_one_stream_are_told(mount: Mount) -> None:
    names = [f"https://cdn.example/{n}.ts" for n in range(99)]
    mount.add("a", "1.ts", index_m3u8=playlist(["1.ts", *names]))
    told = mount.notes()
    assert len(told) == MOST_NOTES + 1
    assert told[-1] == ("a", f"and {99 - MOST_NOTES} more like these")
