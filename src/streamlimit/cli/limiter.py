"""Commands that work on the store that is there, as a library user would. None of them makes one."""

import asyncio
from collections.abc import Awaitable, Callable

from streamlimit.bootstrap.engine import engine_of
from streamlimit.bootstrap.feed import opened_limiter
from streamlimit.limiter import Limiter
from streamlimit.settings import Settings


def on_limiter(settings: Settings, work: Callable[[Limiter], Awaitable[None]]) -> None:
    """Does *work* on a limiter that is opened for it, and closed. Raises `StreamlimitError` where there is no store."""
    engine_of(settings).require_made()

    async def run() -> None:
        async with opened_limiter(settings) as limiter:
            await work(limiter)

    asyncio.run(run())
