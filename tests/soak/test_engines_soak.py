"""Both contracts, the walks and the state machine on every server and cluster. The suite has each promise once."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests import servers
from tests.store import differential, test_valkey, test_valkey_outbox
from tests.store.contract import StoreContract
from tests.store.outbox_contract import OutboxContract
from tests.store.store_driver import ALL_TYPES

pytestmark = pytest.mark.soak


@pytest.fixture
def prefix() -> str:
    return f"test-{uuid4().hex[:8]}"


@pytest.fixture(params=["redis", "redis-cluster", "valkey-cluster"])
def url(request: pytest.FixtureRequest) -> str:
    kind = request.param.replace("-", "_")
    if kind.endswith("cluster"):
        cluster: servers.Cluster = request.getfixturevalue(kind)
        return cluster.url
    return str(request.getfixturevalue(f"{kind}_url"))


class TestEveryPromise(StoreContract):
    """Of the store."""

    @pytest.fixture
    def open_store(self, url: str) -> Callable[..., Any]:
        return test_valkey.opener(url)


class TestEveryPromiseOfTheOutbox(OutboxContract):
    """Of webhooks."""

    @pytest.fixture
    def open_store(self, url: str, prefix: str) -> Callable[..., Any]:
        return test_valkey_outbox.store_opener(url, prefix)

    @pytest.fixture
    def open_outbox(self, url: str, prefix: str) -> Callable[..., Any]:
        return test_valkey_outbox.outbox_opener(url, prefix)


@pytest.mark.parametrize("name", differential.POLICIES)
@pytest.mark.parametrize("subscribed", [frozenset(), ALL_TYPES], ids=["untold", "told"])
@pytest.mark.parametrize("seed", range(3))
def test_lua_and_python_give_the_same_answers_for_long(
    name: str, subscribed: frozenset[str], seed: int, tmp_path: Path, redis_url: str
) -> None:
    opener, policy = test_valkey.opener(redis_url), differential.POLICIES[name]
    asyncio.run(differential.walk(1_000 + seed, policy, tmp_path, opener, subscribed, steps=5_000))


class TestBesideOnRedis(test_valkey.TestBeside):
    """The rules in Lua beside the rules in Python, as Redis runs them."""

    @pytest.fixture
    def open_store(self, redis_url: str) -> Callable[..., Any]:
        return test_valkey.opener(redis_url)
