"""When a user is due: the earliest moment at which the sweep has anything to do there. And what is too far away."""

from streamlimit.model import Mark, State
from streamlimit.policy import Policy
from streamlimit.rules.ledger import LOOK_AGAIN_MS, Ledger, Seat

NOW_MS = 1_750_000_000_000


def seat(expires_at_ms: int) -> Seat:
    return Seat("tv", "news", NOW_MS, NOW_MS, expires_at_ms)


def mark(until_ms: int) -> Mark:
    return Mark("pad", NOW_MS, State.ENDED, NOW_MS, until_ms)


def test_the_first_seat_or_mark_to_lapse_says_when() -> None:
    for first, second in ((1, 2), (2, 1)):
        seats, marks = [seat(NOW_MS + first), seat(NOW_MS + 9)], [mark(NOW_MS + 9), mark(NOW_MS + second)]
        assert Ledger(seats, marks).due_at_ms(NOW_MS) == NOW_MS + 1
        assert Ledger(seats[::-1], marks[::-1]).due_at_ms(NOW_MS) == NOW_MS + 1


def test_a_budget_or_a_limit_that_ends_waits_until_all_sessions_have_lapsed() -> None:
    lapses = [seat(NOW_MS + 9)], [mark(NOW_MS + 8)]
    assert Ledger(*lapses, spent_until_ms=NOW_MS + 1, limit_until_ms=NOW_MS + 2).due_at_ms(NOW_MS) == NOW_MS + 8
    assert Ledger(spent_until_ms=NOW_MS + 3, limit_until_ms=NOW_MS + 2).due_at_ms(NOW_MS) == NOW_MS + 3


def test_the_sweep_looks_at_a_limit_when_it_ends_or_in_a_minute() -> None:
    for ends_in_ms in (1, LOOK_AGAIN_MS, LOOK_AGAIN_MS + 1):
        due_ms = Ledger(max_sessions=1, limit_until_ms=NOW_MS + ends_in_ms).due_at_ms(NOW_MS)
        assert due_ms == NOW_MS + min(ends_in_ms, LOOK_AGAIN_MS)


def test_a_limit_for_good_is_due_never() -> None:
    assert Ledger(max_sessions=1).due_at_ms(NOW_MS) is None


def test_as_far_away_as_may_be_holds_and_a_millisecond_farther_was_written_before_the_clock_went_back() -> None:
    policy = Policy()
    for beyond in (0, 1):
        far_ms, spent_ms = NOW_MS + policy.far_ms + beyond, NOW_MS + policy.spent_far_ms + beyond
        ledger = Ledger([seat(far_ms)], [mark(far_ms)], spent_until_ms=spent_ms)
        ledger.mend(policy, NOW_MS)
        mended = ledger.seats[0].expires_at_ms, ledger.marks[0].until_ms, ledger.spent_until_ms
        assert mended == ((NOW_MS, NOW_MS, 0) if beyond else (far_ms, far_ms, spent_ms))
