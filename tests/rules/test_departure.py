"""Marks of who left: how many are kept, to the last one and to the millisecond."""

from streamlimit.model import Mark, State
from streamlimit.policy import MARKS_KEPT
from streamlimit.rules.departure import remember
from streamlimit.rules.ledger import NOBODYS, Ledger

NOW_MS = 1_750_000_000_000


def mark(number: int, until_ms: int = NOW_MS + 1) -> Mark:
    return Mark(f"s{number}", NOW_MS + number, State.ENDED, NOW_MS, until_ms)


def terminated(number: int, by: str = "operator") -> Mark:
    return Mark(f"s{number}", NOW_MS + number, State.TERMINATED, NOW_MS, NOW_MS + 1, by=by)


def remembered(before: list[Mark], new: Mark) -> list[str]:
    """Whose marks there are, once there is a *new* one."""
    ledger = Ledger(marks=before)
    remember(ledger, new, NOW_MS)
    return [each.session_id for each in ledger.marks]


def test_where_there_is_room_all_marks_stay_each_once() -> None:
    nobodys = Mark(NOBODYS, NOW_MS, State.ENDED, NOW_MS, NOW_MS + 1)
    assert remembered([nobodys, mark(1), mark(2)], mark(3)) == [NOBODYS, "s1", "s2", "s3"]


def test_marks_of_one_kind_take_no_room_from_the_other() -> None:
    names = [f"s{number}" for number in range(MARKS_KEPT)]
    assert remembered([terminated(number) for number in range(MARKS_KEPT)], mark(99)) == [*names, "s99"]


def test_the_oldest_of_a_viewer_makes_room_before_an_operators() -> None:
    before = [terminated(number, "viewer" if number in (3, 5) else "operator") for number in range(MARKS_KEPT)]
    stays = [f"s{number}" for number in range(MARKS_KEPT) if number != 3]
    assert remembered(before, terminated(99)) == [NOBODYS, *stays, "s99"]


def test_of_an_operators_alone_the_oldest_makes_room() -> None:
    before = [terminated(number) for number in range(MARKS_KEPT)]
    assert remembered(before, terminated(99))[:2] == [NOBODYS, "s1"]


def test_a_mark_makes_room_from_the_millisecond_on_at_which_it_ends() -> None:
    ledger = Ledger(marks=[mark(k, NOW_MS) for k in range(MARKS_KEPT)])
    remember(ledger, mark(99), NOW_MS)
    assert [each.session_id for each in ledger.marks] == ["s99"]


def test_the_mark_of_all_that_found_no_room_ends_as_others_do() -> None:
    ledger = Ledger(marks=[Mark(NOBODYS, NOW_MS, State.ENDED, NOW_MS, NOW_MS), *map(mark, range(3))])
    remember(ledger, mark(99), NOW_MS)
    assert NOBODYS not in [each.session_id for each in ledger.marks]


def test_however_many_found_no_room_one_mark_is_of_them() -> None:
    ledger = Ledger()
    for number in range(MARKS_KEPT + 4):
        remember(ledger, mark(number), NOW_MS)
    assert [each.session_id for each in ledger.marks].count(NOBODYS) == 1
    assert len(ledger.marks) == MARKS_KEPT + 1
