"""The contract on SQLite, and what only a file can do."""

import asyncio
import dataclasses
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import structs

from streamlimit.errors import SettingsError, StoreUnavailable
from streamlimit.model import Admitted, Ask, Confirmed, Device, Purpose, Receipt, Refusal, State
from streamlimit.rules.ledger import Seat
from streamlimit.store import rule_store
from streamlimit.store.diagnosis import in_words
from streamlimit.store.sqlite import SqliteStore, clock, intake, sweep
from streamlimit.store.sqlite.connection import Connection
from streamlimit.store.sqlite.sweep import FEWEST, FIRST, HOLD_SECONDS, MOST, TRIES, Pace, Takings
from tests.processes import FORKED
from tests.store import differential, writers
from tests.store.connections import Opened, beside
from tests.store.contract import OLDEST_GOES, StoreContract
from tests.store.store_driver import ALL_TYPES, QUICK, ManualClock, N, X, limit_of, sweep_all, types
from tests.store.writers import SLOW

HOUR = 3_600_000


@pytest.fixture
def open_store(path: str) -> Callable[..., SqliteStore]:
    return partial(SqliteStore, path)


class TestSqliteStore(StoreContract):
    """One file per test; each open is another connection to it, as another process would have."""


class TestBeside:
    """A heartbeat beside what it is made of."""

    @pytest.mark.parametrize("name", differential.POLICIES)
    def test_a_beat_is_an_admission_and_its_receipt(self, name: str, tmp_path: Path) -> None:
        one, other = (partial(SqliteStore, str(tmp_path / f"{k}.db")) for k in range(2))
        asyncio.run(differential.walk_twins(len(name), differential.POLICIES[name], one, other, ALL_TYPES))


class Machine:
    """A machine whose wall clock, uptime and boots are in the test's hands."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.wall_ms, self.up_ms, self.boot = 1_750_000_000_000, 50_000, "boot-1"
        monkeypatch.setattr(time, "time_ns", lambda: self.wall_ms * 1_000_000)
        monkeypatch.setattr(time, "clock_gettime_ns", lambda _: self.up_ms * 1_000_000)
        monkeypatch.setattr(clock, "boot_id", lambda: self.boot)

    def later(self, ms: int) -> None:
        self.wall_ms, self.up_ms = self.wall_ms + ms, self.up_ms + ms

    def reboot(self, after_ms: int, wall_is_off_by_ms: int = 0) -> None:
        self.wall_ms += after_ms + wall_is_off_by_ms
        self.up_ms, self.boot = 10_000, self.boot + "+"


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    if not hasattr(time, "CLOCK_BOOTTIME"):
        pytest.skip("this system has no clock of its uptime")
    return Machine(monkeypatch)


def watch(store: SqliteStore, user: str = "user", session: str = "tv") -> Receipt:
    answer = store.admit(Ask(user, session, "news", lease_id="lease"))
    assert isinstance(answer, Admitted)
    assert answer.lease is not None
    receipt = Receipt(answer.lease)
    assert isinstance(store.confirm(receipt), Confirmed)
    return receipt


class TestClock:
    """The machine's uptime, dated once: steps of the wall clock move nothing."""

    @pytest.mark.parametrize("step_ms", [HOUR, -HOUR, 2 * N * X, -2 * N * X])
    def test_a_step_of_the_wall_clock_moves_nothing(self, path: str, machine: Machine, step_ms: int) -> None:
        store = SqliteStore(path, QUICK)
        watch(store)
        before = store.sessions("user")
        machine.wall_ms += step_ms
        assert store.sessions("user") == before
        assert store.expire(10).events == ()
        other = SqliteStore(path, QUICK)  # a process that starts after the step
        assert other.sessions("user") == before
        watch(other)
        assert other.sessions("user").sessions[0].last_activity_ms == before.sessions[0].last_activity_ms
        machine.later(N * X - 1)
        assert [s.state for s in store.sessions("user").sessions] == [State.IDLE]
        machine.later(1)
        assert types(store.expire(10).events) == ["expired"]

    def test_a_step_before_an_upgrade_of_the_file_moves_nothing(self, path: str, machine: Machine) -> None:
        store = SqliteStore(path, QUICK)
        watch(store)
        before = store.sessions("user")
        beside(path).execute("PRAGMA user_version = 4")
        store.close()
        machine.wall_ms += HOUR
        assert SqliteStore(path, QUICK).sessions("user") == before

    def test_the_clock_goes_on_through_a_reboot(self, path: str, machine: Machine) -> None:
        watch(SqliteStore(path, QUICK))
        machine.reboot(after_ms=N * X - 1)
        store = SqliteStore(path, QUICK)
        assert store.sessions("user").live == 1
        machine.later(1)
        assert types(store.expire(10).events) == ["expired"]

    def test_a_reboot_without_a_wall_clock_goes_on_from_the_latest_time_known(
        self, path: str, machine: Machine
    ) -> None:
        store = SqliteStore(path, QUICK)
        machine.later(HOUR)
        watch(store)
        store.expire(10)  # each sweep puts the time on record
        last = store.sessions("user").sessions[0].last_activity_ms
        machine.reboot(after_ms=0, wall_is_off_by_ms=-20 * HOUR)
        store = SqliteStore(path, QUICK)
        watch(store)
        assert store.sessions("user").sessions[0].last_activity_ms == last
        machine.later(N * X)
        assert types(store.expire(10).events) == ["expired"]

    def test_where_nobody_is_on_record_the_clock_is_dated_anew(self, path: str, machine: Machine) -> None:
        SqliteStore(path, QUICK).close()
        machine.wall_ms += HOUR
        store = SqliteStore(path, QUICK)
        watch(store)
        assert store.sessions("user").sessions[0].started_at_ms == machine.wall_ms


class TestFile:
    """Opening and losing the file."""

    def test_a_file_of_a_newer_version_is_refused_and_left_alone(self, path: str) -> None:
        SqliteStore(path, QUICK).close()
        db = sqlite3.connect(path)
        db.execute("PRAGMA user_version = 99")
        db.close()
        with pytest.raises(SettingsError, match="newer streamlimit"):
            SqliteStore(path, QUICK)
        assert sqlite3.connect(path).execute("PRAGMA user_version").fetchone() == (99,)

    def test_what_was_written_is_there_after_opening_anew(self, path: str) -> None:
        store = SqliteStore(path, SLOW, ALL_TYPES)
        watch(store)
        store.set_limit("other", 7)
        before = store.sessions("user")
        store.close()
        store = SqliteStore(path, SLOW)
        assert (store.sessions("user"), limit_of(store, "other"), store.pending()) == (before, 7, 1)

    def test_a_folder_that_is_not_there_is_an_unavailable_store(self, tmp_path: Path) -> None:
        with pytest.raises(StoreUnavailable):
            SqliteStore(str(tmp_path / "nowhere" / "streamlimit.db"), QUICK)

    def test_a_file_that_is_no_database_is_an_unavailable_store(self, path: str) -> None:
        Path(path).write_bytes(b"this is a text and no database\n" * 100)
        with pytest.raises(StoreUnavailable):
            SqliteStore(path, QUICK)

    @pytest.mark.parametrize("how", ["deleted", "replaced"])
    def test_a_file_that_was_taken_away_under_the_service_is_told(self, path: str, how: str) -> None:
        store = SqliteStore(path, SLOW)
        store.ping()
        Path(path).rename(f"{path}.moved")
        if how == "replaced":
            Path(path).write_bytes(Path(f"{path}.moved").read_bytes())
        for use in (store.ping, lambda: store.expire(10)):
            with pytest.raises(StoreUnavailable, match=r"deleted or replaced .* stop all its workers") as caught:
                use()
            assert "was deleted or replaced" in in_words(str(caught.value)), "what /readyz says, without the path"
        Path(f"{path}.moved").rename(path)
        store.ping()
        store.close()

    def test_a_file_whose_folder_became_a_file_is_told(self, tmp_path: Path) -> None:
        folder = tmp_path / "folder"
        folder.mkdir()
        with closing(SqliteStore(str(folder / "streamlimit.db"), SLOW)) as store:
            folder.rename(tmp_path / "moved")
            folder.write_text("")
            with pytest.raises(StoreUnavailable, match="deleted or replaced"):
                store.ping()

    def test_a_file_that_may_not_be_looked_at_is_used_on(self, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: object) -> None:
            raise PermissionError(13, "the folder was closed")

        with closing(SqliteStore(path, SLOW)) as store:
            monkeypatch.setattr("streamlimit.store.sqlite.opening._identity", refuse)
            store.ping()

    def test_a_process_that_goes_to_another_folder_keeps_its_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        with closing(SqliteStore("streamlimit.db", SLOW)) as store:
            (tmp_path / "elsewhere").mkdir()
            monkeypatch.chdir(tmp_path / "elsewhere")
            store.ping()
            assert store.expire(10).events == ()

    def test_a_closed_store_is_unavailable(self, path: str) -> None:
        store = SqliteStore(path, QUICK)
        store.close()
        with pytest.raises(StoreUnavailable):
            store.ping()
        with pytest.raises(StoreUnavailable):
            store.admit(Ask("user", "tv", "news"))

    def test_a_read_only_file_is_unavailable_for_writes_until_it_is_not(self, path: str, opened: Opened) -> None:
        store = SqliteStore(path, SLOW)
        receipt = watch(store)
        opened[-1].execute("PRAGMA query_only = ON")
        for write in (
            lambda: store.confirm(receipt),
            lambda: store.admit(Ask("user", "new", "news")),
            lambda: store.end("user", "tv"),
            lambda: store.expire(10),
            lambda: store.set_limit("user", 1),
        ):
            with pytest.raises(StoreUnavailable, match="readonly"):
                write()
        assert isinstance(store.admit(Ask("user", "tv", "news")), Admitted)  # who sits goes on
        opened[-1].execute("PRAGMA query_only = OFF")
        assert types(store.end("user", "tv")) == ["ended"]

    def test_a_step_that_fails_half_way_leaves_nothing_behind(self, path: str) -> None:
        store = SqliteStore(path, SLOW, ALL_TYPES)
        watch(store)
        told = store.pending()
        beside(path).execute(
            "CREATE TRIGGER no_events BEFORE INSERT ON outbox BEGIN SELECT RAISE(ABORT, 'no events'); END"
        )
        with pytest.raises(StoreUnavailable, match="no events"):
            store.end("user", "tv")
        assert (store.sessions("user").live, store.pending()) == (1, told)
        beside(path).execute("DROP TRIGGER no_events")
        assert types(store.end("user", "tv")) == ["ended"]
        assert store.pending() == told + 1

    @pytest.mark.parametrize("before", [None, "radio"])
    def test_who_takes_the_last_seat_between_reading_and_writing_has_it(self, path: str, before: str | None) -> None:
        """Also where the user has a row already. The store's clock is read when its row was."""
        policy = dataclasses.replace(QUICK, max_sessions=2 if before else 1)
        clock, others = ManualClock(), ["phone"]
        other = SqliteStore(path, policy, clock=clock)
        if before:
            watch(other, session=before)

        def now_ms() -> int:
            while others:
                watch(other, session=others.pop())
            return clock()

        one = SqliteStore(path, policy, clock=now_ms)
        assert isinstance(one.admit(Ask("user", "tv", "news", lease_id="a")), Refusal)
        assert {each.session_id for each in other.sessions("user").sessions} == {"phone", before} - {None}

    @pytest.mark.parametrize("before", [None, "radio"])
    def test_a_seat_is_younger_than_an_end_between_reading_and_writing(self, path: str, before: str | None) -> None:
        """The session that ended had no seat, so its user's row is as it was; the grant of the new seat must work."""
        clock, ends = ManualClock(), ["tv"]
        other = SqliteStore(path, QUICK, clock=clock)
        if before:
            watch(other, session=before)

        def now_ms() -> int:
            read_at_ms = clock()
            while ends:
                clock.now_ms += 1
                other.end("user", ends.pop())
            return read_at_ms

        one = SqliteStore(path, QUICK, clock=now_ms)
        admitted = one.admit(Ask("user", "tv", "news", lease_id="a"))
        assert isinstance(admitted, Admitted)
        assert admitted.session is not None
        assert admitted.session.generation == clock()

    @pytest.mark.parametrize("times", [1, TRIES])
    def test_a_sweep_decides_anew_where_others_wrote_meanwhile(self, path: str, times: int) -> None:
        clock = ManualClock()
        store, other = Overtaken(path, QUICK, clock=clock), SqliteStore(path, QUICK, clock=clock)
        receipt = watch(store)
        watch(store, "silent")
        clock.now_ms += N * X
        store.meanwhile += [lambda: other.confirm(receipt)]  # late, but there is room: it sits again
        store.meanwhile += [partial(other.set_limit, "anyone", limit) for limit in range(1, times)]
        assert [event.session.user_id for event in store.expire(10).events] == ["silent"]
        assert not store.meanwhile
        assert (store.sessions("user").live, store.sessions("silent").live) == (1, 0)

    def test_a_long_sweep_goes_in_short_steps_with_pauses(self, path: str) -> None:
        clock = ManualClock()
        store = SqliteStore(path, QUICK, clock=clock)
        for number in range(MOST + 1):
            watch(store, f"user-{number}")
        clock.now_ms += N * X
        first = store.expire(1_000)
        assert 0 < len(first.events) <= MOST
        assert first.more
        assert first.pause_seconds > HOLD_SECONDS
        told, last = list(first.events), first
        while last.more:
            last = store.expire(1_000)
            told += last.events
        assert sorted(event.session.user_id for event in told) == sorted(f"user-{k}" for k in range(MOST + 1))
        assert last.pause_seconds == 0

    def test_a_sweep_passes_everyone_in_stretches(self, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sweep, "CHUNK", 3)
        clock = ManualClock()
        store = SqliteStore(path, QUICK, clock=clock)
        for number in range(10, 20):
            watch(store, f"user-{number}")
        store.set_limit("user-10", 5)
        clock.now_ms += N * X
        for number in (11, 12, 16):
            watch(store, f"user-{number}")
        due = [f"user-{k}" for k in (10, 13, 14, 15, 17, 18, 19)]
        steps = _in_steps(store, 100)
        assert steps[:4] == [due[:1], due[1:4], due[4:6], due[6:]]
        assert len(steps) > 4, "who fell due behind it is looked for, too"
        assert not any(steps[4:])
        assert _in_steps(store, 100) == [[], []], "four users have a row: three who sit, and one with a limit"
        clock.now_ms += N * X
        assert _in_steps(store, 1)[:5] == [["user-11"], ["user-12"], [], ["user-16"], []]

    def test_what_a_rule_raises_comes_through_and_nothing_is_written(
        self, path: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = SqliteStore(path, SLOW)
        receipt, before = watch(store), store.sessions("user")
        with monkeypatch.context() as patched:
            patched.setattr("streamlimit.rules.confirm", _broken)
            with pytest.raises(ZeroDivisionError):
                store.confirm(receipt)
        assert store.sessions("user") == before
        assert isinstance(store.confirm(receipt), Confirmed)

    @pytest.mark.parametrize("body", [b"", b"\x00\xff", b"\x97\x91\xa1s\x90", b"\x91\x91\x91\xa1\xff", "by hand", 7])
    def test_a_row_that_cannot_be_read_is_nobody_elses_trouble(
        self, body: bytes | str | int, path: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        clock = ManualClock()
        store = SqliteStore(path, QUICK, clock=clock)
        receipts = {user: watch(store, user=user) for user in ("ann", "ben", "eve")}
        with closing(beside(path)) as db:
            db.execute("UPDATE ledgers SET body = ? WHERE user_id != 'ann'", (body,))
        assert [session.user_id for session in store.browse(None, 9, None, None, None).sessions] == ["ann"]
        assert "ledger_unreadable" in caplog.text
        assert isinstance(store.confirm(receipts["ben"]), Confirmed), "whoever still plays is seated again"
        assert len(store.sessions("ben").sessions) == 1
        clock.now_ms += N * X
        assert sorted(event.session.user_id for event in _swept(store)) == ["ann", "ben"]
        assert isinstance(store.admit(Ask("eve", "s", "film")), Admitted)

    @pytest.mark.parametrize("body", [b"", b"\x00\xff", b"\x91\x91\x91\xa1\xff", "by hand"])
    def test_of_grants_that_cannot_be_told_apart_none_starts_a_session(
        self, body: bytes | str, path: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Some of them were ended. Who holds a seat keeps it, and a new grant works."""
        clock = ManualClock()
        store = SqliteStore(path, QUICK, clock=clock)
        opened = [store.admit(Ask("ben", session, "news", purpose=Purpose.SEAT)) for session in ("tv", "pad")]
        grant = clock.now_ms
        assert all(isinstance(each, Admitted) for each in opened)
        store.end("ben", "pad")
        with closing(beside(path)) as db:
            assert db.execute("UPDATE grants SET body = ?", (body,)).rowcount == 1
        clock.now_ms += 1
        assert isinstance(store.admit(Ask("ben", "tv", "news", grant_generation=grant)), Admitted)
        for session in ("phone", "pad"):
            refused = store.admit(Ask("ben", session, "news", grant_generation=grant))
            assert isinstance(refused, Refusal)
            assert refused.code == "grant-ended"
        new = store.admit(Ask("ben", "phone", "news", purpose=Purpose.SEAT))
        assert isinstance(new, Admitted)
        assert new.lease is not None
        clock.now_ms += 1
        store.end("ben", "phone", keep_grant=True)
        again = store.admit(Ask("ben", "phone", "news", grant_generation=new.lease.generation))
        assert isinstance(again, Admitted)
        assert caplog.text.count("grants_unreadable") == 1

    def test_a_file_of_version_1_keeps_everybody(self, path: str) -> None:
        clock = ManualClock()
        store = SqliteStore(path, OLDEST_GOES, clock=clock)
        for name in "abcd":
            receipt = watch(store, session=name)
            clock.now_ms += 1
        store.confirm(Receipt(receipt.lease, "s.m4s", 7))
        store.beat(Ask("user", "c", "film", device=Device("d", None, "tv")))
        store.set_limit("other", 7)
        before = store.sessions("user")
        _make_version_1(beside(path))
        store.close()
        store = SqliteStore(path, OLDEST_GOES, clock=clock)
        assert (store.sessions("user"), limit_of(store, "other")) == (before, 7)
        refusal = store.admit(Ask("user", "a", "news"))
        assert isinstance(refusal, Refusal)
        assert refusal.mark is not None
        assert refusal.mark.by_session_id == "d"
        clock.now_ms += N * X
        assert len(_swept(store)) == 3

    def test_a_file_of_version_2_keeps_everybody_and_counts_what_finds_no_room(self, path: str) -> None:
        store = SqliteStore(path, QUICK, frozenset({"session.started"}))
        watch(store)
        db = beside(path)
        db.execute("DROP TABLE unkept")
        db.execute("DROP TABLE grants")
        db.execute("PRAGMA user_version = 2")
        store.close()
        store = SqliteStore(path, QUICK, frozenset({"session.started"}), outbox_max_events=1)
        assert len(store.sessions("user").sessions) == 1
        for number in range(intake.LEAST):
            watch(store, user=f"user-{number}")
        assert beside(path).execute("SELECT * FROM unkept").fetchall() == [("session.started", 1)]

    def test_who_sat_before_grants_could_be_ended_may_have_one(self, path: str) -> None:
        store = SqliteStore(path, QUICK)
        grant = watch(store).lease.generation
        db = beside(path)
        (body,) = db.execute("SELECT body FROM ledgers").fetchone()
        (seats, *others) = msgspec.msgpack.decode(body)
        old = msgspec.msgpack.encode([[seat[:17] for seat in seats], *others])
        db.execute("UPDATE ledgers SET body = ?", (old,))
        db.execute("DROP TABLE grants")
        db.execute("PRAGMA user_version = 3")
        store.close()
        store = SqliteStore(path, QUICK)
        store.end("user", "tv")
        refusal = store.admit(Ask("user", "tv", "news", grant_generation=grant))
        assert isinstance(refusal, Refusal)
        assert refusal.code == "grant-ended"

    def test_grants_that_would_have_expired_leave_no_row(self, path: str) -> None:
        clock = ManualClock()
        store = SqliteStore(path, QUICK, clock=clock)
        for user in ("ann", "bob"):
            store.admit(Ask(user, "tv", "news", Purpose.SEAT))
            store.end(user, "tv")
            clock.now_ms += X
        clock.now_ms += QUICK.grant_ms - X
        _swept(store)
        assert beside(path).execute("SELECT user_id FROM grants").fetchall() == []

    def test_a_hammering_terminated_player_is_written_down_fifty_times_an_x_at_most(
        self, path: str, opened: Opened
    ) -> None:
        clock = ManualClock()
        store = SqliteStore(path, QUICK, clock=clock)
        watch(store)
        store.terminate("user", "tv", "operator", "why")
        before = opened[-1].total_changes
        for _ in range(2 * X):
            clock.now_ms += 1
            assert isinstance(store.admit(Ask("user", "tv", "news")), Refusal)
        assert opened[-1].total_changes - before <= 2 * 50 + 1

    def test_a_step_is_as_long_as_the_lock_may_be_held(self) -> None:
        pace = Pace()
        pace.took(FIRST, HOLD_SECONDS / 100)
        assert pace.users == 2 * FIRST, "it grows by steps"
        pace.took(2 * FIRST, HOLD_SECONDS * 2)
        assert pace.users == FIRST
        pace.took(FIRST, 1.0)
        assert pace.users == FEWEST
        pace.took(0, 1.0)
        assert pace.users == FEWEST

    @pytest.mark.parametrize("subscribed", [frozenset(), ALL_TYPES], ids=["one-statement", "transactions"])
    def test_a_full_disk_is_unavailable_loses_nothing_and_heals(self, path: str, subscribed: frozenset[str]) -> None:
        running = [writers.start(writers.fill_the_disk, path, subscribed)]
        [(error, users, sits, again, kept, other)] = writers.answers(running)
        assert error.startswith("sqlite: ")
        assert (sits, again, kept, other) == (1, True, users, True)

    def test_a_reader_waits_while_a_killed_process_is_cleaned_up_after(
        self, path: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Connection, "cursor", lambda db: sqlite3.Connection.cursor(db, BusyCursor))
        store = SqliteStore(path, SLOW)
        watch(store)
        monkeypatch.setattr(BusyCursor, "times", 1)
        assert isinstance(store.admit(Ask("user", "tv", "news")), Admitted)
        assert BusyCursor.times == 0

    def test_a_file_that_others_hold_for_ever_is_an_unavailable_store(
        self, path: str, opened: Opened, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = SqliteStore(path, SLOW)
        holder = sqlite3.connect(path, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        monkeypatch.setattr(opened[-1], "patience_seconds", 0.01)
        with pytest.raises(StoreUnavailable, match="locked"):
            watch(store)
        holder.execute("ROLLBACK")
        watch(store)


class BusyCursor(sqlite3.Cursor):
    """A cursor that answers "locked" so many `times`, as SQLite does while another process repairs the file."""

    times = 0

    def execute(self, *what: Any) -> sqlite3.Cursor:
        if self.times:
            type(self).times -= 1
            raise sqlite3.OperationalError("database is locked")
        return super().execute(*what)


class TestProcesses:
    """Several processes on one file."""

    @pytest.mark.parametrize("sitting", [False, True], ids=["empty", "three-sit-and-fetch"])
    @pytest.mark.parametrize("subscribed", [frozenset(), ALL_TYPES], ids=["one-statement", "transactions"])
    def test_100_users_with_8_new_sessions_over_4_processes_get_3_seats_each(
        self, path: str, sitting: bool, subscribed: frozenset[str]
    ) -> None:
        users, processes = 100, 4
        if sitting:
            writers.take_seats(path, users, ["sit-0", "sit-1", "sit-2"])
        barrier = FORKED.Barrier(processes)
        running = [
            writers.start(writers.seat_everyone, path, users, (k, processes, barrier), sitting, subscribed)
            for k in range(processes)
        ]
        told = writers.answers(running)
        assert sum(refused for _, refused in told) == 0
        seats = [sum(counts) for counts in zip(*(admitted for admitted, _ in told), strict=True)]
        assert seats == [0 if sitting else 3] * users
        store = SqliteStore(path, SLOW)
        assert {store.sessions(f"user-{user}").live for user in range(users)} == {3}

    def test_killed_writers_lose_no_receipt_and_leave_no_stuck_seat(self, path: str) -> None:
        for receipts in (1, 400):
            check_after_kill(path, writers.acknowledged_until_killed(path, 3, 10, receipts), 10)


def check_after_kill(path: str, acknowledged: dict[tuple[str, str], int], users: int) -> None:
    """No user is over the limit, each acknowledged receipt is on record, every seat comes free in time."""
    store = SqliteStore(path, SLOW)
    rosters = [store.sessions(f"user-{user}") for user in range(users)]
    assert max(roster.live for roster in rosters) <= 3
    on_record = {(s.user_id, s.session_id): s.sequence for roster in rosters for s in roster.sessions}
    assert acknowledged
    for who, sequence in acknowledged.items():
        assert (on_record[who] or 0) >= sequence
    latest = max(s.expires_at_ms for roster in rosters for s in roster.sessions)
    later = SqliteStore(path, SLOW, clock=lambda: latest)
    swept = _swept(later)
    assert sorted((e.session.user_id, e.session.session_id) for e in swept) == sorted(on_record)
    assert all(isinstance(later.admit(Ask(f"user-{k}", "x", "news")), Admitted) for k in range(users))
    assert sqlite3.connect(path).execute("PRAGMA integrity_check").fetchone() == ("ok",)
    for user in range(users):  # clean, for whoever comes next
        later.end(f"user-{user}", "x")


class Overtaken(SqliteStore):
    """One that others overtake between the look at what is due and the lock: with `meanwhile`, one by one."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.meanwhile: list[Callable[[], object]] = []
        self._look = self._sweep.look
        self._sweep.look = self._look_and_be_overtaken  # type: ignore[method-assign]

    def _look_and_be_overtaken(self, at_most: int) -> Takings:
        takings = self._look(at_most)
        if self.meanwhile:
            self.meanwhile.pop(0)()
        return takings


def _in_steps(store: SqliteStore, at_most: int) -> list[list[str]]:
    """Who goes in each step of a whole round."""
    steps, more = [], True
    while more:
        swept = store.expire(at_most)
        steps.append([event.session.user_id for event in swept.events])
        more = swept.more
    return steps


def _broken(*_: Any) -> Any:
    return 1 / 0


def _make_version_1(db: sqlite3.Connection) -> None:
    """What schema 1 had otherwise: JSON with the names of the fields, what is as usual left out, and an index."""
    rows = db.execute("SELECT user_id, due_at_ms, body FROM ledgers").fetchall()
    db.execute("DROP TABLE ledgers")
    db.execute("CREATE TABLE ledgers (user_id TEXT PRIMARY KEY, body BLOB NOT NULL, due_at_ms INTEGER) WITHOUT ROWID")
    db.execute("CREATE INDEX ledgers_due ON ledgers (due_at_ms) WHERE due_at_ms IS NOT NULL")
    for user_id, due_at_ms, body in rows:
        ledger = rule_store.decode(body)
        old = {"seats": [_as_object(seat) for seat in ledger.seats], "marks": ledger.marks}
        old |= {"max_sessions": ledger.max_sessions} if ledger.max_sessions else {}
        db.execute("INSERT INTO ledgers VALUES (?, ?, ?)", (user_id, msgspec.json.encode(old), due_at_ms))
    db.execute("DROP TABLE unkept")
    db.execute("DROP TABLE grants")
    db.execute("PRAGMA user_version = 1")


def _as_object(seat: Seat) -> dict[str, Any]:
    return {name: value for name, value in structs.asdict(seat).items() if value not in (None, 0, [], {})}


def _swept(store: SqliteStore) -> list[Any]:
    return asyncio.run(sweep_all(store))  # type: ignore[arg-type]
