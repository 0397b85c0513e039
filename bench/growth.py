"""Time and memory of the store from a thousand sessions to a million, on one real server.

    python -m bench.growth [redis|valkey]

Three sessions a user, ids of 36 characters, devices and segments named. Server time is the scripts' own (INFO
commandstats, evalsha), so what else the machine does hardly shows; memory is the server's used_memory.
"""

import asyncio
import random
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from itertools import islice
from typing import Any
from uuid import UUID

from valkey import Valkey

from bench.report import write
from streamlimit.model import Admitted, Ask, Receipt
from streamlimit.policy import Policy
from streamlimit.store.valkey import ValkeyStore
from tests import servers

SIZES = (1_000, 100_000, 1_000_000)
TOGETHER = 128
SAMPLED = 30_000
POLICY = Policy(max_sessions=4, segment_ms=3_600_000, start_ms=3_600_000)
ALL_TYPES = frozenset({"session.started", "session.moved", "session.expired", "session.ended"})


class Growth:
    """One server that is filled step by step."""

    def __init__(self, port: int, subscribed: frozenset[str]) -> None:
        self.server = Valkey(port=port)
        self.store = ValkeyStore(f"valkey://127.0.0.1:{port}", POLICY, subscribed, timeout=10)
        self._random = random.Random(1)
        self._streams = [self._uuid() for _ in range(50)]
        self._empty = self.server.info("memory")["used_memory"]
        self._sampled: list[Receipt] = []
        self._pending: list[Receipt] = []
        self._size = 0

    def _uuid(self) -> str:
        return str(UUID(int=self._random.getrandbits(128), version=4))

    def _asks(self, sessions: int) -> Iterable[Ask]:
        for _ in range(sessions // 3):
            user = self._uuid()
            for _ in range(3):
                stream, lease = self._random.choice(self._streams), self._uuid()
                yield Ask(user, self._uuid(), stream, lease_id=lease, device="living-room-tv", client="c", sequence=7)

    async def grow_to(self, size: int) -> dict[str, float]:
        """Fills up, and measures one admission and one confirmation at that size."""
        kept = max(SAMPLED // len(SIZES), 1)
        async for decision in self._answers(self.store.admit, self._asks(size - self._size)):
            assert isinstance(decision, Admitted)
            assert decision.lease is not None
            receipt = Receipt(decision.lease, "video-180p/seg-00007.m4s", 7)
            if len(self._sampled) < SAMPLED:
                self._sampled.append(receipt)
            elif self._random.random() < kept / size:
                self._sampled[self._random.randrange(SAMPLED)] = receipt
            self._pending.append(receipt)
        await self._drain()
        self._size = size
        memory = (self.server.info("memory")["used_memory"] - self._empty) / size
        chosen = [self._random.choice(self._sampled) for _ in range(SAMPLED)]
        confirm = await self._timed(self.store.confirm, chosen)
        sitting = await self._timed(self.store.admit, [receipt.lease.ask for receipt in chosen])
        new = await self._timed(self.store.admit, self._asks(9_000))
        return {"bytes a session": memory, "confirm µs": confirm, "admit sitting µs": sitting, "admit new µs": new}

    async def _answers(self, call: Callable[[Any], Any], asked: Iterable[Any]) -> AsyncIterator[Any]:
        rest = iter(asked)
        while batch := list(islice(rest, TOGETHER)):
            for answer in await asyncio.gather(*[call(one) for one in batch]):
                yield answer
            await self._drain()

    async def _drain(self) -> None:
        receipts, self._pending = self._pending, []
        await asyncio.gather(*[self.store.confirm(receipt) for receipt in receipts])

    async def _timed(self, call: Callable[[Any], Any], asked: Iterable[Any]) -> float:
        best = float("inf")
        rest = list(asked)
        for third in (rest[0::3], rest[1::3], rest[2::3]):  # the quietest third of the time
            self.server.config_resetstat()
            async for _ in self._answers(call, third):
                pass
            best = min(best, self.server.info("commandstats")["cmdstat_evalsha"]["usec_per_call"])
        return best


async def measure(port: int, subscribed: frozenset[str]) -> dict[int, dict[str, float]]:
    """Each size, on one server."""
    growth = Growth(port, subscribed)
    found = {size: await growth.grow_to(size) for size in SIZES}
    await growth.store.close()
    return found


def main() -> None:
    """Prints and writes results/growth-<kind>.md."""
    kind = sys.argv[1] if len(sys.argv) > 1 else "redis"
    parts = ["Through our own store; time of the scripts in the server."]
    for heading, subscribed in (("Nobody is called back", frozenset()), ("With subscribers", ALL_TYPES)):
        with servers.single(kind) as server:
            found = asyncio.run(measure(server.port, subscribed))
        parts += [f"## {heading}", _table(found)]
    parts.append("With subscribers the events themselves, which nobody fetches here, are most of the bytes.")
    print(write(f"growth-{kind}", f"From a thousand sessions to a million ({kind})", parts), *parts, sep="\n")


def _table(found: dict[int, dict[str, float]]) -> str:
    names = list(found[SIZES[0]])
    lines = [f"| sessions | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    lines += [f"| {size:,} | {' | '.join(f'{found[size][name]:.1f}' for name in names)} |" for size in SIZES]
    ratios = [found[SIZES[-1]][name] / found[SIZES[1]][name] for name in names]
    return "\n".join([*lines, f"| 1,000,000 : 100,000 | {' | '.join(f'{ratio:.2f}' for ratio in ratios)} |"])


if __name__ == "__main__":
    main()
