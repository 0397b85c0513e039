"""The contract on SQLite, and what only a file can do."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from streamlimit.store.sqlite import SqliteStore
from tests.store.contract import StoreContract


@pytest.fixture
def open_store(tmp_path: Path) -> Any:
    return partial(SqliteStore, str(tmp_path / "streamlimit.db"))


class TestSqliteStore(StoreContract):
    """One file per test; each open is another connection to it, as another process would have."""
