"""The hot path: Endpoint 1 and /play. Who asks, for what; lease it; deliver it; confirm what arrived."""

import math
from urllib.parse import unquote

from streamlimit.delivery.local import Body
from streamlimit.delivery.segment import LiveEdge, Segment
from streamlimit.delivery.stream import Stream
from streamlimit.errors import Refused, UnknownSegment, UnknownStream
from streamlimit.limiter import LeaseHolder
from streamlimit.model import Ask, Decision, Purpose, Refusal
from streamlimit.store.contract import resolved
from streamlimit.web.address import client_digest, client_place
from streamlimit.web.auth import Caller
from streamlimit.web.delivery import Deliverer, Part, wire_of
from streamlimit.web.forms import SegmentForm, read_form
from streamlimit.web.http import (
    Receive,
    Scope,
    Send,
    encode_headers,
    header,
    read_json_body,
    send_end,
    send_head,
    send_part,
    send_start,
    send_whole,
)
from streamlimit.web.partials import Partials
from streamlimit.web.problems import Problem
from streamlimit.web.render import counted, counts, lines, named, reservations, spelled
from streamlimit.web.requested import PlayPath, Requested
from streamlimit.web.service import Service

NOTES_A_FILE = 1_000
"""Segments of one file whose headers are remembered."""


class Viewer:
    """Segments for sessions. `segments` and `play` are ASGI callables; errors are raised, not sent."""

    def __init__(self, service: Service) -> None:
        self._limiter, self._doorman, self._plans = service.limiter, service.doorman, service.plans
        self._catalog, self._files = service.catalog, service.files
        self._deliverer, self._partials = Deliverer(service.policy), Partials()

    async def segments(self, scope: Scope, receive: Receive, send: Send) -> None:
        """`POST /v1/segments`, Endpoint 1: the named segment, or the next one."""
        if scope["method"] != "POST":
            raise Problem("method-not-allowed", "POST it", headers={"Allow": "POST, OPTIONS"})
        caller = await self._doorman.identify(header(scope, b"authorization"))
        caller.require("POST /v1/segments")
        form = read_form(SegmentForm, await read_json_body(scope, receive))
        _require(caller, form, scope)
        stream = self._stream(form.stream_id)
        named = None if form.segment is None else self._segment(stream, form.segment)
        ask = Ask(
            form.user_id,
            form.session_id,
            form.stream_id,
            client=client_digest(scope),
            kind="video" if named is None else named.kind,
            sequence=None if named is None else named.sequence,
            replace=form.replace,
            wants_next=named is None,
            lease_id=next(self._limiter.lease_ids),
            **caller.terms(form.device, self._plans.limit_of(caller, form.plan)),
        )
        async with self._limiter.lease(ask) as holder:
            chosen = named or _next(stream, holder)
            if not isinstance(chosen, Segment):
                await holder.abandon()
                return await _send_nothing(chosen, holder, send)
            body = self._open(stream, chosen.path)
            part = _whole(body, chosen)
            await send_head(scope, send, 200, _lines_of(part, chosen) + counted(holder.admitted))
            await self._deliverer.deliver(part, holder, scope, send)
        await send_end(send)

    async def play(self, scope: Scope, receive: Receive, send: Send) -> None:
        """`GET /play/<grant>/<stream_id>/<path>`: any file of the stream, for ordinary players."""
        asked = PlayPath(scope)
        caller = self._doorman.identify_grant(asked.grant)
        caller.require_stream(asked.stream_id)
        if caller.place is not None:
            caller.require_place(client_place(scope))
        stream = self._stream(asked.stream_id)
        wanted = Requested(scope, stream, asked.path, self._open(stream, asked.path))
        ask = Ask(
            caller.user_id,
            caller.session_id,
            stream.stream_id,
            Purpose.LEASE if wanted.takes_seat else Purpose.CHECK,
            client=client_digest(scope),
            kind=wanted.kind,
            sequence=wanted.sequence,
            lease_id=next(self._limiter.lease_ids),
            **caller.terms(),
        )
        if wanted.takes_seat:
            await self._play_media(wanted, ask, scope, send)
        else:
            await self._play_other(wanted, ask, scope, send)

    async def _play_media(self, wanted: Requested, ask: Ask, scope: Scope, send: Send) -> None:
        async with self._limiter.lease(ask) as holder:
            await send_head(scope, send, wanted.status, wanted.lines() + counted(holder.admitted))
            await self._deliverer.deliver(wanted.part, holder, scope, send)
            if wanted.completes:
                self._partials.completed(ask.user_id, ask.session_id)
            elif not self._partials.counts(ask.user_id, ask.session_id, ask.stream_id, wanted.begun):
                await holder.abandon()
        await send_end(send)

    async def _play_other(self, wanted: Requested, ask: Ask, scope: Scope, send: Send) -> None:
        """What is no media takes no seat, but who could not be issued a segment is refused here already."""
        decision: Decision = await resolved(self._limiter.admit(ask))
        if isinstance(decision, Refusal):
            raise Refused(decision, ask)
        await send_start(send, wanted.status, encode_headers(wanted.headers() | reservations(decision)))
        if not wanted.is_head and not wanted.is_unchanged:
            wire = wire_of(scope)
            for chunk in wanted.part.body.chunks(wanted.part.first, wanted.part.last):
                if wire is not None and wire.is_closing:
                    return  # what is sent from now on is thrown away
                await send_part(send, chunk)
        await send_end(send)

    def _stream(self, stream_id: str) -> Stream:
        if self._catalog is None:
            raise UnknownStream("no streams are set here")
        return self._catalog.stream(stream_id)

    def _segment(self, stream: Stream, name: str) -> Segment:
        assert self._catalog is not None
        segment = stream.find(name) or _as_spelled(stream, name)
        if segment is None and stream.live:  # the playlist on disk may be newer than what we know
            segment = self._catalog.stream(stream.stream_id, fresh=True).find(name)
        if segment is None:
            raise UnknownSegment("the stream has no segment of that name")
        return segment

    def _open(self, stream: Stream, path: str) -> Body:
        assert self._catalog is not None
        return self._files.open(self._catalog.resolve(stream, path))


def _as_spelled(stream: Stream, text: str) -> Segment | None:
    """The segment whose name our header spelled so."""
    found = stream.find(unquote(text)) if "%" in text else None
    return found if found is not None and spelled(found.name) == text else None


def _next(stream: Stream, holder: LeaseHolder) -> Segment | LiveEdge | None:
    """The segment after the last that this session received of this stream; the first after a move."""
    session = holder.admitted.session
    is_here = session is not None and session.stream_id == stream.stream_id  # none: let through by a dry run
    return stream.after(session.sequence if session is not None and is_here else None)


def _require(caller: Caller, form: SegmentForm, scope: Scope) -> None:
    """Raises 403 where the credential is for others than the form names."""
    caller.require_session(form.user_id, form.session_id)
    caller.require_stream(form.stream_id)
    caller.require_replacement(form.replace)
    if caller.place is not None:
        caller.require_place(client_place(scope))


def _whole(body: Body, segment: Segment) -> Part:
    first = segment.first or 0
    last = body.size - 1 if segment.last is None else segment.last
    return Part(body, first, last, (segment,))


def _lines_of(part: Part, segment: Segment) -> bytes:
    """Headers that are the same for everyone who gets it."""
    notes, key = part.body.notes, (segment.name, segment.sequence)
    found = notes.get(key)
    if found is None:
        if len(notes) >= NOTES_A_FILE:
            notes.clear()
        kind = {"Content-Type": segment.media_type, "Content-Length": str(part.length), "Cache-Control": "no-store"}
        found = notes[key] = lines(kind) + named(segment.name, segment.sequence)
    return found


async def _send_nothing(edge: LiveEdge | None, holder: LeaseHolder, send: Send) -> None:
    """204: the stream is over, or its live edge is reached."""
    if edge is None:
        headers = {"Streamlimit-End": "true"}
    else:
        headers = {"Retry-After": str(max(math.ceil(edge.wait_ms / 1_000), 1))}
    await send_whole(send, 204, headers | counts(holder.admitted))
