"""The limiter of repeated refusals: hammering clients are answered without the store, sessions with a seat never."""

import pytest

from streamlimit.model import Ask, Mark, Refusal, Session, State
from streamlimit.refusal_limiter import ASKS_A_SECOND, CODE, REFUSALS, SESSIONS, STORM, USERS, RefusalLimiter


def _session(name: str) -> Session:
    return Session(name, "u", "news", State.ACTIVE, None, None, None, 0, 0, 0, 1, 0)


FULL = Refusal("session-limit", 3, 3, tuple(map(_session, "abc")))


class Door:
    """A guard, a clock, and a store that refuses all but who sits."""

    def __init__(self) -> None:
        self.now, self.asked = 100.0, 0
        self.guard = RefusalLimiter(clock=lambda: self.now)
        self.sitting = set("abc")

    def ask(self, session: str, user: str = "u", **more: object) -> str:
        ask = Ask(user, session, "news", **more)  # type: ignore[arg-type]
        held = self.guard.hold(ask)
        if held is not None:
            assert 0 < held.retry_after_ms <= 1_000
            return held.code
        self.asked += 1
        if session in self.sitting:
            self.guard.note_admitted(ask)
            return "admitted"
        self.guard.note(ask, FULL)
        return "refused"

    def hammer(self, session: str, seconds: float, a_second: int, **more: object) -> list[str]:
        answers = []
        for _ in range(round(seconds * a_second)):
            answers.append(self.ask(session, **more))  # type: ignore[arg-type]
            self.now += 1 / a_second
        return answers


@pytest.fixture
def door() -> Door:
    return Door()


def test_a_normal_client_is_never_held(door: Door) -> None:
    for _ in range(30):  # a player that retries at each segment, or follows Retry-After
        assert door.ask("d") == "refused"
        door.now += 1


def test_the_first_refusals_come_from_the_store_then_it_is_left_alone_for_a_second(door: Door) -> None:
    assert door.hammer("d", 0.1, 1_000)[: REFUSALS + 1] == ["refused"] * (REFUSALS + 1)
    assert door.asked == REFUSALS + 1
    assert door.ask("d") == CODE


def test_who_goes_on_hammering_reaches_the_store_once_a_second(door: Door) -> None:
    door.hammer("d", 1, 1_000)
    door.asked = 0
    door.hammer("d", 20, 1_000)
    assert door.asked <= 21


def test_who_waits_as_told_is_asked_freshly(door: Door) -> None:
    door.hammer("d", 0.5, 100)
    door.now += 1
    assert door.ask("d") == "refused"
    door.now += 1
    door.sitting.add("d")
    assert door.ask("d") == "admitted"
    assert door.hammer("d", 1, 100) == ["admitted"] * 100


def test_who_sits_is_never_touched(door: Door) -> None:
    for _ in range(1_000):
        assert door.ask("d") in ("refused", CODE)
        assert door.ask("a") == "admitted"
        assert door.ask(f"d{door.now}") in ("refused", CODE)
        door.now += 0.001


def test_another_player_of_a_sitting_session_does_not_have_it_held(door: Door) -> None:
    door.sitting.clear()
    assert CODE in door.hammer("a", 0.5, 100, client="friend")
    door.sitting.add("a")
    assert door.ask("a", client="home") == "admitted"


def test_whoever_names_a_session_to_replace_is_not_held_for_having_asked_without(door: Door) -> None:
    assert door.hammer("d", 0.5, 100)[-1] == CODE
    door.sitting.add("d")
    assert door.ask("d", replace="a") == "admitted"
    assert door.ask("d") == "admitted", "what was held is free once it sits"


def test_a_storm_of_made_up_sessions_reaches_the_store_ten_times_a_second(door: Door) -> None:
    for n in range(5_000):
        door.ask(f"x{n}")
        door.now += 1 / 5_000
    door.asked = 0
    for n in range(50_000):
        door.ask(f"y{n}")
        door.now += 1 / 5_000
    assert door.asked <= 10 * ASKS_A_SECOND + 2
    door.now += 2.5
    assert door.ask("new") == "refused", "the storm is over: the store is asked"


def test_who_chooses_a_sitting_session_to_replace_gets_through_a_storm(door: Door) -> None:
    for n in range(5_000):
        door.ask(f"x{n}")
        door.now += 1 / 5_000
    assert door.ask("new") == CODE
    assert door.ask("new", replace="b") == "refused", "that is: the store was asked"
    door.asked = 0
    for n in range(5_000):
        door.ask(f"y{n}", replace="b")
        door.now += 1 / 5_000
    assert door.asked <= 2 * ASKS_A_SECOND + 2, "but is no way around the guard"


def test_a_storm_leaves_other_users_alone(door: Door) -> None:
    for n in range(1_000):
        door.ask(f"x{n}")
    assert door.ask("x", user="other") == "refused"


def test_a_session_seated_in_a_storm_is_no_stranger(door: Door) -> None:
    for n in range(STORM + 5):
        door.ask(f"x{n}")
    door.sitting.add("new")
    door.now += 0.2
    assert door.ask("new") == "admitted"
    for _ in range(20):
        assert door.ask("new") == "admitted"


def test_memory_is_bounded(door: Door) -> None:
    for n in range(USERS + 500):
        door.ask("s", user=f"u{n}")
    assert len(door.guard) == USERS
    for n in range(1_000):
        door.ask(f"s{n}")
        door.now += 0.2
    assert len(door.guard.users["u"].tries) <= SESSIONS


def test_what_is_long_past_is_forgotten(door: Door) -> None:
    door.hammer("d", 0.5, 100)
    door.now += 10
    assert door.ask("d") == "refused"
    assert door.guard.users["u"].count == 1


def test_a_seat_that_comes_free_ends_the_holding_at_once(door: Door) -> None:
    assert door.hammer("d", 0.1, 1_000)[-1] == CODE
    door.guard.note_freed("u")
    assert door.ask("d") == "refused"  # asked for, that is


def test_what_is_held_is_held_again_and_counts_as_much(door: Door) -> None:
    door.hammer("d", 0.1, 1_000)
    ask = Ask("u", "d", "news")
    user = door.guard.users["u"]
    user.tries[next(iter(user.tries))].insisted, count = False, user.count
    assert 0 < door.guard.hold_again(ask) <= 1_000
    assert user.tries[next(iter(user.tries))].insisted
    assert user.count == count + 1
    for other in (
        Ask("u", "d", "film"),
        Ask("u", "d", "news", replace="a"),
        Ask("u", "e", "news"),
        Ask("v", "d", "news"),
    ):
        assert door.guard.hold_again(other) == 0
    door.now += 1
    assert door.guard.hold_again(ask) == 0


def test_it_is_not_held_again_when_a_seat_came_free_or_it_was_given_one(door: Door) -> None:
    door.hammer("d", 0.1, 1_000)
    door.guard.note_admitted(Ask("u", "d", "news"))
    assert door.guard.hold_again(Ask("u", "d", "news")) == 0
    door.hammer("d", 0.1, 1_000)
    door.guard.note_freed("u")
    assert door.guard.hold_again(Ask("u", "d", "news")) == 0


def test_a_strangers_turn_in_a_storm_is_not_used_up_by_holding_again(door: Door) -> None:
    for n in range(STORM + 5):
        door.ask(f"x{n}")
    door.now += 1 / ASKS_A_SECOND
    assert door.guard.hold_again(Ask("u", "new", "news")) == 0
    assert door.ask("new") == "refused", "that is: the store was asked"
    assert door.ask("new") == CODE


def test_who_was_terminated_is_asked_for_often_enough_to_be_no_silent_one() -> None:
    now, asked = 0.0, 0
    guard, ask = RefusalLimiter(clock=lambda: now, held_seconds=1.0, marked_seconds=0.1), Ask("u", "d", "a")
    mark = Mark("d", 1, State.TERMINATED, 0, 18_000, "operator", "why")
    for _ in range(2_000):
        if guard.hold(ask) is None:
            asked += 1
            guard.note(ask, Refusal("session-terminated", 3, 0, mark=mark))
        now += 0.005
    assert 10 / 0.105 - 1 <= asked <= 10 / 0.1 + REFUSALS + 1


def test_nobody_is_held_longer_than_until_the_next_seat_may_come_free() -> None:
    guard = RefusalLimiter(clock=lambda: 0.0)
    ask, soon = Ask("u", "d", "a"), Refusal("session-limit", 3, 3, retry_after_ms=40)
    for _ in range(REFUSALS + 1):
        guard.note(ask, soon)
    held = guard.hold(ask)
    assert held is not None
    assert held.retry_after_ms == 40
