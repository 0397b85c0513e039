"""Python's collector of cyclic garbage, kept away from viewers: while it walks through objects no request is served.

Reference counts free nearly everything here. A request leaves no cycle, nor does a connection that is closed. But ten
thousand open ones are 240,000 objects, 40 ms to walk, and a client that opens and closes them would have them walked
again and again. So only the youngest are looked through as they come; the others once in a while, by the clock.
"""

import asyncio
import gc

YOUNG = 2_000
"""Objects more than before until the youngest are looked through: 0.2 ms."""

NEVER = 1_000_000_000
ROUND_SECONDS = 60.0
"""Between two looks at what has come since the last one and stayed."""

ROUNDS = 60
"""Until all is looked through: what has stayed for long seldom is garbage."""


def calm() -> None:
    """Excepts all that was imported from garbage collection; now only the youngest objects are looked through.

    Imports leave hardly any garbage, and to look for all of it would keep the first viewers waiting for 50 ms.
    """
    gc.collect(1)
    gc.freeze()
    gc.set_threshold(YOUNG, NEVER, NEVER)


async def collect_forever() -> None:
    """The rest."""
    while True:
        for number in range(ROUNDS):
            await asyncio.sleep(ROUND_SECONDS)
            gc.collect(1 if number < ROUNDS - 1 else 2)
