"""A server that becomes unavailable is noticed without a call to it; one that only closes a connection has not."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import pytest

from streamlimit.errors import StoreUnavailable
from streamlimit.policy import Policy
from streamlimit.store.diagnosis import in_words
from streamlimit.store.valkey import ValkeyStore
from tests import servers

POLICY = Policy(max_sessions=3, segment_ms=6_000, missed_segments=3, start_ms=6_000)


async def heard_after(server: servers.Server, fault: Callable[[], object], seconds: float) -> int:
    """How often a store that is connected, and asked for nothing, says within *seconds* that it failed."""
    store, heard = ValkeyStore(server.url, POLICY), []
    store.on_failure(lambda: heard.append(1))
    try:
        await store.ping()
        fault()
        await asyncio.sleep(seconds)
        return len(heard)
    finally:
        await store.close()


def test_who_is_killed_is_noticed_at_once() -> None:
    with servers.single("valkey") as server:
        assert asyncio.run(heard_after(server, server.kill, 0.1)) >= 1


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("hang", "it does not answer in time"),
        ("kill", "nothing listens there"),
        ("password", "it wants a password"),
    ],
)
def test_what_is_wrong_with_a_server_is_told_though_nobody_asks(fault: str, words: str) -> None:
    async def told(server: servers.Server) -> str:
        store, heard = ValkeyStore(server.url, POLICY), asyncio.Event()
        store.on_failure(heard.set)
        try:
            await store.ping()
            if fault == "password":
                server.client.config_set("requirepass", "right")
                server.client.execute_command("CLIENT KILL TYPE normal SKIPME yes")
            elif fault == "kill":
                server.kill()
            else:
                server.hang()
                with pytest.raises(StoreUnavailable):
                    await store.ping()
            async with asyncio.timeout(10):
                await heard.wait()
                while (
                    "reset by peer" in store.failure
                ):  # how the connection ended; what keeps it from coming back is next
                    heard.clear()
                    with suppress(StoreUnavailable):
                        await store.ping()
                    await heard.wait()
            return store.failure
        finally:
            await store.close()

    with servers.single("valkey") as server:
        failure = asyncio.run(told(server))
        assert f"127.0.0.1:{server.port}" in failure
        assert words in in_words(failure)


def test_a_connection_that_is_only_closed_is_opened_again_and_no_outage() -> None:
    with servers.single("valkey") as server:
        closed = lambda: server.client.execute_command("CLIENT KILL TYPE normal SKIPME yes")  # noqa: E731
        assert asyncio.run(heard_after(server, closed, 0.3)) == 0


def test_a_server_that_hangs_is_named_once_however_often_it_is_tried() -> None:
    async def told(server: servers.Server) -> list[str]:
        store, said = ValkeyStore(server.url, POLICY, timeout=0.3), []
        try:
            await store.ping()
            server.hang()
            for _ in range(6):
                with pytest.raises(StoreUnavailable) as failed:
                    await store.ping()
                said.append(str(failed.value))
                await asyncio.sleep(0.1)  # it is tried again meanwhile
            return said
        finally:
            await store.close()

    with servers.single("valkey") as server:
        assert all(words.count(str(server.port)) == 1 for words in asyncio.run(told(server)))
