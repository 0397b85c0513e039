"""SQLite's log is carried over by a thread: no change waits for the disk, and the log does not grow without end."""

import sqlite3
import threading
from pathlib import Path

import pytest

from streamlimit.model import Admitted, Ask, Receipt
from streamlimit.policy import Policy
from streamlimit.store.sqlite import SqliteStore, checkpoint
from tests.service import wait_until

PAGE_BYTES = 4_096


def change(store: SqliteStore, times: int, user: str = "user") -> None:
    """One session receives so many segments."""
    decision = store.admit(Ask(user, "tv", "film", lease_id="lease"))
    assert isinstance(decision, Admitted)
    assert decision.lease is not None
    for n in range(times):
        store.confirm(Receipt(decision.lease, f"{n}.ts", n))


def test_after_enough_changes_the_log_is_carried_over_in_the_background(tmp_path: Path) -> None:
    file = tmp_path / "streamlimit.db"
    store = SqliteStore(str(file), Policy())
    change(store, checkpoint.CHANGES - 2)
    assert file.stat().st_size <= PAGE_BYTES, "a commit carried it over"
    change(store, 2)
    wait_until(lambda: file.stat().st_size > PAGE_BYTES, 10, "the thread")
    store.close()


def times_anew(file: Path) -> int:
    """How often the log of this database started anew: the sequence number in its header, sqlite.org/walformat.html."""
    with Path(f"{file}-wal").open("rb") as log:
        return int.from_bytes(log.read(16)[12:], "big")


def test_a_long_log_starts_anew_though_it_is_never_at_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "LONG_LOG_PAGES", 100)
    file = tmp_path / "streamlimit.db"
    store = SqliteStore(str(file), Policy())
    change(store, 200)
    reader = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    change(store, 200)  # the reader still needs the log as it was: the first pass ends there
    before = times_anew(file)
    leaves = threading.Timer(0.2, reader.close)
    leaves.start()
    checkpoint.checkpoint_once(str(file))
    leaves.join()
    change(store, 1)
    assert times_anew(file) == before + 1
    store.close()


def test_a_closed_store_leaves_no_thread(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    store = SqliteStore(str(tmp_path / "streamlimit.db"), Policy())
    change(store, checkpoint.CHANGES)
    assert [thread.name for thread in set(threading.enumerate()) - before] == ["checkpoint"]
    store.close()
    store.close()
    assert set(threading.enumerate()) <= before
