"""Servers that a worker's tests share: each test has keys of its own. Starting a cluster is slow: one group a kind."""

import os
import sys
from collections.abc import Iterator

import pytest

from tests import servers

# Whoever forbids it would have each program that the tests start compile all of ours anew: half a second.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


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
