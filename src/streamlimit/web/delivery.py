"""One response body on its way: sends it, watches it arrive, confirms what was received (rules 3 to 6)."""

import asyncio

from msgspec import Struct

from streamlimit.delivery.local import Body
from streamlimit.delivery.receipt import Passage, Wire
from streamlimit.delivery.segment import Segment
from streamlimit.errors import StoreUnavailable
from streamlimit.limiter import LeaseHolder
from streamlimit.model import Gone, State
from streamlimit.policy import Policy
from streamlimit.web.http import Scope, Send, send_part
from streamlimit.web.protocol import EXTENSION

_SLICES_A_TURN = 4


class NotReceived(Exception):
    """The client does not have the whole of it; leaving the lease with this abandons it."""


class Part(Struct, frozen=True):
    """The bytes *first* to *last* of a file, and the segments that they complete, in order."""

    body: Body
    first: int
    last: int
    segments: tuple[Segment, ...]

    @property
    def length(self) -> int:
        """Bytes in all."""
        return self.last - self.first + 1


def wire_of(scope: Scope) -> Wire | None:
    """The client's connection, where our protocol class serves it."""
    wire: Wire | None = scope.get("extensions", {}).get(EXTENSION)
    return wire


class Deliverer:
    """Delivers parts under one policy."""

    def __init__(self, policy: Policy) -> None:
        self._stall_seconds = policy.segment_ms / 1_000
        # Prolonged well within the shortest life that a lease's session can have left.
        self._progress_seconds = min(policy.segment_ms, policy.start_ms) / 3_000

    async def deliver(self, part: Part, holder: LeaseHolder, wire: Wire | None, send: Send) -> None:
        """Sends *part* and returns when the client has all of it; raises `NotReceived` otherwise.

        Segments before the last are confirmed as their bytes arrive; the last by leaving the lease.
        """
        journey = _Journey(part, holder, wire)
        passage = Passage(wire, part.length, journey.progressed, self._stall_seconds, self._progress_seconds)
        journey.passage = passage
        try:
            for number, chunk in enumerate(part.body.chunks(part.first, part.last), start=1):
                await send_part(send, chunk)
                passage.handed(len(chunk))
                if passage.outcome is not None:
                    break  # the client left, and what `send` takes from now on it throws away at once
                if len(part.segments) > 1:
                    await journey.confirm_arrived()
                if number % _SLICES_A_TURN == 0:
                    await asyncio.sleep(0)  # `send` never waits for a client that is faster than our disk
            received = await passage.received()
            await journey.confirm_arrived()
        finally:
            passage.close()
        if not received:
            raise NotReceived
        if part.segments:
            _issue(holder, part.segments[-1])


class _Journey:
    """What is to be done while one part is under way."""

    passage: Passage

    def __init__(self, part: Part, holder: LeaseHolder, wire: Wire | None) -> None:
        self._part, self._holder, self._wire = part, holder, wire
        self._earlier = list(part.segments[:-1])
        self._working: asyncio.Task[None] | None = None

    def progressed(self) -> None:
        """Bytes moved (told at most every third of X): the session is prolonged meanwhile (rule 6)."""
        if self._working is None or self._working.done():
            self._working = asyncio.ensure_future(self._prolong())

    async def _prolong(self) -> None:
        try:
            await self.confirm_arrived()
            gone = await self._holder.prolong()
        except StoreUnavailable:
            return  # the next progress asks again; the viewer's bytes do not wait for the store
        if isinstance(gone, Gone) and gone.state in (State.ENDED, State.TERMINATED) and self._wire is not None:
            self._wire.abort()  # who was sent away is not served to the end

    async def confirm_arrived(self) -> None:
        """Confirms each segment, but the last, of which every byte has arrived."""
        arrived = self._part.first + self.passage.acknowledged()
        while self._earlier and (self._earlier[0].last or 0) < arrived:
            segment = self._earlier.pop(0)
            await self._holder.confirm(*_receipt(segment))


def _issue(holder: LeaseHolder, segment: Segment) -> None:
    holder.issue(*_receipt(segment))


def _receipt(segment: Segment) -> tuple[str, int, str, int]:
    play_ms = segment.duration_ms if segment.is_main else 0
    return segment.name, segment.sequence, segment.kind, play_ms
