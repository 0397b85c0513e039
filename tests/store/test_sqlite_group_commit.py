"""Heartbeats of one turn of the event loop are made in one transaction, and answered after it."""

import asyncio
import re
import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from streamlimit import rules
from streamlimit.errors import StoreLocked, StoreUnavailable
from streamlimit.model import Admitted, Ask, Confirmed, Receipt, Refusal
from streamlimit.store.contract import resolved
from streamlimit.store.sqlite import SqliteStore, group_commit, intake, patience
from streamlimit.store.sqlite.group_commit import AT_MOST
from tests.processes import FORKED
from tests.store import differential, writers
from tests.store.connections import Opened, beside
from tests.store.contract import (
    Beats,
    Caps,
    ClocksThatGoBack,
    DryRuns,
    Limits,
    LossesThatWereForgotten,
    Plans,
    Receipts,
    Reports,
)
from tests.store.store_driver import ALL_TYPES, types
from tests.store.writers import SLOW


@pytest.fixture
def open_store(path: str) -> Callable[..., SqliteStore]:
    return partial(SqliteStore, path, gathers=True)


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one alone is answered later."""
    monkeypatch.setattr(group_commit, "ALONE", -1)


@pytest.mark.usefixtures("always")
class TestTogether(Limits, Receipts, Caps, DryRuns, LossesThatWereForgotten, ClocksThatGoBack, Plans, Beats, Reports):
    """What the contract says of heartbeats and receipts, where they are answered later."""


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("name", differential.POLICIES)
def test_a_beat_is_an_admission_and_its_receipt(name: str, tmp_path: Path) -> None:
    one, other = (partial(SqliteStore, str(tmp_path / f"{k}.db"), gathers=True) for k in range(2))
    asyncio.run(differential.walk_twins(len(name), differential.POLICIES[name], one, other, ALL_TYPES))


def ask(user: str, session: str = "tv") -> Ask:
    return Ask(user, session, "news")


def at_once(store: SqliteStore, asks: Sequence[Ask]) -> list[Any]:
    """What each is answered that is asked in one turn of the loop: a decision, or an error."""

    async def run() -> list[Any]:
        return await asyncio.gather(*(resolved(store.beat(each)) for each in asks), return_exceptions=True)

    return asyncio.run(run())


def statements(opened: Opened) -> list[str]:
    """All that the store opened last runs from here on, by their first words (behind the comments)."""
    seen: list[str] = []
    opened[-1].set_trace_callback(lambda text: seen.append(re.sub(r"--.*\n", "", text).split()[0]))
    return seen


@pytest.mark.usefixtures("always")
class TestOneTurn:
    """How many transactions, and when answers come."""

    def test_those_of_one_turn_are_one_transaction(self, path: str, opened: Opened) -> None:
        store = SqliteStore(path, SLOW, gathers=True)
        seen = statements(opened)
        answers = at_once(store, [ask(f"user-{k}") for k in range(AT_MOST)])
        assert seen == ["BEGIN", "SELECT", *["INSERT"] * AT_MOST, "COMMIT"]
        assert [answer.session.user_id for answer in answers] == [f"user-{k}" for k in range(AT_MOST)]

    def test_receipts_and_reports_share_it_with_beats(self, path: str, opened: Opened) -> None:
        store = SqliteStore(path, SLOW, gathers=True)
        leases = [store.admit(ask(f"user-{k}")).lease for k in range(2)]  # type: ignore[union-attr]
        assert None not in leases
        receipts = [Receipt(lease, "1.ts", 1) for lease in leases if lease is not None]
        told: list[Any] = []
        seen = statements(opened)

        async def run() -> list[Any]:
            coming: list[Any] = [store.confirm(receipts[0]), store.beat(ask("other"))]
            store.report(receipts[1], told.append)
            return [type(await answer) for answer in coming]

        assert asyncio.run(run()) == [Confirmed, Admitted]
        assert [type(verdict) for verdict in told] == [Confirmed]
        assert seen == ["BEGIN", "SELECT", "INSERT", "UPDATE", "UPDATE", "COMMIT"]

    def test_one_alone_is_one_statement(self, path: str, opened: Opened) -> None:
        store = SqliteStore(path, SLOW, gathers=True)
        seen = statements(opened)
        assert isinstance(at_once(store, [ask("user")])[0], Admitted)
        assert seen == ["INSERT"]

    def test_many_are_several_transactions(self, path: str, opened: Opened) -> None:
        store = SqliteStore(path, SLOW, gathers=True)
        seen = statements(opened)
        answers = at_once(store, [ask(f"user-{k}") for k in range(2 * AT_MOST + 1)])
        assert seen == [*["BEGIN", "SELECT", *["INSERT"] * AT_MOST, "COMMIT"] * 2, "INSERT"]
        assert len({answer.session.user_id for answer in answers}) == 2 * AT_MOST + 1

    def test_the_next_turn_is_the_next_transaction(self, path: str, opened: Opened) -> None:
        store = SqliteStore(path, SLOW, gathers=True)
        seen = statements(opened)
        for _ in range(2):
            at_once(store, [ask("user"), ask("other")])
        assert seen == [word for write in ("INSERT", "UPDATE") for word in ("BEGIN", "SELECT", write, write, "COMMIT")]

    def test_nobody_hears_an_answer_before_others_see_what_it_says(self, path: str) -> None:
        store, other = SqliteStore(path, SLOW, gathers=True), SqliteStore(path, SLOW)
        users = [f"user-{k}" for k in range(3)]
        seen: list[list[int]] = []

        async def run() -> None:
            for user in users:
                coming: Any = store.beat(ask(user))
                coming.add_callback(lambda _: seen.append([other.sessions(each).live for each in users]))
            assert (seen, [other.sessions(each).live for each in users]) == ([], [0, 0, 0])
            await asyncio.sleep(0)

        asyncio.run(run())
        assert seen == [[1, 1, 1]] * 3

    def test_of_one_user_the_first_ones_get_the_seats(self, path: str) -> None:
        store = SqliteStore(path, SLOW, gathers=True)
        answers = at_once(store, [ask("user", session) for session in "abcde"])
        assert [type(answer) for answer in answers] == [Admitted] * 3 + [Refusal] * 2
        assert [session.session_id for session in answers[3].sessions] == ["a", "b", "c"]
        assert store.sessions("user").live == 3

    def test_who_is_refused_is_not_written(self, path: str, opened: Opened) -> None:
        store = SqliteStore(path, SLOW, gathers=True)
        at_once(store, [ask("user", session) for session in "abc"])
        seen = statements(opened)
        answers = at_once(store, [ask("user", session) for session in "de"])
        assert [type(answer) for answer in answers] == [Refusal, Refusal]
        assert seen == ["BEGIN", "SELECT", "COMMIT"]

    def test_any_id_finds_its_own_row_again(self, path: str) -> None:
        store = SqliteStore(path, SLOW, gathers=True)
        users = ["a", "a\0b", "a'b", "?", "%", "ä", "\N{CLAPPER BOARD}", ""]
        for existing in (False, True):
            answers = at_once(store, [ask(user) for user in users])
            assert [(answer.session.user_id, answer.existing) for answer in answers] == [(u, existing) for u in users]
        assert [store.sessions(user).live for user in users] == [1] * len(users)

    @pytest.mark.parametrize("leave", ["end", "terminate"])
    def test_who_leaves_in_the_same_turn_has_left(self, path: str, leave: str) -> None:
        store = SqliteStore(path, SLOW, gathers=True)

        async def run() -> list[Any]:
            beats: list[Any] = [store.beat(ask("user")), store.beat(ask("other"))]
            left = store.end("user", "tv") if leave == "end" else store.terminate("user", None, "operator", "")
            return [types(left), *[type(await beat) for beat in beats], store.sessions("user").live]

        assert asyncio.run(run()) == [[leave + ("ed" if leave == "end" else "d")], Admitted, Admitted, 0]
        assert store.sessions("other").live == 1

    def test_each_event_is_put_into_the_outbox_by_the_same_transaction(self, path: str, opened: Opened) -> None:
        store = SqliteStore(path, SLOW, ALL_TYPES, gathers=True)
        seen = statements(opened)
        answers = at_once(store, [ask("user"), ask("other"), ask("user")])
        assert [types(answer.events) for answer in answers] == [["started"], ["started"], []]
        assert seen == ["BEGIN", "SELECT", *["INSERT"] * 2, "SELECT", *["INSERT"] * 2, "COMMIT"]
        assert store.pending() == 2

    def test_of_a_turn_the_first_events_fill_the_outbox_and_the_others_are_counted(
        self, path: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(intake, "LEAST", 3)
        store = SqliteStore(path, SLOW, ALL_TYPES, outbox_max_events=3, gathers=True)
        for turn in range(3):
            at_once(store, [ask(f"user-{turn}-{k}") for k in range(2)])
        waiting = beside(path).execute("SELECT user_id FROM outbox ORDER BY number").fetchall()
        assert waiting == [("user-0-0",), ("user-0-1",), ("user-1-0",)]
        assert beside(path).execute("SELECT type, count FROM unkept").fetchall() == [("session.started", 3)]


class TestAlone:
    """Who comes alone is answered at once."""

    def test_one_after_the_other_waits_for_nothing(self, path: str, opened: Opened) -> None:
        store = SqliteStore(path, SLOW, gathers=True)
        seen = statements(opened)

        async def run() -> list[Any]:
            answers = []
            for _ in range(3):
                answers.append(store.beat(ask("user")))
                await asyncio.sleep(0)
            return answers

        assert [type(answer) for answer in asyncio.run(run())] == [Admitted] * 3
        assert seen == ["INSERT"] * 3

    def test_of_those_that_come_together_for_once_all_but_the_first_wait(self, path: str, opened: Opened) -> None:
        store = SqliteStore(path, SLOW, gathers=True)
        seen = statements(opened)
        several = [ask(f"user-{k}") for k in range(3)]
        for asks in (several, several, several[:1], several):
            assert all(isinstance(answer, Admitted) for answer in at_once(store, asks))
        new, some, all_of_them = (
            ["BEGIN", "SELECT", *[write] * count, "COMMIT"]
            for write, count in (("INSERT", 2), ("UPDATE", 2), ("UPDATE", 3))
        )
        assert seen == ["INSERT", *new, *all_of_them, "INSERT", "INSERT", *some]


@pytest.mark.usefixtures("always")
class TestTrouble:
    """One who fails fails alone; a file that fails does so for all, once."""

    def test_an_error_of_a_rule_is_only_for_who_asked(self, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
        store = SqliteStore(path, SLOW, gathers=True)

        def beat(ledger: Any, asked: Ask, *more: Any) -> Any:
            return 1 // 0 if asked.user_id == "bad" else rule(ledger, asked, *more)

        rule = rules.beat
        monkeypatch.setattr(rules, "beat", beat)
        for users in (["good", "bad", "fine"], ["bad"]):
            answers = at_once(store, [ask(user) for user in users])
            assert [type(answer) is ZeroDivisionError for answer in answers] == [user == "bad" for user in users]
        assert [store.sessions(user).live for user in ("good", "bad", "fine")] == [1, 0, 1]

    @pytest.mark.parametrize("users", [1, 2 * AT_MOST])
    def test_a_file_that_others_hold_is_waited_for_once(
        self, path: str, users: int, monkeypatch: pytest.MonkeyPatch, opened: Opened
    ) -> None:
        store = SqliteStore(path, SLOW, gathers=True)
        holder = sqlite3.connect(path, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        monkeypatch.setattr(patience, "LOCK_WAIT_SECONDS", 0.0)
        seen = statements(opened)
        answers = at_once(store, [ask(f"user-{k}") for k in range(users)])
        assert {(type(answer), str(answer)) for answer in answers} == {(StoreLocked, "sqlite: database is locked")}
        assert len(answers) == users
        assert len(set(seen)) == 1, "nothing but the first statement was tried"
        holder.execute("ROLLBACK")
        assert all(isinstance(answer, Admitted) for answer in at_once(store, [ask(f"user-{k}") for k in range(users)]))

    def test_where_one_cannot_be_written_none_is(self, path: str) -> None:
        store = SqliteStore(path, SLOW, ALL_TYPES, gathers=True)
        beside(path).execute(
            "CREATE TRIGGER no_events BEFORE INSERT ON outbox WHEN new.user_id = 'bad'"
            " BEGIN SELECT RAISE(ABORT, 'no events'); END"
        )
        answers = at_once(store, [ask(user) for user in ("good", "bad")])
        assert [str(answer) for answer in answers] == ["sqlite: no events"] * 2
        assert [store.sessions(user).live for user in ("good", "bad")] == [0, 0]
        beside(path).execute("DROP TRIGGER no_events")
        assert isinstance(at_once(store, [ask("good"), ask("bad")])[1], Admitted)
        assert store.pending() == 2

    def test_a_store_that_is_closed_meanwhile_says_so(self, path: str) -> None:
        store = SqliteStore(path, SLOW, gathers=True)

        async def run() -> list[Any]:
            coming: list[Any] = [store.beat(ask("user")), store.beat(ask("other"))]
            store.close()
            return await asyncio.gather(*coming, return_exceptions=True)

        assert [type(answer) for answer in asyncio.run(run())] == [StoreUnavailable] * 2


class TestProcesses:
    """Several processes on one file, each with many heartbeats in a turn."""

    def test_100_users_with_8_new_sessions_over_4_processes_get_3_seats_each(self, path: str) -> None:
        users, processes = 100, 4
        barrier = FORKED.Barrier(processes)
        running = [writers.start(writers.beat_everyone, path, users, (k, processes, barrier)) for k in range(processes)]
        seats = [sum(counts) for counts in zip(*writers.answers(running), strict=True)]
        assert seats == [3] * users
        store = SqliteStore(path, SLOW)
        assert {store.sessions(f"user-{user}").live for user in range(users)} == {3}

    def test_killed_writers_lose_no_beat_that_was_answered(self, path: str) -> None:
        for beats in (1, 500):
            acknowledged = writers.acknowledged_until_killed(path, 3, 10, beats, writers.beat_for_ever)
            store = SqliteStore(path, SLOW)
            rosters = [store.sessions(f"user-{user}") for user in range(10)]
            assert max(roster.live for roster in rosters) <= 3
            on_record = {(s.user_id, s.session_id): s.last_activity_ms for r in rosters for s in r.sessions}
            assert acknowledged
            assert all((on_record[who] or 0) >= last_ms for who, last_ms in acknowledged.items())
            assert sqlite3.connect(path).execute("PRAGMA integrity_check").fetchone() == ("ok",)
