"""One listener of the feed: it catches up from its last event, then follows the shared window.

Makes the text to be sent; the caller sends it. The events by name:

    session.…   what happened; the id is its place
    gap         events between the last id and the next one are gone: {"after": the place}
    outage      the store does not answer: {"store": "unavailable"}; nothing is lost by that, and the stream goes on
    recovered   it does again
    closing     the last one: {"reason": …}; come back with `Last-Event-ID`
"""

from streamlimit.errors import StoreUnavailable
from streamlimit.feed.frames import Filters, frame, id_line, mark, remark, write_place
from streamlimit.feed.hub import Hub, Window
from streamlimit.store.contract import resolved
from streamlimit.store.feed import Place

PAGE = 500
RETRY_MS = 2_000
"""How long a browser waits before it comes back."""


class Listener:
    """One listener of *hub*. *place*: the last event that it received; None: it begins with the next event.

    `is_over`: it is closed by what `take` returned last. `knows_outage`: it was sent an `outage` that is not over.
    """

    def __init__(self, hub: Hub, wanted: Filters, place: Place | None) -> None:
        self._hub, self._wanted, self._place = hub, wanted, place
        self._joined: Window | None = None
        self._has_begun = self.knows_outage = self.is_over = False

    async def take(self) -> bytes:
        """The frames to be sent now; empty: there are none."""
        parts = [] if self._has_begun else [b"retry: %d\n\n" % RETRY_MS]
        self._has_begun = True
        try:
            parts += await self._next()
            is_away = self._hub.is_away
        except StoreUnavailable:
            is_away = True
        if is_away != self.knows_outage:
            self.knows_outage = is_away
            parts.append(
                remark("outage", {"store": "unavailable"}) if is_away else remark("recovered", {"store": "ok"})
            )
        return b"".join(parts)

    def mark(self) -> bytes:
        """The frame that keeps the stream alive, with the listener's place."""
        return mark(self._place)

    def last_word(self, reason: str) -> bytes:
        """The frame that ends the stream."""
        self.is_over = True
        place = b"" if self._place is None else id_line(self._place)
        return place + remark("closing", {"reason": reason})

    async def _next(self) -> list[bytes]:
        window = self._hub.window
        if window is None:
            return []
        if self._place is None:
            self._place, self._joined = window.end, window
            return [mark(self._place)]
        if self._joined is None and not window.covers(self._place):
            return await self._catch_up(self._place, window)
        greeting = [] if self._joined else [mark(max(self._place, window.end))]
        self._joined = self._joined or window
        if self._joined is not window:  # the feed is not what it was: the listener reconnects and learns of the gap
            return [self.last_word("gap")]
        if self._place < window.start:
            return [self.last_word("too-slow")]
        frames = window.after(self._place)
        self._place = frames[-1].place if frames else self._place
        return [each.text for each in frames if each.fits(self._wanted)] + greeting

    async def _catch_up(self, place: Place, window: Window) -> list[bytes]:
        """A page of events since *place*; after the last page the listener follows *window*."""
        page = await resolved(self._hub.feed.read(place, PAGE))
        parts = [] if page.is_whole else [remark("gap", {"after": write_place(place)})]
        self._place = page.entries[-1].place if page.entries else page.newest
        if len(page.entries) < PAGE:
            self._joined = window
        parts += [each.text for each in map(frame, page.entries) if each.fits(self._wanted)]
        return [*parts, mark(self._place)]
