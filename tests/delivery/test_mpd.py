"""Parsing of DASH manifests: irrelevant parts may have any form, relevant ones are read leniently, and safely."""

from pathlib import Path

import pytest

from streamlimit.delivery.catalog import Catalog
from streamlimit.delivery.entry import GRACE_SECONDS
from streamlimit.errors import CatalogError
from tests.delivery.stream_folders import Clock, Folder, mpd, read_stream, video_set

CASES = Path(__file__).parents[1] / "cases"
FIVE = [f"s{n}.m4s" for n in range(1, 6)]
TEMPLATE = '<SegmentTemplate timescale="1000" duration="2000" initialization="init.mp4" media="s$Number$.m4s"/>'
PLAIN = (
    '<?xml version="1.0" encoding="utf-8"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"'
    ' mediaPresentationDuration="PT10S">\n<Period id="p0">\n<AdaptationSet contentType="video" mimeType="video/mp4">'
    f'\n{TEMPLATE}\n<Representation id="v" bandwidth="500000"/></AdaptationSet>\n</Period></MPD>'
)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "streams" / "movie")


def names_of(folder: Folder, text: str) -> list[str]:
    folder.write("manifest.mpd", text)
    return [segment.name for segment in read_stream(folder.path).main]


def why(folder: Folder, text: str) -> str:
    folder.write("manifest.mpd", text)
    with pytest.raises(CatalogError) as raised:
        read_stream(folder.path)
    return str(raised.value)


@pytest.mark.parametrize("case", sorted(path.name for path in (CASES / "lenient-mpd-attributes/streams").iterdir()))
def test_an_odd_attribute_that_is_not_used_costs_no_stream(case: str) -> None:
    stream = read_stream(CASES / "lenient-mpd-attributes/streams" / case)
    assert [segment.name for segment in stream.main] == FIVE
    assert {segment.duration_ms for segment in stream.main} == {2000}
    assert stream.classify("init.mp4") == "init"


def test_a_comment_in_a_base_url_is_none_of_it() -> None:
    stream = read_stream(CASES / "baseurl-comment/streams/d-baseurl-comment")
    assert [segment.name for segment in stream.main] == [f"main/{name}" for name in FIVE]


ODD = {
    "string ids": ('<Period id="p0">', '<Period id="ad break/1">'),
    "widths": ("<Representation ", '<Representation width="640.0" height="x" maxPlayoutRate="" frameRate="25/" '),
    "sap": ("<AdaptationSet ", '<AdaptationSet startWithSAP="one" segmentAlignment="yes" group="a" lang="?" '),
    "adaptation id": ("<AdaptationSet ", '<AdaptationSet id="a.b" selectionPriority="1.5" par="16x9" '),
    "bandwidth in words": ('bandwidth="500000"', 'bandwidth="fast"'),
    "bandwidth missing": ('bandwidth="500000"', ""),
    "buffer times": ("<MPD ", '<MPD minBufferTime="2" maxSegmentDuration="x" timeShiftBufferDepth="" '),
    "dates": ("<MPD ", '<MPD availabilityStartTime="yesterday" publishTime="" minimumUpdatePeriod="soon" '),
    "early": ("<SegmentTemplate ", '<SegmentTemplate availabilityTimeOffset="INF" availabilityTimeComplete="no" '),
    "an offset not needed": ("<SegmentTemplate ", '<SegmentTemplate presentationTimeOffset="0.5" index="" '),
    "spaces around numbers": ('duration="2000"', 'duration=" 2000 "'),
    "numbers with a point": ('timescale="1000"', 'timescale="1000.000"'),
    "a plus": ('duration="2000"', 'duration="+2000"'),
    "events": ('<Period id="p0">', '<Period><EventStream><Event id="a-1"><S d="x"/></Event></EventStream>'),
    "emsg": ("<Representation ", '<InbandEventStream value=""/><Representation '),
    "drm": ("<Representation ", "<ContentProtection><cenc:pssh>AA</cenc:pssh></ContentProtection><Representation "),
    "labels": ("<AdaptationSet", '<AssetIdentifier/><Preselection id="x"/><Subset contains="a b"/><AdaptationSet'),
    "text everywhere": ('<Period id="p0">', 'x<Period id="p0">y &amp; z'),
    "prft": ("<MPD ", '<MPD xmlns:xsi="urn:i" xsi:schemaLocation="a b" '),
    "a BaseURL of another namespace": ('<Period id="p0">', '<Period><x:BaseURL xmlns:x="urn:x">http://x/</x:BaseURL>'),
    "an element of another namespace": ("<Representation ", '<Representation xmlns="urn:x"/><Representation '),
    "no namespace": (' xmlns="urn:mpeg:dash:schema:mpd:2011"', ""),
    "an older namespace": ("mpd:2011", "MPD:2009"),
    "no declaration": ('<?xml version="1.0" encoding="utf-8"?>\n', ""),
    "a blank line first": ("<?xml", "\n \n<?xml"),
    "another encoding declared": ("utf-8", "ISO-8859-1"),
    "a comment anywhere": ('<Period id="p0">', "<!-- <Period> <!DOCTYPE MPD> & <!ENTITY --><Period><!---->"),
    "a processing instruction": ('<Period id="p0">', '<?x <BaseURL> ?><Period id="p0">'),
    "text as it is": ('<Period id="p0">', "<Period><Label><![CDATA[<!DOCTYPE <BaseURL>]]></Label>"),
    "a duration in parts of hours": ("PT10S", "P0Y0M0DT0H0M10.000S"),
    "a duration with a comma": ("PT10S", "PT10,0S"),
    "a duration in lower case": ("PT10S", "pt10s"),
    "a start that makes no sense": ('<Period id="p0">', '<Period duration="PT10S" start="soon">'),
    "a type in capitals": ('type="static"', 'type="STATIC"'),
    "a content type in capitals": ('contentType="video"', 'contentType="Video"'),
    "carriage returns": ("\n", "\r\n"),
}  # fmt: skip


@pytest.mark.parametrize("odd", ODD)
def test_what_is_not_needed_may_have_any_form(folder: Folder, odd: str) -> None:
    old, new = ODD[odd]
    assert old in PLAIN
    assert names_of(folder, PLAIN.replace(old, new)) == FIVE


def test_prefixes_may_be_of_any_kind(folder: Folder) -> None:
    prefixed = PLAIN.replace("xmlns=", "xmlns:d=")
    for name in ("MPD", "Period", "AdaptationSet", "SegmentTemplate", "Representation"):
        prefixed = prefixed.replace(f"<{name}", f"<d:{name}").replace(f"</{name}", f"</d:{name}")
    assert names_of(folder, prefixed) == FIVE
    assert names_of(folder, prefixed.replace("xmlns:d=", "xmlns:e=")) == FIVE  # not declared


@pytest.mark.parametrize(
    "url",
    [
        "main/",
        "\n  main/\t",
        "<![CDATA[main/]]>",
        "ma<!-- x -->in/",
        "&#109;ain/",
        "<!-- a --><!-- b -->main/",
        "main/<x>no/</x>",
    ],
)
def test_a_base_url_is_its_text(folder: Folder, url: str) -> None:
    named = PLAIN.replace("<AdaptationSet", f"<BaseURL serviceLocation='x'>{url}</BaseURL><AdaptationSet")
    assert names_of(folder, named) == [f"main/{name}" for name in FIVE]


def test_an_empty_base_url_changes_nothing(folder: Folder) -> None:
    assert (
        names_of(folder, PLAIN.replace("<AdaptationSet", "<BaseURL/><BaseURL> <!-- x --> </BaseURL><AdaptationSet"))
        == FIVE
    )


@pytest.mark.parametrize("bandwidth", ["500000", "500000.0", " 500000 "])
def test_a_bandwidth_in_a_name_is_a_whole_number(folder: Folder, bandwidth: str) -> None:
    named = PLAIN.replace('bandwidth="500000"', f'bandwidth="{bandwidth}"').replace(
        "s$Number$", "$Bandwidth$-$Number%03x$"
    )
    assert names_of(folder, named)[0] == "500000-001.m4s"


@pytest.mark.parametrize(
    "prolog",
    [
        "<!DOCTYPE MPD>",
        '<!DOCTYPE MPD SYSTEM "http://127.0.0.1:9/x.dtd">',
        '<!DOCTYPE MPD [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>',
        '<!DOCTYPE MPD [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE MPD [<!ENTITY % x SYSTEM "file:///etc/passwd"> %x;]>',
    ],
)
def test_a_document_type_is_refused_with_its_line(folder: Folder, prolog: str) -> None:
    told = why(folder, PLAIN.replace("<MPD", prolog + "\n<MPD"))
    assert told.startswith("the stream cannot be served: manifest.mpd: line 2")
    assert "DOCTYPE" in told
    assert "root:" not in told


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('timescale="1000"', 'timescale="fast"', "manifest.mpd: line 5: the timescale of SegmentTemplate, 'fast', is"),
        ('timescale="1000"', 'timescale="-1"', "line 5: the timescale of SegmentTemplate, '-1', is negative"),
        ('duration="2000"', 'duration="1e9"', "line 5: the duration of SegmentTemplate, '1e9', is no number"),
        ("<SegmentTemplate", '<SegmentTemplate startNumber="1_0"', "line 5: the startNumber of SegmentTemplate"),
        ('duration="2000"', 'duration="0.001"', "manifest.mpd: line 5: SegmentTemplate makes 10000000 segments"),
        ("</AdaptationSet>", "</Adaptation>", "manifest.mpd: line 6, in AdaptationSet: mismatched tag"),
        ("<Period", "<Period & ", "manifest.mpd: line 3, in MPD: not well-formed"),
        ("<Period ", "<Label>&nbsp;</Label><Period ", "manifest.mpd: line 3, in Label: undefined entity"),
        ("MPD", "html", "manifest.mpd: line 2, in html: this is no MPD"),
    ],
)  # fmt: skip
def test_a_reason_names_file_line_and_element(folder: Folder, old: str, new: str, told: str) -> None:
    assert told in why(folder, PLAIN.replace(old, new))


def test_a_reason_is_plain_and_short_whatever_stands_there(folder: Folder) -> None:
    told = why(folder, PLAIN.replace('timescale="1000"', f'timescale="\u202e&#10;{"x" * 9000}"'))
    assert told.isascii()
    assert told.isprintable()
    assert len(told) < 200


def test_a_presentation_of_unknown_length_is_what_is_on_disk(folder: Folder) -> None:
    folder.media("s1.m4s", "s2.m4s", "s3.m4s")
    assert names_of(folder, PLAIN.replace("PT10S", "ten seconds")) == ["s1.m4s", "s2.m4s", "s3.m4s"]
    assert "mediaPresentationDuration of MPD, 'ten seconds', is no duration" in read_stream(folder.path).notes[0]


def test_a_remote_period_is_not_fetched_and_one_that_resolves_to_nothing_is_none(folder: Folder) -> None:
    remote = '<Period xmlns:xlink="urn:l" xlink:href="http://127.0.0.1:9/p.xml"/>'
    gone = '<Period xmlns:xlink="urn:l" xlink:href="urn:mpeg:dash:resolve-to-zero:2013" start="PT5S"/>'
    folder.write("manifest.mpd", PLAIN.replace("</Period>", f"</Period>{gone}"))
    assert read_stream(folder.path).segments == 5
    assert read_stream(folder.path).notes == ()
    folder.write(
        "manifest.mpd",
        PLAIN.replace("</Period>", f"</Period>{remote}").replace("<Period id", '<Period duration="PT10S" id'),
    )
    assert read_stream(folder.path).segments == 5
    assert "is not fetched" in read_stream(folder.path).notes[0]


def test_a_foreign_host_is_named_in_a_note(folder: Folder) -> None:
    away = f"<BaseURL>https://cdn.example/x/</BaseURL>{TEMPLATE}"
    folder.write("manifest.mpd", mpd(f"<Period>{video_set(away)}{video_set(TEMPLATE)}</Period>"))
    stream = read_stream(folder.path)
    assert stream.segments == 5
    assert "https://cdn.example/x/" in stream.notes[0]


def test_a_dynamic_manifest_that_is_bad_for_a_moment_keeps_the_last_good_one(folder: Folder) -> None:
    clock, told = Clock(), list[str | None]()
    catalog = Catalog(folder.path.parent, lambda _, why: told.append(why), clock)
    rows = '<SegmentTimeline><S t="0" d="2000" r="3"/></SegmentTimeline>'
    live = (
        PLAIN.replace('"static"', '"dynamic"')
        .replace(' duration="2000"', "")
        .replace("/>", f">{rows}</SegmentTemplate>", 1)
    )
    folder.write("manifest.mpd", live)
    assert catalog.stream("movie").segments == 4
    for bad in ("", live[:-20], live.replace('d="2000"', 'd="soon"'), live.replace("<MPD", "<!DOCTYPE MPD><MPD")):
        folder.write("manifest.mpd", bad)
        clock.tick(0.25)
        assert catalog.stream("movie").segments == 4
    assert told == []
    folder.write("manifest.mpd", live.replace('r="3"', 'r="4"'))
    clock.tick(0.25)
    assert catalog.stream("movie").segments == 5
    for bad in ("<html>", live.replace('d="2000"', 'd="soon"')):
        for _ in range(3):
            folder.write("manifest.mpd", bad)
            clock.tick(GRACE_SECONDS)
            assert catalog.stream("movie").segments == 5
    assert told == ["manifest.mpd: line 1, in html: this is no MPD", catalog.problems["movie"]]
    assert "line 5: the d of S, 'soon', is no number" in catalog.problems["movie"]
    folder.write("manifest.mpd", live.replace('r="3"', 'r="5"'))
    clock.tick(0.25)
    assert catalog.stream("movie").segments == 6
    assert told[2:] == [None]


def test_a_representation_that_makes_no_sense_costs_no_other(folder: Folder) -> None:
    odd = TEMPLATE.replace('"1000"', '"fast"')
    text = odd.join(('<AdaptationSet contentType="text">', '<Representation id="t"/></AdaptationSet>'))
    for content in (text, text.replace("text", "video"), text.replace("text", "audio")):
        folder.write("manifest.mpd", PLAIN.replace("<AdaptationSet", f"{content}<AdaptationSet", 1))
        catalog = Catalog(folder.path.parent, clock=Clock())
        assert [segment.name for segment in catalog.stream("movie").main] == FIVE
        assert "the timescale of SegmentTemplate, 'fast', is no number" in catalog.problems["movie"]


def test_a_representation_that_makes_no_sense_for_a_while_keeps_its_segments_and_its_numbers(folder: Folder) -> None:
    clock = Clock()
    catalog = Catalog(folder.path.parent, clock=clock)
    sets = video_set(TEMPLATE.replace("1000", "1000.0")) + video_set(TEMPLATE)
    folder.write("manifest.mpd", mpd(f"<Period>{sets}</Period>", live=True))
    folder.media(*FIVE)
    good = [segment.name for segment in catalog.stream("movie").main]
    folder.write("manifest.mpd", mpd(f"<Period>{sets}</Period>".replace("1000.0", "fast"), live=True))
    for _ in range(3):
        clock.tick(GRACE_SECONDS)
        assert [segment.name for segment in catalog.stream("movie").main] == good
    assert "the timescale of SegmentTemplate, 'fast'" in catalog.problems["movie"]


LIST = (
    '<SegmentList timescale="1000" duration="2000"><Initialization sourceURL="init.mp4" range="0-9"/>'
    + "".join(f'<SegmentURL media="{name}"/>' for name in FIVE)
    + "</SegmentList>"
)


@pytest.mark.parametrize(
    ("old", "new", "left"),
    [
        ('range="0-9"', 'range="all"', FIVE),
        ('media="s3.m4s"', 'media="s3.m4s" mediaRange="9-1"', FIVE[:2] + FIVE[3:]),
        ('media="s3.m4s"', 'media="s3.m4s" indexRange="?" index="#"', FIVE),
    ],
)
def test_a_range_that_makes_no_sense_costs_what_it_speaks_of(
    folder: Folder, old: str, new: str, left: list[str]
) -> None:
    assert names_of(folder, PLAIN.replace(TEMPLATE, LIST.replace(old, new))) == left


@pytest.mark.parametrize("index", ["x", "9-1", f"0-{10**18}"])
def test_an_index_that_is_none_makes_one_segment_and_takes_no_memory(folder: Folder, index: str) -> None:
    one = f'<BaseURL>one.mp4</BaseURL><SegmentBase indexRange="{index}"/>'
    folder.write("one.mp4", b"x" * 100)
    stream = names_of(folder, mpd(f"<Period>{video_set(one)}</Period>"))
    assert [name.partition("@")[0] for name in stream] == ["one.mp4"]


def test_a_number_may_be_formatted_without_a_width(folder: Folder) -> None:
    for form, first in (("%d", "s1.m4s"), ("%01d", "s1.m4s"), ("%3d", "s001.m4s"), ("%02x", "s01.m4s")):
        assert names_of(folder, PLAIN.replace("$Number$", f"$Number{form}$"))[0] == first


def test_a_manifest_of_many_elements_that_we_do_not_need_is_read_in_passing(folder: Folder) -> None:
    deep = "<a>" * 20_000 + "</a>" * 20_000
    assert names_of(folder, PLAIN.replace("<AdaptationSet", f"<Metrics>{deep}</Metrics><AdaptationSet")) == FIVE
