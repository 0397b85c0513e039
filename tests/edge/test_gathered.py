"""Waiting lines of an access log: which are due, in which order, and which lines one of them replaces."""

import json
import re

import pytest

from streamlimit.edge.access_log import report_in
from streamlimit.edge.gathered import MOST, Gathered, arrived_whole
from tests.edge.programs import DEPLOY

AGAIN = 3.0


def line(path: str, **changed: str) -> bytes:
    told = {
        "request_method": "GET", "request_uri": path, "status": "200", "request_completion": "OK",
        "body_bytes_sent": "1000", "sent_http_content_length": "1000", "msec": "1764403200.123",
    }  # fmt: skip
    return b"<190>Nov 28 22:43:27 sl: " + json.dumps(told | changed, separators=(",", ":")).encode()


@pytest.fixture
def gathered() -> Gathered:
    return Gathered(AGAIN)


def test_the_first_is_due_at_once_and_of_those_that_follow_the_newest_when_its_time_has_come(
    gathered: Gathered,
) -> None:
    assert not gathered
    lines = [line(f"/play/G/film/v/seg-{number}.m4s") for number in range(6)]
    gathered.add(lines[:2], 0)
    assert gathered.take(0.1) == [lines[0]]
    gathered.add([lines[2]], 1)
    gathered.add([lines[3]], 2)
    assert gathered.take(2.9) == []
    assert gathered
    assert gathered.take(3) == [lines[3]]
    assert not gathered
    gathered.add([lines[4]], 5.9)
    assert gathered.take(5.9) == []
    assert gathered.take(6) == [lines[4]]
    assert gathered.take(9) == []
    gathered.add([lines[5]], 9)
    assert gathered.take(9) == [lines[5]], "nothing was counted for so long: it need not wait"


def test_each_rendition_stream_and_session_has_its_own_time(gathered: Gathered) -> None:
    first = ["G/film/v/1.ts", "G/film/a/1.ts", "H/film/v/1.ts", "G/film/v/s1.ts"]
    lines = [line(f"/play/{path}") for path in first]
    gathered.add(lines, 0)
    assert gathered.take(0) == lines


def test_what_waits_of_a_session_goes_before_its_next_line_of_anything_else(gathered: Gathered) -> None:
    """The last that is counted says where the session is: a move, or another play, stays the last."""
    lines = [line(f"/play/{path}") for path in ("G~1/film/1.ts", "G~1/film/2.ts", "H/film/1.ts", "H/film/2.ts")]
    gathered.add(lines, 0)
    assert gathered.take(0) == [lines[0], lines[2]]
    for later in (line("/play/G~1/news/1.ts"), line("/play/G~2/news/1.ts")):
        gathered.add([lines[1], later], 1)
        assert gathered.take(1) == [lines[1], later]
    assert gathered.take(AGAIN) == [lines[3]]


def test_all_of_a_session_that_waits_goes_with_the_first_of_it(gathered: Gathered) -> None:
    video, audio = ([line(f"/play/G/film/{kind}/{number}.ts") for number in (1, 2)] for kind in "va")
    gathered.add([video[0]], 0)
    gathered.add([audio[0]], 2)
    assert gathered.take(2) == [video[0], audio[0]]
    gathered.add([audio[1]], 2.5)
    gathered.add([video[1]], 2.6)
    assert gathered.take(3) == [audio[1], video[1]]


def test_of_two_renditions_that_wait_the_one_with_the_newest_line_is_the_last(gathered: Gathered) -> None:
    high, low = ([line(f"/play/G/film/{kind}/{number}.ts") for number in (1, 2, 3)] for kind in ("high", "low"))
    gathered.add([high[0], low[0]], 0)
    assert gathered.take(0) == [high[0], low[0]]
    gathered.add([high[1], low[1], high[2]], 1)
    assert gathered.take(AGAIN) == [low[1], high[2]]


@pytest.mark.parametrize(
    "changed",
    [
        {"request_completion": ""},
        {"body_bytes_sent": "999"},
        {"status": "404"},
        {"status": "304", "body_bytes_sent": "0", "sent_http_content_length": ""},
        {"request_method": "HEAD"},
        {"body_bytes_sent": "0", "sent_http_content_length": "0"},
    ],
)
def test_what_did_not_arrive_waits_for_nothing_and_takes_no_place(gathered: Gathered, changed: dict[str, str]) -> None:
    whole, newer, other = line("/play/G/film/1.ts"), line("/play/G/film/2.ts"), line("/play/G/film/3.ts", **changed)
    gathered.add([whole, newer, other], 0)
    assert gathered.take(0) == [whole, other]
    assert gathered.take(AGAIN) == [newer]


@pytest.mark.parametrize(
    "odd",
    [
        *(b"", b"nonsense", b"{", b'{"request_uri":"/play/G/film/1.ts"}'),
        *(line("/film/1.ts?grant=G"), line("/favicon.ico"), line("/play/G/film/index.m3u8")),
        *(line("/play/G/film/all"), line('/play/G/fi"lm/1.ts'), line("/play//film/1.ts")),
    ],
)
def test_any_other_line_is_due_at_once(gathered: Gathered, odd: bytes) -> None:
    assert arrived_whole(odd) is None
    gathered.add([odd, odd], 0)
    assert gathered.take(0) == [odd, odd]


@pytest.mark.parametrize(
    ("path", "other"),
    [
        ("/play/G~1/film/v1/seg-00012.m4s", "/play/G~1/film/v1/seg-00013.m4s"),
        ("/play/G/film/12.ts?CMCD=bl%3D1&x=9", "/play/G/film/13.ts"),
        ("/play/G/film 2/a.1.12b.ts", "/play/G/film 2/a.1.1b.ts"),
        ("/play/G/film/1/2.ts", "/play/G/film/1/3.ts"),
        ("/play/G/film/1/2.ts", "/play/G/film/2/2.ts"),
        ("/play/G/film/v2.m4s", "/play/G/film/v2.mp4"),
    ],
)
def test_two_lines_are_of_one_rendition_where_their_reports_are(path: str, other: str) -> None:
    found, beside = arrived_whole(line(path)), arrived_whole(line(other))
    one, two = report_in(line(path)), report_in(line(other))
    assert found is not None
    assert beside is not None
    assert one is not None
    assert two is not None
    assert one.is_received
    assert (found[1], found[3]) != (beside[1], beside[3]) or one.rendition == two.rendition
    assert ((found[1], found[3]) == (beside[1], beside[3])) == (one.rendition == two.rendition)
    assert found[2] == b"G"


@pytest.mark.parametrize("recipe", ["nginx-accel.conf", "nginx-auth-request.conf"])
def test_the_recipes_write_their_lines_in_the_order_that_is_known_by_one_look(recipe: str) -> None:
    text = (DEPLOY / recipe).read_text()
    written = "".join(re.findall(r"'(.*)'", text[text.index("log_format delivered") : text.index("access_log off")]))
    values = {"request_method": "GET", "request_uri": "/play/G/film/1.ts", "status": "200", "request_completion": "OK"}
    for name, value in (values | {"body_bytes_sent": "9", "sent_http_content_length": "9", "msec": "1.5"}).items():
        written = written.replace(f'"${name}"', f'"{value}"')
    assert arrived_whole(written.encode())


def test_of_too_many_lines_the_oldest_are_dropped_and_counted(gathered: Gathered) -> None:
    gathered.add([b"%d" % number for number in range(MOST + 3)], 0)
    assert (gathered.dropped(), gathered.dropped()) == (3, 0)
    found = gathered.take(0)
    assert (len(found), found[0]) == (MOST, b"3")


def test_a_burst_of_one_session_is_two_lines_however_long_it_is(gathered: Gathered) -> None:
    gathered.add([line(f"/play/G/film/{number}.ts") for number in range(MOST * 2)], 0)
    assert gathered.take(0) + gathered.take(AGAIN) == [
        line("/play/G/film/0.ts"),
        line(f"/play/G/film/{MOST * 2 - 1}.ts"),
    ]
    assert gathered.dropped() == 0
