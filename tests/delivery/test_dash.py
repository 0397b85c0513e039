"""DASH manifests become streams: templates, timelines, lists, indexes, periods, live ones."""

from pathlib import Path

import pytest

from streamlimit.delivery.catalog import Catalog
from streamlimit.delivery.dash import manifest
from streamlimit.delivery.segment import MOST_SEQUENCE, LiveEdge
from streamlimit.errors import CatalogError
from tests.delivery.stream_folders import (
    Clock,
    Folder,
    ffmpeg,
    mpd,
    needs_ffmpeg,
    playlist,
    read_stream,
    sidx,
    video_set,
)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "streams" / "movie")


def names_of(folder: Folder, periods: str, **how: object) -> list[str]:
    folder.write("manifest.mpd", mpd(periods, **how))  # type: ignore[arg-type]
    return [segment.name for segment in read_stream(folder.path).main]


NUMBERS = '<SegmentTemplate media="$RepresentationID$/s-$Number%05d$.m4s" initialization="$RepresentationID$/i.mp4" '


def test_numbers_are_counted_from_the_duration(folder: Folder) -> None:
    inside = NUMBERS + 'timescale="10" duration="40" startNumber="7"/>'
    assert names_of(folder, f"<Period>{video_set(inside)}</Period>") == [f"v1/s-0000{n}.m4s" for n in (7, 8, 9)]
    stream = read_stream(folder.path)
    assert (stream.entry, stream.segment_seconds, stream.live) == ("manifest.mpd", 4.0, False)
    assert [(s.sequence, s.kind, s.is_main, s.duration_ms) for s in stream.main] == [
        (n, "video", True, 4000) for n in range(3)
    ]
    assert stream.classify("v1/i.mp4") == "init"
    assert stream.classify("v1/s-00007.m4s") == "media"
    assert stream.classify("v1/s-00001.m4s") == "media"  # unlisted, but named like media
    assert stream.classify("manifest.mpd") == "playlist"
    assert stream.after(2) is None


def test_an_end_number_ends_it(folder: Folder) -> None:
    inside = '<SegmentTemplate media="$Number$.m4s" duration="1" endNumber="3"/>'
    assert names_of(folder, f"<Period>{video_set(inside)}</Period>") == ["1.m4s", "2.m4s", "3.m4s"]


def test_a_timeline_with_times_and_repeats(folder: Folder) -> None:
    rows = '<S t="100" d="20" r="1"/><S d="30"/><S t="200" d="25" r="-1"/><S t="250" d="50" r="-1"/>'
    inside = (
        '<SegmentTemplate media="$Bandwidth$/$Time%03d$-$$.m4s" timescale="10">'
        f"<SegmentTimeline>{rows}</SegmentTimeline></SegmentTemplate>"
    )
    times = [100, 120, 140, 200, 225, *range(250, 400, 50)]
    names = names_of(folder, f"<Period>{video_set(inside)}</Period>", duration="PT30S")
    assert names == [f"1000/{t:03d}-$.m4s" for t in times]
    stream = read_stream(folder.path)
    assert [s.sequence for s in stream.main] == list(range(8))
    assert [s.duration_ms for s in stream.main] == [2000, 2000, 3000, 2500, 2500, 5000, 5000, 5000]


def test_a_template_is_inherited_and_base_urls_add_up(folder: Folder) -> None:
    template = '<SegmentTemplate media="$RepresentationID$-$Number$.m4s" duration="5" startNumber="0"/>'
    adaptation = (
        f'<AdaptationSet mimeType="video/mp4"><BaseURL>video/</BaseURL>{template}'
        '<Representation id="a" bandwidth="1"><BaseURL>one/</BaseURL></Representation>'
        '<Representation id="b" bandwidth="2"><BaseURL>../two/</BaseURL></Representation></AdaptationSet>'
    )
    names = names_of(folder, f"<BaseURL>cdn/</BaseURL><Period>{adaptation}</Period>")
    assert names == ["cdn/video/one/a-0.m4s", "cdn/video/one/a-1.m4s"]
    low = read_stream(folder.path).find("cdn/two/b-1.m4s")
    assert low
    assert (low.sequence, low.is_main) == (1, True)


def test_a_base_url_elsewhere_is_ignored_with_a_note(folder: Folder) -> None:
    template = '<SegmentTemplate media="$Number$.m4s" duration="5"/>'
    sets = "".join(
        video_set(f"<BaseURL>{url}</BaseURL>{template}")
        for url in ("https://cdn.example/x/", "//cdn/", "/elsewhere/", "ours/", "a/../../../outside/")
    )
    assert names_of(folder, f"<Period>{sets}</Period>") == ["ours/1.m4s", "ours/2.m4s"]
    assert len(read_stream(folder.path).notes) >= 4


def test_an_alternative_base_url_that_is_ours_is_taken(folder: Folder) -> None:
    urls = "<BaseURL>https://cdn.example/</BaseURL><BaseURL>here/</BaseURL>"
    inside = urls + '<SegmentTemplate media="$Number$.m4s" duration="10"/>'
    assert names_of(folder, f"<Period>{video_set(inside)}</Period>") == ["here/1.m4s"]


def test_a_segment_list_of_files_and_of_ranges(folder: Folder) -> None:
    urls = '<SegmentURL media="1.m4s"/><SegmentURL media="d/2.m4s"/><SegmentURL media="big.mp4" mediaRange="9-19"/>'
    inside = f'<SegmentList duration="3"><Initialization sourceURL="i.mp4" range="0-8"/>{urls}</SegmentList>'
    names = names_of(folder, f"<Period>{video_set(inside)}</Period>")
    assert names == ["1.m4s", "d/2.m4s", "big.mp4@9-19"]
    stream = read_stream(folder.path)
    assert [s.duration_ms for s in stream.main] == [3000] * 3
    assert stream.classify("i.mp4") == "init"


@pytest.mark.parametrize("version", [0, 1])
def test_one_file_is_cut_by_its_index(folder: Folder, version: int) -> None:
    index = sidx([100, 200, 50], version=version, offset=4)
    folder.write("v.mp4", b"i" * 40 + index + b"free" + b"m" * 350)
    base = 40 + len(index) + 4
    inside = (
        f'<BaseURL>v.mp4</BaseURL><SegmentBase indexRange="40-{39 + len(index)}">'
        '<Initialization range="0-39"/></SegmentBase>'
    )
    names = names_of(folder, f"<Period>{video_set(inside)}</Period>")
    ends = [(base, base + 99), (base + 100, base + 299), (base + 300, base + 349)]
    assert names == [f"v.mp4@{first}-{last}" for first, last in ends]
    stream = read_stream(folder.path)
    assert stream.classify("v.mp4") == "media"
    assert not stream.is_beyond_headers("v.mp4", 0, 39)
    assert not stream.is_beyond_headers("v.mp4", 40, base - 1)
    assert stream.is_beyond_headers("v.mp4", 40, base)
    assert stream.segments_in("v.mp4", 0, base + 300) == stream.main[:2]


def test_an_index_of_indexes(folder: Folder) -> None:
    inner = sidx([10, 20])
    outer = bytearray(sidx([len(inner) + 30]))
    outer[-12] |= 0x80  # the reference is to another index
    folder.write("v.mp4", bytes(outer) + inner + b"m" * 30)
    inside = f'<BaseURL>v.mp4</BaseURL><SegmentBase indexRange="0-{len(outer) - 1}"/>'
    first = len(outer) + len(inner)
    assert names_of(folder, f"<Period>{video_set(inside)}</Period>") == [
        f"v.mp4@{first}-{first + 9}",
        f"v.mp4@{first + 10}-{first + 29}",
    ]


def test_one_file_without_an_index_is_one_segment(folder: Folder) -> None:
    folder.write("v.webm", b"x" * 100)
    plain = video_set("<BaseURL>v.webm</BaseURL>")
    assert names_of(folder, f"<Period>{plain}</Period>") == ["v.webm"]
    cues = video_set('<BaseURL>v.webm</BaseURL><SegmentBase indexRange="10-29"/>')
    assert names_of(folder, f"<Period>{cues}</Period>") == ["v.webm@30-99"]
    for nowhere in ("10-99", "500-600"):
        wrong = video_set(f'<BaseURL>v.webm</BaseURL><SegmentBase indexRange="{nowhere}"/>')
        assert names_of(folder, f"<Period>{wrong}</Period>") == ["v.webm"]


def test_periods_go_on_counting(folder: Folder) -> None:
    one = '<SegmentTemplate media="$RepresentationID$/$Number$.m4s" duration="2"/>'
    audio = f'<AdaptationSet mimeType="audio/mp4"><Representation id="a">{one}</Representation></AdaptationSet>'
    periods = (
        f'<Period start="PT0S">{audio}{video_set(one, "v")}</Period>'
        f'<Period start="PT4S" duration="PT2S">{audio.replace("a", "a")}{video_set(one, "ad")}</Period>'
        f'<Period start="PT6S">{video_set(one, "w")}</Period>'
    )
    assert names_of(folder, periods) == ["v/1.m4s", "v/2.m4s", "ad/1.m4s", "w/1.m4s", "w/2.m4s"]
    stream = read_stream(folder.path)
    assert [s.sequence for s in stream.main] == list(range(5))
    sound = stream.find("a/1.m4s")
    assert sound
    assert (sound.kind, sound.is_main) == ("audio", False)


def test_text_and_images_take_no_seat(folder: Folder) -> None:
    template = '<SegmentTemplate media="$RepresentationID$-$Number$.m4s" duration="10"/>'
    text = f'<AdaptationSet contentType="text"><Representation id="t">{template}</Representation></AdaptationSet>'
    stpp = (
        f'<AdaptationSet mimeType="application/mp4" codecs="stpp"><Representation id="u">{template}'
        "</Representation></AdaptationSet>"
    )
    image = (
        '<AdaptationSet mimeType="image/jpeg"><Representation id="j">'
        '<SegmentTemplate media="$Number$.jpg" duration="10"/></Representation></AdaptationSet>'
    )
    assert names_of(folder, f"<Period>{text}{stpp}{image}{video_set(template)}</Period>") == ["v1-1.m4s"]
    stream = read_stream(folder.path)
    assert [stream.classify(p) for p in ("t-1.m4s", "u-1.m4s", "1.jpg")] == ["other"] * 3


def test_the_same_file_in_hls_and_dash_is_one_segment(folder: Folder) -> None:
    folder.write("master.m3u8", playlist(["1.m4s", "2.m4s"]))
    inside = '<SegmentTemplate media="$Number$.m4s" duration="5"/>'
    folder.write("manifest.mpd", mpd(f"<Period>{video_set(inside)}</Period>"))
    stream = read_stream(folder.path)
    assert stream.entry == "master.m3u8"
    assert len(stream.names) == 2
    assert stream.classify("manifest.mpd") == "playlist"


def live_timeline(first: int, media: str = "$Number$.m4s", r: int = 4) -> str:
    rows = f'<SegmentTimeline><S t="{first * 20}" d="20" r="{r}"/></SegmentTimeline>'
    template = f'<SegmentTemplate media="{media}" timescale="10" startNumber="{first}">{rows}</SegmentTemplate>'
    return mpd(f'<Period start="PT0S">{video_set(template)}</Period>', live=True)


@pytest.mark.parametrize("media", ["$Number$.m4s", "$Time$.m4s"])
def test_a_live_timeline_slides(folder: Folder, media: str) -> None:
    clock = Clock()
    catalog = Catalog(folder.path.parent, clock=clock)
    seen = []
    for first in range(10, 20):
        folder.write("manifest.mpd", live_timeline(first, media))
        clock.tick(0.25)
        stream = catalog.stream("movie")
        assert stream.live
        assert stream.segments == 5
        newest = stream.main[-1]
        seen.append(newest.sequence)
        assert stream.after(newest.sequence) == LiveEdge(1000)
        assert stream.after(stream.main[-2].sequence) == newest
        assert stream.after(None) == stream.main[2]
        assert stream.after(0) == stream.main[0]
        assert stream.follows(stream.main[0], stream.main[1])
    assert seen == sorted(set(seen))
    again = Catalog(folder.path.parent, clock=clock).stream("movie")
    assert [s.sequence for s in again.main] == [s.sequence for s in stream.main]  # another worker agrees


@pytest.mark.parametrize(("first", "counted"), [(1_764_500_000_000_007, 500_000_000_007), (-2, 999_999_999_998)])
def test_of_a_number_that_no_store_keeps_exactly_the_last_digits_count(
    folder: Folder, first: int, counted: int
) -> None:
    folder.write("manifest.mpd", live_timeline(first))
    stream = read_stream(folder.path)
    assert [segment.sequence for segment in stream.main] == list(range(counted, counted + 5))
    assert stream.main[0].name == f"{first}.m4s"


def test_no_segment_plays_for_less_than_no_time(folder: Folder) -> None:
    urls = '<SegmentList duration="-5"><SegmentURL media="a.m4s"/><SegmentURL media="b.m4s"/></SegmentList>'
    folder.write("manifest.mpd", mpd(f"<Period>{video_set(urls)}</Period>"))
    stream = read_stream(folder.path)
    assert [(each.name, each.duration_ms, each.ends_ms) for each in stream.main] == [("a.m4s", 0, 0), ("b.m4s", 0, 1)]


def test_no_number_of_a_segment_is_beyond_what_every_store_keeps(folder: Folder) -> None:
    rows = '<S t="4398046511104" d="281474976710656" r="2"/><S t="0" d="6000"/>'
    template = f'<SegmentTemplate media="$Time$.m4s"><SegmentTimeline>{rows}</SegmentTimeline></SegmentTemplate>'
    folder.write("manifest.mpd", mpd(f"<Period>{video_set(template)}</Period>", live=True))
    found = [each.sequence for each in read_stream(folder.path).main]
    assert (min(found), max(found)) == (0, MOST_SEQUENCE)


def test_a_live_template_without_a_number_is_one_file(folder: Folder) -> None:
    folder.write("all.m4s", b"x")
    for media, names in (("all.m4s", ["all.m4s"]), ("none.m4s", [])):
        template = f'<SegmentTemplate media="{media}" duration="5"/>'
        folder.write("manifest.mpd", mpd(f"<Period>{video_set(template)}</Period>", live=True))
        stream = read_stream(folder.path)
        assert [segment.name for segment in stream.main] == names


def test_a_live_manifest_that_ends_keeps_its_numbers(folder: Folder) -> None:
    clock = Clock()
    catalog = Catalog(folder.path.parent, clock=clock)
    folder.write("manifest.mpd", live_timeline(10))
    assert catalog.stream("movie").main[-1].sequence == 14
    folder.write("manifest.mpd", live_timeline(12).replace('type="dynamic"', 'type="static"'))
    clock.tick(0.25)
    stream = catalog.stream("movie")
    assert not stream.live
    assert [s.sequence for s in stream.main] == [12, 13, 14, 15, 16]


def test_live_numbers_without_a_timeline_are_what_is_on_disk(folder: Folder) -> None:
    clock = Clock()
    catalog = Catalog(folder.path.parent, clock=clock)
    template = '<SegmentTemplate media="$RepresentationID$/$Number%03d$.m4s" duration="2" startNumber="1"/>'
    folder.write("manifest.mpd", mpd(f"<Period>{video_set(template)}</Period>", live=True))
    assert catalog.stream("movie").after(None) == LiveEdge(0)
    folder.media("v1/998.m4s", "v1/999.m4s", "v1/1000.m4s", "v1/1001.m4s.tmp", "v1/init.m4s")
    clock.tick(0.25)
    stream = catalog.stream("movie")
    assert [s.name for s in stream.main] == ["v1/998.m4s", "v1/999.m4s", "v1/1000.m4s"]
    assert [s.sequence for s in stream.main] == [998, 999, 1000]
    folder.media("v1/1001.m4s")
    clock.tick(0.25)
    assert catalog.stream("movie").after(1000) == catalog.stream("movie").find("v1/1001.m4s")


def test_an_open_live_timeline_is_what_is_on_disk(folder: Folder) -> None:
    folder.media("5.m4s", "6.m4s")
    folder.write("manifest.mpd", live_timeline(5, r=-1))
    assert [s.sequence for s in read_stream(folder.path).main] == [5, 6]


BAD_TEMPLATE = (
    '<Period><AdaptationSet mimeType="video/mp4"><Representation id="v">{}</Representation></AdaptationSet></Period>'
)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<",
        "nothing",
        "<MPD",
        "<html></html>",
        "file:///etc/passwd",
        "<MPD></MPD>",
        mpd(""),
        mpd("<Period/>"),
        mpd('<Period duration="soon"/>'),
        mpd('<Period duration="PT1S"><AdaptationSet/></Period>'),
        '<!DOCTYPE MPD [<!ENTITY x SYSTEM "file:///etc/passwd">]><MPD><Period id="&x;"/></MPD>',
        mpd(BAD_TEMPLATE.format('<SegmentTemplate media="$Number$.m4s" duration="x"/>')),
        mpd(BAD_TEMPLATE.format('<SegmentTemplate media="$Number$.m4s" duration="1" timescale="100000000"/>')),
        mpd(BAD_TEMPLATE.format('<SegmentTemplate media="$Number$.m4s" duration="1" endNumber="99999999"/>')),
        mpd(
            BAD_TEMPLATE.format(
                '<SegmentTemplate media="$Time$.m4s"><SegmentTimeline><S d="0" r="5"/></SegmentTimeline>'
                "</SegmentTemplate>"
            )
        ),
        mpd(
            BAD_TEMPLATE.format(
                '<SegmentTemplate media="$Time$.m4s"><SegmentTimeline><S d="1" r="999999999"/></SegmentTimeline>'
                "</SegmentTemplate>"
            )
        ),
        mpd(BAD_TEMPLATE.format(f'<SegmentTemplate media="{"$Number%099d$" * 16}a/{"b" * 1_600}" duration="5"/>')),
        mpd(BAD_TEMPLATE.format(f'<SegmentTemplate media="{"$Number$" * 17}.m4s" duration="5"/>')),
        mpd(BAD_TEMPLATE.format('<BaseURL>gone.mp4</BaseURL><SegmentBase indexRange="0-9"/>')),
        mpd(BAD_TEMPLATE.format('<SegmentTemplate media="../../$Number$.m4s" duration="5"/>')),
    ],
)
def test_a_broken_manifest_says_why(folder: Folder, text: str) -> None:
    folder.write("manifest.mpd", text)
    with pytest.raises(CatalogError, match=r"manifest\.mpd|gone\.mp4"):
        read_stream(folder.path)


@pytest.mark.parametrize(
    "box",
    [
        sidx([10] * 5)[:40] + b"\0" * 100,
        b"\0\0\0\x20sidx" + b"\0" * 24,
        sidx([10])[:-12] + b"\x80\0\0\0" + b"\0" * 8,
    ],
)
def test_an_index_that_makes_no_sense_is_no_crash(folder: Folder, box: bytes) -> None:
    folder.write("v.mp4", box)
    inside = f'<BaseURL>v.mp4</BaseURL><SegmentBase indexRange="0-{len(box) - 1}"/>'
    folder.write("manifest.mpd", mpd(f"<Period>{video_set(inside)}</Period>"))
    catalog = Catalog(folder.path.parent, clock=Clock())
    catalog.streams()
    assert all("manifest.mpd" in problem for problem in catalog.problems.values())


def index_of(size: int, *, offset: int = 0, count: int = 1) -> bytes:
    """A sidx box that names so many others, each of that size."""
    box = bytearray(sidx([size] * count, offset=offset))
    for number in range(count):
        box[-12 * (number + 1)] |= 0x80
    return bytes(box)


def test_an_index_that_is_named_twice_is_refused(folder: Folder) -> None:
    size, last = len(index_of(1)), sidx([10, 20])
    content = index_of(size, count=2) + index_of(len(last), offset=size) + index_of(len(last)) + last + b"m" * 30
    folder.write("v.mp4", content)
    inside = f'<BaseURL>v.mp4</BaseURL><SegmentBase indexRange="0-{len(index_of(1, count=2)) - 1}"/>'
    with pytest.raises(CatalogError, match="named twice"):
        names_of(folder, f"<Period>{video_set(inside)}</Period>")


def test_of_all_representations_together_there_are_so_many_segments(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest, "MAX_SEGMENTS", 6)
    inside = NUMBERS + 'duration="2"/>'  # five segments
    others = "".join(f'<Representation id="{n}">{inside}</Representation>' for n in range(2))
    assert len(names_of(folder, f"<Period>{video_set(inside)}</Period>")) == 5
    with pytest.raises(CatalogError, match="more than 6 segments"):
        names_of(folder, f"<Period>{video_set(inside, extra=others)}</Period>")


def test_of_all_periods_together_there_are_so_many_representations(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest, "MAX_REPRESENTATIONS", 3)
    inside, another = NUMBERS + 'duration="2"/>', '<Representation id="2"/>'
    period = f"<Period>{video_set(inside, extra=another)}</Period>"
    with pytest.raises(CatalogError, match="more than 3 representations"):
        names_of(folder, period * 2)


@needs_ffmpeg
@pytest.mark.parametrize("timeline", ["0", "1"])
def test_ffmpegs_templates(folder: Folder, timeline: str) -> None:
    how = f"-f dash -seg_duration 2 -use_template 1 -use_timeline {timeline} manifest.mpd"
    ffmpeg(folder.path, *how.split())
    stream = read_stream(folder.path)
    assert stream.segments == 3
    assert all((folder.path / s.path).is_file() for s in stream.names.values() if s.kind == "video")
    assert {s.kind for s in stream.names.values()} == {"video", "audio"}
    on_disk = {p.name for p in folder.path.glob("chunk*")}
    assert set(stream.names) == on_disk


@needs_ffmpeg
def test_ffmpegs_single_file(folder: Folder) -> None:
    ffmpeg(folder.path, *["-f", "dash", "-seg_duration", "2", "-single_file", "1", "manifest.mpd"])
    stream = read_stream(folder.path)
    assert stream.segments == 3
    path = stream.main[0].path
    size = (folder.path / path).stat().st_size
    assert stream.main[-1].last == size - 1
    assert stream.segments_in(path, 0, size - 1) == stream.main
    assert stream.main[0].first
    assert not stream.is_beyond_headers(path, 0, stream.main[0].first - 1)


@needs_ffmpeg
def test_ffmpegs_single_file_with_an_index(folder: Folder) -> None:
    ffmpeg(
        folder.path,
        *[
            "-f",
            "dash",
            "-seg_duration",
            "2",
            "-single_file",
            "1",
            "-global_sidx",
            "1",
            "-use_template",
            "0",
            "-use_timeline",
            "0",
            "m.mpd",
        ],
    )
    stream = read_stream(folder.path)
    assert stream.segments == 3
    assert stream.main[0].first
