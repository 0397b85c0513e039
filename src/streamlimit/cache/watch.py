"""Work between requests: an unavailable store is tried again, kept receipts are sent, expired sessions are dropped."""

import asyncio
from collections.abc import Callable

from streamlimit.cache.outage import PROBE_SECONDS, Outage
from streamlimit.cache.receipts import Receipts
from streamlimit.cache.session_cache import SessionCache
from streamlimit.cache.tombstones import Tombstones
from streamlimit.errors import StoreUnavailable
from streamlimit.store.contract import Store, resolved

LOOKS, SESSIONS_A_LOOK = 32, 1_000
"""The most rounds of forgetting old sessions in each `PROBE_SECONDS`, and the cached sessions that make one round more.
"""


class Watch:
    """The background work of a worker's cache over *store*."""

    def __init__(
        self,
        store: Store,
        cache: SessionCache,
        outage: Outage,
        tombstones: Tombstones,
        receipts: Receipts,
        clock: Callable[[], float],
    ) -> None:
        self._store, self._cache, self._outage = store, cache, outage
        self._tombstones, self._receipts, self._clock = tombstones, receipts, clock
        self._outages = 0  # after so many the ends were sent again

    async def forever(self) -> None:
        """Sends kept receipts as soon as the store has recovered, and drops old entries, until cancelled."""
        while True:
            await asyncio.sleep(PROBE_SECONDS)
            await self.once()

    async def once(self) -> None:
        """One round of `forever`."""
        if self._receipts.kept:
            await self._receipts.flush()
        elif self._outage.is_away:
            await self._probe()
        elif self._outage.counts.outages != self._outages:
            await self._lose_again()
        remembered = len(self._cache) + len(self._tombstones)
        for _ in range(min(-(-remembered // SESSIONS_A_LOOK), LOOKS)):
            now = self._clock()
            self._cache.forget_old(now)
            self._tombstones.forget_old(now)
            await asyncio.sleep(0)  # viewers wait for one look, not for all

    async def finish(self) -> None:
        """Waits for pending answers, which come in order, and sends kept receipts, before the worker stops."""
        await self._probe()
        await self._receipts.flush()

    async def _lose_again(self) -> None:
        """Sends the last ends again after an outage: a replica that took over may never have got them."""
        self._outages = self._outage.counts.outages
        for event, keeps_grant in self._tombstones.events():
            try:
                await resolved(self._store.lose_again(event, keeps_grant))
            except StoreUnavailable:
                self._outage.failed()
                return
            await asyncio.sleep(0)  # viewers wait for one, not for all

    async def _probe(self) -> None:
        """Asks the store for a sign of life."""
        try:
            await resolved(self._store.ping())
        except StoreUnavailable as error:
            self._outage.failed(error)
        else:
            self._outage.answered(bool(self._receipts.kept))
