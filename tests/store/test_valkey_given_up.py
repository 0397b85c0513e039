"""A command that a worker has given up is never run later, whatever delayed it on its way to the server."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from valkey.exceptions import ResponseError

from streamlimit.errors import StoreUnavailable
from streamlimit.model import Admitted, Ask, Confirmed, Receipt
from streamlimit.policy import Policy
from streamlimit.store.contract import resolved
from streamlimit.store.deferred import Deferred
from streamlimit.store.valkey import ValkeyOutbox, ValkeyStore
from streamlimit.store.valkey.connection import Pipe, ServerClock
from streamlimit.store.valkey.outbox import SCRIPTS as OUTBOX_SCRIPTS
from streamlimit.store.valkey.reporting import SCRIPTS as REPORT_SCRIPTS
from streamlimit.store.valkey.scripts import SCRIPTS
from tests import servers

SLOW = Policy(max_sessions=3, segment_ms=60_000, start_ms=60_000)
USERS = [f"user-{number}" for number in range(10)]
TIMEOUT = 0.25


class Wire:
    """What lies between a worker and the server. While it is held, packets wait; those of both ends, and their ends."""

    def __init__(self, port: int) -> None:
        self._port, self._free = port, asyncio.Event()
        self._free.set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> "Wire":
        self._listening = await asyncio.start_server(self._meet, "127.0.0.1", 0)
        self.url = f"valkey://127.0.0.1:{self._listening.sockets[0].getsockname()[1]}"
        return self

    def hold(self) -> None:
        self._free.clear()

    def let_go(self) -> None:
        self._free.set()

    async def close(self) -> None:
        self._listening.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._free.wait()
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            task = asyncio.create_task(self._carry(source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65_536):
                await self._free.wait()
                sink.write(data)
        except ConnectionError:
            await self._free.wait()
        sink.close()


def open_store(url: str, prefix: str, timeout: float = TIMEOUT) -> ValkeyStore:
    return ValkeyStore(url, SLOW, prefix=prefix, timeout=timeout)


def newcomer(user: str) -> Ask:
    return Ask(user, "newcomer", "news", lease_id="lease")


async def seat(store: ValkeyStore, user: str) -> Receipt:
    decision = await store.admit(Ask(user, "tv", "news", lease_id="lease-tv"))
    assert isinstance(decision, Admitted)
    assert decision.lease is not None
    receipt = Receipt(decision.lease, "s-1", 1)
    assert isinstance(await store.confirm(receipt), Confirmed)
    return receipt


async def everything(store: ValkeyStore, receipts: list[Receipt]) -> list[Any]:
    """Each kind of step, all at once; the outcomes."""
    steps: list[Any] = [store.confirm(Receipt(each.lease, "s-2", 2)) for each in receipts]
    steps += [store.admit(newcomer(user)) for user in USERS[:5]]
    steps += [resolved(store.beat(newcomer(user))) for user in USERS[5:]]
    steps += [store.end(USERS[0], "tv"), store.terminate(USERS[1], None, "ops", ""), store.set_limit(USERS[2], 1)]
    steps += [store.prolong(receipts[3].lease), store.abandon(receipts[4].lease), store.expire(10)]
    return await asyncio.gather(*steps, return_exceptions=True)


async def until_back(store: ValkeyStore) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                return await store.ping()
            except StoreUnavailable:
                await asyncio.sleep(0.02)


async def rosters(store: ValkeyStore) -> list[Any]:
    return [await store.sessions(user) for user in USERS]


async def test_of_what_a_server_that_hung_was_asked_nothing_happens_when_it_wakes(server: servers.Server) -> None:
    store = open_store(server.url, uuid4().hex)
    receipts = [await seat(store, user) for user in USERS]
    before = await rosters(store)
    server.hang()
    try:
        outcomes = await everything(store, receipts)
    finally:
        server.resume()
    assert {type(each) for each in outcomes} == {StoreUnavailable}
    await until_back(store)
    assert await rosters(store) == before
    assert await store.own_limit(USERS[2]) is None
    await store.close()


async def test_of_what_a_partition_held_back_nothing_happens_when_it_heals(server: servers.Server) -> None:
    """Even if the network delivers in the end all that was ever written."""

    wire, prefix = await Wire(server.port).open(), uuid4().hex
    store, beside = open_store(wire.url, prefix), open_store(server.url, prefix, timeout=5)
    receipts = [await seat(store, user) for user in USERS]
    before = await rosters(beside)
    wire.hold()
    outcomes = await everything(store, receipts)
    assert {type(each) for each in outcomes} == {StoreUnavailable}
    wire.let_go()
    await until_back(store)
    assert await rosters(beside) == before
    await store.close()
    await beside.close()
    await wire.close()


async def test_who_asked_last_before_a_server_woke_is_told_what_it_did(server: servers.Server) -> None:
    """The first call is overdue, and the connection is given up; the last one still has time, and is carried out."""

    store = open_store(server.url, uuid4().hex, timeout=1.0)
    await seat(store, USERS[0])
    server.hang()
    try:
        first = asyncio.ensure_future(store.admit(newcomer(USERS[1])))
        await asyncio.wait([first], timeout=0.7)
        last = asyncio.ensure_future(store.admit(newcomer(USERS[2])))
        with pytest.raises(StoreUnavailable):
            await first
    finally:
        server.resume()
    assert isinstance(await last, Admitted)
    await until_back(store)
    assert [(await store.sessions(user)).live for user in USERS[1:3]] == [0, 1]
    await store.close()


async def test_a_claim_that_was_given_up_leaves_its_deliveries_to_others(server: servers.Server) -> None:
    prefix, wanted = uuid4().hex, frozenset({"session.started"})
    store = ValkeyStore(server.url, SLOW, wanted, prefix=prefix, timeout=5)
    outbox = ValkeyOutbox(server.url, {"hook": wanted}, prefix=prefix, timeout=TIMEOUT)
    assert await outbox.claim("hook", "learns", 1, 60_000) == ()
    await seat(store, USERS[0])
    server.hang()
    try:
        with pytest.raises(StoreUnavailable):
            await outbox.claim("hook", "given up", 1, 60_000, users=[USERS[0]])
    finally:
        server.resume()
    await until_back(store)
    async with asyncio.timeout(20):
        while True:
            try:
                deliveries = await outbox.claim("hook", "another", 1, 60_000, users=[USERS[0]])
                break
            except StoreUnavailable:
                await asyncio.sleep(0.02)
    assert [delivery.event.type for delivery in deliveries] == ["session.started"]
    await store.close()
    await outbox.close()


@pytest.mark.parametrize("taken_for_ms", [0, 5_000_000_000_000], ids=["far behind", "far ahead"])
async def test_a_server_whose_clock_was_set_is_asked_again_at_once(
    server: servers.Server, monkeypatch: pytest.MonkeyPatch, taken_for_ms: int
) -> None:
    """A worker that is wrong about the server's clock learns it from the first answer; no caller gets an error."""

    def learn_time(pipe: Pipe) -> Deferred[None]:
        answer: Deferred[None] = Deferred()
        pipe.clock.learn(taken_for_ms)
        answer.come(None)
        return answer

    monkeypatch.setattr(Pipe, "learn_time", learn_time)

    store = open_store(server.url, uuid4().hex, timeout=5)
    await asyncio.gather(*(seat(store, user) for user in USERS))
    assert [roster.live for roster in await rosters(store)] == [1] * len(USERS)
    await store.close()


@pytest.mark.parametrize("name", [name for name in (*SCRIPTS, *OUTBOX_SCRIPTS, *REPORT_SCRIPTS) if name != "look"])
def test_after_its_deadline_does_nothing(server: servers.Server, name: str) -> None:
    """Whatever it was asked; all but look.lua, which changes nothing."""
    script = (SCRIPTS | OUTBOX_SCRIPTS | REPORT_SCRIPTS)[name]
    keys, words = [f"{uuid4().hex}-{number}" for number in range(12)], [b"\1" * 64, b"\1" * 64]
    if name in OUTBOX_SCRIPTS:
        words.append(b"")
    size = server.client.dbsize()
    with pytest.raises(ResponseError, match=r"^TOOLATE \d{13}$"):
        server.client.execute_command("EVAL", script.body, len(keys), *keys, *words, "1")
    assert server.client.dbsize() == size


def test_a_deadline_is_no_later_than_the_moment_it_stands_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whenever the server read its clock between question and answer."""
    now = 5_000.25
    monkeypatch.setattr("streamlimit.store.valkey.connection.monotonic", lambda: now)
    clock = ServerClock()
    clock.learn(1_790_000_000_000.9)
    for seconds in (0.0, 0.25, 0.2504, 1.0):
        sent = clock.deadline(now + seconds)
        assert sent.startswith(b"$13\r\n")
        assert int(sent[5:]) in (
            int(1_790_000_000_000.9 + seconds * 1_000),
            int(1_790_000_000_000.9 + seconds * 1_000) - 1,
        )
