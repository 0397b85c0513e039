"""What a worker counts for the reports: by group, each user once, bounded."""

from dataclasses import dataclass

import pytest

from streamlimit.model import Admitted, Ask, Device, Event, Refusal, Session, State
from streamlimit.policy import Policy
from streamlimit.reporting import counts as module
from streamlimit.reporting.counts import ALL, Counts, digest
from streamlimit.reporting.sample import LONGEST_MS, Sample
from streamlimit.store.reporting import GROUPS_KEPT, HOUR_MS, OTHER, Count, Group, Key

NOON = 1_800_000 * 1_000_000 // HOUR_MS * HOUR_MS
KEY = b"k" * 16


@dataclass
class Clock:
    now_ms: int = NOON

    def __call__(self) -> int:
        return self.now_ms


def a_session(user: str, name: str = "tv", stream: str = "news", **more: object) -> Session:
    known = (name, user, stream, State.ACTIVE, more.get("device"), None, None)
    started, plan, limit = more.get("started_at_ms", NOON), more.get("plan"), more.get("limit", 3)
    return Session(*known, started, NOON, NOON, 1, 0, plan, limit)  # type: ignore[arg-type]


def an_ask(user: str = "ann", stream: str = "news", plan: str | None = None, kind: str | None = None) -> Ask:
    return Ask(user, "tv", stream, device=Device(type=kind) if kind else None, plan=plan)


def admit(counts: Counts, live: int = 1, **ask: str) -> None:
    counts.admitted(an_ask(**ask), Admitted(None, None, 3, live, existing=False))


def refuse(counts: Counts, code: str = "session-limit", **ask: str) -> None:
    counts.refused(an_ask(**ask), Refusal(code, 3, 3))


def taken(counts: Counts, at_once: int = 1_000) -> dict[tuple[int, Key], Count]:
    """All parts together."""
    found: dict[tuple[int, Key], Count] = {}
    for part in counts.take(KEY, at_once):
        for hour_ms, numbers in part.items():
            for key, count in numbers.items():
                found[hour_ms, key] = found.get((hour_ms, key), Count()).with_more(count)
    return found


def test_a_seat_counts_for_all_and_for_its_plan_stream_and_type_of_device() -> None:
    counts = Counts(Clock())
    admit(counts, live=2, plan="hd", kind="tv")
    found = taken(counts)
    groups = (ALL, (Group.PLAN, "hd"), (Group.STREAM, "news"), (Group.DEVICE_TYPE, "tv"))
    assert set(found) == {(NOON, key) for key in groups}
    assert all(c.admissions == 1 and c.users == {digest(KEY, "ann")} for c in found.values())
    assert [found[NOON, key].peak for key in groups] == [2, 2, 1, 1]
    assert taken(counts) == {}


def test_a_user_counts_once_however_often_their_players_retry() -> None:
    counts = Counts(Clock())
    for _ in range(50):
        refuse(counts)
    refuse(counts, user="bob")
    count = taken(counts)[NOON, ALL]
    assert (count.refusals, len(count.refused_users), len(count.users)) == (51, 2, 2)


@pytest.mark.parametrize(
    ("code", "counted"),
    [("session-limit", 1), ("session-shared", 1), ("too-many-visits", 1), ("session-terminated", 0), ("forbidden", 0)],
)
def test_refusals_of_the_limits_are_counted(code: str, counted: int) -> None:
    counts = Counts(Clock())
    refuse(counts, code)
    assert taken(counts).get((NOON, ALL), Count()).refusals == counted


def test_who_moves_is_a_user_of_the_other_stream_too() -> None:
    counts = Counts(Clock())
    admit(counts)
    counts.happened(Event("session.moved", a_session("ann", stream="film"), NOON))
    counts.happened(Event("session.started", a_session("eve", stream="film"), NOON))
    found = taken(counts)
    assert found[NOON, (Group.STREAM, "film")].users == {digest(KEY, "ann")}
    assert found[NOON, ALL].admissions == 1


def test_each_hour_is_counted_apart() -> None:
    clock = Clock()
    counts = Counts(clock)
    admit(counts)
    clock.now_ms += HOUR_MS - 1
    admit(counts)
    clock.now_ms += 1
    admit(counts)
    found = taken(counts)
    assert (found[NOON, ALL].admissions, found[NOON + HOUR_MS, ALL].admissions) == (2, 1)


def test_no_part_names_more_users_than_asked_for_and_none_is_lost() -> None:
    counts = Counts(Clock())
    for n in range(10):
        refuse(counts, user=f"user-{n}")
    parts = list(counts.take(KEY, 7))
    named = [sum(len(c.users) + len(c.refused_users) for of in part.values() for c in of.values()) for part in parts]
    assert max(named) == 7
    assert sum(named) == 2 * 10 * len(Group)


def test_no_name_of_a_user_leaves() -> None:
    counts = Counts(Clock())
    admit(counts, user="ann@example.org")
    assert "ann" not in repr(list(counts.take(KEY, 100)))
    assert digest(KEY, "ann") != digest(b"q" * 16, "ann")


def test_memory_is_bounded_whatever_viewers_make_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "USERS_KEPT", 20)
    clock = Clock()
    counts = Counts(clock)
    for n in range(5 * GROUPS_KEPT):
        admit(counts, user=f"user-{n}", kind=f"toaster-{n}", stream=f"stream-{n}")
    assert (counts.users, counts.dropped) == (20, 5 * GROUPS_KEPT - 20)
    found = taken(counts)
    assert len(found) <= len(Group) * (GROUPS_KEPT + 1)
    assert found[NOON, ALL].admissions == sum(found[NOON, k].admissions for _, k in found if k[0] is Group.STREAM)
    assert found[NOON, (Group.DEVICE_TYPE, OTHER)].admissions > 0


def test_of_a_long_outage_the_last_hours_are_kept() -> None:
    clock = Clock()
    counts = Counts(clock)
    for n in range(module.HOURS_KEPT + 5):
        clock.now_ms = NOON + n * HOUR_MS
        admit(counts, user=f"user-{n}")
    assert counts.users == module.HOURS_KEPT
    assert min(hour_ms for hour_ms, _ in taken(counts)) == NOON + 5 * HOUR_MS


class TestSample:
    """Live sessions, looked at."""

    def sampled(self, *sessions: Session, last_ms: int = NOON, now_ms: int = NOON + 6_000) -> dict[Key, Count]:
        counts = Counts(Clock())
        sample = Sample(counts, Policy(), last_ms, now_ms)
        sample.add(sessions)
        sample.finish()
        return {key: count for (_, key), count in taken(counts).items()}

    def test_the_peak_is_of_all_live_sessions_of_the_group(self) -> None:
        found = self.sampled(a_session("ann", "tv"), a_session("ann", "phone", "film"), a_session("bob", plan="hd"))
        assert found[ALL].peak == 3
        assert found[Group.STREAM, "news"].peak == 2
        assert found[Group.PLAN, "hd"].peak == 1

    def test_who_sits_on_all_seats_is_at_the_limit_since_the_last_one_was_taken(self) -> None:
        old, new = a_session("ann", "tv", limit=2), a_session("ann", "phone", limit=2, started_at_ms=NOON + 1_500)
        assert self.sampled(old, new)[ALL].at_limit_ms == 4_500
        assert self.sampled(old, new, last_ms=NOON + 5_000)[ALL].at_limit_ms == 1_000
        assert self.sampled(old)[ALL].at_limit_ms == 0

    def test_time_at_the_limit_counts_once_for_each_group_a_user_is_in(self) -> None:
        found = self.sampled(*(a_session("ann", name, stream) for name, stream in zip("abc", "xxy", strict=True)))
        assert {key: count.at_limit_ms for key, count in found.items() if count.at_limit_ms} == {
            ALL: 6_000,
            (Group.PLAN, ""): 6_000,
            (Group.STREAM, "x"): 6_000,
            (Group.STREAM, "y"): 6_000,
            (Group.DEVICE_TYPE, ""): 6_000,
        }

    def test_users_add_up_and_no_time_before_a_long_gap_is_guessed(self) -> None:
        full = [a_session(user, name, started_at_ms=0) for user in ("ann", "bob") for name in "abc"]
        assert self.sampled(*full)[ALL].at_limit_ms == 2 * 6_000
        assert self.sampled(*full, last_ms=0)[ALL].at_limit_ms == 2 * LONGEST_MS

    def test_the_first_of_an_hour_counts_who_went_on_from_the_one_before(self) -> None:
        watching = a_session("ann"), a_session("bob")
        assert len(self.sampled(*watching, last_ms=NOON - 1)[ALL].users) == 2
        assert len(self.sampled(*watching)[ALL].users) == 0
