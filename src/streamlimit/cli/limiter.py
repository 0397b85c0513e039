"""Commands that work on the store, as a library user would."""

import asyncio
from collections.abc import Awaitable, Callable

from streamlimit.bootstrap.store import open_limiter
from streamlimit.limiter import Limiter
from streamlimit.settings import Settings
from streamlimit.store.contract import resolved


def on_limiter(settings: Settings, work: Callable[[Limiter], Awaitable[None]]) -> None:
    """Does *work* on a limiter that is opened for it, and closed."""

    async def run() -> None:
        limiter = open_limiter(settings)
        try:
            await work(limiter)
        finally:
            await resolved(limiter.store.close())

    asyncio.run(run())
