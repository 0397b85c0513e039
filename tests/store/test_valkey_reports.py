"""The reports' contract on Valkey, on Redis and on a cluster; sketches count nearly exactly, and all of it expires."""

from collections.abc import Callable
from functools import partial

import pytest
from valkey import Valkey

from streamlimit.store.reporting import CLOSED_AFTER_MS, Count, Group
from streamlimit.store.valkey import ValkeyReports
from streamlimit.store.valkey.location import parse
from tests import servers
from tests.store.reports_contract import ALL, EIGHT, NINE, ReportsContract, ReportsDriver

PATIENT = 5.0
"""Seconds an answer may take here: tests share the machine with other tests."""


class OnServers(ReportsContract):
    async def assert_no_digests(self, home: ReportsDriver) -> None:
        for client in self.clients(home):
            kinds = {key: client.type(key) for key in client.scan_iter(f"{_prefix(home)}:*", count=1_000)}
            assert b"string" not in kinds.values(), kinds

    def clients(self, home: ReportsDriver) -> list[Valkey]:
        [url] = home.open_reports.args  # type: ignore[attr-defined]
        return [Valkey(host=host, port=port) for host, port in parse(url).seeds]


class TestOnValkey(OnServers):
    """Valkey 9, one server."""

    @pytest.fixture
    def open_reports(self, valkey_url: str, prefix: str) -> Callable[[], ValkeyReports]:
        return partial(ValkeyReports, valkey_url, keep_days=400, prefix=prefix, timeout=PATIENT)

    async def test_every_key_expires_once_the_days_are_over(self, home: ReportsDriver) -> None:
        await home.users(EIGHT, "ann", key=(Group.PLAN, "hd"))
        [client] = self.clients(home)
        keys = [key for key in client.scan_iter(f"{_prefix(home)}:*", count=1_000) if b":report:" in key]
        hours = {client.pexpiretime(key) for key in keys if b":hour:" in key}
        assert len(keys) == 4 * 2
        assert hours == {NINE + 400 * 86_400_000 + CLOSED_AFTER_MS}
        assert all(client.pexpiretime(key) > 0 for key in keys)

    async def test_buckets_lie_in_many_shards(self, home: ReportsDriver) -> None:
        for hour in range(8):
            await home.add(EIGHT + hour * 3_600_000, {ALL: Count(1)})
        [client] = self.clients(home)
        keys = list(client.scan_iter(f"{_prefix(home)}:*:report:hour:*", count=1_000))
        assert len({key.split(b":")[1] for key in keys}) > 4

    async def test_thousands_of_users_are_counted_within_a_few_percent(self, home: ReportsDriver) -> None:
        await home.users(EIGHT, *(f"user-{n}" for n in range(4_000)))
        [row] = await home.rows()
        assert 3_850 <= row.users <= 4_150


class TestOnRedis(OnServers):
    """Debian's Redis 7.0, one server."""

    @pytest.fixture
    def open_reports(self, redis_url: str, prefix: str) -> Callable[[], ValkeyReports]:
        return partial(ValkeyReports, redis_url, keep_days=400, prefix=prefix, timeout=PATIENT)


class TestOnValkeyCluster(OnServers):
    """Valkey 9, three primaries and three replicas."""

    @pytest.fixture
    def open_reports(self, valkey_cluster: servers.Cluster, prefix: str) -> Callable[[], ValkeyReports]:
        return partial(ValkeyReports, valkey_cluster.url, keep_days=400, prefix=prefix, timeout=PATIENT)


def _prefix(home: ReportsDriver) -> str:
    return str(home.open_reports.keywords["prefix"])  # type: ignore[attr-defined]
