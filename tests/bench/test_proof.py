"""What is provable from outside: an alarm where the limit was broken, and none where that only might be."""

import pytest

from streamlimit.bench.figures import percentiles_ms
from streamlimit.bench.proof import Proof, judge

LIFETIME = 3.0


class Viewers:
    """Sessions of one user that are issued segments at moments of a made-up clock."""

    def __init__(self, limit: int = 2) -> None:
        self.proof = Proof("ann", limit, LIFETIME)

    def take(self, at: float, *sessions: str, received: bool = True) -> None:
        """All at once: asked at that moment, answered a tenth of a second later."""
        for session in sessions:
            self.proof.note_issued(session, at, at + 0.1, at + 0.2 if received else None)

    def end(self, *sessions: str) -> None:
        for session in sessions:
            self.proof.note_gone(session)

    @property
    def is_broken(self) -> bool:
        return judge([self.proof], self.proof.limit).kept is False


@pytest.fixture
def viewers() -> Viewers:
    return Viewers()


# An alarm


def test_three_of_two_that_go_on_receiving_are_an_alarm_that_names_them(viewers: Viewers) -> None:
    viewers.take(0, "a", "b", "c")
    viewers.take(1, "a", "b", "c")
    breach = viewers.proof.breach()
    assert breach is not None
    assert (breach.user_id, breach.count, breach.sessions, breach.seen) == ("ann", 3, ("a", "b", "c"), "delivered")
    assert viewers.is_broken


def test_a_list_longer_than_the_limit_is_an_alarm(viewers: Viewers) -> None:
    viewers.proof.note_look({"live_sessions": 3, "sessions": [{"session_id": s} for s in "abc"]})
    breach = viewers.proof.breach()
    assert breach is not None
    assert (breach.count, breach.sessions, breach.seen) == (3, ("a", "b", "c"), "listed")


def test_a_count_above_the_limit_is_an_alarm_though_the_list_is_short(viewers: Viewers) -> None:
    viewers.proof.note_look({"live_sessions": 3, "sessions": []})
    assert viewers.is_broken


def test_who_was_cut_off_in_one_segment_still_sits_by_the_one_before(viewers: Viewers) -> None:
    viewers.take(0, "a", "b", "c")
    viewers.take(1, "a", "b", "c", received=False)
    assert viewers.is_broken


def test_one_that_came_late_meets_those_who_go_on(viewers: Viewers) -> None:
    for at in range(4):
        viewers.take(at, "a", "b")
    viewers.take(1.5, "c")
    viewers.take(2.5, "c")
    assert viewers.is_broken


# No alarm


def test_as_many_as_the_limit_are_no_alarm(viewers: Viewers) -> None:
    for at in range(5):
        viewers.take(at, "a", "b")
    viewers.proof.note_look({"live_sessions": 2, "sessions": [{"session_id": s} for s in "ab"]})
    verdict = judge([viewers.proof], 2)
    assert (verdict.kept, verdict.most, verdict.looks, verdict.receipts) == (True, 2, 1, 10)


def test_one_segment_alone_proves_no_seat_for_any_time(viewers: Viewers) -> None:
    """Another may have taken its place at once."""
    viewers.take(0, "a", "b", "c")
    assert not viewers.is_broken


def test_who_may_have_expired_between_two_segments_did_not_sit_between_them(viewers: Viewers) -> None:
    for at in range(5):
        viewers.take(at, "a", "b")
    viewers.take(0.5, "c")
    viewers.take(0.5 + LIFETIME, "c")
    assert not viewers.is_broken


def test_a_newcomer_whose_first_segment_was_slow_may_have_lost_its_reservation(viewers: Viewers) -> None:
    for at in range(5):
        viewers.take(at, "a", "b")
    viewers.proof.note_issued("c", 0, 0.1, 2.0)
    viewers.take(2.1, "c")
    assert not viewers.is_broken


def test_who_received_only_after_its_time_may_have_lost_its_seat(viewers: Viewers) -> None:
    for at in range(7):
        viewers.take(at, "a")
    viewers.take(0, "c")
    viewers.proof.note_issued("c", 2.5, 2.6, LIFETIME + 0.1)
    for at in (3.05, 4, 5):
        viewers.take(at, "b")
    viewers.take(5.2, "c")
    assert not viewers.is_broken, "b sat in its place, and left"


def test_who_ended_sits_only_until_its_last_request(viewers: Viewers) -> None:
    viewers.take(0, "a", "b")
    viewers.take(1, "a", "b")
    viewers.end("a")
    viewers.take(1.5, "c")
    viewers.take(2, "b", "c")
    viewers.take(2.2, "a")
    assert not viewers.is_broken, "a ended, and only its first segment after it is known of"


def test_a_newcomer_that_hung_up_holds_no_seat(viewers: Viewers) -> None:
    viewers.take(0, "a", "b", "c", received=False)
    viewers.take(1, "a", "b", "c", received=False)
    assert not viewers.is_broken


def test_who_went_as_another_came_did_not_meet_it(viewers: Viewers) -> None:
    viewers.take(0, "a", "b")
    viewers.take(1, "a", "b")
    viewers.proof.note_issued("c", 0.9, 1.0, 1.1)  # answered at the moment of a's last request
    viewers.take(2, "b", "c")
    assert not viewers.is_broken


def test_nothing_issued_is_nothing_said(viewers: Viewers) -> None:
    assert judge([viewers.proof], 2).kept is None


def test_sitting_is_certain_until_the_seat_could_expire(viewers: Viewers) -> None:
    viewers.take(1, "a")
    assert viewers.proof.sat("a", 3.9)
    assert not viewers.proof.sat("a", 4.0)
    assert not viewers.proof.sat("b", 1.5)


# Percentiles


def test_percentiles_are_times_that_were_measured() -> None:
    found = percentiles_ms([n / 1_000 for n in range(1_000, 0, -1)])
    assert found == {"p50_ms": 500, "p99_ms": 990, "p999_ms": 999, "max_ms": 1_000}
    assert percentiles_ms([0.25]) == {"p50_ms": 250, "p99_ms": 250, "p999_ms": 250, "max_ms": 250}
    assert percentiles_ms([]) == {}
