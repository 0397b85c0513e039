"""Commands that work on an existing store, through a limiter. None of them makes a store."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from streamlimit.bootstrap.engine import engine_of
from streamlimit.bootstrap.feed import opened_limiter
from streamlimit.limiter import Limiter
from streamlimit.model import LimitPage, Page
from streamlimit.settings import Settings
from streamlimit.store.contract import Answer, resolved

T = TypeVar("T")
P = TypeVar("P", Page, LimitPage)


def on_limiter(settings: Settings, work: Callable[[Limiter], Awaitable[T]]) -> T:
    """The result of *work* with a limiter that is opened for it, and closed.

    Raises `StreamlimitError` where there is no store.
    """
    engine_of(settings).require_made()

    async def run() -> T:
        async with opened_limiter(settings) as limiter:
            return await work(limiter)

    return asyncio.run(run())


async def pages(fetch: Callable[[str | None], Answer[P]]) -> AsyncIterator[P]:
    """All pages of a listing of the store, which *fetch* brings by their cursors."""
    cursor: str | None = None
    while True:
        page: P = await resolved(fetch(cursor))
        yield page
        if page.cursor is None:
            return
        cursor = page.cursor
