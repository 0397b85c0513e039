"""Commands that work on an existing store, through a limiter. None of them makes a store."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from streamlimit.bootstrap.engine import engine_of
from streamlimit.bootstrap.feed import open_recorder, recording_limiter
from streamlimit.limiter import Limiter
from streamlimit.settings import Settings
from streamlimit.store.contract import resolved

T = TypeVar("T")


def on_limiter(settings: Settings, work: Callable[[Limiter], Awaitable[T]]) -> T:
    """The result of *work* with a limiter that is opened for it, and closed; its events are recorded.

    Raises `StreamlimitError` where there is no store.
    """
    engine_of(settings).require_made()

    async def run() -> T:
        recorder = open_recorder(settings)
        try:
            limiter = recording_limiter(settings, recorder)
            try:
                return await work(limiter)
            finally:
                await resolved(limiter.store.close())
        finally:
            await recorder.finish()

    return asyncio.run(run())
