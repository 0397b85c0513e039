"""Clients that leave: work for them is cancelled."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from streamlimit.http.exchange import Exchange


class ClientLeft(Exception):
    """The client closed its connection: no answer can reach it."""


@asynccontextmanager
async def while_there(exchange: Exchange) -> AsyncIterator[None]:
    """A block that is cancelled when the client leaves. Raises `ClientLeft`."""
    loop, leash, is_inside = asyncio.get_running_loop(), asyncio.timeout(None), True
    left = asyncio.ensure_future(exchange.until_left())

    def pull(_: object) -> None:
        if is_inside:
            leash.reschedule(loop.time())

    left.add_done_callback(pull)
    try:
        async with leash:
            yield
            is_inside = False
    except TimeoutError:
        if leash.expired():
            raise ClientLeft from None
        raise
    finally:
        is_inside = False
        left.cancel()
