"""The outbox's contract on SQLite."""

from collections.abc import Callable
from functools import partial

import pytest

from streamlimit.store.sqlite import SqliteOutbox, SqliteStore
from tests.store.outbox_contract import OutboxContract


@pytest.fixture
def open_outbox(path: str) -> Callable[..., SqliteOutbox]:
    return partial(SqliteOutbox, path)


@pytest.fixture
def open_store(path: str) -> Callable[..., SqliteStore]:
    return partial(SqliteStore, path)


class TestSqliteOutbox(OutboxContract):
    """One file per test; each open is another connection to it, as another process would have."""
