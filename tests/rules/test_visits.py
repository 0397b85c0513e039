"""Visits, where the store contract does not reach."""

from streamlimit.model import Ask
from streamlimit.policy import Policy
from streamlimit.rules.ledger import Ledger, Paid, Seat
from streamlimit.rules.visits import give_back, is_visit

NOW_MS = 1_750_000_000_000
POLICY = Policy()


def test_a_stream_that_was_paid_for_is_not_paid_again_by_a_reload_before_its_first_segment() -> None:
    paid = Paid("film", NOW_MS - 1, play=1)
    seat = Seat("tv", "news", NOW_MS - 60_000, NOW_MS - 60_000, NOW_MS + 18_000, NOW_MS - 6_000, play=1, paid=paid)
    assert not is_visit(seat, Ask("user", "tv", "film", play=2), POLICY, NOW_MS)
    assert is_visit(seat, Ask("user", "tv", "sport", play=2), POLICY, NOW_MS)


def test_a_visit_that_is_given_back_to_a_whole_budget_leaves_it_whole() -> None:
    seat, ledger = Seat("tv", "news", NOW_MS, NOW_MS, NOW_MS + 18_000), Ledger()
    give_back(ledger, seat, 6_000, 3, POLICY, NOW_MS + 6_000)
    assert (ledger.spent_until_ms, seat.paid) == (0, Paid("news", 0))
