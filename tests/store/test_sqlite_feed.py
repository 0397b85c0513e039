"""The feed's contract on SQLite, and what only a file can do."""

import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from streamlimit.store.feed import HISTORY_DAYS
from streamlimit.store.sqlite import SqliteFeed, SqliteStore
from tests.store.feed_contract import FeedContract, event
from tests.store.store_driver import QUICK, ManualClock

DAY = 86_400_000


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "streamlimit.db")


@pytest.fixture
def open_feed(path: str) -> Callable[..., SqliteFeed]:
    return partial(SqliteFeed, path)


class TestOnSqlite(FeedContract):
    """One file per test."""


def test_histories_of_users_who_are_long_gone_go(path: str) -> None:
    clock = ManualClock()
    feed = SqliteFeed(path, 5, clock=clock)
    feed.remember([event("long-gone", 1, at_ms=clock()), event("still-here", 1, at_ms=clock() + DAY)])
    clock.now_ms += HISTORY_DAYS * DAY + 1_000
    feed.remember([event("another", 1, at_ms=clock())])
    assert feed.history("long-gone") == ()
    assert len(feed.history("still-here")) == 1
    feed.close()


def test_a_file_of_the_version_before_gets_what_it_lacks(path: str) -> None:
    SqliteStore(path, QUICK).close()
    with sqlite3.connect(path) as db:
        for table in ("feed", "history", "told"):
            db.execute(f"DROP TABLE {table}")
        db.execute("PRAGMA user_version = 5")
    db.close()
    feed = SqliteFeed(path, 5, clock=ManualClock())
    feed.append([event("alice")])
    feed.remember([event("alice")])
    assert feed.history("alice") == (event("alice"),)
    indexes = sqlite3.connect(path).execute("SELECT count(*) FROM sqlite_master WHERE name LIKE 'history_by%'")
    assert indexes.fetchone() == (1,)
    feed.close()
