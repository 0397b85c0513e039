"""The catalog: what is a stream, what changes are noticed when, and no path leaves a stream's folder."""

import asyncio
import os
import shutil
import socket
import timeit
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from streamlimit.delivery import reader
from streamlimit.delivery.catalog import LOOKED_AT, Catalog
from streamlimit.delivery.entry import GRACE_SECONDS, FolderEntry
from streamlimit.delivery.streams import Streams
from streamlimit.errors import CatalogError, UnknownSegment, UnknownStream
from tests.delivery.stream_folders import LONG_AGO_NS, Clock, Folder, mpd, playlist, video_set


class House:
    """A streams folder, its catalog, and a clock."""

    def __init__(self, root: Path) -> None:
        self.root, self.clock, self.told = root, Clock(), list[tuple[str, str | None]]()
        root.mkdir()
        self.catalog = Catalog(root, lambda *what: self.told.append(what), self.clock)

    def folder(self, name: str, **files: str) -> Folder:
        folder = Folder(self.root / name)
        for file, content in files.items():
            folder.write(file.replace("_", "."), content)
        Folder.written += 1
        os.utime(self.root, ns=(LONG_AGO_NS, LONG_AGO_NS + Folder.written * 1_000_000_000))
        return folder

    def ids(self) -> list[str]:
        return [stream.stream_id for stream in self.catalog.streams()]

    def names(self, stream_id: str = "movie") -> list[str]:
        return [segment.name for segment in self.catalog.stream(stream_id).main]


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "streams")


VOD = playlist(["1.ts", "2.ts"], vod=True)


def test_a_stream_that_another_thread_is_about_to_adopt_is_not_unknown(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.folder("movie", index_m3u8=VOD)
    adopt, seen = FolderEntry.adopt, list[str]()

    def adopt_while_another_looks(*adopted: Any) -> bool:
        monkeypatch.undo()
        with ThreadPoolExecutor(1) as pool:
            seen.append(pool.submit(house.catalog.stream, "movie").result().stream_id)
        return adopt(*adopted)

    monkeypatch.setattr(FolderEntry, "adopt", adopt_while_another_looks)
    assert house.names() == ["1.ts", "2.ts"]
    assert seen == ["movie"]


def test_each_folder_with_a_playlist_is_a_stream(house: House) -> None:
    house.folder("b", index_m3u8=VOD)
    house.folder("a", stream_json='{"title": "The A"}', index_m3u8=VOD)
    house.folder("empty")
    house.folder(".hidden", index_m3u8=VOD)
    (house.root / "file.m3u8").write_text(VOD)
    assert house.ids() == ["a", "b"]
    assert [stream.title for stream in house.catalog.streams()] == ["The A", "b"]
    for nothing in ("empty", ".hidden", "file.m3u8", "nope", "..", ".", "", "a/../b", "a\0", "x" * 200):
        with pytest.raises(UnknownStream):
            house.catalog.stream(nothing)


def test_odd_folder_names_and_links_out_are_told_and_not_served(house: House, tmp_path: Path) -> None:
    house.folder("two\nlines", index_m3u8=VOD)
    outside = Folder(tmp_path / "outside")
    outside.write("index.m3u8", VOD)
    (house.root / "link").symlink_to(outside.path)
    house.folder("real", index_m3u8=VOD)
    (house.root / "alias").symlink_to("real")
    assert house.ids() == ["alias", "real"]
    assert set(house.catalog.problems) == {"two\nlines", "link"}
    assert len(house.told) == 2


@pytest.mark.parametrize(
    ("files", "entry"),
    [
        (["other.m3u8", "main.m3u8", "index.m3u8", "manifest.mpd"], "index.m3u8"),
        (["master.mpd", "zebra.m3u8"], "zebra.m3u8"),
        (["b.m3u8", "a.m3u8"], "a.m3u8"),
        (["x.mpd", "manifest.mpd"], "manifest.mpd"),
        (["playlist.m3u8", "INDEX.M3U8"], "INDEX.M3U8"),
    ],
)
def test_which_playlist_is_the_entry(house: House, files: list[str], entry: str) -> None:
    folder = house.folder("movie")
    template = '<SegmentTemplate media="$Number$.m4s" duration="5"/>'
    manifest = mpd(f"<Period>{video_set(template)}</Period>")
    for name in files:
        folder.write(name, manifest if name.endswith("mpd") else VOD)
    assert house.catalog.stream("movie").entry == entry


def test_a_master_is_the_entry_whatever_its_name(house: House) -> None:
    folder = house.folder("movie", index_m3u8=VOD)
    folder.write("zz.m3u8", "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nindex.m3u8\n")
    assert house.catalog.stream("movie").entry == "zz.m3u8"


def test_new_and_removed_folders_are_noticed_within_a_second(house: House) -> None:
    house.folder("a", index_m3u8=VOD)
    assert house.ids() == ["a"]
    house.folder("b", index_m3u8=VOD)
    assert house.catalog.stream("b").segments == 2
    house.folder("c", index_m3u8=VOD)
    house.clock.tick()
    assert house.ids() == ["a", "b", "c"]
    shutil.rmtree(house.root / "c")
    house.clock.tick()
    shutil.rmtree(house.root / "a")
    house.clock.tick()
    with pytest.raises(UnknownStream):
        house.catalog.stream("a")
    assert house.ids() == ["b"]
    house.folder("a", index_m3u8=playlist(["9.ts"]))
    house.clock.tick()
    assert house.names("a") == ["9.ts"]


def test_a_folder_becomes_a_stream_when_its_playlist_arrives(house: House) -> None:
    folder = house.folder("movie")
    with pytest.raises(UnknownStream):
        house.catalog.stream("movie")
    folder.write("index.m3u8", VOD)
    house.clock.tick()
    assert house.catalog.stream("movie").segments == 2


def test_a_changed_playlist_is_noticed_but_not_before_it_is_time(house: House) -> None:
    folder = house.folder("movie", index_m3u8=VOD)
    first = house.catalog.stream("movie")
    folder.write("index.m3u8", playlist(["1.ts", "2.ts", "3.ts"]))
    house.clock.tick(0.9)
    assert house.catalog.stream("movie") is first
    assert house.catalog.stream("movie", fresh=True).segments == 3
    house.clock.tick(1.1)
    second = house.catalog.stream("movie")
    house.clock.tick(1.1)
    assert house.catalog.stream("movie") is second  # unchanged: the very same


def test_a_playlist_that_joins_is_noticed(house: House) -> None:
    folder = house.folder("movie", index_m3u8=VOD)
    assert house.catalog.stream("movie").entry == "index.m3u8"
    folder.write("master.m3u8", "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nindex.m3u8\n")
    house.clock.tick()
    assert house.catalog.stream("movie").entry == "master.m3u8"


def test_a_broken_stream_says_why_once_and_hurts_no_other(house: House) -> None:
    folder = house.folder("broken", index_m3u8="nonsense")
    house.folder("movie", index_m3u8=VOD)
    assert house.ids() == ["movie"]
    for _ in range(5):
        house.clock.tick()
        with pytest.raises(CatalogError, match="does not begin with #EXTM3U"):
            house.catalog.stream("broken")
    assert house.told == [("broken", "index.m3u8 does not begin with #EXTM3U")]
    folder.write("index.m3u8", "")
    house.clock.tick()
    with pytest.raises(CatalogError, match="is empty"):
        house.catalog.stream("broken")
    folder.write("index.m3u8", VOD)
    house.clock.tick()
    assert house.catalog.stream("broken").segments == 2
    assert house.told[1:] == [("broken", "index.m3u8 is empty"), ("broken", None)]
    assert house.catalog.problems == {}


def test_a_broken_manifest_beside_a_good_playlist_is_told(house: House) -> None:
    house.folder("movie", index_m3u8=VOD, manifest_mpd="<")
    assert house.catalog.stream("movie").entry == "index.m3u8"
    assert "manifest.mpd" in house.catalog.problems["movie"]


@pytest.mark.parametrize(
    "torn", ["", "#EXTM3U\n#EXT-X-TARG", "#EXTM3U\n#EXT-X-TARGETDURATION:2\n", "#EXTM3U\n#EXTINF:2,\n1.t"]
)
@pytest.mark.parametrize("live", [True, False])
def test_a_playlist_in_the_middle_of_being_written_keeps_the_last_good_one(house: House, torn: str, live: bool) -> None:
    names = ["1.ts", "2.ts", "3.ts"]
    folder = house.folder("movie", index_m3u8=playlist(names, over=not live))
    assert house.names() == names
    folder.write("index.m3u8", torn)
    for _ in range(2):
        house.clock.tick()
        assert house.names() == names
    folder.write("index.m3u8", playlist([*names, "4.ts"], over=not live))
    house.clock.tick()
    assert house.names() == [*names, "4.ts"]
    assert house.told == []


def test_a_playlist_that_stays_broken_counts_after_the_grace_time(house: House) -> None:
    folder = house.folder("movie", index_m3u8=VOD)
    house.names()
    folder.write("index.m3u8", "")
    house.clock.tick()
    house.names()
    house.clock.tick(GRACE_SECONDS + 0.1)
    with pytest.raises(CatalogError, match="is empty"):
        house.names()


def test_a_playlist_that_is_gone_counts_after_the_grace_time(house: House) -> None:
    folder = house.folder("movie", index_m3u8=VOD)
    house.names()
    (folder.path / "index.m3u8").unlink()
    house.clock.tick()
    assert house.names() == ["1.ts", "2.ts"]
    house.clock.tick(GRACE_SECONDS + 0.1)
    with pytest.raises(UnknownStream):
        house.names()


def test_a_live_playlist_that_lost_its_tail_is_a_torn_one(house: House) -> None:
    folder = house.folder("movie", index_m3u8=playlist(["1.ts", "2.ts", "3.ts"], first=5, over=False))
    house.names()
    folder.write("index.m3u8", playlist(["1.ts"], first=5, over=False))
    house.clock.tick(0.25)
    assert house.names() == ["1.ts", "2.ts", "3.ts"]


def test_a_playlist_written_twice_within_one_tick_of_its_mtime_is_read_twice(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "RACY_NS", 60_000_000_000)  # however slow the machine is
    folder = house.folder("movie", index_m3u8=VOD)
    file = folder.path / "index.m3u8"
    file.touch()
    moment = file.stat().st_mtime_ns
    assert house.names() == ["1.ts", "2.ts"]
    file.write_text(VOD.replace("1.ts", "7.ts"))
    os.utime(file, ns=(moment, moment))
    house.clock.tick()
    assert house.names() == ["7.ts", "2.ts"]


def test_what_is_always_odd_about_a_live_stream_does_not_hold_it_up(house: House) -> None:
    folder = house.folder("movie", index_m3u8=playlist(["1.ts"], first=1, over=False).rstrip(), manifest_mpd="<")
    assert house.names() == ["1.ts"]
    for n in range(2, 9):
        folder.write("index.m3u8", playlist([f"{n}.ts"], first=n, over=False).rstrip())
        folder.write("manifest.mpd", "<" * n)
        house.clock.tick(0.25)
        assert house.names() == [f"{n}.ts"]
    assert {stream_id for stream_id, _ in house.told} == {"movie"}


def test_a_playlist_that_a_master_names_is_what_the_master_says(house: House) -> None:
    folder = house.folder("movie", audio_m3u8=playlist(["a.m4s"]), index_m3u8=playlist(["v.m4s"]))
    media = '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="a",URI="audio.m3u8"'
    folder.write("zz.m3u8", f'#EXTM3U\n{media}\n#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO="a"\nindex.m3u8\n')
    stream = house.catalog.stream("movie")
    assert [(s.kind, s.is_main) for s in stream.tracks["audio.m3u8"]] == [("audio", False)]
    assert stream.find("a.m4s") == stream.tracks["audio.m3u8"][0]


def test_a_title_that_makes_no_sense_is_a_note(house: House) -> None:
    house.folder("movie", index_m3u8=VOD, stream_json="{")
    house.folder("list", index_m3u8=VOD, stream_json='["x"]')
    assert house.catalog.stream("movie").title == "movie"
    assert house.catalog.stream("list").title == "list"
    assert "stream.json" in house.catalog.stream("movie").notes[0]


def test_no_folder_is_no_streams(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path / "nowhere", clock=Clock())
    assert catalog.streams() == []
    with pytest.raises(UnknownStream):
        catalog.stream("movie")


ATTACKS = [
    "", ".", "..", "/", "//", "./1.ts", "../other/1.ts", "../../secret.ts", "sub/../../other/1.ts",
    "sub/../1.ts", "/etc/passwd", "//etc/passwd", "/1.ts", "sub//in.ts", "1.ts/", "sub/", "sub", "sub/.",
    "sub/..", "..\\other\\1.ts", "sub\\in.ts", "\\etc\\passwd", "C:\\1.ts", "\\\\host\\share", "1.ts\0",
    "\0", "1.ts\0.m3u8", "%2e%2e/other/1.ts", "..%2fother/1.ts", "%2e%2e%2f%2e%2e%2fsecret.ts",
    "%252e%252e/x", "..%5cother", "%00", "1%2ets", "..%c0%af..%c0%afsecret.ts", "..;/secret.ts",
    "....//secret.ts", ".../1.ts", "..\u2215secret.ts", "\uff0e\uff0e/1.ts", ".hidden.ts",
    "sub/.hidden.ts", ".git/config", "sub/.git/1.ts", "out.ts", "out/secret.ts", "outrel.ts", "loop.ts",
    "loopdir/loopdir/1.ts", "dangling.ts", "dirlink", "pipe.ts", "socket.ts", "1.ts\n", "1.ts\r\nX: y",
    "1.ts\t", "\x7f", "\ud800.ts", "x" * 300, "x" * 1025, "a/" * 600 + "1.ts", "1.ts?x=1", "1.ts#f",
    "file:///etc/passwd", "http://x/1.ts", "~/1.ts", "$HOME/1.ts", "*.ts", "1.ts/../1.ts", "1.ts/x",
    "proc",
]  # fmt: skip


@pytest.fixture
def fortress(house: House, tmp_path: Path) -> House:
    movie, other = house.folder("movie", index_m3u8=VOD), house.folder("other", index_m3u8=VOD)
    movie.media("1.ts", "sub/in.ts", ".hidden.ts", "sub/.hidden.ts", ".git/config", "sub/.git/1.ts")
    other.media("1.ts")
    secret = tmp_path / "secret.ts"
    secret.write_text("secret")
    for name, target in {
        "out.ts": secret, "out": tmp_path, "outrel.ts": Path("../../secret.ts"), "loop.ts": Path("loop.ts"),
        "loopdir": Path("."), "dangling.ts": Path("gone.ts"), "dirlink": Path("sub"),
        "proc": Path("/proc/self/environ"),
        "within.ts": Path("../other/1.ts"), "same.ts": Path("1.ts"),
    }.items():  # fmt: skip
        (movie.path / name).symlink_to(target)
    os.mkfifo(movie.path / "pipe.ts")
    with socket.socket(socket.AF_UNIX) as listener:
        os.chdir(movie.path)
        listener.bind("socket.ts")
        os.chdir(tmp_path)
    return house


@pytest.mark.parametrize("path", ATTACKS, ids=range(len(ATTACKS)))
def test_no_path_leaves_the_folder(fortress: House, path: str) -> None:
    stream = fortress.catalog.stream("movie")
    if path == "loopdir/loopdir/1.ts":  # odd, but a link that stays inside
        assert fortress.catalog.resolve(stream, path) == str(fortress.root / "movie/1.ts")
        return
    for _ in range(2):
        with pytest.raises(UnknownSegment):
            fortress.catalog.resolve(stream, path)


@pytest.mark.parametrize(
    ("path", "file"),
    [("1.ts", "movie/1.ts"), ("sub/in.ts", "movie/sub/in.ts"), ("same.ts", "movie/1.ts"), ("within.ts", "other/1.ts")],
)
def test_paths_and_links_inside_are_found(fortress: House, path: str, file: str) -> None:
    stream = fortress.catalog.stream("movie")
    for _ in range(2):
        assert fortress.catalog.resolve(stream, path) == str(fortress.root / file)


def test_a_link_that_is_bent_outwards_is_noticed_within_a_second(fortress: House, tmp_path: Path) -> None:
    stream = fortress.catalog.stream("movie")
    link = fortress.root / "movie/same.ts"
    assert fortress.catalog.resolve(stream, "same.ts")
    link.unlink()
    link.symlink_to(tmp_path / "secret.ts")
    fortress.clock.tick()
    with pytest.raises(UnknownSegment):
        fortress.catalog.resolve(stream, "same.ts")


def test_a_streams_folder_that_is_a_link_works(house: House, tmp_path: Path) -> None:
    house.folder("movie", index_m3u8=VOD).media("1.ts")
    link = tmp_path / "link"
    link.symlink_to(house.root)
    catalog = Catalog(link, clock=house.clock)
    assert catalog.resolve(catalog.stream("movie"), "1.ts") == str(house.root / "movie/1.ts")


def test_asking_for_a_stream_again_costs_next_to_nothing(house: House) -> None:
    house.folder("movie", index_m3u8=VOD)
    catalog = Catalog(house.root)
    catalog.stream("movie")
    best = min(timeit.repeat(lambda: catalog.stream("movie"), number=2_000, repeat=7)) / 2_000
    assert best < 5e-6  # measured: 0.2 µs; this bound only catches work that does not belong here


def test_a_reason_does_not_tell_where_the_folder_is(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Callers get to read it."""
    house.folder("movie", index_m3u8=VOD)

    def refuse(path: str, *_more: object) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(CatalogError, match=r"index\.m3u8 cannot be read: Permission denied$") as told:
        house.catalog.stream("movie")
    assert str(house.root) not in str(told.value)


def test_a_stream_that_goes_while_all_are_looked_at_is_not_told_of_again(house: House) -> None:
    names = [f"s{number:02}" for number in range(2 * LOOKED_AT)]
    for name in names:
        house.folder(name, index_m3u8="#EXTM3U\n")
    looking = house.catalog.look_over()
    next(looking)
    shutil.rmtree(house.root / names[-1])
    house.clock.tick(2)
    assert names[-1] not in house.ids()
    told = list(house.told)
    assert list(looking) == [None]
    assert house.told == told


def test_while_all_streams_are_listed_others_have_their_turn(house: House) -> None:
    for number in range(5 * LOOKED_AT):
        house.folder(f"s{number:02}", index_m3u8=VOD)

    async def turns() -> int:
        count = 0

        async def take() -> None:
            nonlocal count
            while True:
                await asyncio.sleep(0)
                count += 1

        other = asyncio.create_task(take())
        found = await Streams(house.catalog, any_stream=False).all()
        other.cancel()
        assert [stream.stream_id for stream in found] == house.ids()
        return count

    assert asyncio.run(turns()) >= 4
