"""Readiness: does the store answer and take a write? Anyone may ask, so it is tried once a second at most."""

import asyncio
import time

from streamlimit.cache import CachingStore
from streamlimit.errors import StoreUnavailable
from streamlimit.store.contract import resolved

FRESH_SECONDS = 1.0
"""How long a result is reused, unless the worker has noticed the contrary."""


class Readiness:
    """The readiness of one worker, by its *store*."""

    def __init__(self, store: CachingStore) -> None:
        self._store = store
        self._tried_at, self._problem = float("-inf"), ""
        self._trying: asyncio.Task[None] | None = None

    async def problem(self) -> str:
        """The store's problem in words; empty where there is none."""
        is_fresh = time.monotonic() - self._tried_at < FRESH_SECONDS
        if not is_fresh or bool(self._problem) != self._store.is_away:
            if self._trying is None or self._trying.done():
                self._trying = asyncio.create_task(self._try())
            await asyncio.shield(self._trying)  # a client that hangs up ends it for no other
        return self._problem

    async def _try(self) -> None:
        try:
            await resolved(self._store.ping())
            self._problem = ""
        except StoreUnavailable as error:
            self._problem = str(error) or "no answer"
        self._tried_at = time.monotonic()
