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
"""How often at most, each `PROBE_SECONDS`, some of those who are long gone are forgotten: one look for each so many who
are remembered."""


class Watch:
    """The work between requests: over *store*, and what this worker remembers."""

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
        """Sends what was kept as soon as the store has recovered, and drops what is long past."""
        while True:
            await asyncio.sleep(PROBE_SECONDS)
            await self.once()

    async def once(self) -> None:
        """One look of `forever`."""
        if self._receipts.kept:
            await self._receipts.tell_all()
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
        """Before the worker stops: what is under way arrives (answers come in order), what was kept is sent."""
        await self._probe()
        await self._receipts.tell_all()

    async def _lose_again(self) -> None:
        """After an outage another server may be there, which never got the last ends: they are sent again."""
        self._outages = self._outage.counts.outages
        for event, keeps_grant in self._tombstones.events():
            try:
                await resolved(self._store.lose_again(event, keeps_grant))
            except StoreUnavailable:
                self._outage.failed()
                return
            await asyncio.sleep(0)  # viewers wait for one, not for all

    async def _probe(self) -> None:
        """Does it answer?"""
        try:
            await resolved(self._store.ping())
        except StoreUnavailable as error:
            self._outage.failed(error)
        else:
            self._outage.answered(bool(self._receipts.kept))
