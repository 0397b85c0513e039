"""The second half of the hot path: answers a request as the limiter decides, under a lease that it settles."""

from collections.abc import Awaitable, Callable
from functools import partial

from streamlimit.delivery.body import Body
from streamlimit.delivery.segment import LiveEdge, Segment
from streamlimit.errors import Refused
from streamlimit.http.exchange import Exchange
from streamlimit.limiter import LeaseHolder
from streamlimit.model import Admitted, Ask, Decision, Purpose, Refusal
from streamlimit.store.contract import Answer
from streamlimit.store.deferred import Deferred, then
from streamlimit.web.entries import Entry
from streamlimit.web.gaps import first_there
from streamlimit.web.headers import counted, counts, lines, named, reservations
from streamlimit.web.partials import Partials
from streamlimit.web.requested import Requested
from streamlimit.web.sending import Deliverer, NotReceived, Part, issued, wire_of
from streamlimit.web.service import Service
from streamlimit.web.wanted import Issue, Playback, Wanted, next_of, nothing

_NOTHING_NOTED = None, b""
_CHECK = Purpose.CHECK  # looked up once


class Responder:
    """Delivers wanted files. Problems are raised, not sent."""

    def __init__(self, service: Service, cookies_of: Callable[[str], list[str]] | None) -> None:
        self._limiter, self._files, self._cookies_of = service.limiter, service.files, cookies_of
        self.deliverer, self.partials = Deliverer(service.policy), Partials()

    def answer(self, wanted: Wanted, exchange: Exchange) -> Answer[None]:
        """Delivers *wanted* as the limiter decides, at once or deferred. Raises `Refused`."""
        decision = self._limiter.admit(wanted.ask)
        if isinstance(decision, Admitted):  # nearly all
            return self._serve(wanted, exchange, decision)
        return then(decision, partial(self._serve, wanted, exchange))

    def _serve(self, wanted: Wanted, exchange: Exchange, decision: Decision) -> Answer[None]:
        if isinstance(decision, Refusal):
            raise Refused(decision, wanted.ask)
        if isinstance(wanted, Entry):
            self._play_entry(wanted, decision, exchange)
            return None
        if isinstance(wanted, Playback) and wanted.ask.purpose is _CHECK:
            return self._play_other(wanted, decision, exchange)
        # Under a lease, as `async with holder` would; without a task where the kernel takes all at once.
        holder = LeaseHolder(self._limiter, wanted.ask, decision)
        try:
            part = self._begin(wanted, holder, exchange)
            delivering = None if part is None else self.deliverer.deliver(part, holder, exchange)
        except Exception as error:
            return self._give_back(holder, exchange, error)
        if isinstance(delivering, Deferred):
            return delivering.then(partial(self._delivered, wanted, holder, exchange))
        if delivering is None:
            return self._give_back(holder, exchange)
        return self._lend_longer(wanted, holder, exchange, delivering)

    def _delivered(
        self, wanted: Issue | Playback, holder: LeaseHolder, exchange: Exchange, is_there: bool
    ) -> Answer[None]:
        """Settles the lease after the delivery, by whether the client has received all."""
        if not is_there:
            return self._give_back(holder, exchange, NotReceived())
        if isinstance(wanted, Playback) and not self._counts(wanted):
            return self._give_back(holder, exchange)
        verdict = holder.leave()
        if verdict is None:
            exchange.end()
            return None
        return then(verdict, lambda _: exchange.end())  # the connection's next request sees the outcome

    async def _lend_longer(
        self, wanted: Issue | Playback, holder: LeaseHolder, exchange: Exchange, delivering: Awaitable[bool]
    ) -> None:
        try:
            if not await delivering:
                raise NotReceived
            if isinstance(wanted, Playback) and not self._counts(wanted):
                await holder.abandon()
        except BaseException:
            await holder.fail()
            raise
        verdict = holder.leave()
        if verdict is not None:
            await verdict
        exchange.end()

    async def _give_back(self, holder: LeaseHolder, exchange: Exchange, failure: Exception | None = None) -> None:
        """Abandons the lease, and raises the reason *failure*."""
        if failure is not None:
            await holder.fail()
            raise failure
        await holder.abandon()
        exchange.end()

    def _begin(self, wanted: Issue | Playback, holder: LeaseHolder, exchange: Exchange) -> Part | None:
        """Begins the answer, and returns the part that is to be delivered; None: there is no body."""
        if isinstance(wanted, Playback):
            requested = wanted.requested
            exchange.start(requested.status, requested.lines() + counted(holder.admitted))
            return requested.part
        assert self._files is not None
        chosen: Segment | LiveEdge | None = wanted.named
        if isinstance(chosen, Segment):
            body = self._files.open_segment(wanted.stream, chosen)
        else:
            found = first_there(self._files, wanted.stream, next_of(wanted.stream, holder))
            if not isinstance(found, tuple):
                exchange.start(204, lines(nothing(found) | counts(holder.admitted)))
                return None
            chosen, body = found
        about = ("issue", chosen.name)
        part, headers = body.notes.get(about) or _NOTHING_NOTED
        if part is None or part.segments[0] is not chosen:  # a live stream's may become its last one
            part, headers = body.keep(about, _whole(body, chosen))
        exchange.start(200, headers + counted(holder.admitted))
        return part

    def _counts(self, wanted: Playback) -> bool:
        """Does a received range that completes no segment count as activity (partials.py)?"""
        ask, requested = wanted.ask, wanted.requested
        if requested.completes:
            if self.partials.left:
                self.partials.completed(ask.user_id, ask.session_id)
            return True
        return self.partials.counts(ask.user_id, ask.session_id, ask.stream_id, requested.begun)

    def _play_entry(self, wanted: Entry, decision: Admitted, exchange: Exchange) -> None:
        """Sends an entry playlist. It takes no seat; a session without one was refused before."""
        headers = lines(wanted.headers() | reservations(decision)) + self._cookies(wanted.ask, decision)
        exchange.whole(200, headers, wanted.content)

    def _cookies(self, ask: Ask, decision: Admitted) -> bytes:
        """The header lines of the CDN's cookies for the stream's media, for a session with a seat on it; else none."""
        session = decision.session
        if self._cookies_of is None or session is None or session.stream_id != ask.stream_id:
            return b""
        return b"".join([lines({"Set-Cookie": cookie}) for cookie in self._cookies_of(ask.stream_id)])

    def _play_other(self, wanted: Playback, decision: Admitted, exchange: Exchange) -> Answer[None]:
        """Sends a file that is no media: it takes no seat, but a session without one was refused already."""
        requested, body = wanted.requested, wanted.requested.part.body
        headers = lines(requested.headers() | reservations(decision))
        if requested.is_playlist:
            headers += self._cookies(wanted.ask, decision)
        exchange.start(requested.status, headers)
        if requested.is_head or requested.is_unchanged:
            exchange.end()
            return None
        if body.content is None or wire_of(exchange).is_closing:
            return _send_other(requested, exchange)
        sending = exchange.part(memoryview(body.content)[requested.part.first : requested.part.last + 1])
        if sending is not None:
            return _end_after(sending, exchange)
        exchange.end()
        return None


async def _send_other(requested: Requested, exchange: Exchange) -> None:
    wire = wire_of(exchange)
    for chunk in requested.part.body.chunks(requested.part.first, requested.part.last):
        if wire.is_closing:
            raise NotReceived  # what is sent from now on is thrown away
        sending = exchange.part(chunk)
        if sending is not None:
            await sending
    exchange.end()


async def _end_after(coming: Awaitable[object], exchange: Exchange) -> None:
    await coming
    exchange.end()


def _whole(body: Body, segment: Segment) -> tuple[Part, bytes]:
    """The part that is the whole segment, and its header lines, the same for all viewers."""
    first = segment.first or 0
    last = body.size - 1 if segment.last is None else segment.last
    part = Part(body, first, last, (segment,), issued(segment))
    kind = {"Content-Type": segment.media_type, "Content-Length": str(part.length), "Cache-Control": "no-store"}
    return part, lines(kind) + named(segment.name, segment.sequence)
