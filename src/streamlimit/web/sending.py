"""The delivery of one response body: sends it, tracks acknowledgements, confirms what was received (rules 3 to 6)."""

import asyncio
from collections.abc import Awaitable, Coroutine
from typing import Any, NamedTuple

from msgspec import Struct

from streamlimit.delivery.body import SLICE, SPAN, Body
from streamlimit.delivery.receipt import DeliveryTracker, Looks, Wire
from streamlimit.delivery.segment import Segment
from streamlimit.errors import StoreUnavailable
from streamlimit.http.exchange import Exchange
from streamlimit.limiter import Issued, LeaseHolder
from streamlimit.logs import asking
from streamlimit.model import Gone, Lease
from streamlimit.policy import Policy
from streamlimit.store.deferred import Deferred

_SLICES_A_TURN = 4


class NotReceived(Exception):
    """The client did not receive the whole body; leaving the lease with this exception abandons it."""


class Part(Struct, frozen=True):
    """The bytes *first* to *last* of a file, and the segments that they complete, in order.

    `issued`: what is confirmed of the last of them, once it is known.
    """

    body: Body
    first: int
    last: int
    segments: tuple[Segment, ...]
    issued: Issued | None = None

    @property
    def length(self) -> int:
        """Bytes in all."""
        return self.last - self.first + 1


class Pace(NamedTuple):
    """Times of a delivery: how long a client may stall, how often progress is reported; and the loop's shared looks."""

    stall_seconds: float
    progress_seconds: float
    looks: Looks


class Journey:
    """One part being delivered: segments before the last are confirmed, the session is prolonged."""

    _working: "asyncio.Task[None] | None" = None

    def __init__(
        self, holder: LeaseHolder, wire: Wire, pace: Pace, first: int, total: int, segments: tuple[Segment, ...]
    ) -> None:
        """Begins the delivery of *total* bytes of a file, from *first* on, which complete *segments*."""
        self._holder, self.wire, self._first = holder, wire, first
        self._asked = asking.get()
        self.earlier = segments[:-1]
        """The segments before the last that are not confirmed yet; leaving the lease confirms the last."""
        stall_seconds, progress_seconds, looks = pace
        self.tracker = DeliveryTracker(wire, total, self.progressed, stall_seconds, progress_seconds, looks)

    def progressed(self) -> None:
        """Prolongs the session while bytes move (rule 6); called at most every third of X."""
        if self._working is None or self._working.done():
            self._working = asyncio.ensure_future(self._prolong())

    async def _prolong(self) -> None:
        asking.set(self._asked)  # progress is reported by a timer that all deliveries share
        try:
            if self.earlier:
                await self.confirm_arrived()
            gone = await self._holder.prolong()
        except StoreUnavailable:
            return  # the next progress asks again; the viewer's bytes do not wait for the store
        if gone is not None and _is_lost(gone, self._holder.lease):
            self.wire.abort()  # a session without a seat is not served to the end

    async def confirm_arrived(self) -> None:
        """Confirms each segment, but the last, of which every byte has arrived."""
        arrived = self._first + self.tracker.acknowledged()
        while self.earlier and (self.earlier[0].last or 0) < arrived:
            segment, self.earlier = self.earlier[0], self.earlier[1:]
            verdict = await self._holder.confirm(*issued(segment))
            if isinstance(verdict, Gone) and _is_lost(verdict, self._holder.lease):
                self.wire.abort()


class Deliverer:
    """Delivers parts under one policy."""

    def __init__(self, policy: Policy) -> None:
        # Prolonged well within the shortest life that a lease's session can have left.
        progress_seconds = min(policy.segment_ms, policy.start_ms) / 3_000
        self.pace = Pace(policy.segment_ms / 1_000, progress_seconds, Looks())

    def deliver(
        self, part: Part, holder: LeaseHolder, exchange: Exchange
    ) -> Deferred[bool] | Coroutine[Any, Any, bool]:
        """Sends *part*. Returns whether the client has all of it, as soon as that is known.

        Segments before the last are confirmed as their bytes arrive; the last by leaving the lease.
        """
        wire, body, segments = exchange.wire, part.body, part.segments
        assert isinstance(wire, Wire)  # made where the connection is
        if segments:
            holder.issued = part.issued or issued(segments[-1])
        journey = Journey(holder, wire, self.pace, part.first, part.last + 1 - part.first, segments)
        try:
            sending = (_send if body.content is not None or not wire.can_pour else _pour)(part, journey, exchange)
            if sending is not None or journey.earlier:
                return _deliver_on(sending, journey)
            return journey.tracker.over()
        except BaseException:
            journey.tracker.close()
            raise


async def _deliver_on(sending: Awaitable[None] | None, journey: Journey) -> bool:
    """The rest of a delivery that the kernel does not take at once, or that has several segments."""
    tracker = journey.tracker
    try:
        if sending is not None:
            await sending
        await tracker.over()
        if journey.earlier:
            await journey.confirm_arrived()
    finally:
        tracker.close()
    return bool(tracker.outcome)


def wire_of(exchange: Exchange) -> Wire:
    """The wire of the client's connection, by which receipts are read."""
    wire = exchange.wire
    assert isinstance(wire, Wire)  # made where the connection is
    return wire


def _send(part: Part, journey: Journey, exchange: Exchange) -> Awaitable[None] | None:
    """Sends *part* through memory and the server's buffer. A returned awaitable is to be awaited, also below."""
    content, length = part.body.content, part.last + 1 - part.first
    if content is None:
        return _send_slices(part, journey, exchange)
    coming = exchange.part(content if length == len(content) else memoryview(content)[part.first : part.last + 1])
    if coming is not None:
        return _send_on(coming, part, journey)
    journey.tracker.handed(length)
    return None


async def _send_on(coming: Awaitable[None], part: Part, journey: Journey) -> None:
    await coming
    journey.tracker.handed(part.length)


async def _send_slices(part: Part, journey: Journey, exchange: Exchange) -> None:
    tracker = journey.tracker
    for number, chunk in enumerate(part.body.chunks(part.first, part.last), start=1):
        coming = exchange.part(chunk)
        if coming is not None:
            await coming
        tracker.handed(len(chunk))
        if tracker.outcome is not None:
            break  # the client left: `send` discards further bytes
        if journey.earlier:
            await journey.confirm_arrived()
        if number % _SLICES_A_TURN == 0:
            await asyncio.sleep(0)  # `send` never waits for a client that is faster than our disk


def _pour(part: Part, journey: Journey, exchange: Exchange) -> Awaitable[None] | None:
    """Sends *part* from the file to the kernel directly; the wire reports the bytes sent to the tracker."""
    length = part.last + 1 - part.first
    if len(part.segments) > 1 or length > SPAN:
        return _pour_pieces(part, journey, exchange)
    coming = exchange.pour(part.body.fileno(), part.first, length)
    if coming is not None:
        return _pour_on(coming, part, journey)
    _took(length, part, journey)
    return None


async def _pour_on(coming: Awaitable[None], part: Part, journey: Journey) -> None:
    await coming
    _took(part.length, part, journey)


async def _pour_pieces(part: Part, journey: Journey, exchange: Exchange) -> None:
    # Small pieces where there are several segments: those that arrived are confirmed between two pieces.
    for at, count in part.body.spans(part.first, part.last, SLICE if len(part.segments) > 1 else SPAN):
        if at > part.first:
            await asyncio.sleep(0)  # others get their turn
        coming = exchange.pour(part.body.fileno(), at, count)
        if coming is not None:
            await coming
        if not _took(at + count - part.first, part, journey):
            break
        if journey.earlier:
            await journey.confirm_arrived()


def _took(count: int, part: Part, journey: Journey) -> bool:
    """Did the kernel take the first *count* bytes, or did the client leave? Raises `CatalogError` otherwise."""
    if journey.tracker.handed_over >= count:
        return True
    if not journey.wire.is_closing:
        raise part.body.shortened()
    return False


def _is_lost(gone: Gone, lease: Lease) -> bool:
    """Did the session have a seat to lose? Not where a dry run, or an outage, admitted it without one."""
    return lease.generation > 0 or gone.mark is not None


def issued(segment: Segment) -> Issued:
    """The values that a receipt of *segment* confirms."""
    play_ms = segment.duration_ms if segment.is_main else 0
    return segment.name, segment.sequence, segment.kind, play_ms, segment.part, segment.ends_ms
