"""The contract on Valkey, what of it Redis and a cluster may answer otherwise, and the scripts' headers.

All of it on each of them: tests/soak/test_engines_soak.py.
"""

import asyncio
import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from streamlimit.errors import StoreUnavailable
from streamlimit.store.valkey import ValkeyStore
from streamlimit.store.valkey.keys import SHARDS, Keys
from streamlimit.store.valkey.scripts import NAMES, source
from streamlimit.store.valkey.walks import Sweep
from tests import servers
from tests.store import differential
from tests.store.contract import Limits, Outboxes, Plans, StoreContract, Sundries, Sweeps, Views
from tests.store.machine import machine_of
from tests.store.plays_machine import plays_machine_of
from tests.store.store_driver import ALL_TYPES

MACHINE = settings(
    max_examples=12,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],  # shrinking takes minutes: the soak test does it
    suppress_health_check=list(HealthCheck),
)

PATIENT = 5.0
"""Seconds an answer may take here: tests share the machine with other tests."""


def opener(url: str) -> Callable[..., ValkeyStore]:
    """Every test has keys of its own, so that none sees another's users."""
    return partial(ValkeyStore, url, prefix=f"test-{uuid4().hex[:8]}", timeout=PATIENT)


class TestOnRedis(Limits, Plans, Sweeps, Views, Outboxes, Sundries):
    """Debian's Redis 7.0, one server. Its scripts are those of Valkey."""

    @pytest.fixture
    def open_store(self, redis_url: str) -> Callable[..., ValkeyStore]:
        return opener(redis_url)


class TestOnValkey(StoreContract):
    """Valkey 9, one server."""

    @pytest.fixture
    def open_store(self, valkey_url: str) -> Callable[..., ValkeyStore]:
        return opener(valkey_url)


class TestOnValkeyCluster(Sweeps, Views, Sundries):
    """Valkey 9, three primaries and three replicas: what several servers have to answer together.

    What one user does is one script on one server, here as there.
    """

    @pytest.fixture
    def open_store(self, valkey_cluster: servers.Cluster) -> Callable[..., ValkeyStore]:
        return opener(valkey_cluster.url)


WALKS = [(name, ALL_TYPES) for name in differential.POLICIES]
WALKS += [(name, frozenset()) for name in ("refuse", "replace-oldest", "dry")]
walks = pytest.mark.parametrize(
    ("name", "subscribed"), WALKS, ids=[f"{name}-{'told' if types else 'untold'}" for name, types in WALKS]
)


class TestBeside:
    """The rules in Lua beside the rules in Python, and the model's state machine."""

    @pytest.fixture
    def open_store(self, valkey_url: str) -> Callable[..., ValkeyStore]:
        return opener(valkey_url)

    @walks
    def test_lua_and_python_give_the_same_answers(
        self, name: str, subscribed: frozenset[str], tmp_path: Path, open_store: Callable[..., ValkeyStore]
    ) -> None:
        policy, seed = differential.POLICIES[name], len(name)
        asyncio.run(differential.walk(seed, policy, tmp_path, open_store, subscribed))

    @pytest.mark.parametrize("name", ["one-a-device", "replace-idle", "caps"])
    @pytest.mark.parametrize("subscribed", [frozenset(), ALL_TYPES], ids=["untold", "told"])
    def test_lua_and_python_give_the_same_answers_though_the_clock_goes_back(
        self, name: str, subscribed: frozenset[str], tmp_path: Path, open_store: Callable[..., ValkeyStore]
    ) -> None:
        """When a spent budget of visits is forgotten is each store's own."""
        policy = replace(differential.POLICIES[name], visit_burst=0)
        walk = differential.walk(len(name), policy, tmp_path, open_store, subscribed, 300, differential.Unsteady)
        asyncio.run(walk)

    @walks
    def test_a_beat_is_an_admission_and_its_receipt(
        self, name: str, subscribed: frozenset[str], open_store: Callable[..., ValkeyStore]
    ) -> None:
        policy, seed, twin = differential.POLICIES[name], 100 + len(name), f"twin-{uuid4().hex[:8]}"
        beside = partial(open_store, prefix=twin)
        asyncio.run(differential.walk_twins(seed, policy, open_store, beside, subscribed))

    def test_whatever_happens_the_rules_hold(self, open_store: Callable[..., ValkeyStore]) -> None:
        run_state_machine_as_test(machine_of(open_store), settings=MACHINE)

    def test_of_several_players_of_one_session_one_goes_on(self, open_store: Callable[..., ValkeyStore]) -> None:
        run_state_machine_as_test(plays_machine_of(open_store), settings=MACHINE)


class Halves:
    """Servers of which one answers and one does not, as `walks.Sweep` sees them: two users are due, one at each."""

    def __init__(self) -> None:
        self.keys, self.far_ms = Keys("test"), 100_000
        self.due = {5: [b"here"], 6: [b"there"]}

    def server_of(self, shard: int) -> tuple[str, int]:
        return ("server", shard % 2)

    async def now_ms(self, shard: int) -> int:
        return 1

    async def ask(self, shard: int, *command: object) -> list[bytes]:
        return [] if "+inf" in command else self.due.get(shard, [])

    async def expire(self, shard: int, users: list[bytes], following: int) -> Any:
        if shard == 6:
            raise StoreUnavailable("away")
        del self.due[shard]
        return ["the event of here"], []


class Crowd(Halves):
    """One user is due in every shard, and both servers answer."""

    def __init__(self) -> None:
        super().__init__()
        self.due = {shard: [b"user"] for shard in range(SHARDS)}

    async def expire(self, shard: int, users: list[bytes], following: int) -> Any:
        assert users == self.due.pop(shard)
        return [shard], []


def sweep_of(servers: Halves) -> Sweep:
    return Sweep(servers, servers.expire, far_ms=servers.far_ms)  # type: ignore[arg-type]


class TestSweep:
    """What the sweep over all shards adds to the scripts."""

    @pytest.mark.parametrize("at_most", [6, 100])
    def test_though_the_servers_share_what_one_step_may_take_all_are_taken_out_once(self, at_most: int) -> None:
        """A step of 6 ends at one server while the other one has users left."""

        async def run() -> None:
            sweep, told, steps = sweep_of(Crowd()), list[Any](), 0
            more = True
            while more:
                swept = await sweep.once(at_most)
                assert len(swept.events) <= at_most
                told += swept.events
                more, steps = swept.more, steps + 1
            assert sorted(told) == list(range(SHARDS))
            assert steps <= SHARDS // at_most + 2

        asyncio.run(run())

    def test_what_was_taken_out_is_told_though_another_server_is_away(self) -> None:
        async def run() -> None:
            sweep = sweep_of(Halves())
            swept = await sweep.once(100)
            assert (swept.events, swept.more) == (("the event of here",), True)
            with pytest.raises(StoreUnavailable):
                await sweep.once(100)

        asyncio.run(run())


class TestScripts:
    """Every script says in its header what it takes and returns, or preamble.lua does for all that change one ledger.

    The body takes no less and no more.
    """

    @pytest.mark.parametrize("name", NAMES)
    def test_the_header_names_what_the_body_uses(self, name: str) -> None:
        header, body = self.parts(name)
        own = self.declared(header)
        declared = own if "KEYS[1]" in own else own | self.declared(self.parts("preamble")[0])
        used = set(re.findall(r"(?:KEYS|ARGV)\[\d\]", self.with_includes(body)))
        if "ipairs(KEYS)" in body:
            used.add("KEYS[4]")
        assert used - {"KEYS[3]"} <= declared
        assert own - used <= {"ARGV[2]"}
        assert re.search(r"^-- Returns  ", header, re.MULTILINE)

    @pytest.mark.parametrize("name", NAMES)
    def test_the_header_describes_the_message_as_the_body_reads_it(self, name: str) -> None:
        header, body = self.parts(name)
        described = re.search(r"^-- ARGV\[2\]  (.*?)^-- (?:ARGV\[3\]|Returns)", header, re.MULTILINE | re.DOTALL)
        assert described
        said = re.findall(r"\b(B|I[1-8]) (?!0\b)", described[1])
        read = re.search(r"unpack\('<([^']*)', ARGV\[2\]\)", self.with_includes(body))
        if read:
            forms = re.findall(r"B|I\d", read[1])
            assert said[: len(forms)] == forms

    @pytest.mark.parametrize("name", NAMES)
    def test_only_redis_call_is_used(self, name: str) -> None:
        for text in (source(name), source("ledger"), source("preamble")):
            assert set(re.findall(r"\b(?:redis|server)\.(\w+)", text)) <= {"call"}

    def declared(self, header: str) -> set[str]:
        return set(re.findall(r"^-- ((?:KEYS|ARGV)\[\d\])  ", header, re.MULTILINE))

    def parts(self, name: str) -> tuple[str, str]:
        lines = source(name).splitlines(keepends=True)
        length = next(i for i, line in enumerate(lines) if not line.startswith("--"))
        return "".join(lines[:length]), "".join(lines[length:])

    def with_includes(self, body: str) -> str:
        """Without comments."""
        whole = re.sub(r"^-- include (\w+)$", lambda found: source(found[1]), body, flags=re.MULTILINE)
        return re.sub(r"--.*", "", whole)
