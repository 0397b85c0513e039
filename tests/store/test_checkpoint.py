"""Checkpoints of SQLite's log by a thread: no change waits for the disk, and the log does not grow without end."""

import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from streamlimit.errors import StoreUnavailable
from streamlimit.model import Admitted, Ask, Receipt
from streamlimit.policy import Policy
from streamlimit.store.sqlite import SqliteStore, checkpoint
from streamlimit.store.sqlite.checkpoint import Checkpoint, Checkpointer
from tests.service import wait_until
from tests.tmpfs import mounted

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


def test_a_process_that_goes_to_another_folder_carries_over_the_same_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere, made = tmp_path / "elsewhere", list[Checkpoint]()
    elsewhere.mkdir()
    monkeypatch.chdir(tmp_path)
    with (
        closing(SqliteStore("streamlimit.db", Policy())),
        closing(Checkpointer("streamlimit.db", made.append)) as other,
    ):
        monkeypatch.chdir(elsewhere)
        other.make_soon()
        wait_until(lambda: bool(made), 10, "the thread")
    assert made[0].problem is None
    assert list(elsewhere.iterdir()) == []


def reading(file: Path) -> sqlite3.Connection:
    """Somebody reads for long, as a backup does."""
    reader = sqlite3.connect(file, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    return reader


def test_a_long_reader_holds_nobody_off_and_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("LONG_LOG_PAGES", 100), ("BEHIND_PAGES", 10_000), ("TRIES", 3), ("PAUSE_SECONDS", 0.0)):
        monkeypatch.setattr(checkpoint, name, value)
    file = tmp_path / "streamlimit.db"
    store, waits = SqliteStore(str(file), Policy()), list[float]()
    change(store, 200)
    reader = reading(file)
    change(store, 200)
    writer = sqlite3.connect(file, timeout=0, isolation_level=None, check_same_thread=False)

    def write() -> None:
        writer.execute("BEGIN IMMEDIATE")  # raises where the checkpoint holds the lock and waits
        writer.execute("ROLLBACK")

    problems: list[Exception] = []
    is_over = threading.Event()

    def press() -> None:
        while not is_over.is_set():
            began = time.monotonic()
            while True:
                try:
                    write()
                    break
                except sqlite3.OperationalError as error:
                    if time.monotonic() - began > 0.9:
                        problems.append(error)
                        return
            waits.append(time.monotonic() - began)

    thread = threading.Thread(target=press)
    thread.start()
    found = [checkpoint.checkpoint_once(str(file)) for _ in range(3)]
    is_over.set()
    thread.join()
    assert problems == []
    assert [each.problem for each in found] == ["others are at it all the time"] * 3
    assert found[0].log_bytes > 400 * 2_048
    reader.close()
    assert checkpoint.checkpoint_once(str(file)).problem is None
    writer.close()
    store.close()


def test_what_a_reader_keeps_from_being_carried_over_is_left_for_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "LONG_LOG_PAGES", 100)
    monkeypatch.setattr(checkpoint, "BEHIND_PAGES", 100)
    file = tmp_path / "streamlimit.db"
    told: list[checkpoint.Checkpoint] = []
    store = SqliteStore(str(file), Policy(), checkpointed=told.append)
    with closing(reading(file)):
        change(store, checkpoint.CHANGES)
        wait_until(lambda: bool(told), 10, "the thread")
        assert "reads for long" in (told[0].problem or "")
    change(store, checkpoint.CHANGES)
    wait_until(lambda: told[-1].problem is None, 10, "the next time")
    store.close()


@pytest.mark.parametrize("how", ["ping", "sweep", "receipt"])
def test_a_log_that_filled_the_disk_while_somebody_read_is_written_over_afterwards(tmp_path: Path, how: str) -> None:
    made: list[Checkpoint] = []

    def works() -> bool:
        try:
            if how == "receipt":
                change(store, 1)
            else:
                assert (store.expire(10).events if how == "sweep" else store.ping()) in ((), None)
        except StoreUnavailable:
            return False
        return True

    with mounted(tmp_path / "disk", megabytes=2) as disk:
        file = disk / "streamlimit.db"
        store = SqliteStore(str(file), Policy(), checkpointed=made.append)
        change(store, 10)
        checkpoint.checkpoint_once(str(file))  # the database has all the pages that it needs
        with closing(reading(file)):
            with pytest.raises(StoreUnavailable, match="full"):
                change(store, checkpoint.CHANGES - 2)
            wait_until(lambda: bool(made), 10, "the failed write's checkpoint, which makes no room yet")
        assert not works(), "there is no room before a checkpoint"
        wait_until(works, 10, "room for the log")
        change(store, 10)
        store.close()


def test_a_file_that_was_deleted_is_not_made_anew(tmp_path: Path) -> None:
    file = tmp_path / "stream limit?.db"
    with closing(SqliteStore(str(file), Policy())) as store:
        change(store, 1)
        assert checkpoint.checkpoint_once(str(file)).problem is None
        for each in tmp_path.iterdir():
            each.unlink()
        assert checkpoint.checkpoint_once(str(file)) == checkpoint.Checkpoint(0, "unable to open database file")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_opened_is_told_of(tmp_path: Path) -> None:
    assert checkpoint.checkpoint_once(str(tmp_path / "no" / "folder.db")) == checkpoint.Checkpoint(
        0, "unable to open database file"
    )


class Busy:
    """A database that another process is checkpointing for so many tries."""

    def __init__(self, tries: int) -> None:
        self.left, self.asked = tries, 0

    def execute(self, statement: str) -> "Busy":
        self.asked += 1
        return self

    def fetchone(self) -> tuple[int, int, int]:
        self.left -= 1
        return (1, -1, -1) if self.left >= 0 else (0, 10, 10)

    def close(self) -> None: ...


def test_another_processs_checkpoint_is_waited_for_and_not_for_ever(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(checkpoint, "PAUSE_SECONDS", 0.0)
    short, endless = Busy(3), Busy(10**6)
    databases = iter((short, endless))
    monkeypatch.setattr(sqlite3, "connect", lambda path, **how: next(databases))
    path = str(tmp_path / "streamlimit.db")
    assert checkpoint.checkpoint_once(path) == checkpoint.Checkpoint(0, None)
    assert short.asked == 4
    assert checkpoint.checkpoint_once(path) == checkpoint.Checkpoint(0, "others are at it all the time")
    assert endless.asked == checkpoint.TRIES
