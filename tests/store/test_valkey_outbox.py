"""The outbox's contract on Redis and Valkey, alone and in a cluster."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest

from streamlimit.store.valkey import ValkeyStore
from streamlimit.store.valkey.keys import LEAST_ROOM, SHARDS, room_of_endpoint, room_of_outbox
from streamlimit.store.valkey.outbox import ValkeyOutbox
from tests import servers
from tests.store.outbox_contract import OutboxContract

PATIENT = 5.0
"""Seconds an answer may take here: tests share the machine with other tests."""


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    with servers.single("redis") as server:
        yield server.url


@pytest.fixture(scope="session")
def valkey_cluster() -> Iterator[servers.Cluster]:
    with servers.cluster("valkey") as cluster:
        yield cluster


@pytest.fixture
def prefix() -> str:
    """Every test has keys of its own."""
    return f"test-{uuid4().hex[:8]}"


def store_opener(url: str, prefix: str) -> Callable[..., ValkeyStore]:
    def open_store(outbox_max_events: int = 1_000_000, **how: Any) -> ValkeyStore:
        most = _for_one_user(outbox_max_events)
        return ValkeyStore(url, prefix=prefix, timeout=PATIENT, outbox_max_events=most, **how)

    return open_store


def outbox_opener(url: str, prefix: str) -> Callable[..., ValkeyOutbox]:
    def open_outbox(max_events: int = 1_000_000, **how: Any) -> ValkeyOutbox:
        return ValkeyOutbox(url, prefix=prefix, timeout=PATIENT, max_events=_for_one_user(max_events), **how)

    return open_outbox


def _for_one_user(most: int) -> int:
    """What a bound must be so that each shard, and with it one user, has *most*."""
    return most if most <= LEAST_ROOM else most * SHARDS


@pytest.mark.xdist_group("redis-outbox")
class TestOnRedis(OutboxContract):
    """Debian's Redis 7.0, one server."""

    @pytest.fixture
    def open_store(self, redis_url: str, prefix: str) -> Callable[..., ValkeyStore]:
        return store_opener(redis_url, prefix)

    @pytest.fixture
    def open_outbox(self, redis_url: str, prefix: str) -> Callable[..., ValkeyOutbox]:
        return outbox_opener(redis_url, prefix)


@pytest.mark.xdist_group("valkey-cluster-outbox")
class TestOnValkeyCluster(OutboxContract):
    """Valkey 9, three primaries and three replicas."""

    @pytest.fixture
    def open_store(self, valkey_cluster: servers.Cluster, prefix: str) -> Callable[..., ValkeyStore]:
        return store_opener(valkey_cluster.url, prefix)

    @pytest.fixture
    def open_outbox(self, valkey_cluster: servers.Cluster, prefix: str) -> Callable[..., ValkeyOutbox]:
        return outbox_opener(valkey_cluster.url, prefix)


class TestRoom:
    """How much of the bound is one shard's."""

    @pytest.mark.parametrize(
        ("most", "outbox", "endpoint"),
        [(1, 16, 1), (3, 16, 3), (16, 16, 16), (2_047, 16, 16), (16_384, 16, 16), (16_385, 17, 17), (100_000, 98, 98)],
    )
    def test_a_shard_has_its_share_and_room_for_what_a_household_does_at_once(
        self, most: int, outbox: int, endpoint: int
    ) -> None:
        assert (room_of_outbox(most), room_of_endpoint(most)) == (outbox, endpoint)
