"""All call backs of one worker: a postman per endpoint, beside each other."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeAlias

from streamlimit.callbacks.postman import Postman
from streamlimit.callbacks.sender import Sender
from streamlimit.callbacks.webhook import Endpoint
from streamlimit.errors import StoreUnavailable
from streamlimit.model import Event
from streamlimit.store.contract import Outbox, resolved

TIDY_SECONDS = 3_600.0
TIDIED_AT_ONCE = 1_000

Work: TypeAlias = Callable[[], Coroutine[Any, Any, None]]


class Office:
    """*outbox* and the *postmen* who empty it, with the *senders* by which they do."""

    def __init__(self, outbox: Outbox, postmen: Sequence[Postman], senders: Sequence[Sender] = ()) -> None:
        self.outbox, self.postmen, self._senders = outbox, postmen, senders

    def adopt(self, endpoints: Sequence[Endpoint]) -> None:
        """The same endpoints by name; their URLs and secrets are these from now on."""
        by_name = {endpoint.name: endpoint for endpoint in endpoints}
        for sender in self._senders:
            sender.adopt(by_name[sender.endpoint.name])

    def wake(self, event: Event) -> None:
        """This worker has put the event into the outbox."""
        for postman in self.postmen:
            postman.wake(event)

    def work(self) -> list[Work]:
        """What runs beside the viewers, each for ever."""
        return [self.tidy_forever, *(postman.deliver_forever for postman in self.postmen)]

    async def deliver_for(self, seconds: float) -> bool:
        """All that is due, for about so long. False: there is more, or an endpoint does not answer."""
        return all(await asyncio.gather(*(postman.deliver_for(seconds) for postman in self.postmen)))

    async def tidy_once(self) -> None:
        """Forgets endpoints that are in the settings no more. A store that is away is for the next time."""
        try:
            while await resolved(self.outbox.retain(TIDIED_AT_ONCE)):
                await asyncio.sleep(0)
        except StoreUnavailable:
            return

    async def tidy_forever(self) -> None:
        """At the start, and each hour."""
        while True:
            await self.tidy_once()
            await asyncio.sleep(TIDY_SECONDS)

    async def stop(self, grace_seconds: float = 1.0) -> None:
        """Letters on the way get so long; then all is closed. Twice is once."""
        await asyncio.gather(*(postman.stop(grace_seconds) for postman in self.postmen))
        await resolved(self.outbox.close())
