"""The feed's contract on SQLite, and what only a file can do."""

import sqlite3
from collections.abc import Callable
from functools import partial

import pytest

from streamlimit.store.feed import HISTORY_DAYS
from streamlimit.store.sqlite import SqliteFeed, SqliteStore
from streamlimit.store.sqlite.feed import CUT_EVERY, LOOKED_AT
from tests.store.feed_contract import FeedContract, event
from tests.store.store_driver import QUICK, ManualClock

DAY = 86_400_000


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
    feed.close()


def test_a_file_of_the_version_before_loses_the_index_of_histories(path: str) -> None:
    SqliteStore(path, QUICK).close()
    with sqlite3.connect(path) as db:
        db.execute("CREATE INDEX history_by_time ON history (at_ms)")
        db.execute("PRAGMA user_version = 6")
    db.close()
    SqliteFeed(path, 5, clock=ManualClock()).close()
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT 1 FROM sqlite_master WHERE name = 'history_by_time'").fetchone() is None
    db.close()


def test_every_old_history_goes_in_time_whoever_it_is_that_something_happens_to(path: str) -> None:
    clock = ManualClock()
    feed = SqliteFeed(path, 5, clock=clock)
    feed.remember([event(f"user-{number}", 1, at_ms=clock()) for number in range(3 * LOOKED_AT)])
    clock.now_ms += HISTORY_DAYS * DAY + 1_000
    for number in range(5 * CUT_EVERY):
        feed.remember([event("another", number, at_ms=clock())])
    feed.close()
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT DISTINCT user_id FROM history").fetchall() == [("another",)]
    db.close()


def test_a_history_does_not_grow_for_ever(path: str) -> None:
    clock = ManualClock()
    feed = SqliteFeed(path, 5, clock=clock)
    for number in range(100):
        feed.remember([event("ada", number, at_ms=clock())])
    feed.close()
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT count(*) FROM history").fetchone()[0] < 5 + CUT_EVERY
    db.close()
