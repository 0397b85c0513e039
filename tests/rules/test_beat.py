"""A heartbeat's answer, where the store does both of its steps one by one: what happened between them counts."""

from streamlimit.model import Admitted, Ask, Confirmed, Event, Gone, Lease, Session, State
from streamlimit.rules.beat import beaten

NOW_MS = 1_750_000_000_000
ASK = Ask("user", "tv", "news")


def session(move: int) -> Session:
    return Session("tv", "user", "news", State.ACTIVE, None, None, None, NOW_MS, NOW_MS, NOW_MS + 1, NOW_MS, move)


LEFT, MOVED = (Event(kind, session(0), NOW_MS) for kind in ("session.expired", "session.moved"))
ADMITTED = Admitted(session(0), Lease(ASK, NOW_MS, 0, NOW_MS), limit=3, live=1, existing=False, events=(LEFT,))


def test_the_session_is_as_its_receipt_left_it_and_so_are_the_counts() -> None:
    answer = beaten(ADMITTED, Confirmed(session(1), 5, 2, (MOVED,)), ASK)
    assert (answer.session, answer.lease) == (session(1), Lease(ASK, NOW_MS, 1, NOW_MS))
    assert (answer.limit, answer.live, answer.events) == (5, 2, (LEFT, MOVED))


def test_one_who_left_before_its_receipt_has_no_session_and_all_is_told() -> None:
    answer = beaten(ADMITTED, Gone(State.ENDED), ASK)
    assert (answer.session, answer.events) == (None, (LEFT,))
