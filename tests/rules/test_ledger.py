"""When a user is due: the earliest moment at which the sweep has anything to do there."""

from streamlimit.model import Mark, State
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
