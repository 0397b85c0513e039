"""HLS playlists become streams: renditions, byte ranges, keys, live windows, low latency."""

from pathlib import Path

import pytest

from streamlimit.delivery.catalog import Catalog
from streamlimit.delivery.hls.growth import Growth, growth
from streamlimit.delivery.segment import LiveEdge
from streamlimit.errors import CatalogError
from tests.delivery.stream_folders import Clock, Folder, ffmpeg, needs_ffmpeg, playlist, read_stream

MASTER = """#EXTM3U
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="en",DEFAULT=YES,URI="audio/en.m3u8"
#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="s",NAME="en",URI="subs/en.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=900,CODECS="mp4a.40.2",AUDIO="a"
audio/en.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=2000,RESOLUTION=1x1,CODECS="avc1.4d4015,mp4a.40.2",AUDIO="a",SUBTITLES="s"
high/index.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=1000,RESOLUTION=1x1,CODECS="avc1.4d4015,mp4a.40.2",AUDIO="a",SUBTITLES="s"
low/index.m3u8
"""


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "streams" / "movie")


def write_master(folder: Folder) -> None:
    init = '#EXT-X-MAP:URI="init.mp4"'
    folder.write("master.m3u8", MASTER)
    folder.write("high/index.m3u8", playlist(["1.m4s", "2.m4s", "3.m4s"], first=1, vod=True, head=init))
    folder.write("low/index.m3u8", playlist(["1.m4s", "2.m4s", "3.m4s"], first=1, vod=True, head=init))
    folder.write("audio/en.m3u8", playlist(["../a/1.aac", "../a/2.aac"]))
    folder.write("subs/en.m3u8", playlist(["1.vtt", "cue.m4s"], seconds=0.5))


def test_a_master_playlist_with_its_renditions(folder: Folder) -> None:
    write_master(folder)
    stream = read_stream(folder.path)
    assert (stream.entry, stream.segments, stream.segment_seconds) == ("master.m3u8", 3, 2.0)
    assert not stream.live
    assert [s.name for s in stream.main] == ["high/1.m4s", "high/2.m4s", "high/3.m4s"]
    assert [s.sequence for s in stream.main] == [0, 1, 2]
    audio, text, low = stream.find("a/2.aac"), stream.find("subs/1.vtt"), stream.find("low/3.m4s")
    assert audio
    assert (audio.kind, audio.sequence, audio.is_main, audio.media_type) == ("audio", 1, False, "audio/aac")
    assert text
    assert (text.kind, text.is_main, text.media_type) == ("text", False, "text/vtt")
    assert low
    assert (low.kind, low.sequence, low.is_main, low.duration_ms) == ("video", 2, True, 2000)
    assert stream.find("high/4.m4s") is None


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("master.m3u8", "playlist"),
        ("low/index.m3u8", "playlist"),
        ("unlisted.mpd", "playlist"),
        ("high/init.mp4", "init"),
        ("high/1.m4s", "media"),
        ("a/1.aac", "media"),
        ("subs/1.vtt", "other"),
        ("subs/cue.m4s", "other"),  # listed as text, whatever its suffix says
        ("poster.jpg", "other"),
        ("stream.json", "other"),
        *(
            (f"hidden.{s}", "media")
            for s in [
                "ts",
                "m4s",
                "mp4",
                "m4v",
                "m4a",
                "aac",
                "mp3",
                "webm",
                "cmfv",
                "cmfa",
                "mkv",
                "MP4",
                "mov",
                "ac3",
            ]
        ),
    ],
)
def test_what_a_file_is(folder: Folder, path: str, what: str) -> None:
    write_master(folder)
    assert read_stream(folder.path).classify(path) == what


def test_next_goes_through_the_main_rendition_to_its_end(folder: Folder) -> None:
    write_master(folder)
    stream = read_stream(folder.path)
    assert stream.after(None) == stream.main[0]
    assert [stream.after(n) for n in range(3)] == [stream.main[1], stream.main[2], None]
    assert stream.after(99) is None
    assert stream.follows(stream.main[0], stream.main[1])
    assert not stream.follows(stream.main[0], stream.main[2])
    assert not stream.follows(stream.main[1], stream.main[1])
    low = stream.find("low/2.m4s")
    assert low
    assert not stream.follows(stream.main[0], low)


def test_audio_counts_where_there_is_no_video(folder: Folder) -> None:
    folder.write("index.m3u8", playlist(["1.aac", "2.aac"]))
    stream = read_stream(folder.path)
    assert [(s.kind, s.is_main) for s in stream.main] == [("audio", True)] * 2


def test_a_variant_that_is_missing_is_passed_over_but_not_all(folder: Folder) -> None:
    write_master(folder)
    (folder.path / "high/index.m3u8").unlink()
    assert read_stream(folder.path).main[0].name == "low/1.m4s"
    for name in ("low/index.m3u8", "audio/en.m3u8", "subs/en.m3u8"):
        (folder.path / name).unlink()
    with pytest.raises(CatalogError, match="none of its playlists is there"):
        read_stream(folder.path)


def test_names_are_decoded_and_queries_name_no_file(folder: Folder) -> None:
    folder.write("index.m3u8", playlist(["a%20b.ts", "c.ts?token=1#x", "d%252e.ts", "./e.ts", "f/../g.ts", "ä.ts"]))
    names = [s.name for s in read_stream(folder.path).main]
    assert names == ["a b.ts", "c.ts", "d%2e.ts", "e.ts", "g.ts", "ä.ts"]


def test_what_lies_outside_is_ignored_with_a_note(folder: Folder) -> None:
    outside = ["http://cdn/1.ts", "//cdn/2.ts", "../other/3.ts", "/4.ts", "%2e%2e/5.ts", "a%5c6.ts", ".7.ts"]
    folder.write("index.m3u8", playlist(["0.ts", *outside, "8.ts"]))
    stream = read_stream(folder.path)
    assert [(s.name, s.sequence) for s in stream.main] == [("0.ts", 0), ("8.ts", 8)]
    assert len(stream.notes) == len(outside)


def test_byte_ranges_with_and_without_offset(folder: Folder) -> None:
    lines = [
        '#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MAP:URI="all.mp4",BYTERANGE="100@0"',
        "#EXTINF:2,\n#EXT-X-BYTERANGE:50@100\nall.mp4",
        "#EXTINF:2,\n#EXT-X-BYTERANGE:60\nall.mp4",
        "#EXTINF:1,\n#EXT-X-BYTERANGE:10@300\nall.mp4\n#EXT-X-ENDLIST\n",
    ]
    folder.write("index.m3u8", "\n".join(lines))
    stream = read_stream(folder.path)
    assert [s.name for s in stream.main] == ["all.mp4@100-149", "all.mp4@150-209", "all.mp4@300-309"]
    assert stream.find("all.mp4@150-209") == stream.main[1]
    assert stream.classify("all.mp4") == "media"
    assert stream.is_single_file("all.mp4")
    assert stream.segments_in("all.mp4", 0, 1000) == stream.main
    assert stream.segments_in("all.mp4", 120, 208) == stream.main[:1]
    assert stream.segments_in("all.mp4", 150, 209) == stream.main[1:2]
    assert stream.segments_in("all.mp4", 0, 148) == []
    assert [stream.at("all.mp4", n) for n in (0, 149, 150, 310)] == [*stream.main[:1] * 2, stream.main[1], None]
    assert not stream.is_beyond_headers("all.mp4", 0, 99)
    assert not stream.is_beyond_headers("all.mp4", 10, 20)
    assert stream.is_beyond_headers("all.mp4", 0, 100)
    assert stream.is_beyond_headers("all.mp4", 220, 230)  # listed nowhere


def test_keys_are_keys_and_foreign_keys_are_none(folder: Folder) -> None:
    head = '#EXT-X-KEY:METHOD=AES-128,URI="keys/1.bin",IV=0x1\n#EXT-X-KEY:METHOD=SAMPLE-AES,URI="skd://x"'
    folder.write("index.m3u8", playlist(["1.ts"], head=head + '\n#EXT-X-KEY:METHOD=AES-128,URI="https://k/2"'))
    stream = read_stream(folder.path)
    assert stream.classify("keys/1.bin") == "key"
    assert len(stream.notes) == 1
    assert "https://k/2" in stream.notes[0]


def test_discontinuities_and_gaps_keep_the_numbers(folder: Folder) -> None:
    names = ["1.ts", "#EXT-X-DISCONTINUITY\n2.ts", "#EXT-X-GAP\n3.ts", "4.ts"]
    folder.write("index.m3u8", playlist(names))
    assert [(s.name, s.sequence) for s in read_stream(folder.path).main] == [("1.ts", 0), ("2.ts", 1), ("4.ts", 3)]


def test_a_live_window_slides(folder: Folder) -> None:
    clock = Clock()
    catalog = Catalog(folder.path.parent, clock=clock)
    for step in range(30):
        names = [f"{n}.ts" for n in range(step, step + 6)]
        folder.write("index.m3u8", playlist(names, first=100 + step, over=False))
        clock.tick(0.25)
        stream = catalog.stream("movie")
        assert stream.live
        assert stream.live
        assert [s.sequence for s in stream.main] == list(range(100 + step, 106 + step))
        assert stream.after(None) == stream.main[3]  # three target durations from the edge
        assert stream.after(104 + step) == stream.main[5]
        assert stream.after(105 + step) == LiveEdge(1000)
        assert stream.after(50) == stream.main[0]
        assert stream.after(9_000) == stream.main[3]  # from an earlier life of the channel
        old = stream.find(f"{max(0, step - 5)}.ts")
        assert old
        assert old.sequence == 100 + max(0, step - 5)
    folder.write("index.m3u8", playlist(names, first=100 + step, over=True))
    clock.tick(0.25)
    stream = catalog.stream("movie")
    assert not stream.live
    assert [s.sequence for s in stream.main] == list(range(129, 135))
    assert stream.after(134) is None


def test_a_live_stream_that_is_shorter_than_three_targets_starts_at_its_oldest(folder: Folder) -> None:
    folder.write("index.m3u8", playlist(["1.ts", "2.ts"], over=False))
    assert read_stream(folder.path).after(None) == read_stream(folder.path).main[0]


def test_a_live_stream_without_a_segment_yet_is_at_its_edge(folder: Folder) -> None:
    folder.write("index.m3u8", playlist([], over=False))
    assert read_stream(folder.path).after(None) == LiveEdge(1000)


def test_an_event_grows_and_keeps_its_numbers_when_it_ends(folder: Folder) -> None:
    clock, head = Clock(), "#EXT-X-PLAYLIST-TYPE:EVENT"
    catalog = Catalog(folder.path.parent, clock=clock)
    for count in (3, 4, 5):
        names = [f"{n}.ts" for n in range(count)]
        folder.write("index.m3u8", playlist(names, over=count == 5, head=head))
        clock.tick(0.25)
        stream = catalog.stream("movie")
        assert [s.sequence for s in stream.main] == list(range(count))
        assert stream.live == (count < 5)


def test_low_latency_parts_belong_to_their_segment(folder: Folder) -> None:
    parts = [
        '#EXTINF:2,\n#EXT-X-PART:DURATION=1,URI="11.0.mp4"\n#EXT-X-PART:DURATION=1,URI="11.1.mp4"\n11.mp4',
        '#EXT-X-PART:DURATION=1,URI="12.mp4",BYTERANGE="40@0"\n#EXT-X-PART:DURATION=1,URI="12.mp4",BYTERANGE="30"',
        '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="12.2.mp4"\n',
    ]
    folder.write("index.m3u8", playlist(["10.mp4"], first=10, over=False) + "\n".join(parts))
    stream = read_stream(folder.path)
    assert [s.name for s in stream.main] == ["10.mp4", "11.mp4"]
    names = ["11.0.mp4", "11.1.mp4", "12.mp4@0-39", "12.mp4@40-69", "12.2.mp4"]
    found = [stream.find(name) for name in names]
    assert [(p.sequence, p.duration_ms) for p in found if p] == [(11, 1000)] * 2 + [(12, 1000)] * 3
    assert {stream.classify(p.path) for p in found if p} == {"media"}
    assert stream.segments_in("12.mp4", 0, 69) == found[2:4]


def test_an_i_frame_playlist_is_numbered_by_time_and_counts_nothing_twice(folder: Folder) -> None:
    master = '#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nv.m3u8\n#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI="i.m3u8"\n'
    folder.write("master.m3u8", master)
    folder.write("v.m3u8", playlist(["1.ts", "2.ts"]))
    folder.write("i.m3u8", playlist([f"i{n}.ts" for n in range(4)], seconds=1.0, head="#EXT-X-I-FRAMES-ONLY"))
    stream = read_stream(folder.path)
    frames = [stream.find(f"i{n}.ts") for n in range(4)]
    assert [(f.sequence, f.is_main) for f in frames if f] == [(0, False), (0, False), (1, False), (1, False)]
    assert len(stream.main) == 2


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   \n",
        "not a playlist",
        "<html>",
        "#EXTM3U\n#EXT-X-ENDLIST\n",
        "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:-\n#EXTINF:2,\n1.ts\n",
        "#EXTM3U\n#EXT-X-BYTERANGE:x@y\n#EXTINF:2,\n1.ts\n#EXT-X-ENDLIST\n",
        "#EXTM3U\n#EXT-X-BYTERANGE:-5@3\n#EXTINF:2,\n1.ts\n#EXT-X-ENDLIST\n",
        "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=x\nv.m3u8\n",
        "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nhttp://elsewhere/v.m3u8\n",
        "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nmaster.m3u8\n",
        "#EXTM3U\n#EXTINF:2,\nhttp://elsewhere/1.ts\n#EXT-X-ENDLIST\n",
    ],
)
def test_a_broken_playlist_says_why(folder: Folder, text: str) -> None:
    folder.write("master.m3u8", text)
    with pytest.raises(CatalogError, match=r"master\.m3u8"):
        read_stream(folder.path)


def test_bytes_that_are_no_text_are_a_broken_playlist(folder: Folder) -> None:
    folder.write("index.m3u8", b"#EXTM3U\n\xff\xfe\n")
    with pytest.raises(CatalogError, match="not UTF-8"):
        read_stream(folder.path)


@needs_ffmpeg
def test_ffmpegs_fmp4_and_master(folder: Folder) -> None:
    hls = "-f hls -hls_time 2 -hls_playlist_type vod -hls_segment_type fmp4"
    ffmpeg(folder.path, *hls.split(), "-master_pl_name", "master.m3u8", "v.m3u8")
    stream = read_stream(folder.path)
    assert (stream.entry, stream.segments) == ("master.m3u8", 3)
    assert stream.classify("init.mp4") == "init"
    assert all((folder.path / s.path).is_file() for s in stream.main)


@needs_ffmpeg
def test_ffmpegs_ts_with_a_key(folder: Folder) -> None:
    folder.write("enc.key", b"0123456789abcdef")
    folder.write("key.info", f"enc.key\n{folder.path}/enc.key\n")
    ffmpeg(
        folder.path,
        *["-f", "hls", "-hls_time", "2", "-hls_list_size", "0", "-hls_key_info_file", "key.info", "index.m3u8"],
    )
    stream = read_stream(folder.path)
    assert stream.segments == 3
    assert stream.classify("enc.key") == "key"


@needs_ffmpeg
def test_ffmpegs_single_file(folder: Folder) -> None:
    hls = "-f hls -hls_time 2 -hls_playlist_type vod -hls_segment_type fmp4 -hls_flags single_file index.m3u8"
    ffmpeg(folder.path, *hls.split())
    stream = read_stream(folder.path)
    path, size = stream.main[0].path, (folder.path / stream.main[0].path).stat().st_size
    assert stream.segments == 3
    assert stream.segments_in(path, 0, size - 1) == stream.main
    first = stream.main[0].first
    assert first
    assert not stream.is_beyond_headers(path, 0, first - 1)
    assert stream.is_beyond_headers(path, first, first)


def long_playlist(first: int, count: int, tags: dict[int, str], *, over: bool = False) -> str:
    """A live playlist of which every segment has its time, and some have tags of their own."""
    names = [
        f"{tags.get(n, '')}#EXT-X-PROGRAM-DATE-TIME:2026-01-01T{n // 3600:02d}:{n // 60 % 60:02d}:{n % 60:02d}Z"
        for n in range(first, first + count + 1)
    ]
    text = playlist([f"seg-{n:07d}.ts\n{names[n - first + 1]}" for n in range(first, first + count)], over=over)
    # The last one's tags belong to a segment that is not there yet.
    text = text.rpartition("#EXT-X-PROGRAM")[0] + "#EXT-X-ENDLIST\n" * over
    return text.replace("MEDIA-SEQUENCE:0\n", f"MEDIA-SEQUENCE:{first}\n{names[0]}\n", 1)


def test_a_long_window_that_slides_and_grows_is_read_as_if_anew(folder: Folder) -> None:
    tags = {
        n: f'#EXT-X-DISCONTINUITY\n#EXT-X-KEY:METHOD=AES-128,URI="k{n}.key"\n#EXT-X-MAP:URI="m{n}.mp4"\n'
        for n in (3, 507, 512)
    } | {510: "#EXT-X-GAP\n"}
    clock = Clock()
    catalog = Catalog(folder.path.parent, clock=clock)
    steps = [(0, 500), (0, 501), (0, 505), (1, 505), (2, 504), (5, 502), (5, 510), (11, 505), (40, 600), (41, 600)]
    for step, (first, count) in enumerate([*steps, (641, 500), (900, 500), (0, 500), (1, 499)]):
        folder.write("index.m3u8", long_playlist(first, count, tags))
        clock.tick(10)
        catalog.streams()
        clock.tick(10)
        stream, anew = catalog.stream("movie"), read_stream(folder.path)
        assert stream.main == anew.main, step
        assert {k for k, what in anew.files.items() if what in ("key", "init")} <= set(stream.files)
    folder.write("index.m3u8", long_playlist(1, 499, tags, over=True))
    clock.tick(10)
    stream = catalog.stream("movie")
    assert not stream.live
    assert [s.name for s in stream.main] == [s.name for s in read_stream(folder.path).main]
    assert [s.sequence for s in stream.main][:2] == [1, 2]  # a viewer is somewhere in these numbers


def test_of_a_number_that_no_store_keeps_exactly_the_last_digits_count(folder: Folder) -> None:
    us, clock = 1_764_500_000_000_001, Clock()  # ffmpeg's -hls_start_number_source epoch_us
    catalog = Catalog(folder.path.parent, clock=clock)
    for slid in (0, 5):  # the first 5 slide out of a long window, which is read on from where it was
        folder.write("index.m3u8", long_playlist(us + slid, 500, {}))
        stream = catalog.stream("movie", fresh=True)
        first = 500_000_000_001 + slid
        assert [segment.sequence for segment in stream.main] == list(range(first, first + 500))
        following = stream.after(stream.main[-2].sequence)
        assert following == stream.main[-1]
        clock.tick(10)
    head = "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES"
    part = '#EXT-X-PART:DURATION=1,URI="p.ts"\n'
    folder.write("index.m3u8", playlist(["1.ts"], first=us, over=False, head=head) + part)
    stream = catalog.stream("movie", fresh=True)
    assert [stream.names[name].sequence for name in ("1.ts", "p.ts")] == [500_000_000_001, 500_000_000_002]
    assert stream.edges["index.m3u8"].sequence == us + 1  # players ask for it by the playlist's own number


def test_what_is_new_of_a_long_playlist_is_found() -> None:
    old = long_playlist(0, 500, {})
    grown = growth(old, long_playlist(2, 500, {}))
    assert grown
    assert (grown.oldest, grown.following, grown.text.count("#EXTINF")) == (2, 500, 2)
    assert growth(old, old) == Growth(0, 500, old[: old.index("#EXTINF")])
    for other in (
        long_playlist(600, 500, {}),
        long_playlist(0, 499, {}),
        long_playlist(2, 500, {}, over=True),
        long_playlist(2, 500, {}).replace("TARGETDURATION:2", "TARGETDURATION:3"),
        long_playlist(2, 500, {501: "#EXT-X-GAP\n"}),
        long_playlist(2, 500, {})[:-3],
        long_playlist(2, 500, {}).replace("seg-0000400", "seg-x"),
    ):
        assert growth(old, other) is None
    assert growth(long_playlist(0, 9, {}), long_playlist(0, 10, {})) is None


def test_the_last_segment_of_each_rendition_knows_how_long_the_stream_plays(folder: Folder) -> None:
    write_master(folder)
    ends = {name: segment.ends_ms for name, segment in read_stream(folder.path).names.items() if segment.ends_ms}
    assert ends == dict.fromkeys(("high/3.m4s", "low/3.m4s", "a/2.aac", "subs/cue.m4s"), 6_000)


def test_segments_that_are_not_there_count_to_a_streams_length(folder: Folder) -> None:
    text = playlist(["1.ts", "2.ts", "3.ts"]).replace("#EXTINF:2.0,\n2.ts", "#EXT-X-GAP\n#EXTINF:2.0,\n2.ts")
    folder.write("index.m3u8", text)
    assert [segment.ends_ms for segment in read_stream(folder.path).main] == [0, 6_000]


def test_a_live_stream_has_no_end(folder: Folder) -> None:
    folder.write("index.m3u8", playlist(["1.ts", "2.ts"], first=1, over=False))
    stream = read_stream(folder.path)
    assert stream.live
    assert [segment.ends_ms for segment in stream.main] == [0, 0]
