"""Marks of who left: how many are kept, to the last one and to the millisecond."""

from streamlimit.model import Mark, State
from streamlimit.policy import MARKS_KEPT
from streamlimit.rules.departure import remember
from streamlimit.rules.ledger import NOBODYS, Ledger

NOW_MS = 1_750_000_000_000


def mark(number: int, until_ms: int = NOW_MS + 1, session_id: str | None = None) -> Mark:
    return Mark(session_id or f"s{number}", NOW_MS + number, State.ENDED, NOW_MS, until_ms)


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
