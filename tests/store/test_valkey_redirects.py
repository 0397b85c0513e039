"""Servers that send a worker elsewhere: with a host, without one, with one that nobody knows, and many at once."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from libvalkey import Reader

from streamlimit.errors import StoreUnavailable
from streamlimit.model import Ask
from streamlimit.policy import Policy
from streamlimit.store.diagnosis import in_words
from streamlimit.store.valkey import ValkeyStore
from streamlimit.store.valkey.discovery import pointed_to, slots_of
from streamlimit.store.valkey.keys import SHARDS, SHARDS_OF, SLOTS, shard_of

ASKED = ("10.0.0.9", 6379)
USER = "alice"
SLOT = SLOTS[shard_of(USER)]
KNOWN = [("10.0.0.1", 6380), ("10.0.0.2", 6381), ("10.0.0.3", 6381)]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("3999 10.0.0.1:6381", ("10.0.0.1", 6381)),
        ("3999 :6381", ("10.0.0.9", 6381)),
        ("3999 ?:6380", ("10.0.0.1", 6380)),
        ("3999 ?:6381", ("10.0.0.9", 6381)),  # two could be meant
        ("3999 ?:7000", ("10.0.0.9", 7000)),
        ("3999 2001:db8::1:6381", ("2001:db8::1", 6381)),
        ("3999 node-1.example:6381", ("node-1.example", 6381)),
    ],
)
def test_a_redirection_names_a_server(text: str, meant: tuple[str, int]) -> None:
    pointer = pointed_to(text, ASKED, KNOWN)
    assert pointer is not None
    assert (pointer.slot, pointer.address) == (3999, meant)


@pytest.mark.parametrize("text", ["", "3999", "3999 10.0.0.1", "x 10.0.0.1:1", "3999 10.0.0.1:", "3999 10.0.0.1:x"])
def test_what_names_no_server_is_no_redirection(text: str) -> None:
    assert pointed_to(text, ASKED, KNOWN) is None


@pytest.mark.parametrize(
    ("node", "address"),
    [
        ([b"10.0.0.1", 6381, b"id"], ("10.0.0.1", 6381)),
        ([b"10.0.0.1", 6381, b"id", [b"hostname", b"n1"]], ("10.0.0.1", 6381)),
        ([None, 6381, b"id", [b"ip", b"10.0.0.1"]], ("10.0.0.9", 6381)),
        ([b"", 6381, b"id", []], ("10.0.0.9", 6381)),
        ([b"?", 6381, b"id", [b"ip", b"10.0.0.1"]], ("10.0.0.1", 6381)),
        ([b"?", 6381, b"id"], ("10.0.0.9", 6381)),
    ],
)
def test_a_layout_names_a_server(node: list[Any], address: tuple[str, int]) -> None:
    assert set(slots_of([[0, 16_383, node]], ASKED)) == {address}


def test_a_layout_may_be_in_many_pieces_in_any_order_and_with_gaps() -> None:
    pieces = [[slot, slot, [b"h%d" % (slot % 7), 1, b"id"]] for slot in range(100, 16_000)]
    found = slots_of(pieces[::-1], ASKED)
    assert found == [(f"h{slot % 7}", 1) if 100 <= slot < 16_000 else None for slot in SLOTS]


def test_a_layout_of_nothing_is_none() -> None:
    with pytest.raises(ValueError, match="serves no slots"):
        slots_of([], ASKED)


def test_every_shard_is_found_by_its_slot() -> None:
    assert sorted(shard for shards in SHARDS_OF.values() for shard in shards) == list(range(SHARDS))
    assert all(SLOTS[shard] == slot for slot, shards in SHARDS_OF.items() for shard in shards)


class Pretender:
    """A server of a cluster that answers as it is told: *script* makes the answer to a script from its number."""

    def __init__(self) -> None:
        self.port, self.counts = 0, Counter[bytes]()
        self.layout: list[Any] = []
        self.script: Callable[[int], str] = lambda _: "-ERR unexpected"

    async def open(self) -> "Pretender":
        self._listening = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._listening.sockets[0].getsockname()[1]
        return self

    def close(self) -> None:
        self._listening.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        commands = Reader()
        while data := await reader.read(65_536):
            commands.feed(data)
            while (command := commands.gets()) is not False:
                writer.write(self._answer(command).encode() + b"\r\n")
        writer.close()

    def _answer(self, command: list[bytes]) -> str:
        name = command[0]
        self.counts[name] += 1
        if name == b"TIME":
            return "*2\r\n$10\r\n1790000000\r\n$1\r\n0"
        if name == b"CLUSTER":
            rows = "".join(f"*3\r\n:{a}\r\n:{b}\r\n*2\r\n$9\r\n127.0.0.1\r\n:{port}\r\n" for a, b, port in self.layout)
            return f"*{len(self.layout)}\r\n{rows}".rstrip()
        if name == b"EVALSHA":
            return self.script(self.counts[name])
        return "+OK"


async def admitted(store: ValkeyStore, users: list[str]) -> list[Any]:
    return await asyncio.gather(*(store.admit(Ask(user, "tv", "news")) for user in users), return_exceptions=True)


def between_two(play: Callable[[Pretender, Pretender, ValkeyStore], Any]) -> None:
    """All slots are said to be at the first of two servers; the store has met it."""

    async def run() -> None:
        first, second = await Pretender().open(), await Pretender().open()
        first.layout = second.layout = [(0, 16_383, first.port)]
        store = ValkeyStore(f"valkey+cluster://127.0.0.1:{first.port}", Policy(), timeout=5)
        try:
            await store.ping()
            await play(first, second, store)
        finally:
            await store.close()
            first.close()
            second.close()

    asyncio.run(run())


@pytest.mark.parametrize("host", ["", "?", "127.0.0.1"])
@pytest.mark.parametrize("code", ["MOVED", "ASK"])
def test_a_call_goes_on_where_it_is_sent(code: str, host: str) -> None:
    async def play(first: Pretender, second: Pretender, store: ValkeyStore) -> None:
        first.script = lambda _: f"-{code} {SLOT} {host}:{second.port}"
        second.script = lambda _: "-OOM arrived"
        (outcome,) = await admitted(store, [USER])
        assert "OOM arrived" in str(outcome)
        assert second.counts[b"ASKING"] == (code == "ASK")

    between_two(play)


@pytest.mark.parametrize("where", ["", "nonsense", "1 ::", "x :1", "99999999 :"])
def test_a_redirection_to_nowhere_is_unavailable(where: str) -> None:
    async def play(first: Pretender, _second: Pretender, store: ValkeyStore) -> None:
        first.script = lambda _: f"-MOVED {where}"
        outcomes = await admitted(store, [USER, "bob"])
        assert {type(each) for each in outcomes} == {StoreUnavailable}

    between_two(play)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("LOADING Redis is loading the dataset in memory", "it is still loading its data"),
        ("READONLY You can't write against a read only replica.", "a read-only replica answers"),
        ("MASTERDOWN Link with MASTER is down", "a replica answers that has lost its primary"),
        ("NOAUTH Authentication required.", "it wants a password"),
        ("NOPERM User worker has no permissions to run the 'evalsha' command", "its user may not do what is needed"),
        ("CLUSTERDOWN Hash slot not served", "a part of the cluster is down"),
        ("MISCONF Errors writing to the AOF file", "it cannot save to its disk"),
        ("OOM command not allowed when used memory > 'maxmemory'.", "its memory is full"),
    ],
    ids=lambda text: text.partition(" ")[0],
)
def test_a_refusal_names_the_server_and_has_words(text: str, words: str) -> None:
    async def play(first: Pretender, _second: Pretender, store: ValkeyStore) -> None:
        first.script = lambda _: f"-{text}"
        (outcome,) = await admitted(store, [USER])
        assert str(outcome) == f"valkey: 127.0.0.1:{first.port}: {text}"
        assert words in in_words(str(outcome))

    between_two(play)


def test_who_is_sent_back_to_where_it_came_from_waits_for_the_layout() -> None:
    async def play(first: Pretender, second: Pretender, store: ValkeyStore) -> None:
        first.script = lambda _: f"-MOVED {SLOT} ?:{first.port}"
        second.script = lambda _: "-OOM arrived"
        first.layout = second.layout = [(0, 16_383, second.port)]
        (outcome,) = await admitted(store, [USER])
        assert "OOM arrived" in str(outcome)
        assert first.counts[b"EVALSHA"] < 10

    between_two(play)


def test_of_many_that_are_sent_elsewhere_the_layout_is_asked_once_or_twice() -> None:
    async def play(first: Pretender, second: Pretender, store: ValkeyStore) -> None:
        users = [f"user-{number}" for number in range(500)]
        by_user = iter(users)
        first.script = lambda _: f"-MOVED {SLOTS[shard_of(next(by_user))]} :{second.port}"
        second.script = lambda _: "-OOM arrived"
        asked = first.counts[b"CLUSTER"]
        outcomes = await admitted(store, users)
        assert all("OOM arrived" in str(each) for each in outcomes)
        await asyncio.sleep(0.1)
        assert first.counts[b"CLUSTER"] + second.counts[b"CLUSTER"] - asked <= 6

    between_two(play)


async def test_of_a_cluster_with_a_hole_only_who_is_in_it_fails_and_at_once() -> None:
    """Before the layout is known, and after."""

    server = await Pretender().open()
    server.layout = [(slot, slot, server.port) for slot in SLOTS if slot != SLOT]
    server.script = lambda _: "-OOM arrived"
    store = ValkeyStore(f"valkey+cluster://127.0.0.1:{server.port}", Policy(), timeout=5)
    neighbour = next(user for user in map(str, range(9)) if SLOTS[shard_of(user)] != SLOT)
    try:
        for _ in range(2):
            outcomes = await asyncio.wait_for(admitted(store, [USER, neighbour]), 4)
            assert [type(each) for each in outcomes] == [StoreUnavailable] * 2
            assert "nobody serves these slots" in str(outcomes[0])
            assert "OOM arrived" in str(outcomes[1])
    finally:
        await store.close()
        server.close()
