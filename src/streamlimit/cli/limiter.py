"""Commands that work on an existing store, through a limiter. None of them makes a store."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from streamlimit.bootstrap.engine import engine_of
from streamlimit.bootstrap.feed import opened_limiter
from streamlimit.limiter import Limiter
from streamlimit.settings import Settings

T = TypeVar("T")


def on_limiter(settings: Settings, work: Callable[[Limiter], Awaitable[T]]) -> T:
    """The result of *work* with a limiter that is opened for it, and closed.

    Raises `StreamlimitError` where there is no store.
    """
    engine_of(settings).require_made()

    async def run() -> T:
        async with opened_limiter(settings) as limiter:
            return await work(limiter)

    return asyncio.run(run())
