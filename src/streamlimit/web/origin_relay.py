"""The relay of an HTTP origin's files to viewers: the request to the origin, and the answer made of its reply."""

import re

from streamlimit.delivery.held import HINT_TARGETS, held_seconds
from streamlimit.delivery.origin.client import OriginClient
from streamlimit.delivery.origin.source import Source, Unsatisfiable, open_source
from streamlimit.delivery.paths import is_safe, media_type
from streamlimit.delivery.segment import Segment
from streamlimit.delivery.stream import Stream
from streamlimit.errors import OriginFailed, UnknownSegment
from streamlimit.http.exchange import Exchange
from streamlimit.http.request import Request
from streamlimit.limiter import LeaseHolder
from streamlimit.model import Admitted
from streamlimit.web.headers import counted, lines, reservations
from streamlimit.web.leaving import while_there
from streamlimit.web.problems import Problem
from streamlimit.web.requested import PlayPath
from streamlimit.web.sending import Journey, NotReceived, Pace, issued, wire_of

UNKNOWN = 1 << 62
"""Stands for the length of a body that the origin does not state."""

_VALIDATORS = frozenset({"if-none-match", "if-modified-since"})
LAST_CHUNK = b"0\r\n\r\n"
_is_one_range = re.compile(r"bytes=(?:\d{1,18}-\d{0,18}|-\d{1,18})").fullmatch


class OriginRelay:
    """Opens files of one origin, and relays them."""

    def __init__(self, client: OriginClient, pace: Pace) -> None:
        self._client, self._pace = client, pace

    async def segment(self, stream: Stream, segment: Segment) -> Source:
        """The bytes of *segment*, which may be a part of a file."""
        span = None if segment.last is None else (segment.first or 0, segment.last)
        return await open_source(self._client, self._url(stream, segment.path), {}, span)

    async def play(self, asked: PlayPath, stream: Stream, request: Request, exchange: Exchange) -> Source:
        """The origin's reply to the viewer's request. Raises 416, too."""
        hinted = [edge for edge in stream.edges.values() if edge.hint == asked.path]
        patience = max([held_seconds(edge, HINT_TARGETS) for edge in hinted], default=0) + self._client.seconds
        url = self._url(stream, asked.path)
        async with while_there(exchange):
            try:
                return await open_source(
                    self._client, url, _conditional(request), method=request.method, patience=patience
                )
            except Unsatisfiable as error:
                about = {} if error.content_range is None else {"Content-Range": error.content_range}
                raise Problem("range-not-satisfiable", str(error), headers=about) from None

    async def hand_out(
        self, source: Source, segments: tuple[Segment, ...], status: int, head: bytes, holder: LeaseHolder,
        request: Request, exchange: Exchange,
    ) -> None:  # fmt: skip
        """Sends *source* under a lease, to the end."""
        try:
            exchange.start(status, head + _framing(source.length, request) + counted(holder.admitted))
            await self._deliver(source, segments, holder, exchange)
        finally:
            await source.reply.close()

    async def show(self, source: Source, asked: PlayPath, admitted: Admitted, exchange: Exchange) -> None:
        """Sends what takes no seat: the answer to HEAD, 304, and ranges of an init or an index."""
        has_body = not exchange.is_head and source.status != 304
        length = source.length if has_body else source.size
        head = about_file(source, asked.path) | reservations(admitted)
        if length is not None and source.status != 304:
            head["Content-Length"] = str(length)
        exchange.start(source.status, lines(head))
        if has_body:
            async with while_there(exchange):
                await _send(source, exchange)

    async def _deliver(
        self, source: Source, segments: tuple[Segment, ...], holder: LeaseHolder, exchange: Exchange
    ) -> None:
        """As `Deliverer.deliver`, for bytes of the origin, whose errors are raised.

        The origin is read as fast as the client reads, and its connection is released when the client leaves.
        """
        wire, length = wire_of(exchange), source.length
        wire.keep_few()
        # Chunked bytes are not bytes of the file: there the receipt of the last segment stands for all.
        watched = segments[-1:] if length is None else segments
        journey = Journey(holder, wire, self._pace, source.first, UNKNOWN if length is None else length, watched)
        try:
            async with while_there(exchange):
                await _pass_on(source, journey, exchange)
            await journey.tracker.over()
            if journey.earlier:
                await journey.confirm_arrived()
        finally:
            journey.tracker.close()
        if not journey.tracker.outcome:
            raise NotReceived
        if segments:
            holder.issued = issued(segments[-1])

    def _url(self, stream: Stream, path: str) -> str:
        if not is_safe(path):
            raise UnknownSegment("it is no file of a stream")
        return self._client.address.url(stream.stream_id, path)


def _framing(length: int | None, request: Request) -> bytes:
    """The header that says where the body ends."""
    if length is not None:
        return b"content-length: %d\r\n" % length
    if request.version == "1.0":
        raise OriginFailed("the origin says no length, and the client's HTTP/1.0 has no other way")
    return b"transfer-encoding: chunked\r\n"


async def _pass_on(source: Source, journey: Journey, exchange: Exchange) -> None:
    """Sends the source's bytes; one of unknown length in chunks (RFC 9112, 7.1), of which the last one is empty."""
    tracker = journey.tracker
    async for chunk in source.chunks():
        part = chunk if source.length is not None else b"%x\r\n%b\r\n" % (len(chunk), chunk)
        coming = exchange.part(part)
        if coming is not None:
            await coming
        tracker.handed(len(part))
        if tracker.outcome is not None:
            raise NotReceived
        if journey.earlier:
            await journey.confirm_arrived()
        if tracker.handed_over == source.length:
            return  # complete: a client that has the body may be gone by now
    if source.length is None:
        coming = exchange.part(LAST_CHUNK)
        if coming is not None:
            await coming
        tracker.handed(len(LAST_CHUNK))
        tracker.ended()


async def _send(source: Source, exchange: Exchange) -> None:
    wire = wire_of(exchange)
    async for chunk in source.chunks():
        if wire.is_closing:
            raise NotReceived
        sending = exchange.part(chunk)
        if sending is not None:
            await sending


def has_validator(request: Request) -> bool:
    """May the origin answer that the file is unchanged?"""
    return not _VALIDATORS.isdisjoint(_conditional(request))


def _conditional(request: Request) -> dict[str, str]:
    """The headers of the viewer's request that are forwarded to the origin: validators, and one range."""
    names = (*_VALIDATORS, "range", "if-range")
    found = {name: request.header(name.encode()) for name in names}
    passed = {name: value for name, value in found.items() if value is not None and value.isascii()}
    if request.method == "HEAD" or not _is_one_range(passed.get("range", "").replace(" ", "")):
        passed.pop("range", None)
        passed.pop("if-range", None)
    return passed


def about_file(source: Source, path: str) -> dict[str, str]:
    """The headers of the file; its content type is set here, not by the origin, for a browser may open it."""
    head = {"Content-Type": media_type(path)} if source.status != 304 else {}
    head |= {"Accept-Ranges": "bytes", "Cache-Control": "no-store"}
    for name in ("etag", "last-modified"):
        validator = source.validator(name)
        if validator is not None:
            head[name] = validator
    if source.status == 206:
        head["Content-Range"] = f"bytes {source.first}-{source.last}/{'*' if source.size is None else source.size}"
    return head
