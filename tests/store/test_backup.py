"""`streamlimit backup`: a whole copy while others write, again and again, that nobody else may read."""

import os
import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from streamlimit.errors import StoreUnavailable
from streamlimit.model import Ask
from streamlimit.policy import Policy
from streamlimit.store.sqlite import SqliteStore, back_up
from streamlimit.store.sqlite import backup as backup_module
from tests import launcher
from tests.store.store_driver import limit_of
from tests.tmpfs import filled, mounted


def run(folder: Path, file: Path, store: str) -> tuple[int, str, str]:
    return launcher.run(["backup", str(file), "--store", store], folder)


@contextmanager
def writing(path: str) -> Iterator[None]:
    """Somebody new takes a seat again and again, and never waits for longer than a turn takes."""
    store, is_over, problems = SqliteStore(path, Policy()), threading.Event(), list[Exception]()

    def write() -> None:
        number = 0
        while not is_over.is_set():
            number += 1
            try:
                store.admit(Ask(f"user-{number}", "tv", "film", lease_id="lease"))
            except StoreUnavailable as error:
                problems.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield
    finally:
        is_over.set()
        writer.join()
        store.close()
    assert problems == []


def test_a_copy_is_whole_is_replaced_by_the_next_one_and_starts_a_service(path: str, tmp_path: Path) -> None:
    copy = tmp_path / "copies" / "streamlimit.db"
    copy.parent.mkdir()
    store = SqliteStore(path, Policy())
    key = store.secret("grant-key", "made")
    with writing(path):
        store.set_limit("ann", 5)
        for _ in range(3):
            assert back_up(path, copy) == copy.stat().st_size
            store.set_limit("ann", 7)
        back_up(path, copy)
    assert [each.name for each in copy.parent.iterdir()] == ["streamlimit.db"], "one file, and nothing beside it"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    with closing(sqlite3.connect(copy)) as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("delete",)
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    restored = SqliteStore(str(copy), Policy())
    assert (limit_of(restored, "ann"), restored.secret("grant-key", "another")) == (7, key)
    restored.close()


def test_what_is_still_in_the_log_is_in_the_copy(path: str, tmp_path: Path) -> None:
    store = SqliteStore(path, Policy())
    store.set_limit("ann", 5)
    assert Path(f"{path}-wal").stat().st_size > 0
    back_up(path, tmp_path / "copy.db")
    store.close()
    assert limit_of(SqliteStore(str(tmp_path / "copy.db"), Policy()), "ann") == 5


def test_a_copy_that_finds_no_room_leaves_the_last_one(path: str, tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", 2) as disk:
        SqliteStore(path, Policy()).close()
        back_up(path, disk / "copy.db")
        before = (disk / "copy.db").read_bytes()
        with filled(disk), pytest.raises(StoreUnavailable, match="cannot back up"):
            back_up(path, disk / "copy.db")
        assert (disk / "copy.db").read_bytes() == before
        assert [each.name for each in disk.iterdir()] == ["copy.db"]


def test_a_damaged_database_does_not_take_the_place_of_a_good_copy(path: str, tmp_path: Path) -> None:
    store = SqliteStore(path, Policy())
    for number in range(500):
        store.admit(Ask(f"user-{number}", "tv", "film", lease_id="lease"))
    store.close()
    back_up(path, tmp_path / "copy.db")
    before = (tmp_path / "copy.db").read_bytes()
    with Path(path).open("r+b") as file:
        file.seek(-2_048 + 8, 2)  # where the last page says where its rows are
        file.write(b"\0" * 64)
    with pytest.raises(StoreUnavailable, match="is damaged: "):
        back_up(path, tmp_path / "copy.db")
    assert (tmp_path / "copy.db").read_bytes() == before


def test_a_file_that_nobody_may_read_is_not_waited_for_for_ever(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup_module, "LOCKED_SECONDS", 0.0)
    SqliteStore(path, Policy()).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("PRAGMA locking_mode = EXCLUSIVE")
        holder.execute("BEGIN EXCLUSIVE")
        holder.execute("CREATE TABLE other (x)")
        with pytest.raises(StoreUnavailable, match="locked"):
            back_up(path, tmp_path / "copy.db")
    assert not (tmp_path / "copy.db").exists()


def test_what_makes_no_sense_is_refused_and_makes_nothing(path: str, tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="no database at"):
        back_up(path, tmp_path / "copy.db")
    assert list(tmp_path.iterdir()) == []
    SqliteStore(path, Policy()).close()
    (tmp_path / "link.db").symlink_to(path)
    for into in (path, f"{path}-wal", str(tmp_path / "link.db")):
        with pytest.raises(StoreUnavailable, match="is the database itself"):
            back_up(path, Path(into))
    with pytest.raises(StoreUnavailable, match="is a folder"):
        back_up(path, tmp_path)
    with pytest.raises(StoreUnavailable, match="cannot back up"):
        back_up(path, tmp_path / "no" / "folder.db")
    (tmp_path / "streamlimit.toml").write_text("max_sessions = 4\n")
    os.mkfifo(tmp_path / "pipe")
    for name in ("streamlimit.toml", "pipe"):
        with pytest.raises(StoreUnavailable, match="is no copy of a database: it is not replaced"):
            back_up(path, tmp_path / name)
    assert (tmp_path / "streamlimit.toml").read_text() == "max_sessions = 4\n"
    (tmp_path / "streamlimit.toml").unlink()
    (tmp_path / "pipe").unlink()
    (tmp_path / "empty.db").touch()
    with pytest.raises(StoreUnavailable, match="no database of streamlimit"):
        back_up(str(tmp_path / "empty.db"), tmp_path / "copy.db")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["empty.db", "link.db", "streamlimit.db"]


def test_the_command_says_what_it_made_and_on_valkey_what_to_do_instead(path: str, tmp_path: Path) -> None:
    SqliteStore(path, Policy()).close()
    copy = tmp_path / "copy.db"
    code, out, err = run(tmp_path, copy, f"sqlite:///{path}")
    assert (code, err) == (0, "")
    assert out.startswith(f"backed up to {copy}: {copy.stat().st_size} bytes in ")
    code, _, err = run(tmp_path, copy, f"sqlite:///{tmp_path}/nowhere.db")
    assert (code, "no database at" in err) == (1, True)
    assert not (tmp_path / "nowhere.db").exists()
    code, _, err = run(tmp_path, copy, "valkey://127.0.0.1:1")
    assert (code, "BGSAVE" in err) == (1, True)
