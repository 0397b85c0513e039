"""Servers and a browser that tests share: each test has keys and a tab of its own. And which files begin."""

import asyncio
import inspect
import os
import secrets
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

from tests import servers

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# Whoever forbids it would have each program that the tests start compile all of ours anew: half a second.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

settings.register_profile("shared machine", deadline=None)  # how long an example takes is no promise
settings.load_profile("shared machine")

LONG = ("tests/e2e/", "tests/webhooks/", "tests/store/", "tests/edge/test_recipes_outages.py")
"""Where the files are that take long. Of several workers' they begin, so that at the end no worker waits for another's
last file; one process alone has them last, so that what is broken fails soon (mutmut's does, whose order is no order).
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    is_alone = "PYTEST_XDIST_WORKER" not in os.environ
    items.sort(key=lambda item: item.nodeid.startswith(LONG) is is_alone)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """A test that is a coroutine runs in an event loop of its own, made by the fixture `loop_factory` if it has one."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    fixtures = {name: pyfuncitem.funcargs[name] for name in inspect.signature(pyfuncitem.obj).parameters}
    with asyncio.Runner(loop_factory=pyfuncitem.funcargs.get("loop_factory")) as runner:
        runner.run(_with_open(fixtures, pyfuncitem.obj))
    return True


async def _with_open(fixtures: dict[str, Any], test: Callable[..., Awaitable[None]]) -> None:
    """What is to be entered of the fixtures is entered in the test's loop, and left there."""
    async with AsyncExitStack() as stack:
        for name, fixture in fixtures.items():
            if isinstance(fixture, AbstractAsyncContextManager):
                fixtures[name] = await stack.enter_async_context(fixture)
        await test(**fixtures)


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
    with servers.cluster("valkey") as cluster:
        yield cluster


@pytest.fixture(scope="session")
def redis_cluster() -> Iterator[servers.Cluster]:
    with servers.cluster("redis") as cluster:
        yield cluster


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    """A module's, for its event loop is in the way of others'."""
    from tests.e2e.browser import chromium

    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """Pages with players, of another origin than the service and the media."""
    from tests.e2e.cmcd_players import pages

    with pages() as url:
        yield url


@pytest.fixture
def user() -> str:
    """The id of a user that no other test has."""
    return f"u-{secrets.token_hex(6)}"
