"""Sweeps of one database take their steps in turns."""

import errno
import fcntl
import os
import signal
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from streamlimit.model import Admitted, Ask, Receipt
from streamlimit.policy import Policy
from streamlimit.store.sqlite import SqliteStore
from streamlimit.store.sqlite.turns import TRIES, Turns
from tests.store.writers import start

POLICY = Policy(segment_ms=1_000, missed_segments=2)
USERS = 3


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A database in which all sessions of `USERS` users are past their time."""
    path, now = str(tmp_path / "streamlimit.db"), [10_000_000]
    with closing(SqliteStore(path, POLICY, clock=lambda: now[0])) as store:
        for user in range(USERS):
            answer = store.admit(Ask(f"user-{user}", "tv", "film", lease_id="lease"))
            assert isinstance(answer, Admitted)
            assert answer.lease is not None
            store.confirm(Receipt(answer.lease, "1.ts", 1))
    return path


def late() -> int:
    return 20_000_000


@pytest.fixture
def store(path: str) -> Iterator[SqliteStore]:
    with closing(SqliteStore(path, POLICY, clock=late)) as store:
        yield store


def keep_the_turn(path: str, pipe: Connection) -> None:
    folder = os.open(os.path.dirname(path), os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    pipe.send("mine")
    signal.pause()


@contextmanager
def turn_of_another(path: str) -> Iterator[Any]:
    process, pipe = start(keep_the_turn, path)
    assert pipe.recv() == "mine"
    try:
        yield process
    finally:
        process.kill()
        process.join(60)


def swept_all(store: SqliteStore) -> int:
    """Steps until there is nothing more to do; how many events that made."""
    events, more = 0, True
    while more:
        swept = store.expire(1_000)
        events, more = events + len(swept.events), swept.more
        time.sleep(swept.pause_seconds)
    return events


def test_a_sweep_waits_while_it_is_another_process_turn(path: str, store: SqliteStore) -> None:
    with turn_of_another(path):
        swept = store.expire(1_000)
        assert (swept.events, swept.more) == ((), True)
        assert swept.pause_seconds > 0
    assert swept_all(store) == USERS


def test_a_process_that_was_stopped_in_its_turn_keeps_no_sweep_from_its_work(path: str, store: SqliteStore) -> None:
    with turn_of_another(path) as process:
        os.kill(process.pid, signal.SIGSTOP)
        steps = [store.expire(1_000) for _ in range(TRIES + 1)]
    assert [len(step.events) for step in steps] == [0] * TRIES + [USERS]


def test_a_step_gives_its_turn_back(path: str, store: SqliteStore) -> None:
    swept_all(store)
    with turn_of_another(path), closing(SqliteStore(path, POLICY, clock=late)) as other:
        assert other.expire(1_000).events == ()


def test_a_step_that_fails_gives_its_turn_back(path: str, store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("in the middle of a step")

    monkeypatch.setattr("streamlimit.rules.expire", fail)
    with pytest.raises(RuntimeError, match="in the middle"):
        store.expire(1_000)
    with turn_of_another(path):
        pass


def test_where_a_folder_takes_no_locks_a_sweep_works_without_turns(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EBADF, "as on NFS")

    monkeypatch.setattr("fcntl.flock", refuse)
    assert swept_all(store) == USERS


def test_where_a_folder_cannot_be_opened_a_sweep_works_without_turns(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.EMFILE, "too many open files")

    monkeypatch.setattr("streamlimit.store.sqlite.turns.os.open", refuse)
    turns = Turns(path)
    assert turns.take()
    turns.give_back()
    turns.close()


def test_a_store_that_was_closed_twice_left_its_folder_once(path: str) -> None:
    store = SqliteStore(path, POLICY)
    store.close()
    store.close()
