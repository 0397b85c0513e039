"""What goes wrong with servers: flushed scripts, moved slots, killed and hanging nodes. No answer may be wrong."""

import asyncio
import functools
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar
from uuid import uuid4

import pytest
import uvloop

from streamlimit.errors import StoreUnavailable
from streamlimit.model import Admitted, Ask, Confirmed, Receipt, Refusal
from streamlimit.policy import Policy
from streamlimit.store.valkey import ValkeyStore
from streamlimit.store.valkey.keys import SLOTS, shard_of
from tests import servers
from tests.ports import free_port

T = TypeVar("T")

SLOW = Policy(max_sessions=3, segment_ms=60_000, start_ms=60_000)
"""Nothing expires while a test runs."""

WAIT_SECONDS = 0.3
"""No viewer waits longer for a store that hangs."""


@pytest.fixture
def cluster() -> Iterator[servers.Cluster]:
    with servers.cluster("redis", node_timeout_ms=1_000) as six:
        yield six


def open_store(url: str, timeout: float = 0.25) -> ValkeyStore:
    return ValkeyStore(url, SLOW, prefix=f"test-{uuid4().hex[:8]}", timeout=timeout)


def on_loop(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Makes `async def test` one that pytest can call, on the loop that workers use."""

    @functools.wraps(test)
    def run(*own: object, **fixtures: Any) -> None:
        uvloop.run(test(*own, **fixtures))  # type: ignore[arg-type]

    return run


async def seat(store: ValkeyStore, user: str, session: str = "tv") -> Receipt:
    decision = await store.admit(Ask(user, session, "news", lease_id=f"lease-{session}"))
    assert isinstance(decision, Admitted)
    assert decision.lease is not None
    receipt = Receipt(decision.lease, "s-1", 1)
    assert isinstance(await store.confirm(receipt), Confirmed)
    return receipt


async def until_it_answers(promise: Callable[[], Awaitable[T]], seconds: float = 20.0) -> T:
    """The first answer of a store that comes back; each try may take no longer than a viewer waits."""
    deadline = time.monotonic() + seconds
    while True:
        started = time.monotonic()
        try:
            return await promise()
        except StoreUnavailable:
            assert time.monotonic() - started < WAIT_SECONDS + 2  # this machine is shared with other tests
            assert time.monotonic() < deadline, "the store does not come back"
            await asyncio.sleep(0.05)


class TestOneServer:
    """A single server that forgets, restarts, hangs or goes."""

    def test_a_store_serves_one_loop_after_another(self, server: servers.Server) -> None:
        """As a function that is run for each event does (AWS Lambda)."""
        store = open_store(server.url)

        async def beat() -> bool:
            decision = await store.beat(Ask("ann", "tv", "news"))
            return isinstance(decision, Admitted) and decision.existing

        assert [asyncio.run(beat()), uvloop.run(beat()), asyncio.run(beat())] == [False, True, True]

    @on_loop
    async def test_a_flushed_script_is_loaded_again(self, server: servers.Server) -> None:
        store = open_store(server.url, timeout=5)
        receipts = [await seat(store, f"user-{k}") for k in range(50)]
        for _ in range(5):
            server.client.script_flush()
            verdicts = await asyncio.gather(*map(store.confirm, receipts))
            assert all(isinstance(verdict, Confirmed) for verdict in verdicts)
        await store.close()

    @on_loop
    async def test_a_hanging_server_is_unavailable_in_time_and_then_at_once(self, server: servers.Server) -> None:
        store = open_store(server.url)
        receipt = await seat(store, "user")
        server.hang()
        try:
            started = time.monotonic()
            answers = await asyncio.gather(*(store.confirm(receipt) for _ in range(100)), return_exceptions=True)
            assert {type(answer) for answer in answers} == {StoreUnavailable}
            assert 0.2 < time.monotonic() - started < WAIT_SECONDS + 5
            with pytest.raises(StoreUnavailable):
                await asyncio.wait_for(store.confirm(receipt), WAIT_SECONDS * 0.8)
        finally:
            server.resume()
        assert isinstance(await until_it_answers(lambda: store.confirm(receipt)), Confirmed)
        await store.close()

    @on_loop
    async def test_a_report_that_is_not_answered_is_told_so_once(self, server: servers.Server) -> None:
        store, heard = open_store(server.url), list[object]()
        receipt = await seat(store, "user")
        server.hang()
        try:
            for number in range(1, 4):  # one waits for its time, the others hear at once
                store.report(receipt, heard.append)
                async with asyncio.timeout(WAIT_SECONDS + 1):
                    while len(heard) < number:
                        await asyncio.sleep(0.01)
        finally:
            server.resume()
        assert {type(answer) for answer in heard} == {StoreUnavailable}
        assert isinstance(await until_it_answers(lambda: store.confirm(receipt)), Confirmed)
        assert len(heard) == 3, "late answers are told to nobody"
        await store.close()

    @on_loop
    async def test_a_hearer_that_breaks_leaves_the_others_their_answers(self, server: servers.Server) -> None:
        store, heard = open_store(server.url), list[object]()
        receipt = await seat(store, "user")

        def breaks(answer: object) -> None:
            raise RuntimeError("its own fault")

        def report_three() -> "asyncio.Future[object]":
            for hearer in (heard.append, breaks, heard.append):
                store.report(receipt, hearer)
            return store.confirm(receipt)  # type: ignore[return-value]

        async with asyncio.timeout(5):
            assert isinstance(await report_three(), Confirmed)
            server.hang()
            try:
                with pytest.raises(StoreUnavailable):
                    await report_three()
            finally:
                server.resume()
        assert [type(answer) for answer in heard] == [Confirmed] * 2 + [StoreUnavailable] * 2
        await store.close()

    @on_loop
    async def test_late_replies_are_nobodys(self, server: servers.Server) -> None:
        """Every answer names its own session, however many answers came too late before it."""
        store = open_store(server.url, timeout=0.05)
        receipts = [await until_it_answers(lambda k=k: seat(store, f"user-{k}")) for k in range(40)]
        for _ in range(5):
            server.hang()
            calls = [store.confirm(receipt) for receipt in receipts]
            await asyncio.sleep(0.02)
            server.resume()
            answers = await asyncio.gather(*calls, return_exceptions=True)
            for receipt, answer in zip(receipts, answers, strict=True):
                assert isinstance(answer, StoreUnavailable) or answer.session.user_id == receipt.lease.ask.user_id
            await until_it_answers(lambda: store.confirm(receipts[0]))
        await store.close()

    @on_loop
    async def test_a_restarted_server_is_found_again(self, server: servers.Server) -> None:
        store = open_store(server.url)
        await seat(store, "user")
        server.stop()
        with pytest.raises(StoreUnavailable):
            await store.ping()
        server.restart()
        await until_it_answers(lambda: seat(store, "user"))
        await store.close()

    @on_loop
    async def test_nobody_there_is_unavailable_at_once(self) -> None:
        store = open_store(f"valkey://127.0.0.1:{free_port()}")
        for _ in range(3):
            with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1"):
                await store.ping()
        await store.close()
        with pytest.raises(StoreUnavailable, match="closed"):
            await store.ping()

    @on_loop
    async def test_a_wrong_password_says_so(self, server: servers.Server) -> None:
        server.client.config_set("requirepass", "right")
        try:
            store = open_store(server.url.replace("://", "://:wrong@"))
            with pytest.raises(StoreUnavailable, match="WRONGPASS"):
                await store.ping()
            await store.close()
            store = open_store(server.url.replace("://", "://:right@"), timeout=5)
            await store.ping()
            await store.close()
        finally:
            server.client.config_set("requirepass", "")

    @on_loop
    async def test_a_replica_refuses_writes_as_unavailable(self, server: servers.Server) -> None:
        store = open_store(server.url, timeout=5)
        await store.ping()
        server.client.replicaof("127.0.0.1", free_port())
        try:
            with pytest.raises(StoreUnavailable, match=r"READONLY|MASTERDOWN"):
                await store.admit(Ask("someone", "tv", "news"))
        finally:
            server.client.replicaof("no", "one")
        await seat(store, "someone")
        await store.close()


class Viewers:
    """Users who fetch all the while, and the notes of what they were told."""

    def __init__(self, store: ValkeyStore, count: int) -> None:
        self.store, self.users = store, [f"user-{k}" for k in range(count)]
        self.receipts: dict[str, Receipt] = {}
        self.confirmed = self.unavailable = 0
        self.wrong: list[Any] = []
        self.slowest = 0.0

    async def sit(self) -> None:
        for user in self.users:
            self.receipts[user] = await seat(self.store, user)

    async def fetch_forever(self) -> None:
        sequence = 1
        while True:
            sequence += 1
            await asyncio.gather(*(self._fetch(user, sequence) for user in self.users))
            await asyncio.sleep(0.01)

    async def _fetch(self, user: str, sequence: int) -> None:
        lease, started = self.receipts[user].lease, time.monotonic()
        try:
            verdict = await self.store.confirm(Receipt(lease, f"s-{sequence}", sequence))
        except StoreUnavailable:
            self.unavailable += 1
        else:
            self.confirmed += 1
            if not isinstance(verdict, Confirmed) or verdict.session.user_id != user:
                self.wrong.append(verdict)
        self.slowest = max(self.slowest, time.monotonic() - started)


async def fourth_is_refused(store: ValkeyStore, user: str) -> None:
    """Two more seats, and then no more: the first one was not lost."""
    for session in ("phone", "pad"):
        decision = await store.admit(Ask(user, session, "news", lease_id=session))
        assert isinstance(decision, Admitted)
    assert isinstance(await store.admit(Ask(user, "box", "news", lease_id="box")), Refusal)


class TestCluster:
    """A cluster whose slots move and whose nodes die, while viewers fetch."""

    @on_loop
    async def test_slots_move_under_load_and_nobody_notices(self, cluster: servers.Cluster) -> None:
        store = open_store(cluster.url, timeout=5)
        viewers = Viewers(store, 60)
        await viewers.sit()
        fetching = asyncio.create_task(viewers.fetch_forever())
        slots = sorted({SLOTS[shard_of(user)] for user in viewers.users})[:20]
        for slot in slots:
            owner = cluster.owner(slot)
            target = next(server for server in cluster.primaries() if server is not owner)
            await asyncio.to_thread(cluster.move_slot, slot, target, 0.02)
        fetching.cancel()
        assert (viewers.wrong, viewers.unavailable) == ([], 0)
        assert viewers.confirmed > len(viewers.users) * 5
        for user in viewers.users:
            await fourth_is_refused(store, user)
        await store.close()

    @on_loop
    async def test_new_sessions_find_their_way_while_a_slot_is_half_moved(self, cluster: servers.Cluster) -> None:
        store = open_store(cluster.url, timeout=5)
        user = "somebody"
        slot = SLOTS[shard_of(user)]
        target = next(server for server in cluster.primaries() if server is not cluster.owner(slot))
        await seat(store, user)
        moving = asyncio.create_task(asyncio.to_thread(cluster.move_slot, slot, target, 0.3))
        await asyncio.sleep(0.1)
        await fourth_is_refused(store, user)
        await moving
        assert (await store.sessions(user)).live == 3
        await store.close()

    @on_loop
    async def test_killed_and_hanging_primaries_are_replaced(self, cluster: servers.Cluster) -> None:
        """The sitting ones lose nothing that was acknowledged; no call waits longer than a viewer does."""
        store = open_store(cluster.url)
        viewers = Viewers(store, 90)
        await until_it_answers(viewers.sit)
        cluster.wait_until_whole()
        fetching = asyncio.create_task(viewers.fetch_forever())
        killed, hanging = cluster.primaries()[:2]
        await asyncio.sleep(0.3)
        killed.kill()
        for user in viewers.users:
            await until_it_answers(lambda user=user: store.confirm(viewers.receipts[user]))
        hanging.hang()
        await asyncio.sleep(0.3)
        for user in viewers.users:
            await until_it_answers(lambda user=user: store.confirm(viewers.receipts[user]))
        fetching.cancel()
        hanging.resume()
        assert viewers.wrong == []
        assert viewers.unavailable > 0
        assert viewers.slowest < WAIT_SECONDS + 2  # this machine is shared with other tests
        for user in viewers.users:
            await until_it_answers(lambda user=user: fourth_is_refused(store, user))
        await store.close()
