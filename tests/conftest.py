"""Servers that a worker's tests share: each test has keys of its own. Starting a cluster is slow: one group a kind."""

from collections.abc import Iterator

import pytest

from tests import servers


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    with servers.single("redis") as server:
        yield server.url


@pytest.fixture(scope="session")
def valkey_url() -> Iterator[str]:
    with servers.single("valkey") as server:
        yield server.url


@pytest.fixture(scope="session")
def valkey_cluster() -> Iterator[servers.Cluster]:
    """Group "valkey-cluster"."""
    with servers.cluster("valkey") as cluster:
        yield cluster


@pytest.fixture(scope="session")
def redis_cluster() -> Iterator[servers.Cluster]:
    """Group "redis-cluster"."""
    with servers.cluster("redis") as cluster:
        yield cluster
