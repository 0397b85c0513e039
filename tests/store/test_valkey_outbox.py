"""The outbox's contract on Valkey, and what of it Redis and a cluster may answer otherwise.

All of it on each of them: tests/soak/test_engines_soak.py.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from streamlimit.store.contract import resolved
from streamlimit.store.valkey import ValkeyStore
from streamlimit.store.valkey.keys import LEAST_ROOM, SHARDS, room_of_endpoint, room_of_outbox
from streamlimit.store.valkey.outbox import ValkeyOutbox
from tests import servers
from tests.store.outbox_contract import HOOK, LEASE, Claims, Closing, OutboxContract, OutboxDriver
from tests.store.store_driver import ALL_TYPES, opened_with

PATIENT = 5.0
"""Seconds an answer may take here: tests share the machine with other tests."""


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


class OnValkey:
    """Valkey 9, one server."""

    @pytest.fixture
    def open_store(self, valkey_url: str, prefix: str) -> Callable[..., ValkeyStore]:
        return store_opener(valkey_url, prefix)

    @pytest.fixture
    def open_outbox(self, valkey_url: str, prefix: str) -> Callable[..., ValkeyOutbox]:
        return outbox_opener(valkey_url, prefix)


class TestOnValkey(OnValkey, OutboxContract):
    """All promises of an outbox."""


class TestOnRedis(Claims):
    """Debian's Redis 7.0, one server."""

    @pytest.fixture
    def open_store(self, redis_url: str, prefix: str) -> Callable[..., ValkeyStore]:
        return store_opener(redis_url, prefix)

    @pytest.fixture
    def open_outbox(self, redis_url: str, prefix: str) -> Callable[..., ValkeyOutbox]:
        return outbox_opener(redis_url, prefix)


class TestOnValkeyCluster(Claims, Closing):
    """Valkey 9, three primaries and three replicas."""

    @pytest.fixture
    def open_store(self, valkey_cluster: servers.Cluster, prefix: str) -> Callable[..., ValkeyStore]:
        return store_opener(valkey_cluster.url, prefix)

    @pytest.fixture
    def open_outbox(self, valkey_cluster: servers.Cluster, prefix: str) -> Callable[..., ValkeyOutbox]:
        return outbox_opener(valkey_cluster.url, prefix)


class TestForgetting(OnValkey):
    """An endpoint that left the settings of one worker, while another one still sends to it."""

    @opened_with({"hook": ALL_TYPES, "old": ALL_TYPES})
    async def test_it_is_forgotten_while_another_worker_still_claims(self, driver: OutboxDriver) -> None:
        newer = await driver.another(subscriptions=HOOK)
        await driver.claim("old", users=["alice"])
        forgetting = asyncio.ensure_future(resolved(newer.retain(100)))
        while not forgetting.done():
            await driver.live("alice")
            await driver.claim("old", users=["alice"])
        await driver.live("alice")
        driver.later(LEASE)
        assert await driver.drain("old")  # no half of a delivery stands in the way of those behind it


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
