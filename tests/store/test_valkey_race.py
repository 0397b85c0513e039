"""Many connections from several processes ask for the same users' seats at the same moment."""

import asyncio
from collections import Counter
from typing import Any
from uuid import uuid4

from streamlimit.model import Admitted, Ask, Receipt
from streamlimit.policy import Policy
from streamlimit.store.valkey import ValkeyStore
from tests import servers
from tests.processes import FORKED

PROCESSES, CONNECTIONS = 4, 4
USERS, SESSIONS, LIMIT = 250, 8, 3
SLOW = Policy(max_sessions=LIMIT, segment_ms=60_000, start_ms=60_000)
PATIENT = 30.0
"""Seconds an answer may take: this machine is shared."""


def test_16_connections_of_4_processes_seat_exactly_3_of_8_of_each_of_250_users(cluster: servers.Cluster) -> None:
    prefix, barrier, found = f"test-{uuid4().hex[:8]}", FORKED.Barrier(PROCESSES), FORKED.Queue()
    crew = [
        FORKED.Process(target=work, args=(cluster.url, prefix, number, barrier, found), daemon=True)
        for number in range(PROCESSES)
    ]
    for process in crew:
        process.start()
    admitted: Counter[str] = Counter()
    for _ in crew:
        admitted.update(found.get(timeout=120))
    for process in crew:
        process.join(30)
        assert process.exitcode == 0
    assert set(admitted.values()) == {LIMIT}
    assert len(admitted) == USERS
    assert asyncio.run(live(cluster.url, prefix)) == {LIMIT}


def work(url: str, prefix: str, number: int, barrier: Any, found: Any) -> None:
    """One process: a store (with connections of its own) for some sessions of every user, all asked at once."""

    async def ask() -> Counter[str]:
        stores = [ValkeyStore(url, SLOW, prefix=prefix, timeout=PATIENT) for _ in range(CONNECTIONS)]
        await asyncio.gather(*(store.ping() for store in stores))
        barrier.wait(60)
        mine = range(number * SESSIONS // PROCESSES, (number + 1) * SESSIONS // PROCESSES)
        asks = [Ask(f"user-{u}", f"tv-{s}", "news", lease_id=f"l-{s}") for u in range(USERS) for s in mine]
        answers = await asyncio.gather(*(confirmed(stores[i % CONNECTIONS], ask) for i, ask in enumerate(asks)))
        await asyncio.gather(*(store.close() for store in stores))
        return Counter(user for user in answers if user is not None)

    found.put(asyncio.run(ask()))


async def confirmed(store: ValkeyStore, ask: Ask) -> str | None:
    """The user, if the session was seated (and received its first segment)."""
    decision = await store.admit(ask)
    if not isinstance(decision, Admitted):
        return None
    assert decision.lease is not None
    await store.confirm(Receipt(decision.lease, "s-1", 1))
    return ask.user_id


async def live(url: str, prefix: str) -> set[int]:
    """How many sessions users have in the end."""
    store = ValkeyStore(url, SLOW, prefix=prefix, timeout=PATIENT)
    rosters = await asyncio.gather(*(store.sessions(f"user-{number}") for number in range(USERS)))
    await store.close()
    return {roster.live for roster in rosters}
