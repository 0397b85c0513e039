"""Lenient parsing of HLS: an irrelevant line is ignored, a wrong one affects only what it is about, with a reason."""

from pathlib import Path

import pytest

from streamlimit.delivery.catalog import Catalog
from streamlimit.delivery.entry import GRACE_SECONDS
from streamlimit.delivery.hls.tags import attributes, number, whole
from streamlimit.errors import CatalogError
from tests.delivery.stream_folders import Clock, Folder, playlist, read_stream

CASES = Path(__file__).parent.parent / "cases"
HEAD = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n"


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "streams" / "movie")


def media(folder: Folder, text: str | bytes) -> list[tuple[str, int, int]]:
    """What `index.m3u8` with that text says: name, number and milliseconds of each segment."""
    folder.write("index.m3u8", text)
    return [(s.name, s.sequence, s.duration_ms) for s in read_stream(folder.path).main]


@pytest.mark.parametrize(
    "path", sorted(CASES.glob("*/streams/h-*")), ids=lambda path: f"{path.parent.parent.name}/{path.name}"
)
def test_each_small_stream_that_went_wrong_is_read_and_its_segments_are_there(path: Path) -> None:
    stream = read_stream(path)
    assert stream.segments == len(list(path.rglob("*.ts")))
    assert stream.notes == ()
    assert all((path / segment.path).is_file() for segment in stream.main)


UNUSED = [
    "#EXT-X-PROGRAM-DATE-TIME:2024-03-28T07:35:37R",
    "#EXT-X-PROGRAM-DATE-TIME",
    "#EXT-X-PROGRAM-DATE-TIME:now",
    '#EXT-X-DATERANGE:ID="ad1",START-DATE="x",DURATION="30.0"',
    "#EXT-X-DATERANGE:,,=,=",
    "#EXT-X-DATERANGE",
    "#EXT-X-KEY:NONE",
    "#EXT-X-KEY",
    "#EXT-X-KEY:METHOD=NONE",
    '#EXT-X-KEY:METHOD="AES-128" , URI = "k.key" , IV=zz',
    '#EXT-X-KEY:METHOD=SAMPLE-AES,URI="skd://x",KEYFORMAT="com.apple.streamingkeydelivery"',
    "#EXT-X-VERSION:seven",
    "#EXT-X-VERSION",
    "#EXT-X-DISCONTINUITY:yes",
    "#EXT-X-DISCONTINUITY-SEQUENCE:x",
    "#EXT-X-BITRATE:fast",
    "#EXT-X-CUE-OUT:DURATION=x,,",
    "#EXT-X-CUE-OUT-CONT:a/b/c",
    "#EXT-X-CUE-IN",
    "#EXT-OATCLS-SCTE35:",
    "#EXT-X-ASSET:=",
    "#EXT-X-SESSION-DATA:DATA-ID",
    "#EXT-X-CONTENT-STEERING:SERVER-URI",
    "#EXT-X-RENDITION-REPORT:URI=,LAST-MSN=x,LAST-PART=y",
    "#EXT-X-PART-INF:PART-TARGET=x",
    "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD,HOLD-BACK=x",
    "#EXT-X-TILES:RESOLUTION",
    "#EXT-X-PRELOAD-HINT:TYPE=MAP",
    "#EXT-X-ALLOW-CACHE",
    "#EXT-X-NO-SUCH-TAG:x=y",
    "#ext-x-targetduration:none",
    "#EXT",
    "#",
    "# a comment with #EXTINF:9, in it",
    "#EXTM3U",
    "\u2028",
    '#EXT-X-DEFINE:QUERYPARAM="token"',
    "",
    "\t ",
]


@pytest.mark.parametrize("line", [line for line in UNUSED if line != "\u2028"])
@pytest.mark.parametrize("over", [True, False])
def test_a_line_that_nobody_needs_costs_nothing(folder: Folder, line: str, over: bool) -> None:
    body = f"{line}\n#EXTINF:4,\na.ts\n{line}\n#EXTINF:4,\n{line}\nb.ts\n{line}\n" + "#EXT-X-ENDLIST\n" * over
    assert media(folder, HEAD + body) == [("a.ts", 0, 4000), ("b.ts", 1, 4000)]
    assert read_stream(folder.path).notes == ()


@pytest.mark.parametrize(
    "line",
    [
        "#EXT-X-STREAM-INF:BANDWIDTH=1.5,AVERAGE-BANDWIDTH=900000.5,RESOLUTION=640 x 360,FRAME-RATE=x",
        '#EXT-X-STREAM-INF:BANDWIDTH="1",BANDWIDTH=2,CODECS="avc1.4d4015,mp4a.40.2",PROGRAM-ID=x,SCORE=best',
        "#EXT-X-STREAM-INF:  BANDWIDTH = 1 , RESOLUTION = 1x1",
        "#EXT-X-STREAM-INF:resolution=1x1",
        "#EXT-X-STREAM-INF",
    ],
)
@pytest.mark.parametrize(
    "other",
    [
        "",
        '#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1e5.0,URI="gone.m3u8"',
        "#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1",
        "#EXT-X-I-FRAME-STREAM-INF",
        "#EXT-X-MEDIA:TYPE=AUDIO",
        '#EXT-X-MEDIA:TYPE=NOISE,URI="noise.m3u8"',
        '#EXT-X-MEDIA:URI="',
        "#EXT-X-SESSION-DATA:x,y",
        "#EXT-X-SESSION-KEY:METHOD",
        "#EXT-X-IMAGE-STREAM-INF:BANDWIDTH=x",
        "#EXT-X-INDEPENDENT-SEGMENTS:maybe",
    ],
)
def test_a_master_with_odd_attributes_is_read(folder: Folder, line: str, other: str) -> None:
    folder.write("master.m3u8", f"#EXTM3U\n{other}\n{line}\nv/index.m3u8\n{other}\n")
    folder.write("v/index.m3u8", playlist(["1.ts"]))
    stream = read_stream(folder.path)
    assert (stream.entry, [s.name for s in stream.main]) == ("master.m3u8", ["v/1.ts"])


@pytest.mark.parametrize("odd", ["\u2028", "\u2029", "\x0b", "\x0c", "\x85", "\x1c", "\x1d", "\x1e", "\r", "\x00"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_only_lf_and_crlf_end_a_line(folder: Folder, odd: str, end: str) -> None:
    text = f"{HEAD}#EXTINF:4,Part{odd}one.ts\na.ts\n#EXTINF:4,{odd}#EXT-X-GAP\nb.ts\n#EXT-X-ENDLIST\n"
    assert media(folder, text.replace("\n", end)) == [("a.ts", 0, 4000), ("b.ts", 1, 4000)]


@pytest.mark.parametrize("before", ["\ufeff", "\n", " \t\r\n", "\ufeff\n\n"])
@pytest.mark.parametrize("after", ["", " ", "\t", " \t \r"])
def test_bom_blank_lines_and_blanks_at_the_ends_of_lines_are_nothing(folder: Folder, before: str, after: str) -> None:
    text = f"{HEAD}  #EXTINF:4,\n\ta.ts\n#EXTINF:4,\n\nb.ts\n#EXT-X-ENDLIST\n"
    assert media(folder, before + text.replace("\n", after + "\n")) == [("a.ts", 0, 4000), ("b.ts", 1, 4000)]


def test_a_playlist_without_any_lf_ends_its_lines_with_cr(folder: Folder) -> None:
    text = f"{HEAD}#EXTINF:4,\na.ts\n#EXT-X-ENDLIST\n"
    assert media(folder, text.replace("\n", "\r")) == [("a.ts", 0, 4000)]


@pytest.mark.parametrize(
    ("extinf", "milliseconds"),
    [
        ("#EXTINF:4", 4000),
        ("#EXTINF:4.000", 4000),
        ("#EXTINF: 3.84 , title", 3840),
        ("#EXTINF:4.000,title,with,commas", 4000),
        ('#EXTINF:4 tvg-id="x" group-title="a,b",News', 4000),
        ("#EXTINF:4.,", 4000),
        ("#EXTINF:.5,", 500),
        ("#EXTINF:4e0,", 4000),
        ("#EXTINF:4s,", 4000),
        ('#EXTINF:"4",', 4000),
        ("#EXTINF :4,", 4000),
        ("#EXTINF:4,{$undefined}", 4000),
        ('#EXTINF:4,Caf\u00e9 \u2028 \U0001f600 "quoted', 4000),
        ("#EXTINF:-1,", 0),
        ("#EXTINF:0,", 0),
    ],
)
def test_a_duration_is_the_number_that_its_line_begins_with(folder: Folder, extinf: str, milliseconds: int) -> None:
    assert media(folder, f"{HEAD}{extinf}\na.ts\n#EXT-X-ENDLIST\n") == [("a.ts", 0, milliseconds)]


@pytest.mark.parametrize(
    "extinf", ["#EXTINF:abc,", "#EXTINF", "#EXTINF:", "#EXTINF:nan,", "#EXTINF:inf,", "#EXTINF:1e999,"]
)
def test_a_duration_that_is_no_number_is_the_longest_and_is_told(folder: Folder, extinf: str) -> None:
    assert media(folder, f"{HEAD}{extinf}\na.ts\n#EXT-X-ENDLIST\n") == [("a.ts", 0, 4000)]
    (note,) = read_stream(folder.path).notes
    assert note.startswith("index.m3u8, line 3 (#EXTINF:")


@pytest.mark.parametrize(
    ("target", "seconds"),
    [
        ("#EXT-X-TARGETDURATION:5", 5.0),
        ("#EXT-X-TARGETDURATION:5.0", 5.0),
        ("#EXT-X-TARGETDURATION: 5.5 ", 5.5),
        ('#EXT-X-TARGETDURATION:"5"', 5.0),
        ("#EXT-X-TARGETDURATION:x", 4.5),
        ("#EXT-X-TARGETDURATION:-3", 4.5),
        ("#EXT-X-TARGETDURATION", 4.5),
        ("#EXT-X-VERSION:3", 4.5),
    ],
)
@pytest.mark.parametrize("over", [True, False])
def test_the_target_duration_may_be_odd_or_missing(folder: Folder, target: str, seconds: float, over: bool) -> None:
    media(folder, f"#EXTM3U\n{target}\n#EXTINF:4.5,\na.ts\n" + "#EXT-X-ENDLIST\n" * over)
    assert read_stream(folder.path).segment_seconds == seconds


def test_a_title_in_another_encoding_costs_nothing_and_such_a_name_only_its_segment(folder: Folder) -> None:
    text = f"{HEAD}#EXTINF:4,Caf\u00e9\na.ts\n#EXTINF:4,\ncaf\u00e9.ts\n#EXTINF:4,\nb.ts\n#EXT-X-ENDLIST\n"
    assert media(folder, text.encode("latin-1")) == [("a.ts", 0, 4000), ("b.ts", 2, 4000)]
    (note,) = read_stream(folder.path).notes
    assert note == "index.m3u8, line 6 (caf\\udce9.ts): is not UTF-8 text and is ignored"


@pytest.mark.parametrize("byterange", ["50@100", '"50@100"', " 50 @ 100 ", "50.0@100"])
def test_a_byte_range_may_be_quoted_and_spaced(folder: Folder, byterange: str) -> None:
    text = f"{HEAD}#EXTINF:4,\n#EXT-X-BYTERANGE:{byterange}\na.ts\n#EXT-X-ENDLIST\n"
    assert media(folder, text) == [("a.ts@100-149", 0, 4000)]


@pytest.mark.parametrize("byterange", ["x@y", "0@5", "-5@3", "@", "5@-1", "9" * 5000])
def test_a_byte_range_that_means_nothing_costs_what_hangs_on_it(folder: Folder, byterange: str) -> None:
    ranges = ["10@0", byterange, "10", "10@40", "10"]
    body = "".join(f"#EXTINF:4,\n#EXT-X-BYTERANGE:{each}\na.mp4\n" for each in ranges)
    found = media(folder, f'{HEAD}#EXT-X-MAP:URI="a.mp4",BYTERANGE="{byterange}"\n{body}#EXT-X-ENDLIST\n')
    assert found == [("a.mp4@0-9", 0, 4000), ("a.mp4@40-49", 3, 4000), ("a.mp4@50-59", 4, 4000)]
    assert len(read_stream(folder.path).notes) == 3


def test_odd_parts_cost_themselves(folder: Folder) -> None:
    parts = ['DURATION=x,URI="p0.mp4"', "DURATION=1", 'URI="p2.mp4",GAP=YES', ' DURATION = "1" , URI = p3.mp4', ""]
    body = "".join(f"#EXT-X-PART:{each}\n" for each in parts)
    folder.write("index.m3u8", f"{HEAD}#EXTINF:4,\na.mp4\n{body}#EXT-X-PRELOAD-HINT:TYPE=PART,URI=p5.mp4\n")
    stream = read_stream(folder.path)
    found = [stream.find(f"p{n}.mp4") for n in range(6)]
    assert [(p.sequence, p.part) if p else None for p in found] == [(1, 0), None, None, (1, 3), None, (1, 5)]


def test_skipped_segments_count(folder: Folder) -> None:
    text = f"{HEAD}#EXT-X-MEDIA-SEQUENCE:10\n#EXT-X-SKIP:SKIPPED-SEGMENTS=5\n#EXTINF:4,\na.ts\n"
    assert media(folder, text) == [("a.ts", 15, 4000)]
    assert media(folder, text.replace("SEGMENTS=5", "SEGMENTS=9223372036854775807")) == [("a.ts", 10, 4000)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('URI="a,b=c",X=1', {"URI": "a,b=c", "X": "1"}),
        (' URI = "a" , X = 1 ', {"URI": "a", "X": "1"}),
        ("URI='a,b',X='1'", {"URI": "a,b", "X": "1"}),
        ("NAME=O'Brien,X=1", {"NAME": "O'Brien", "X": "1"}),
        ("X=1,X=2", {"X": "2"}),
        ("uri=a", {"URI": "a"}),
        ('URI="a', {"URI": "a"}),
        ('"X=1",Y=2', {"Y": "2"}),
        ("NONE", {"NONE": ""}),
        ('URI="a"b,X=1', {"URI": "a", "B": "", "X": "1"}),
        ("", {}),
        (",=,==", {}),
    ],
)
def test_attribute_lists(text: str, found: dict[str, str]) -> None:
    assert attributes(text) == found


def test_long_lines_that_are_no_attributes_take_no_long_time() -> None:
    for text in ("a" * 200_000, " " * 200_000, "a " * 100_000, '"' * 200_001, "=" * 200_000, "a=" * 100_000):
        attributes(text)


def test_numbers() -> None:
    assert [number(text) for text in ("1.5", " +2", "-3x", "x", "", "1e9", "٤")] == [
        1.5,
        2.0,
        -3.0,
        None,
        None,
        None,
        None,
    ]
    assert [whole(text) for text in ("15", "15.0", '"15"', "15x", "-1", "", "1" * 20)] == [15, 15, 15, *[None] * 4]


class Air:
    """A live stream whose playlist is written again and again."""

    def __init__(self, folder: Folder) -> None:
        self.folder, self.clock = folder, Clock()
        self.told: list[tuple[str, str | None]] = []
        self.catalog = Catalog(folder.path.parent, on_problem=self._tell, clock=self.clock)

    def _tell(self, stream_id: str, problem: str | None) -> None:
        self.told.append((stream_id, problem))

    def refresh(self, newest: int, line: str = "", name: str = "index.m3u8") -> list[str]:
        """Two seconds later: the window ends with *newest*, and *line* stands before its last segment."""
        names = [f"{n}.ts" for n in range(newest - 3, newest)] + [f"{newest}.ts"]
        text = playlist(names, first=newest - 3, over=False)
        self.folder.write(name, text.replace("#EXTINF:2.0,\n" + names[-1], f"{line}#EXTINF:2.0,\n{names[-1]}"))
        self.clock.tick(2)
        return [segment.name for segment in self.catalog.stream("movie").main]


@pytest.mark.parametrize("line", UNUSED)
def test_a_live_stream_stays_on_air_with_a_line_that_nobody_needs(folder: Folder, line: str) -> None:
    air = Air(folder)
    for newest in range(5, 12):
        bad = f"{line}\n" if newest >= 6 and line.startswith("#") else ""
        assert air.refresh(newest, bad)[-1] == f"{newest}.ts"
    assert air.told == []


def test_a_live_playlist_that_cannot_be_read_keeps_the_last_good_one_and_says_once_which_line(folder: Folder) -> None:
    air = Air(folder)
    good = air.refresh(5)
    for newest in range(6, 20):
        assert air.refresh(newest, f"#X\n#EXT-X-MEDIA-SEQUENCE:n{newest}\n") == good
    assert air.clock.now > 1000 + 5 * GRACE_SECONDS
    assert [stream_id for stream_id, _ in air.told] == ["movie"]
    problem = air.catalog.problems["movie"]
    assert problem == "index.m3u8, line 12 (#EXT-X-MEDIA-SEQUENCE:n19): is no number"
    assert air.refresh(20)[-1] == "20.ts"
    assert air.told[1:] == [("movie", None)]


def test_an_empty_live_playlist_keeps_the_last_good_one_and_one_that_is_gone_does_not(folder: Folder) -> None:
    air = Air(folder)
    good = air.refresh(5)
    for content in ("", "<html>", b"\xff\xfe#\x00E\x00"):
        folder.write("index.m3u8", content)
        for _ in range(5):
            air.clock.tick(GRACE_SECONDS)
            assert [segment.name for segment in air.catalog.stream("movie").main] == good
    (folder.path / "index.m3u8").unlink()
    air.clock.tick()
    air.catalog.stream("movie")
    air.clock.tick(GRACE_SECONDS + 0.1)
    with pytest.raises(Exception, match=r"movie|cannot be"):
        air.catalog.stream("movie")


def test_a_long_live_playlist_goes_on_with_its_variables(folder: Folder) -> None:
    clock = Clock()
    catalog = Catalog(folder.path.parent, clock=clock)
    folder.write("master.m3u8", '#EXTM3U\n#EXT-X-DEFINE:NAME="of",VALUE="m-"\n#EXT-X-STREAM-INF:X=1\nv.m3u8\n')
    head = '#EXT-X-DEFINE:IMPORT="of"\n#EXT-X-DEFINE:NAME="own",VALUE="v-"'
    for newest in (600, 601, 605):
        names = ['0.ts\n#EXT-X-DEFINE:NAME="late",VALUE="w-"']
        names += [f"{{$of}}{{$own}}{{$late}}{n}.ts?of=a-playlist-that-is-long" for n in range(1, newest + 1)]
        folder.write("v.m3u8", playlist(names, over=False, head=head))
        clock.tick(2)
        assert [segment.path for segment in catalog.stream("movie").main][-2:] == [
            f"m-v-w-{newest - 1}.ts",
            f"m-v-w-{newest}.ts",
        ]


def test_variables_that_double_with_each_line_stay_short(folder: Folder) -> None:
    lines = ['#EXT-X-DEFINE:NAME="v0",VALUE="0123456789"']
    lines += [f'#EXT-X-DEFINE:NAME="v{n}",VALUE="{{$v{n - 1}}}{{$v{n - 1}}}"' for n in range(1, 20)]
    folder.write("index.m3u8", playlist(["1.ts", "{$v1}.ts", "{$v19}.ts", "4.ts"], head="\n".join(lines)))
    stream = Catalog(folder.path.parent, clock=Clock()).stream("movie")
    assert [segment.name for segment in stream.main] == ["1.ts", "01234567890123456789.ts", "4.ts"]
    assert "more than 8192 characters" in " ".join(stream.notes)


def test_a_variable_that_is_there_very_often_makes_no_uri(folder: Folder) -> None:
    often = "{$a}" * 200
    names = ["1.ts", f"{often}.ts", f"2.ts?{often}", "3.ts?a={$a}{$none}"]
    folder.write("index.m3u8", playlist(names, head=f'#EXT-X-DEFINE:NAME="a",VALUE="{"x" * 8_000}"'))
    stream = Catalog(folder.path.parent, clock=Clock()).stream("movie")
    assert [segment.name for segment in stream.main] == ["1.ts", "3.ts"]
    assert "more than 131072 characters" in " ".join(stream.notes)


def test_one_rendition_that_cannot_be_read_costs_no_other(folder: Folder) -> None:
    folder.write("master.m3u8", '#EXTM3U\n#EXT-X-MEDIA:TYPE=SUBTITLES,URI="s.m3u8"\n#EXT-X-STREAM-INF:X=1\nv.m3u8\n')
    folder.write("v.m3u8", playlist(["1.ts"]))
    folder.write("s.m3u8", "WEBVTT")
    catalog = Catalog(folder.path.parent, clock=Clock())
    assert [segment.name for segment in catalog.stream("movie").main] == ["1.ts"]
    assert catalog.problems == {"movie": "s.m3u8 does not begin with #EXTM3U"}


def test_a_live_rendition_that_cannot_be_read_keeps_its_last_good_version_and_the_others_go_on(folder: Folder) -> None:
    air = Air(folder)
    folder.write(
        "master.m3u8", '#EXTM3U\n#EXT-X-STREAM-INF:RESOLUTION=1x1\nv.m3u8\n#EXT-X-MEDIA:TYPE=AUDIO,URI="a.m3u8"\n'
    )
    folder.write("a.m3u8", playlist(["1.aac"], over=False))
    air.refresh(5, name="v.m3u8")
    folder.write("a.m3u8", "")
    for newest in range(6, 12):
        air.refresh(newest, name="v.m3u8")
    stream = air.catalog.stream("movie")
    assert stream.main[-1].name == "11.ts"
    assert [segment.name for segment in stream.tracks["a.m3u8"]] == ["1.aac"]
    assert air.told == [("movie", "a.m3u8 is empty")]


def define(folder: Folder, head: str, *uris: str) -> list[str]:
    folder.write("index.m3u8", playlist(list(uris), head=head))
    return [segment.name for segment in read_stream(folder.path).main]


def test_variables_are_put_into_uris_and_quoted_attributes(folder: Folder) -> None:
    lines = [
        '#EXT-X-DEFINE:NAME="p",VALUE="chunks/"',
        '#EXT-X-DEFINE: VALUE = "{$p}deep-" , NAME = "q_1-x"',
        '#EXT-X-DEFINE:NAME="none",VALUE=""',
        '#EXT-X-KEY:METHOD=AES-128,URI="{$p}k.key"',
        '#EXT-X-MAP:URI="{$p}init.mp4"',
    ]
    names = define(
        folder, "\n".join(lines), "{$p}0.ts", "{$q_1-x}1.ts", "{$none}2{$none}.ts?x={$token}", "{3}.ts", "$4.ts"
    )
    assert names == ["chunks/0.ts", "chunks/deep-1.ts", "2.ts", "{3}.ts", "$4.ts"]
    stream = read_stream(folder.path)
    assert (stream.classify("chunks/k.key"), stream.classify("chunks/init.mp4")) == ("key", "init")
    assert stream.notes == ()


def test_what_a_variable_holds_is_not_looked_through_again(folder: Folder) -> None:
    head = '#EXT-X-DEFINE:NAME="a",VALUE="{$"\n#EXT-X-DEFINE:NAME="b",VALUE="x"'
    assert define(folder, head, "{$b}{b}.ts") == ["x{b}.ts"]


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        ('#EXT-X-DEFINE:QUERYPARAM="q"', "EXT-X-DEFINE with QUERYPARAM (here q) is not supported"),
        ('#EXT-X-DEFINE:IMPORT="q"', "EXT-X-DEFINE imports q, which no master playlist defines"),
        ('#EXT-X-DEFINE:NAME="other",VALUE="x"', "no EXT-X-DEFINE gives {$q} a value"),
        ('#EXT-X-DEFINE:NAME="q"', "no EXT-X-DEFINE gives {$q} a value"),
    ],
)
@pytest.mark.parametrize("over", [True, False])
def test_a_variable_without_a_value_is_told_in_words(folder: Folder, head: str, reason: str, over: bool) -> None:
    folder.write("index.m3u8", playlist(["{$q}1.ts"], head=head, over=over))
    with pytest.raises(CatalogError) as told:
        read_stream(folder.path)
    assert f"index.m3u8, line 7 ({{$q}}1.ts): {reason}" in str(told.value)
    folder.write("index.m3u8", playlist(["{$q}1.ts", "2.ts"], head=head, over=over))
    stream = read_stream(folder.path)
    assert [(s.name, s.sequence) for s in stream.main] == [("2.ts", 1)]
    assert stream.notes == (f"index.m3u8, line 7 ({{$q}}1.ts): {reason}",)


def test_a_media_playlist_imports_what_its_master_defines_whatever_their_names(folder: Folder) -> None:
    folder.write("zz.m3u8", '#EXTM3U\n#EXT-X-DEFINE:NAME="d",VALUE="v"\n#EXT-X-STREAM-INF:X=1\nindex.m3u8\n')
    folder.write("index.m3u8", playlist(["{$d}/1.ts"], head='#EXT-X-DEFINE:IMPORT="d"'))
    clock = Clock()
    catalog = Catalog(folder.path.parent, clock=clock)
    assert [segment.name for segment in catalog.stream("movie").main] == ["v/1.ts"]
    assert catalog.problems == {}
    folder.write("zz.m3u8", '#EXTM3U\n#EXT-X-DEFINE:NAME="d",VALUE="w"\n#EXT-X-STREAM-INF:X=1\nindex.m3u8\n')
    clock.tick(2)
    assert [segment.name for segment in catalog.stream("movie").main] == ["w/1.ts"]


@pytest.mark.parametrize(
    ("start", "name"),
    [
        ("TIME-OFFSET=0", "0"),
        ("TIME-OFFSET=0.0,PRECISE=YES", "0"),
        ("TIME-OFFSET=3.999", "0"),
        ("TIME-OFFSET=4", "1"),
        ("TIME-OFFSET=20.0", "5"),
        ("PRECISE=NO, TIME-OFFSET = 21", "5"),
        ("TIME-OFFSET=39.9", "9"),
        ("TIME-OFFSET=40", "9"),
        ("TIME-OFFSET=4000", "9"),
        ("TIME-OFFSET=-0.5", "9"),
        ("TIME-OFFSET=-4", "9"),
        ("TIME-OFFSET=-4.5", "8"),
        ("TIME-OFFSET=-12", "7"),
        ("TIME-OFFSET=-40", "0"),
        ("TIME-OFFSET=-4000", "0"),
        ('TIME-OFFSET="8"', "2"),
    ],
)
@pytest.mark.parametrize("over", [True, False])
@pytest.mark.parametrize("in_master", [True, False])
def test_viewers_begin_where_the_playlist_says(
    folder: Folder, start: str, name: str, over: bool, in_master: bool
) -> None:
    tag = f"#EXT-X-START:{start}"
    names = [f"{n}.ts" for n in range(10)]
    folder.write("index.m3u8", playlist(names, seconds=4.0, over=over, head="" if in_master else tag))
    if in_master:
        folder.write("master.m3u8", f"#EXTM3U\n{tag}\n#EXT-X-STREAM-INF:X=1\nindex.m3u8\n")
    stream = read_stream(folder.path)
    assert stream.after(None) == stream.main[int(name)]


def test_the_start_of_the_master_goes_before_and_an_unreadable_one_is_none(folder: Folder) -> None:
    folder.write("index.m3u8", playlist(["0.ts", "1.ts", "2.ts"], head="#EXT-X-START:TIME-OFFSET=4"))
    assert read_stream(folder.path).after(None) == read_stream(folder.path).main[2]
    folder.write("master.m3u8", "#EXTM3U\n#EXT-X-START:TIME-OFFSET=2\n#EXT-X-STREAM-INF:X=1\nindex.m3u8\n")
    assert read_stream(folder.path).after(None) == read_stream(folder.path).main[1]
    folder.write("master.m3u8", "#EXTM3U\n#EXT-X-START:TIME-OFFSET=late\n#EXT-X-STREAM-INF:X=1\nindex.m3u8\n")
    assert read_stream(folder.path).after(None) == read_stream(folder.path).main[2]
    assert "line 2 (#EXT-X-START:TIME-OFFSET=late)" in read_stream(folder.path).notes[0]


def test_segments_that_are_missing_play_too_where_time_is_counted(folder: Folder) -> None:
    names = ["0.ts", "#EXT-X-GAP\n1.ts", "http://elsewhere/2.ts", "3.ts", "4.ts"]
    for offset, name in ((0, "0.ts"), (2, "3.ts"), (5.9, "3.ts"), (6, "3.ts"), (8, "4.ts"), (-6.5, "3.ts")):
        folder.write("index.m3u8", playlist(names, head=f"#EXT-X-START:TIME-OFFSET={offset}"))
        stream = read_stream(folder.path)
        assert stream.after(None) == stream.find(name)
