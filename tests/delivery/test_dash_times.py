"""DASH's clocks: which segments a period plays, by the offset of its media's clock, and that no more are issued."""

from pathlib import Path

import pytest

from tests.delivery.stream_folders import Folder, mpd, read_stream, video_set

CASES = Path(__file__).parents[1] / "cases"


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "streams" / "movie")


def names_of(folder: Folder, periods: str, live: bool = False) -> list[str]:
    folder.write("manifest.mpd", mpd(periods, live=live))
    stream = read_stream(folder.path)
    assert stream.live or stream.after(stream.main[-1].sequence) is None
    return [segment.name for segment in stream.main]


def timed(rows: str, attributes: str = "", media: str = "t$Time$.m4s") -> str:
    table = f"<SegmentTimeline>{rows}</SegmentTimeline>"
    return video_set(f'<SegmentTemplate timescale="1000" media="{media}" {attributes}>{table}</SegmentTemplate>')


def counted(attributes: str, media: str = "$Number$.m4s") -> str:
    return video_set(f'<SegmentTemplate timescale="1000" media="{media}" {attributes}/>')


def offset(ticks: float) -> str:
    return f'presentationTimeOffset="{ticks}"'


def named(*times: int) -> list[str]:
    return [f"t{time}.m4s" for time in times]


def test_the_last_segment_of_a_timeline_with_an_offset_is_issued() -> None:
    stream = read_stream(CASES / "timeline-r-minus-one-pto/streams/d-r-neg-pto")
    assert [segment.name for segment in stream.main] == named(*range(60000, 71000, 2000))
    assert stream.after(5) is None


@pytest.mark.parametrize(
    ("begin", "rows", "times"),
    [
        (61000, '<S t="60000" d="2000" r="-1"/>', range(60000, 71000, 2000)),
        (60000, '<S t="60000" d="2000" r="-1"/>', range(60000, 70000, 2000)),
        (55000, '<S t="60000" d="2000" r="-1"/>', range(60000, 65000, 2000)),
        (61000, '<S t="50000" d="2000" r="-1"/>', range(60000, 71000, 2000)),
        (61000, '<S t="50000" d="2000" r="20"/>', range(60000, 71000, 2000)),
        (61000, '<S t="60000" d="2000" r="1"/><S d="3000" r="-1"/>', (60000, 62000, 64000, 67000, 70000)),
        (61000, '<S t="60000" d="2000" r="-1"/><S t="66000" d="4000" r="-1"/>', (60000, 62000, 64000, 66000, 70000)),
        (61000.0, '<S t="60000.0" d="2000.0" r="-1.0"/>', range(60000, 71000, 2000)),
        (0, '<S t="0" d="2000" r="-1"/>', range(0, 10000, 2000)),
        (0, '<S t="4000" d="2000" r="-1"/>', range(4000, 10000, 2000)),
        (90_000_000_000_000_001, '<S t="90000000000000001" d="5000" r="-1"/>', (90000000000000001, 90000000000005001)),
        (61000, '<S t="0" d="2000" r="4"/>', range(0, 10000, 2000)),  # nothing would be left: the offset is wrong
    ],
)
def test_a_timeline_plays_what_its_period_shows(folder: Folder, begin: float, rows: str, times: list[int]) -> None:
    period = f'<Period duration="PT10S">{timed(rows, offset(begin))}</Period>'
    assert names_of(folder, period) == named(*times)


def test_an_offset_is_inherited(folder: Folder) -> None:
    rows = '<SegmentTimeline><S t="60000" d="2000" r="-1"/></SegmentTimeline>'
    above = '<SegmentTemplate timescale="1000" presentationTimeOffset="61000"/>'
    inside = video_set(f'<SegmentTemplate media="t$Time$.m4s">{rows}</SegmentTemplate>')
    assert len(names_of(folder, f'<Period duration="PT10S">{above}{inside}</Period>')) == 6


def test_periods_cut_from_one_long_timeline_play_their_own_part(folder: Folder) -> None:
    rows = '<S t="0" d="2000" r="4"/>'
    periods = "".join(
        f'<Period start="PT{at}S" duration="PT{long}S">{timed(rows, offset(from_ms))}</Period>'
        for at, long, from_ms in ((0, 4, 0), (4, 6, 4000))
    )
    assert names_of(folder, periods) == named(0, 2000, 4000, 6000, 8000)
    assert [s.sequence for s in read_stream(folder.path).main] == list(range(5))


def test_a_period_whose_timeline_has_no_offset_is_not_emptied(folder: Folder) -> None:
    one, two = (timed(f'<S t="{t}" d="2000" r="1"/>') for t in (0, 60000))
    assert names_of(folder, f'<Period duration="PT4S">{one}</Period><Period duration="PT4S">{two}</Period>') == named(
        0, 2000, 60000, 62000
    )


@pytest.mark.parametrize(
    ("attributes", "numbers"),
    [
        ('duration="2000"', range(1, 6)),
        ('duration="2000" startNumber="0"', range(5)),
        ('duration="2000" startNumber="7" presentationTimeOffset="12000"', range(7, 12)),
        ('duration="3000"', range(1, 5)),
        ('duration="2000" endNumber="3"', range(1, 4)),
        ('duration="2000" startNumber="0" endNumber="0"', range(1)),
        ('duration="2000" eptDelta="-1000"', range(1, 7)),
        ('duration="2000" eptDelta="1000"', range(1, 6)),
        ('duration="2500.5"', range(1, 5)),
        ('duration="2000" availabilityTimeOffset="7.5"', range(1, 6)),
    ],
)
def test_equal_durations_are_counted(folder: Folder, attributes: str, numbers: range) -> None:
    assert names_of(folder, f"<Period>{counted(attributes)}</Period>") == [f"{n}.m4s" for n in numbers]


def test_an_end_number_ends_a_timeline_and_a_number_in_it_counts_from_there(folder: Folder) -> None:
    rows = '<S t="0" d="2000" r="1"/><S n="9" d="2000" r="2"/>'
    ended = timed(rows, 'startNumber="0" endNumber="10"', "$Number$.m4s")
    assert names_of(folder, f"<Period>{ended}</Period>") == ["0.m4s", "1.m4s", "9.m4s", "10.m4s"]


def test_times_counted_by_a_duration_begin_where_the_files_do(folder: Folder) -> None:
    cut = counted('duration="5000" presentationTimeOffset="60000"', "t$Time$.m4s")
    assert names_of(folder, f"<Period>{cut}</Period>") == named(0, 5000)
    folder.media("t60000.m4s")
    assert names_of(folder, f"<Period>{cut}</Period>") == named(60000, 65000)


def test_a_duration_counts_before_a_timeline_further_up(folder: Folder) -> None:
    above = (
        '<SegmentTemplate media="$Number$.m4s"><SegmentTimeline><S d="1" r="3"/></SegmentTimeline></SegmentTemplate>'
    )
    inside = video_set('<SegmentTemplate duration="5"/>')
    assert names_of(folder, f"<Period>{above}{inside}</Period>") == ["1.m4s", "2.m4s"]


def test_a_list_of_files_plays_what_its_period_shows(folder: Folder) -> None:
    urls = "".join(f'<SegmentURL media="t{t}.m4s"/>' for t in range(0, 20000, 2000))
    rows = '<SegmentTimeline><S t="0" d="2000" r="9"/></SegmentTimeline>'
    listed = f'<SegmentList timescale="1000" startNumber="0" presentationTimeOffset="5000">{rows}{urls}</SegmentList>'
    assert names_of(folder, f"<Period>{video_set(listed)}</Period>") == named(*range(4000, 15000, 2000))


def test_a_live_period_is_numbered_by_when_it_plays(folder: Folder) -> None:
    """The ad between two parts of a channel has a clock of its own."""
    parts = ((100, 100000), (104, 0), (108, 104000))
    rows = '<S t="{}" d="2000" r="1"/>'
    periods = "".join(
        f'<Period start="PT{at}S">{timed(rows.format(from_ms), offset(from_ms))}</Period>' for at, from_ms in parts
    )
    assert names_of(folder, periods, live=True) == named(100000, 102000, 0, 2000, 104000, 106000)
    assert [s.sequence for s in read_stream(folder.path).main] == list(range(100000, 112000, 2000))
    slid = periods[periods.index('<Period start="PT104S"') :]
    names_of(folder, slid, live=True)
    assert [s.sequence for s in read_stream(folder.path).main] == list(range(104000, 112000, 2000))


def test_live_periods_share_a_folder_without_sharing_segments(folder: Folder) -> None:
    folder.media(*(f"{n}.m4s" for n in range(1, 7)))
    one = counted('duration="2000"')
    two = counted('duration="2000" startNumber="3"')
    periods = f'<Period start="PT0S">{one}</Period><Period start="PT4S">{two}</Period>'
    assert names_of(folder, periods, live=True) == [f"{n}.m4s" for n in range(1, 7)]
    assert [s.sequence for s in read_stream(folder.path).main] == list(range(1, 7))
