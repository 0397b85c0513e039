"""Fixtures of the stores' tests."""

from typing import Any

import pytest

from streamlimit.store.sqlite import store
from streamlimit.store.sqlite.connection import Connection
from tests.store.connections import Opened


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Opened:
    """The connections that `SqliteStore`s open from here on, the newest last."""
    found, connect = Opened(), store.connect

    def connecting(*how: Any) -> Connection:
        found.append(connect(*how))
        return found[-1]

    monkeypatch.setattr(store, "connect", connecting)
    return found
