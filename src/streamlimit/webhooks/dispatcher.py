"""The dispatcher of webhooks: one `WebhookWorker` per endpoint, side by side."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeAlias

from streamlimit.errors import StoreUnavailable
from streamlimit.model import Event
from streamlimit.store.contract import resolved
from streamlimit.store.outbox import Outbox
from streamlimit.webhooks.endpoint import Endpoint
from streamlimit.webhooks.sender import Sender
from streamlimit.webhooks.worker import WebhookWorker

TIDY_SECONDS = 3_600.0
TIDIED_AT_ONCE = 1_000

Work: TypeAlias = Callable[[], Coroutine[Any, Any, None]]


class WebhookDispatcher:
    """Runs the *workers*, which deliver from the *outbox*, and closes their *senders*."""

    def __init__(self, outbox: Outbox, workers: Sequence[WebhookWorker], senders: Sequence[Sender] = ()) -> None:
        self.outbox, self.workers, self._senders = outbox, workers, senders

    def adopt(self, endpoints: Sequence[Endpoint]) -> None:
        """Replaces URLs and secrets of the same endpoints, by name."""
        by_name = {endpoint.name: endpoint for endpoint in endpoints}
        for sender in self._senders:
            sender.adopt(by_name[sender.endpoint.name])

    def wake(self, event: Event) -> None:
        """Wakes the workers of the endpoints subscribed to *event*, which is in the outbox now."""
        for worker in self.workers:
            worker.wake(event)

    def work(self) -> list[Work]:
        """The background work of all endpoints, each without an end."""
        return [self.tidy_forever, *(worker.deliver_forever for worker in self.workers)]

    async def deliver_for(self, seconds: float) -> bool:
        """Delivers what is due, for about *seconds*. False: more is left, or an endpoint does not answer."""
        return all(await asyncio.gather(*(worker.deliver_for(seconds) for worker in self.workers)))

    async def tidy_once(self) -> None:
        """Removes endpoints that the settings no longer name. An unavailable store is tried the next time."""
        try:
            while await resolved(self.outbox.retain(TIDIED_AT_ONCE)):
                await asyncio.sleep(0)
        except StoreUnavailable:
            return

    async def tidy_forever(self) -> None:
        """Runs `tidy_once` at the start and each hour, until cancelled."""
        while True:
            await self.tidy_once()
            await asyncio.sleep(TIDY_SECONDS)

    async def stop(self, grace_seconds: float = 1.0) -> None:
        """Stops: pending deliveries get *grace_seconds*, then all is closed. Twice is once."""
        await asyncio.gather(*(worker.stop(grace_seconds) for worker in self.workers))
        await resolved(self.outbox.close())
