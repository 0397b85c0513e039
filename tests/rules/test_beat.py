"""A heartbeat: its two steps at once come to what they come to one by one, and what happens between them counts."""

import pytest
from msgspec.structs import replace

from streamlimit.model import (
    Admitted,
    Ask,
    Confirmed,
    Event,
    Gone,
    Lease,
    Purpose,
    Receipt,
    Refusal,
    Session,
    State,
)
from streamlimit.policy import Policy
from streamlimit.rules.admit import admit
from streamlimit.rules.beat import beat, beaten
from streamlimit.rules.confirm import confirm
from streamlimit.rules.grants import Grants, kill
from streamlimit.rules.ledger import Ledger

NOW_MS = 1_750_000_000_000
ASK = Ask("user", "tv", "news")
POLICY = Policy()
LEASE, SEAT = Purpose.LEASE, Purpose.SEAT


def session(move: int) -> Session:
    return Session("tv", "user", "news", State.ACTIVE, None, None, None, NOW_MS, NOW_MS, NOW_MS + 1, NOW_MS, move)


LEFT, MOVED = (Event(kind, session(0), NOW_MS) for kind in ("session.expired", "session.moved"))
ADMITTED = Admitted(session(0), Lease(ASK, NOW_MS, 0, NOW_MS), limit=3, live=1, existing=False, events=(LEFT,))


def test_the_session_is_as_its_receipt_left_it_and_so_are_the_counts() -> None:
    answer = beaten(ADMITTED, Confirmed(session(1), 5, 2, (MOVED,)), ASK)
    assert (answer.session, answer.lease) == (session(1), Lease(ASK, NOW_MS, 1, NOW_MS))
    assert (answer.limit, answer.live, answer.events) == (5, 2, (LEFT, MOVED))


def test_one_who_left_before_its_receipt_has_no_session_and_all_is_told() -> None:
    answer = beaten(ADMITTED, Gone(State.ENDED, events=(MOVED,)), ASK)
    assert (answer.session, answer.events) == (None, (LEFT, MOVED))


def test_a_heartbeat_by_a_grant_that_was_ended_starts_nothing() -> None:
    ledger, grants = Ledger(), Grants()
    kill(grants, "tv", NOW_MS - 10, True, POLICY, NOW_MS)
    ask = replace(ASK, grant_generation=NOW_MS - 10)
    outcome = beat(ledger, ask, POLICY, NOW_MS, grants)
    assert isinstance(outcome.answer, Refusal)
    assert (outcome.answer.code, ledger.seats) == ("grant-ended", [])


@pytest.mark.parametrize("asks", [[LEASE], [SEAT], [LEASE, SEAT], [SEAT, LEASE]], ids=str)
def test_heartbeats_leave_the_ledger_as_their_two_steps_do(asks: list[Purpose]) -> None:
    at_once, one_by_one = Ledger(), Ledger()
    for purpose in asks:
        ask = replace(ASK, purpose=purpose)
        beat(at_once, ask, POLICY, NOW_MS, Grants())
        admitted = admit(one_by_one, ask, POLICY, NOW_MS, Grants()).answer
        assert isinstance(admitted, Admitted)
        assert admitted.lease is not None
        confirm(one_by_one, Receipt(admitted.lease), POLICY, NOW_MS)
        assert at_once.seats == one_by_one.seats
    assert at_once.seats[0].given is (SEAT in asks)  # who asks for a seat is given a grant for it
