"""The cost of the client of Valkey, beside redis-benchmark and valkey-py: a confirmation's script on one server.

    python -m bench.valkey_client [ROUNDS]

Interleaved rounds, the median of each way, all with the same script and arguments on a real redis-server:
`redis-benchmark -P 16` (C, 50 connections), valkey-py one by one and in pipelines of 16, our connection with the ready
command, and `ValkeyStore.confirm` whole: packing the receipt, routing, unpacking the verdict. Prints a table.
"""

import asyncio
import re
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from statistics import median

import uvloop
from valkey.asyncio import Valkey

from streamlimit.model import Admitted, Ask, Receipt
from streamlimit.policy import Policy
from streamlimit.store.valkey import ValkeyStore
from streamlimit.store.valkey.codec import pack_policy
from streamlimit.store.valkey.keys import Keys, shard_of
from streamlimit.store.valkey.messages import Messages
from streamlimit.store.valkey.scripts import SCRIPTS
from streamlimit.store.valkey.servers import evalsha
from tests import servers

CALLS = 48_000
IN_FLIGHT = 256
DEPTH = 16
POLICY = Policy(segment_ms=600_000)
USER, SESSION, STREAM = (f"{k:08x}-aaaa-4bbb-8ccc-0123456789ab" for k in (1, 2, 3))
CONFIRM = SCRIPTS["confirm"]
NO_DEADLINE = "9999999999999"
"""Milliseconds: the last argument of a script, here never in the past."""

Way = Callable[[], Awaitable[None]]


class Ways:
    """The ways to call, each making so many calls."""

    def __init__(self, server: servers.Server, store: ValkeyStore, receipt: Receipt) -> None:
        self.server, self.store, self.receipt = server, store, receipt
        self.shard, keys = shard_of(USER), Keys("streamlimit")
        self.keys = [keys.ledger(self.shard, USER.encode()), keys.due[self.shard]]
        self.policy, self.message = pack_policy(POLICY, frozenset(), 1_000), Messages(POLICY).receipt(receipt)
        self.command = evalsha(CONFIRM, self.keys, self.policy, self.message)
        self.client = Valkey(port=server.port)
        self.arguments = (CONFIRM.sha.decode(), 2, *self.keys, self.policy, self.message, NO_DEADLINE)

    async def redis_benchmark(self) -> float:
        """Calls a second by its own count. It cannot send zero bytes: its arguments stand in the script itself."""
        policy, message = ("".join(f"\\{byte:03d}" for byte in part) for part in (self.policy, self.message))
        arguments = f"local ARGV = {{'{policy}', '{message}', '{NO_DEADLINE}'}}\n"
        sha = self.server.client.script_load(arguments + CONFIRM.body.decode())
        command = ["redis-benchmark", "-p", str(self.server.port), "-P", str(DEPTH), "-n", str(CALLS), "-q"]
        command += ["EVALSHA", sha, "2", *(key.decode() for key in self.keys)]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=True)
        return float(re.findall(rb"([\d.]+) requests per second", done.stdout)[-1])

    async def one_by_one(self) -> float:
        async def some() -> None:
            for _ in range(CALLS // 16):
                await self.client.evalsha(*self.arguments)

        return await rate(some, CALLS // 16)

    async def valkey_py(self) -> float:
        async def some() -> None:
            for _ in range(CALLS // 4 // DEPTH):
                pipeline = self.client.pipeline(transaction=False)
                for _ in range(DEPTH):
                    pipeline.evalsha(*self.arguments)
                await pipeline.execute()

        return await rate(some, CALLS // 4)

    async def connection(self) -> float:
        return await self._ours(lambda: self.store._calls.router.call(self.shard, self.command, len, CONFIRM))

    async def whole(self) -> float:
        return await self._ours(lambda: self.store.confirm(self.receipt))

    async def _ours(self, call: Callable[[], Awaitable[object]]) -> float:
        async def some() -> None:
            for _ in range(CALLS // IN_FLIGHT):
                calls = [call() for _ in range(IN_FLIGHT)]
                for each in calls:
                    await each

        return await rate(some, CALLS // IN_FLIGHT * IN_FLIGHT)


async def rate(way: Way, calls: int) -> float:
    started = time.perf_counter()
    await way()
    return calls / (time.perf_counter() - started)


async def main(rounds: int) -> None:
    with servers.single("redis") as server:
        store = ValkeyStore(server.url, POLICY, timeout=5.0)
        decision = await store.admit(Ask(USER, SESSION, STREAM, lease_id="lease", device="living-room-tv", client="c"))
        assert isinstance(decision, Admitted)
        assert decision.lease is not None
        receipt = Receipt(decision.lease, "video-180p/seg-00008.m4s", 8)
        await store.confirm(receipt)
        ways = Ways(server, store, receipt)
        named = (ways.redis_benchmark, ways.one_by_one, ways.valkey_py, ways.connection, ways.whole)
        rates: dict[str, list[float]] = {way.__name__: [] for way in named}
        for _ in range(rounds):
            for way in named:
                rates[way.__name__].append(await way())
        best = median(rates["redis_benchmark"])
        print("| way | k calls a second | of redis-benchmark -P 16 |\n|---|---|---|")
        for name, found in rates.items():
            print(f"| {name} | {median(found) / 1000:.0f} | {median(found) / best:.2f} |")
        await store.close()
        await ways.client.aclose()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
