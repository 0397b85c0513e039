"""Another process holds the file: the event loop goes on, and changes are made in their order when it is released."""

import asyncio
import fcntl
import os
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from streamlimit import rules
from streamlimit.errors import StoreLocked
from streamlimit.model import Admitted, Ask, Confirmed, Lease, Receipt, Refusal
from streamlimit.policy import Policy
from streamlimit.store.contract import resolved
from streamlimit.store.sqlite import SqliteOutbox, SqliteStore, connection, patient
from streamlimit.store.sqlite.connection import LOOP_SECONDS
from streamlimit.store.sqlite.patience import RETRY_SECONDS, Patience
from streamlimit.store.sqlite.rows import Rows
from tests.store.store_driver import limit_of, types

POLICY = Policy()


@pytest.fixture
def blocked(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the event loop was made to sleep, each time."""
    found, sleep = list[float](), time.sleep

    def noting(seconds: float) -> None:
        found.append(seconds)
        sleep(seconds)

    monkeypatch.setattr(connection.time, "sleep", noting)
    return found


@contextmanager
def held(path: str) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        yield holder


def ask(user: str, session: str = "tv", lease: str = "lease") -> Ask:
    return Ask(user, session, "film", lease_id=lease)


def sit(store: SqliteStore, user: str = "ann", session: str = "tv") -> Lease:
    decision = store.admit(ask(user, session))
    assert isinstance(decision, Admitted)
    assert decision.lease is not None
    assert isinstance(store.confirm(Receipt(decision.lease, "1.ts", 1)), Confirmed)
    return decision.lease


def during(path: str, work: Callable[[], list[Any]]) -> list[Any]:
    """The answers to what *work* asks while the file is held, which is let go only after all of that was asked."""

    async def run() -> list[Any]:
        with held(path) as holder:
            asked = work()
            assert all(isinstance(each, Awaitable) for each in asked), "nothing was answered, nor waited for"
            waiting = asyncio.gather(*asked, return_exceptions=True)
            await asyncio.sleep(5 * RETRY_SECONDS)
            assert not waiting.done()
            holder.execute("ROLLBACK")
        return await waiting

    return asyncio.run(run())


def test_each_change_waits_for_its_turn_without_blocking_and_is_made(path: str, blocked: list[float]) -> None:
    opener = SqliteStore(path, POLICY)
    leases = [sit(opener, user) for user in ("ann", "bob", "cid")]
    store = SqliteStore(path, POLICY, gathers=True)
    outbox = patient(SqliteOutbox, path, {"hook": ["session.refused"]}, 10)
    shown = opener.sessions("ann").sessions[0]

    def everything() -> list[Any]:
        return [
            store.admit(ask("new")),
            store.beat(ask("ann")),
            store.confirm(Receipt(leases[0], "2.ts", 2)),
            store.prolong(leases[0]),
            store.end("bob", "tv"),
            store.terminate("cid", None, "operator", "why"),
            store.set_limit("dan", 5),
            store.secret("name", "made"),
            store.ping(),
            outbox.refused(shown, "session-limit", 1_000),
        ]

    answers = during(path, everything)
    assert sum(blocked) <= 2 * LOOP_SECONDS, "by each of two connections once"
    admitted, beaten, confirmed, prolonged, ended, terminated, _, secret, ping, refused = answers
    assert [type(each) for each in (admitted, beaten, confirmed)] == [Admitted, Admitted, Confirmed]
    assert (prolonged, secret, ping) == (None, "made", None)
    assert (types(ended), types(terminated)) == (["ended"], ["terminated"])
    assert refused.type == "session.refused"
    assert limit_of(opener, "dan") == 5
    assert [opener.sessions(user).live for user in ("new", "ann", "bob", "cid")] == [1, 1, 0, 0]


def test_they_are_made_in_the_order_in_which_they_were_asked(path: str) -> None:
    store = SqliteStore(path, POLICY, gathers=True)
    answers = during(path, lambda: [store.beat(ask("ann", session)) for session in "abcde"])
    assert [type(answer) for answer in answers] == [Admitted] * 3 + [Refusal] * 2
    assert [session.session_id for session in store.sessions("ann").sessions] == ["a", "b", "c"]


def test_who_leaves_while_a_beat_waits_has_left(path: str) -> None:
    store = SqliteStore(path, POLICY, gathers=True)
    during(path, lambda: [store.beat(ask("ann")), store.end("ann", "tv")])
    assert store.sessions("ann").live == 0


async def test_who_asks_once_the_file_is_free_comes_after_who_waited_for_it(path: str) -> None:
    store = SqliteStore(path, POLICY, gathers=True)
    with held(path):
        beaten = store.beat(ask("ann"))
    left = store.end("ann", "tv")  # in the same iteration: the next try is still to come
    await resolved(beaten)
    assert types(await resolved(left)) == ["ended"]
    assert store.sessions("ann").live == 0


def test_who_sits_is_admitted_meanwhile_for_that_takes_no_lock(path: str) -> None:
    store = SqliteStore(path, POLICY, gathers=True)
    sit(SqliteStore(path, POLICY))
    with held(path):
        assert isinstance(store.admit(ask("ann")), Admitted)


def test_a_sweep_says_that_more_is_due_and_goes_on_when_it_may(path: str) -> None:
    store = SqliteStore(path, POLICY, gathers=True)
    sit(SqliteStore(path, POLICY, clock=lambda: 1_000))
    with held(path):
        for _ in range(3):
            swept = store.expire(100)
            assert (swept.events, swept.more, swept.pause_seconds) == ((), True, RETRY_SECONDS)
    assert types(store.expire(100).events) == ["expired"]


async def test_who_waited_in_vain_is_told_and_nobody_waits_again_before_the_file_is_free(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamlimit.store.sqlite.patience.LOCK_WAIT_SECONDS", 0.02)
    store = SqliteStore(path, POLICY, gathers=True)

    with held(path) as holder:
        for asked in (store.admit(ask("ann")), store.beat(ask("ann")), store.end("ann", "tv")):
            with pytest.raises(StoreLocked):
                await resolved(asked)
        with pytest.raises(StoreLocked):
            store.admit(ask("bob"))
        holder.execute("ROLLBACK")
    assert isinstance(await resolved(store.admit(ask("ann"))), Admitted)
    with held(path):
        assert isinstance(store.admit(ask("bob")), Awaitable), "it has patience again"


async def test_an_outbox_that_waited_in_vain_says_so(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    opener = SqliteStore(path, POLICY)
    sit(opener)
    shown = opener.sessions("ann").sessions[0]
    outbox = patient(SqliteOutbox, path, {"hook": ["session.refused"]}, 10)
    monkeypatch.setattr("streamlimit.store.sqlite.patience.LOCK_WAIT_SECONDS", 0.02)

    with held(path) as holder:
        with pytest.raises(StoreLocked):
            await resolved(outbox.refused(shown, "session-limit", 1_000))
        holder.execute("ROLLBACK")
    assert await resolved(outbox.refused(shown, "session-limit", 1_000)) is not None


def test_who_has_no_loop_to_wait_in_is_told_that_a_sweep_cannot_begin(path: str) -> None:
    store = SqliteStore(path, POLICY)
    sit(SqliteStore(path, POLICY, clock=lambda: 1_000))
    with held(path), pytest.raises(StoreLocked):
        store.expire(100)
    assert types(store.expire(100).events) == ["expired"]


async def test_a_reading_that_finds_the_file_held_by_a_repair_waits_as_a_change_does(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sit(SqliteStore(path, POLICY))
    store = SqliteStore(path, POLICY, gathers=True)

    def reading(*asked: object) -> Any:
        raise StoreLocked("sqlite: the file is being repaired")

    monkeypatch.setattr(Rows, "load_kept", reading)

    again = await resolved(store.admit(ask("ann")))
    fresh = await resolved(store.admit(ask("ann", "phone")))
    assert isinstance(again, Admitted)
    assert again.existing
    assert isinstance(fresh, Admitted)
    assert not fresh.existing


def test_the_turns_of_others_do_not_renew_the_patience_of_a_sweep(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamlimit.store.sqlite.patience.LOCK_WAIT_SECONDS", 0.02)
    folder = os.open(os.path.dirname(path), os.O_RDONLY)
    now = [10_000_000]
    with closing(SqliteStore(path, POLICY, clock=lambda: now[0], gathers=True)) as store:
        store.admit(ask("ann"))
        now[0] *= 2
        with held(path):
            assert store.expire(10).more
            time.sleep(0.03)
            fcntl.flock(folder, fcntl.LOCK_EX)
            assert store.expire(10).more
            os.close(folder)
            with pytest.raises(StoreLocked):
                store.expire(10)


def test_patience_lasts_from_the_first_try_in_vain() -> None:
    now = [0.0]
    patience = Patience(lambda: now[0])
    assert patience.next_try() == RETRY_SECONDS
    now[0] = 0.49
    assert patience.next_try() == RETRY_SECONDS
    now[0] = 0.5
    assert patience.next_try() is None
    now[0] = 9.0
    assert patience.next_try() is None
    patience.over()
    assert patience.next_try() == RETRY_SECONDS


def test_a_rules_error_is_raised_though_it_would_not_come_again(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store, rule, broken = SqliteStore(path, POLICY), rules.beat, [True]

    def beat(*asked: Any) -> Any:
        return 1 // 0 if broken.pop() else rule(*asked)

    monkeypatch.setattr(rules, "beat", beat)
    with pytest.raises(ZeroDivisionError):
        store.beat(ask("ann"))
    assert store.sessions("ann").live == 0
