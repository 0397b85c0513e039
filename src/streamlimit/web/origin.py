"""The hot path where the files are at an HTTP origin: whoever may be issued a segment is handed it through us.

Playlists, inits, keys and texts are small, and kept for a moment; media comes from the origin as it is sent on. The
seat is reserved before the origin is asked, so that the refused cost it nothing, and given back where it fails.
"""

import re
from collections.abc import Awaitable, Callable

from msgspec.structs import asdict, replace

from streamlimit.delivery.free import MAX_FREE, MAX_INIT, MAX_KEY
from streamlimit.delivery.held import HINT_TARGETS, held_seconds
from streamlimit.delivery.local import Body
from streamlimit.delivery.origin.source import Source, Unsatisfiable, open_source
from streamlimit.delivery.paths import is_safe, kind_by_suffix, media_type
from streamlimit.delivery.segment import LiveEdge, Segment
from streamlimit.delivery.stream import Stream
from streamlimit.errors import OriginFailed, Refused, UnknownSegment
from streamlimit.http.exchange import Exchange
from streamlimit.http.request import Request
from streamlimit.limiter import LeaseHolder
from streamlimit.model import Admitted, Ask, Decision, Purpose, Refusal
from streamlimit.store.contract import resolved
from streamlimit.web.address import digest_at, place_at
from streamlimit.web.auth import Caller
from streamlimit.web.blocking import MARK, origin_directives
from streamlimit.web.delivery import NotReceived, Relay, wire_of
from streamlimit.web.forms import read_segment_form
from streamlimit.web.gaps import MOST_LEFT_OUT
from streamlimit.web.http import json_of
from streamlimit.web.leaving import while_there
from streamlimit.web.problems import Problem
from streamlimit.web.render import counted, counts, lines, named, reservations
from streamlimit.web.requested import Conditions, PlayPath, Requested, conditions_of
from streamlimit.web.service import Service
from streamlimit.web.viewer import (
    CALL,
    Elsewhere,
    Issue,
    Playback,
    Viewer,
    as_spelled,
    next_of,
    nothing,
    require,
)

MOST = {"init": MAX_INIT, "key": MAX_KEY}
"""Bytes of what is no media; what is larger takes a seat."""

_is_one_range = re.compile(r"bytes=(?:\d{1,18}-\d{0,18}|-\d{1,18})").fullmatch
_closed_range = re.compile(r"bytes=(\d{1,18})-(\d{1,18})").fullmatch
_open_range = re.compile(r"bytes=(\d{1,18})-").match


class OriginViewer(Viewer):
    """As `Viewer`."""

    def __init__(self, service: Service, cookies_of: Callable[[str], list[str]] | None = None) -> None:
        super().__init__(service, cookies_of)
        assert service.origin is not None
        self._origin, self._client = service.origin, service.origin.client

    def segments(self, request: Request, exchange: Exchange, _caller: Caller | None = None) -> Awaitable[None]:
        return self._segments(request, exchange)

    def play(self, request: Request, exchange: Exchange) -> Awaitable[None]:
        return self._play(request, exchange)

    # Endpoint 1

    async def _segments(self, request: Request, exchange: Exchange) -> None:
        if request.method != "POST":
            raise Problem("method-not-allowed", "POST it", headers={"Allow": "POST, OPTIONS"})
        caller = await self._authenticator.identify(request.header(b"authorization"))
        caller.require(CALL)
        form, client = read_segment_form(json_of(request)), request.client
        require(caller, form, place_at(client))
        if form.segment is None:
            await self._streams.look(form.stream_id)
        else:
            await self._streams.look_for(form.stream_id, form.segment)
        wanted = self.issue(form, caller, digest_at(client), place_at(client))
        admitted = await self._admitted(wanted.ask)
        await self._issue(wanted, self._limiter.lease(wanted.ask).enter(admitted), request, exchange)

    async def _issue(self, wanted: Issue, holder: LeaseHolder, request: Request, exchange: Exchange) -> None:
        try:
            async with while_there(exchange):
                found = await self._chosen(wanted, holder)
            if isinstance(found, tuple):
                segment, source = found
                head = {"Content-Type": segment.media_type, "Cache-Control": "no-store"}
                about = named(segment.name, segment.sequence)
                await self._hand_out(source, (segment,), 200, lines(head) + about, holder, request, exchange)
            else:
                exchange.start(204, lines(nothing(found) | counts(holder.admitted)))
                await holder.abandon()
        except BaseException:
            await holder.fail()
            raise
        await _leave(holder, exchange)

    async def _chosen(self, wanted: Issue, holder: LeaseHolder) -> tuple[Segment, Source] | LiveEdge | None:
        """The named segment, or the next one that is there. At a live edge the origin is asked what is new."""
        if wanted.named is not None:
            return wanted.named, await self._fetched(wanted.stream, wanted.named)
        stream = wanted.stream
        first = chosen = next_of(stream, holder)
        if isinstance(chosen, LiveEdge):
            await self._streams.look(stream.stream_id, fresh=True)
            stream = self._stream(stream.stream_id)
            first = chosen = next_of(stream, holder)
        for _ in range(MOST_LEFT_OUT + 1):
            if not isinstance(chosen, Segment):
                break
            try:
                return chosen, await self._fetched(stream, chosen)
            except UnknownSegment:
                chosen = stream.after(chosen.sequence)
        if isinstance(first, Segment) and (isinstance(chosen, Segment) or first == stream.after(None)):
            raise Problem("unknown-segment", f"the next segment, {first.name}, and those after it are not there")
        return None if isinstance(chosen, Segment) else chosen

    async def _fetched(self, stream: Stream, segment: Segment) -> Source:
        span = None if segment.last is None else (segment.first or 0, segment.last)
        return await open_source(self._client, self._url(stream, segment.path), {}, span)

    # /play

    async def _play(self, request: Request, exchange: Exchange) -> None:
        conditions, asked = conditions_of(request), PlayPath(request.path)
        caller = self._authenticator.identify_grant(asked.grant)
        caller.require_stream(asked.stream_id)
        caller.require_place(place_at(request.client))
        await self._streams.look(asked.stream_id)
        if not self._hands_out and self._streams.find(asked.stream_id) is None:
            raise Elsewhere
        if not is_safe(asked.path):
            raise UnknownSegment("it is no file of a stream")
        what = self._stream(asked.stream_id).classify(asked.path)
        async with while_there(exchange):
            body = await self._small(what, request, asked)
        if body is None:
            await self._play_media(asked, conditions, caller, request, exchange)
        else:
            await self._play_small(body, asked, conditions, caller, request, exchange)

    async def _small(self, what: str, request: Request, asked: PlayPath) -> Body | None:
        """A playlist as of now, or what else is small; None: it is media, or as large."""
        if what == "media":
            return None
        if what != "playlist":
            return await self._origin.small(asked.stream_id, asked.path, MOST.get(what, MAX_FREE))
        edge = self._stream(asked.stream_id).edges.get(asked.path)
        query = "" if edge is None or MARK not in request.query else origin_directives(request.query, edge)
        patience = held_seconds(edge) + self._client.seconds if edge is not None and query else None
        return await self._origin.playlist(asked.stream_id, asked.path, query, patience)

    async def _play_small(
        self, body: Body, asked: PlayPath, conditions: Conditions, caller: Caller, request: Request,
        exchange: Exchange,
    ) -> None:  # fmt: skip
        stream, client = self._stream(asked.stream_id), digest_at(request.client)
        if not caller.play and MARK not in request.query:
            entry = self._entry(asked, caller, conditions, stream, body, client)
            if entry is not None:
                await resolved(self.serve(entry, self._limiter.admit(entry.ask), exchange))
                return
        requested = Requested(conditions, stream, asked.path, body)
        if requested.takes_seat and not self._hands_out:
            raise Elsewhere
        purpose = Purpose.LEASE if requested.takes_seat else Purpose.CHECK
        ask = self._ask(caller, stream, purpose, client, requested.kind, requested.sequence, requested.number)
        await resolved(self.serve(Playback(ask, requested), self._limiter.admit(ask), exchange))

    async def _play_media(
        self, asked: PlayPath, conditions: Conditions, caller: Caller, request: Request, exchange: Exchange
    ) -> None:
        if not self._hands_out:
            raise Elsewhere
        await self._streams.look_for(asked.stream_id, asked.path)
        stream, client = self._stream(asked.stream_id), digest_at(request.client)
        begun = _begun(stream, asked.path, conditions)
        kind = kind_by_suffix(asked.path) if begun is None else begun.kind
        place = (None, 0) if begun is None else (begun.sequence, begun.part)
        is_free = conditions.is_head or _is_of_headers(stream, asked.path, conditions)
        purpose = Purpose.CHECK if is_free else Purpose.LEASE
        ask = self._ask(caller, stream, purpose, client, kind, *place)
        admitted = await self._admitted(ask)
        if is_free:
            await self._look_at(asked, stream, admitted, request, exchange)
        else:
            await self._play_under(self._limiter.lease(ask).enter(admitted), asked, stream, request, exchange)

    async def _play_under(
        self, holder: LeaseHolder, asked: PlayPath, stream: Stream, request: Request, exchange: Exchange
    ) -> None:
        try:
            source = await self._source(asked, stream, request, exchange)
            if source.status == 304:
                await source.reply.close()
                exchange.start(304, lines(_about(source, asked.path)) + counted(holder.admitted))
                await holder.abandon()
            else:
                await self._play_source(source, holder, asked, stream, request, exchange)
        except BaseException:
            await holder.fail()
            raise
        await _leave(holder, exchange)

    async def _play_source(
        self, source: Source, holder: LeaseHolder, asked: PlayPath, stream: Stream, request: Request,
        exchange: Exchange,
    ) -> None:  # fmt: skip
        if asked.path in stream.hints:  # by now the playlist may name it
            await self._streams.look(asked.stream_id, fresh=True)
            stream = self._stream(asked.stream_id)
        segments = _completed(stream, asked.path, source)
        head = lines(_about(source, asked.path))
        told = b"".join([named(each.name, each.sequence) for each in segments[-1:]])
        await self._hand_out(source, segments, source.status, head + told, holder, request, exchange)
        if segments or (stream.find(asked.path) is None and _is_to_the_end(source)):
            self._partials.completed(holder.lease.ask.user_id, holder.lease.ask.session_id)
            return
        ask, begun = holder.lease.ask, stream.at(asked.path, source.first) or stream.find(asked.path)
        name = asked.path if begun is None else begun.name
        if not self._partials.counts(ask.user_id, ask.session_id, ask.stream_id, name):
            await holder.abandon()

    async def _look_at(
        self, asked: PlayPath, stream: Stream, admitted: Admitted, request: Request, exchange: Exchange
    ) -> None:
        """HEAD, and ranges of an init or an index: no seat is taken."""
        source = await self._source(asked, stream, request, exchange)
        try:
            length = source.size if exchange.is_head else source.length
            head = _about(source, asked.path) | reservations(admitted)
            if length is not None:
                head["Content-Length"] = str(length)
            elif not exchange.is_head and source.status != 304:
                raise OriginFailed("the origin's answer to a range has no length")
            exchange.start(source.status, lines(head))
            if not exchange.is_head and source.status != 304:
                async with while_there(exchange):
                    await _send(source, exchange)
        finally:
            await source.reply.close()
        exchange.end()

    async def _source(self, asked: PlayPath, stream: Stream, request: Request, exchange: Exchange) -> Source:
        """The origin's answer to what the viewer asks. Raises 416, too."""
        hinted = [edge for edge in stream.edges.values() if edge.hint == asked.path]
        patience = max([held_seconds(edge, HINT_TARGETS) for edge in hinted], default=0) + self._client.seconds
        url = self._url(stream, asked.path)
        async with while_there(exchange):
            try:
                return await open_source(
                    self._client, url, _conditional(request), method=request.method, patience=patience
                )
            except Unsatisfiable as error:
                told = {} if error.told is None else {"Content-Range": error.told}
                raise Problem("range-not-satisfiable", str(error), headers=told) from None

    async def _hand_out(
        self, source: Source, segments: tuple[Segment, ...], status: int, head: bytes, holder: LeaseHolder,
        request: Request, exchange: Exchange,
    ) -> None:  # fmt: skip
        """Under a lease, to the end."""
        length = source.length
        if length is not None:
            head += b"content-length: %d\r\n" % length
        elif request.version == "1.0":
            raise OriginFailed("the origin says no length, and the client's HTTP/1.0 has no other way")
        else:
            head += b"transfer-encoding: chunked\r\n"
        try:
            exchange.start(status, head + counted(holder.admitted))
            await self._deliverer.relay(Relay(source.chunks(), source.first, length, segments), holder, exchange)
        finally:
            await source.reply.close()

    async def _admitted(self, ask: Ask) -> Admitted:
        decision: Decision = await resolved(self._limiter.admit(ask))
        if isinstance(decision, Refusal):
            raise Refused(decision, ask)
        return decision

    def _ask(
        self, caller: Caller, stream: Stream, purpose: Purpose, client: str, kind: str, sequence: int | None, part: int
    ) -> Ask:
        ask = Ask(
            caller.user_id, caller.session_id, stream.stream_id, purpose, client=client, kind=kind, sequence=sequence,
            part=part, lease_id=next(self._limiter.lease_ids),
        )  # fmt: skip
        return replace(ask, **asdict(caller.terms()))

    def _url(self, stream: Stream, path: str) -> str:
        if not is_safe(path):
            raise UnknownSegment("it is no file of a stream")
        return self._client.address.url(stream.stream_id, path)

    def _stream(self, stream_id: str) -> Stream:
        return self._origin.stream(stream_id)

    def _segment(self, stream: Stream, name: str) -> Segment:
        segment = stream.find(name) or as_spelled(stream, name)
        if segment is None:
            raise UnknownSegment("the stream has no segment of that name")
        return segment


async def _leave(holder: LeaseHolder, exchange: Exchange) -> None:
    leaving = holder.leave()
    if leaving is not None:
        await leaving
    exchange.end()


async def _send(source: Source, exchange: Exchange) -> None:
    wire = wire_of(exchange)
    async for chunk in source.chunks():
        if wire.is_closing:
            raise NotReceived
        sending = exchange.part(chunk)
        if sending is not None:
            await sending


def _conditional(request: Request) -> dict[str, str]:
    """What of the viewer's request the origin is told: validators, and one range."""
    names = ("if-none-match", "if-modified-since", "range", "if-range")
    found = {name: request.header(name.encode()) for name in names}
    told = {name: value for name, value in found.items() if value is not None and value.isascii()}
    if request.method == "HEAD" or not _is_one_range(told.get("range", "").replace(" ", "")):
        told.pop("range", None)
        told.pop("if-range", None)
    return told


def _about(source: Source, path: str) -> dict[str, str]:
    """Headers of the file: its type is ours to say, for a browser may open it."""
    head = {"Content-Type": media_type(path)} if source.status != 304 else {}
    head |= {"Accept-Ranges": "bytes", "Cache-Control": "no-store"}
    for name in ("etag", "last-modified"):
        told = source.validator(name)
        if told is not None:
            head[name] = told
    if source.status == 206:
        head["Content-Range"] = f"bytes {source.first}-{source.last}/{'*' if source.size is None else source.size}"
    return head


def _begun(stream: Stream, path: str, conditions: Conditions) -> Segment | None:
    """The segment that the first byte asked for is of."""
    if not stream.is_single_file(path):
        return stream.find(path)
    found = _open_range(conditions.range or "")
    if found is None:
        return None if conditions.range else stream.at(path, 0)
    return stream.at(path, int(found[1]))


def _is_of_headers(stream: Stream, path: str, conditions: Conditions) -> bool:
    """Are only bytes of an init or an index asked for? Where there is a condition on the range, all may come."""
    found = _closed_range(conditions.range or "")
    if found is None or conditions.if_range is not None:
        return False
    first, last = int(found[1]), int(found[2])
    return first <= last and not stream.is_beyond_headers(path, first, last)


def _completed(stream: Stream, path: str, source: Source) -> tuple[Segment, ...]:
    if stream.is_single_file(path):
        last = (1 << 62) if source.last is None else source.last
        return tuple(stream.segments_in(path, source.first, last))
    segment = stream.find(path)
    return (segment,) if segment is not None and _is_to_the_end(source) else ()


def _is_to_the_end(source: Source) -> bool:
    return source.last is None or (source.size is not None and source.last == source.size - 1)
