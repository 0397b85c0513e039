"""Fixtures of the stores' tests."""

from typing import Any

import pytest

from streamlimit.store.sqlite import store
from streamlimit.store.sqlite.connection import Connection
from tests.store.connections import Opened
from tests.store.outbox_contract import OutboxDriver
from tests.store.store_driver import OpenStore, StoreDriver, opening


@pytest.fixture
def home(request: pytest.FixtureRequest, open_store: OpenStore) -> StoreDriver:
    return opening(request, StoreDriver, open_store)


@pytest.fixture
def driver(request: pytest.FixtureRequest, open_store: OpenStore, open_outbox: OpenStore) -> OutboxDriver:
    return opening(request, OutboxDriver, open_store, open_outbox)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Opened:
    """The connections that `SqliteStore`s open from here on, the newest last."""
    found, connect = Opened(), store.connect

    def connecting(*how: Any) -> Connection:
        found.append(connect(*how))
        return found[-1]

    monkeypatch.setattr(store, "connect", connecting)
    return found
