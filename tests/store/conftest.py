"""Fixtures of the stores' tests."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from streamlimit.store.sqlite import store
from streamlimit.store.sqlite.connection import Connection
from tests import servers
from tests.store.connections import Opened
from tests.store.outbox_contract import OutboxDriver
from tests.store.store_driver import OpenStore, StoreDriver, opening


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "streamlimit.db")


@pytest.fixture
def prefix() -> str:
    """Every test has keys of its own."""
    return f"test-{uuid4().hex[:8]}"


@pytest.fixture(scope="module")
def server() -> Iterator[servers.Server]:
    """A server that only the file's tests have: they disturb it."""
    with servers.single("redis") as one:
        yield one


@pytest.fixture(scope="module")
def cluster() -> Iterator[servers.Cluster]:
    """The same of a cluster."""
    with servers.cluster("redis") as six:
        yield six


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
