"""The feed's contract on Valkey, and on Redis and a cluster what they may answer otherwise."""

from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import uuid4

import pytest

from streamlimit.errors import StoreUnavailable
from streamlimit.store.contract import resolved
from streamlimit.store.valkey import ValkeyFeed
from tests import servers
from tests.ports import free_port
from tests.store.feed_contract import FeedContract, FeedDriver, FeedStories, event
from tests.store.store_driver import new_user

PATIENT = 5.0


def opener(url: str) -> Callable[..., ValkeyFeed]:
    """Every test has keys of its own."""
    return partial(ValkeyFeed, url, prefix=f"test-{uuid4().hex[:8]}", timeout=PATIENT)


class TestOnValkey(FeedContract):
    """Valkey 9, one server."""

    @pytest.fixture
    def open_feed(self, valkey_url: str) -> Callable[..., Any]:
        return opener(valkey_url)


class TestOnRedis(FeedContract):
    """Redis 7: what it tells of a stream has other fields beside ours."""

    @pytest.fixture
    def open_feed(self, redis_url: str) -> Callable[..., Any]:
        return opener(redis_url)


class TestOnCluster(FeedStories):
    """The feed is on one node, histories on all."""

    @pytest.fixture
    def open_feed(self, valkey_cluster: servers.Cluster) -> Callable[..., Any]:
        return opener(valkey_cluster.url)

    async def test_users_of_every_node_are_in_one_feed_and_have_their_histories(self, home: FeedDriver) -> None:
        events = [event(new_user(), number) for number in range(12)]
        await home.append(*events)
        await home.remember(*events)
        assert await home.told() == events
        for each in events:
            assert await home.history(each.session.user_id) == [each]


async def test_what_finds_no_server_is_given_back_and_nothing_is_written_of_nothing() -> None:
    feed = ValkeyFeed(f"valkey://127.0.0.1:{free_port()}", timeout=1.0, history_events=5)
    events = [event(new_user(), number) for number in range(3)]
    try:
        assert await feed.remember(events) == events
        with pytest.raises(StoreUnavailable):
            await feed.append(events)
        await feed.append([])
        assert await feed.remember([]) == []
    finally:
        await resolved(feed.close())
