"""What is remembered of a session for rule 8: until when, and how much."""

from streamlimit.model import Ask
from streamlimit.policy import Policy
from streamlimit.rules.ledger import Left, Position, Seat
from streamlimit.rules.plays import take_over
from streamlimit.rules.sharing import (
    PARTS,
    is_repeat,
    is_return,
    is_shared,
    note_left,
    note_position,
    place_of,
    with_one_more,
)

NOW_MS = 1_750_000_000_000
POLICY = Policy(max_returns=3)
X = POLICY.segment_ms


def seat(stream_id: str = "news") -> Seat:
    return Seat("tv", stream_id, NOW_MS - 60_000, NOW_MS - 60_000, NOW_MS + POLICY.expiry_ms, NOW_MS - 1, play=1)


def test_a_return_or_a_repeat_of_n_x_ago_is_over_and_no_more_are_kept_than_can_matter() -> None:
    assert with_one_more([NOW_MS - POLICY.expiry_ms], POLICY, NOW_MS) == [NOW_MS]
    times: list[int] = []
    for number in range(9):
        times = with_one_more(times, POLICY, NOW_MS + number)
    assert times == [NOW_MS + number for number in range(5, 9)]


def test_a_change_of_plays_of_n_x_ago_is_over() -> None:
    session = seat()
    session.changes = [NOW_MS - POLICY.expiry_ms, NOW_MS - 1]
    assert take_over(session, 2, NOW_MS, POLICY, NOW_MS)
    assert (session.changes, session.is_locked) == ([NOW_MS - 1, NOW_MS], False)
    session = seat()
    session.changes = [NOW_MS - POLICY.expiry_ms]
    assert take_over(session, 0, NOW_MS - POLICY.expiry_ms - 1, POLICY, NOW_MS), "asked for before that change"


def test_a_stream_left_twice_takes_the_place_of_no_other() -> None:
    session = seat("news")
    session.left = [Left("film", NOW_MS - 2), Left("news", NOW_MS - 1)]
    note_left(session, POLICY, NOW_MS)
    assert session.left == [Left("film", NOW_MS - 2), Left("news", NOW_MS)]
    session.stream_id = "sport"
    assert is_return(session, "film", POLICY, NOW_MS)


def test_a_stream_left_2_x_ago_is_forgotten() -> None:
    session = seat("news")
    session.left = [Left("film", NOW_MS - 2 * X)]
    note_left(session, POLICY, NOW_MS)
    assert session.left == [Left("news", NOW_MS)]


def test_parts_are_places_of_their_segment_and_those_beyond_the_last_are_one_with_it() -> None:
    places = [place_of(7, part) for part in range(PARTS)]
    assert places == sorted(set(places))
    assert place_of(7, PARTS) == place_of(7, PARTS + 1) == places[-1] < place_of(8, 0)


def test_after_an_address_that_nobody_knows_no_other_is_a_second_one() -> None:
    session = seat()
    note_position(session, "video", 9, 0, "")
    assert not is_repeat(session, "video", 9, 0, "here")
    note_position(session, "video", 9, 0, "here")
    note_position(session, "video", 9, 0, "")
    assert is_repeat(session, "video", 9, 0, "elsewhere")


def test_one_repeat_too_many_is_refused_to_the_play_that_plays_and_not_to_a_younger_one_that_takes_over() -> None:
    session = seat("news")
    session.positions = {"video": Position(place_of(9, 0), "here")}
    session.repeats = [NOW_MS - 1] * POLICY.max_returns

    def is_refused(play: int, client: str) -> bool:
        ask = Ask("user", "tv", "news", client=client, sequence=9, lease_id="one", play=play)
        return is_shared(session, ask, POLICY, NOW_MS)

    assert is_refused(1, "elsewhere")
    assert not is_refused(1, "here")
    assert not is_refused(2, "elsewhere")
