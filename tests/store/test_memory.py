"""The contract in memory, and what only memory can do."""

import asyncio
import time
from collections.abc import Callable
from functools import partial

import pytest

from streamlimit.errors import StoreUnavailable
from streamlimit.model import Ask, Refusal
from streamlimit.policy import Policy
from streamlimit.store.contract import Clock
from streamlimit.store.memory import Memory, MemoryStore
from tests.store import differential
from tests.store.contract import StoreContract
from tests.store.store_driver import ALL_TYPES, ManualClock


@pytest.fixture
def open_store() -> Callable[..., MemoryStore]:
    memories: list[Memory] = []

    def opened(policy: Policy, subscribed: frozenset[str] = frozenset(), clock: Clock | None = None) -> MemoryStore:
        if not memories:
            memories.append(Memory(clock))
        return MemoryStore(policy, subscribed, memory=memories[0])

    return opened


class TestMemoryStore(StoreContract):
    """One memory per test; each open is another store over it, as another thread would have."""


class TestBeside:
    """A heartbeat beside what it is made of."""

    @pytest.mark.parametrize("name", differential.POLICIES)
    def test_a_beat_is_an_admission_and_its_receipt(self, name: str) -> None:
        policy = differential.POLICIES[name]
        asyncio.run(differential.walk_twins(300 + len(name), policy, MemoryStore, MemoryStore, ALL_TYPES))


def test_a_store_has_a_memory_of_its_own_unless_it_is_given_one() -> None:
    one, other = MemoryStore(Policy(max_sessions=1)), MemoryStore(Policy(max_sessions=1))
    ask = partial(Ask, "ada", stream_id="news", lease_id="1")
    assert not isinstance(one.admit(ask("tv")), Refusal)
    assert not isinstance(other.admit(ask("phone")), Refusal)
    assert isinstance(one.admit(ask("phone")), Refusal)


def test_nothing_is_kept_of_users_who_are_gone() -> None:
    clock = ManualClock()
    memory = Memory(clock)
    store = MemoryStore(Policy(visit_burst=0), memory=memory)
    store.admit(Ask("ada", "tv", "news", lease_id="1"))
    store.forget("bo")
    assert (memory.bodies.keys(), memory.grants.keys()) == ({"ada"}, {"bo"})
    clock.now_ms += 86_400_000
    assert len(store.expire(10).events) == 1
    assert (memory.bodies, memory.due, memory.grants, memory.events) == ({}, {}, {}, [])


def test_a_closed_store_is_unavailable() -> None:
    store = MemoryStore(Policy())
    store.close()
    store.close()
    with pytest.raises(StoreUnavailable):
        store.sessions("ada")
    with pytest.raises(StoreUnavailable):
        store.admit(Ask("ada", "tv", "news", lease_id="1"))


def test_its_clock_goes_on_by_itself_and_is_about_the_wall_clocks() -> None:
    memory = Memory()
    first = memory.now_ms()
    assert abs(first - time.time() * 1_000) < 60_000
    assert memory.now_ms() >= first
