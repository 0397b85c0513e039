"""Endpoint 1 where the files are at an HTTP origin: segments are relayed to sessions that may be issued them.

The seat is reserved before the origin is asked, so that refused requests cost it nothing, and given back where the
origin fails.
"""

from streamlimit.delivery.origin.source import Source
from streamlimit.delivery.segment import LiveEdge, Segment
from streamlimit.errors import UnknownSegment
from streamlimit.http.exchange import Exchange
from streamlimit.http.request import Request
from streamlimit.limiter import LeaseHolder
from streamlimit.web.address import digest_at, place_at
from streamlimit.web.auth import Caller
from streamlimit.web.gaps import behind_gap, candidates
from streamlimit.web.headers import counts, lines, named
from streamlimit.web.incoming import json_of, wrong_method
from streamlimit.web.leaving import while_there
from streamlimit.web.origin_relay import OriginRelay
from streamlimit.web.responder import Responder
from streamlimit.web.segments import CALL, Segments, read_segment_form
from streamlimit.web.service import Service
from streamlimit.web.wanted import Issue, next_of, nothing


class OriginSegments(Segments):
    """`Segments` of streams at an HTTP origin."""

    def __init__(self, service: Service, responder: Responder) -> None:
        super().__init__(service, responder)
        assert service.origin is not None
        self._origin = service.origin
        self._relay = OriginRelay(service.origin.client, responder.deliverer.pace)

    async def __call__(self, request: Request, exchange: Exchange, _caller: Caller | None = None) -> None:
        if request.method != "POST":
            raise wrong_method("POST")
        caller = await self._authenticator.identify(request.fields.get(b"authorization"))
        caller.require(CALL)
        form, client = read_segment_form(json_of(request)), request.client
        caller.require_own(form.user_id, form.session_id, form.stream_id, form.replace)
        caller.require_place(place_at(client))
        if form.segment is None:
            await self._streams.look(form.stream_id)
        else:
            await self._streams.look_for(form.stream_id, form.segment)
        wanted = self.issue(form, caller, digest_at(client), place_at(client))
        async with self._limiter.lease(wanted.ask) as holder:
            await self._issue(wanted, holder, request, exchange)
        exchange.end()

    async def _issue(self, wanted: Issue, holder: LeaseHolder, request: Request, exchange: Exchange) -> None:
        async with while_there(exchange):
            found = await self._chosen(wanted, holder)
        if isinstance(found, tuple):
            segment, source = found
            head = {"Content-Type": segment.media_type, "Cache-Control": "no-store"}
            about = named(segment.name, segment.sequence)
            await self._relay.hand_out(source, (segment,), 200, lines(head) + about, holder, request, exchange)
        else:
            exchange.start(204, lines(nothing(found) | counts(holder.admitted)))
            await holder.abandon()

    async def _chosen(self, wanted: Issue, holder: LeaseHolder) -> tuple[Segment, Source] | LiveEdge | None:
        """The named segment, or the next one that exists. At a live edge the origin is asked for news."""
        if wanted.named is not None:
            return wanted.named, await self._relay.segment(wanted.stream, wanted.named)
        stream = wanted.stream
        chosen = next_of(stream, holder)
        if isinstance(chosen, LiveEdge):
            await self._streams.look(stream.stream_id, fresh=True)
            stream = self._stream(stream.stream_id)
            chosen = next_of(stream, holder)
        for segment in candidates(stream, chosen):
            try:
                return segment, await self._relay.segment(stream, segment)
            except UnknownSegment:
                continue
        return behind_gap(stream, chosen)
