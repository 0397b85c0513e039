"""SQLite's log is carried over by a thread: no change waits for the disk, and the log does not grow without end."""

import sqlite3
import threading
import time
from pathlib import Path

import pytest

from streamlimit.model import Admitted, Ask, Receipt
from streamlimit.policy import Policy
from streamlimit.store.sqlite import SqliteStore, checkpoint, connection
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
    assert connection.LONGEST_LOG_PAGES > 2 * checkpoint.LONG_LOG_PAGES
    change(store, checkpoint.CHANGES - 2)
    assert file.stat().st_size <= PAGE_BYTES, "a commit carried it over"
    change(store, 2)
    wait_until(lambda: file.stat().st_size > PAGE_BYTES, 10, "the thread")
    store.close()


def test_a_log_that_is_written_without_a_pause_starts_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "LONG_LOG_PAGES", 200)
    monkeypatch.setattr(checkpoint, "CHANGES", 100)
    file, enough = tmp_path / "streamlimit.db", threading.Event()
    deadline = time.monotonic() + 20
    written = [0, 0]

    def write(number: int) -> None:
        store = SqliteStore(str(file), Policy())
        while not enough.is_set() and time.monotonic() < deadline:
            change(store, 50, f"user-{number}")
            written[number] += 50
        store.close()

    writers = [threading.Thread(target=write, args=(number,)) for number in range(2)]
    with sqlite3.connect(file):
        for writer in writers:
            writer.start()
        wait_until(lambda: sum(written) > 5_000, 20, "the writers")
        log_bytes = Path(f"{file}-wal").stat().st_size
        enough.set()
    for writer in writers:
        writer.join()
    assert log_bytes < sum(written) * PAGE_BYTES / 2, "it never started anew"


def test_a_closed_store_leaves_no_thread(tmp_path: Path) -> None:
    store = SqliteStore(str(tmp_path / "streamlimit.db"), Policy())
    change(store, checkpoint.CHANGES)
    assert "checkpoint" in {thread.name for thread in threading.enumerate()}
    store.close()
    store.close()
    assert "checkpoint" not in {thread.name for thread in threading.enumerate()}
