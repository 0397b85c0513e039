"""The schedule of Python's cyclic garbage collector, which blocks all requests while it runs.

Reference counts free nearly everything here: neither a request nor a closed connection leaves a cycle. But ten thousand
open connections are 240,000 objects, 40 ms to walk, and a client that opens and closes connections would have them
walked again and again. So only the youngest generation is collected as usual; the others periodically.
"""

import asyncio
import gc

YOUNG = 2_000
"""New objects until the youngest generation is collected, which takes 0.2 ms."""

NEVER = 1_000_000_000
ROUND_SECONDS = 60.0
"""Seconds between two collections of the middle generation."""

ROUNDS = 60
"""Collections of the middle generation for one of all: old objects are rarely garbage."""


def calm() -> None:
    """Excludes all imported objects from garbage collection, and limits automatic collection to the youngest ones.

    Imports leave hardly any garbage, and a full collection would delay the first viewers by 50 ms.
    """
    gc.collect(1)
    gc.freeze()
    gc.set_threshold(YOUNG, NEVER, NEVER)


async def collect_forever() -> None:
    """Collects the older generations periodically, until cancelled."""
    while True:
        for number in range(ROUNDS):
            await asyncio.sleep(ROUND_SECONDS)
            gc.collect(1 if number < ROUNDS - 1 else 2)
