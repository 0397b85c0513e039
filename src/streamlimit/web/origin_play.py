"""`GET /play/…` where the files are at an HTTP origin: they are relayed.

Playlists, inits, keys and texts are small, and cached for a moment; media is streamed through. The seat is reserved
before the origin is asked, so that refused requests cost it nothing, and given back where the origin fails; where it
may send no media, the session is only checked before.
"""

import re

from msgspec.structs import replace

from streamlimit.delivery.body import Body
from streamlimit.delivery.free import MAX_FREE, MAX_INIT, MAX_KEY
from streamlimit.delivery.held import held_seconds
from streamlimit.delivery.origin.source import Source
from streamlimit.delivery.paths import is_safe, kind_by_suffix
from streamlimit.delivery.segment import Segment
from streamlimit.delivery.stream import Stream
from streamlimit.errors import UnknownSegment
from streamlimit.http.exchange import Exchange
from streamlimit.http.request import Request
from streamlimit.limiter import LeaseHolder
from streamlimit.model import Ask, Purpose
from streamlimit.store.contract import resolved
from streamlimit.web.address import digest_at, place_at
from streamlimit.web.auth import Caller
from streamlimit.web.blocking import MARK, origin_directives
from streamlimit.web.headers import lines, named
from streamlimit.web.leaving import while_there
from streamlimit.web.origin_relay import UNKNOWN, OriginRelay, about_file, has_validator
from streamlimit.web.playback import PlaybackFiles
from streamlimit.web.requested import Conditions, PlayPath, Requested, begun, completed, conditions_of
from streamlimit.web.responder import Responder
from streamlimit.web.service import Service
from streamlimit.web.wanted import Elsewhere

MOST = {"init": MAX_INIT, "key": MAX_KEY}
"""Most bytes of files that are not media; a larger one takes a seat."""

_closed_range = re.compile(r"bytes=(\d{1,18})-(\d{1,18})").fullmatch
_open_range = re.compile(r"bytes=(\d{1,18})-").match


class OriginPlaybackFiles(PlaybackFiles):
    """`PlaybackFiles` of streams at an HTTP origin."""

    def __init__(self, service: Service, responder: Responder) -> None:
        super().__init__(service, responder)
        assert service.origin is not None
        self._origin, self._client = service.origin, service.origin.client
        self._relay = OriginRelay(service.origin.client, responder.deliverer.pace)

    async def __call__(self, request: Request, exchange: Exchange) -> None:
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
        """The content of a playlist, or of another small file; None: the file is media, or as large."""
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
            entry = self._entry(asked, caller, stream, body, client)
            if entry is not None:
                await resolved(self._responder.answer(entry, exchange))
                return
        wanted = self._file(Requested(conditions, stream, asked.path, body), caller, stream, client)
        await resolved(self._responder.answer(wanted, exchange))

    async def _play_media(
        self, asked: PlayPath, conditions: Conditions, caller: Caller, request: Request, exchange: Exchange
    ) -> None:
        if not self._hands_out:
            raise Elsewhere
        await self._streams.look_for(asked.stream_id, asked.path)
        stream, client = self._stream(asked.stream_id), digest_at(request.client)
        first = _begun(stream, asked.path, conditions)
        kind = kind_by_suffix(asked.path) if first is None else first.kind
        sequence, part = (None, 0) if first is None else (first.sequence, first.part)
        ids = caller.user_id, caller.session_id, stream.stream_id
        ask = caller.ask(*ids, Purpose.LEASE, client, kind=kind, sequence=sequence, part=part)
        if conditions.is_head or has_validator(request) or _is_of_headers(stream, asked.path, conditions):
            await self._play_what_comes(ask, asked, stream, request, exchange)
        else:
            async with self._limiter.lease(ask) as holder:
                source = await self._relay.play(asked, stream, request, exchange)
                await self._play_source(source, holder, asked, stream, request, exchange)
        exchange.end()

    async def _play_what_comes(
        self, ask: Ask, asked: PlayPath, stream: Stream, request: Request, exchange: Exchange
    ) -> None:
        """Answers where the origin may send no media (HEAD, 304, an index): a seat is taken once it does."""
        admitted = await self._limiter.admitted(replace(ask, purpose=Purpose.CHECK))
        source = await self._relay.play(asked, stream, request, exchange)
        try:
            if exchange.is_head or source.status == 304 or _is_headers(source, stream, asked.path):
                await self._relay.show(source, asked, admitted, exchange)
            else:
                async with self._limiter.lease(ask) as holder:
                    await self._play_source(source, holder, asked, stream, request, exchange)
        finally:
            await source.reply.close()

    async def _play_source(
        self, source: Source, holder: LeaseHolder, asked: PlayPath, stream: Stream, request: Request,
        exchange: Exchange,
    ) -> None:  # fmt: skip
        try:
            if asked.path in stream.hints:  # the playlist may list it by now
                await self._streams.look(asked.stream_id, fresh=True)
                stream = self._stream(asked.stream_id)
            last = UNKNOWN if source.last is None else source.last
            segments = completed(stream, asked.path, source.first, last, _is_to_the_end(source))
            head = lines(about_file(source, asked.path))
            names = b"".join([named(each.name, each.sequence) for each in segments[-1:]])
            await self._relay.hand_out(source, segments, source.status, head + names, holder, request, exchange)
        finally:
            await source.reply.close()
        if segments or (stream.find(asked.path) is None and _is_to_the_end(source)):
            self._responder.partials.completed(holder.lease.ask.user_id, holder.lease.ask.session_id)
            return
        ask, first = holder.lease.ask, stream.at(asked.path, source.first) or stream.find(asked.path)
        name = asked.path if first is None else first.name
        if not self._responder.partials.counts(ask.user_id, ask.session_id, ask.stream_id, name):
            await holder.abandon()


def _begun(stream: Stream, path: str, conditions: Conditions) -> Segment | None:
    """The segment that the first byte asked for is of; None of a single file whose range does not say that byte."""
    found = _open_range(conditions.range or "")
    if found is None and conditions.range and stream.is_single_file(path):
        return None
    return begun(stream, path, 0 if found is None else int(found[1]))


def _is_of_headers(stream: Stream, path: str, conditions: Conditions) -> bool:
    """Are only bytes of an init or an index asked for?"""
    found = _closed_range(conditions.range or "")
    if found is None:
        return False
    first, last = int(found[1]), int(found[2])
    return first <= last and not stream.is_beyond_headers(path, first, last)


def _is_headers(source: Source, stream: Stream, path: str) -> bool:
    """Are only bytes of an init or an index coming? An origin may send more than it was asked for."""
    return source.last is not None and not stream.is_beyond_headers(path, source.first, source.last)


def _is_to_the_end(source: Source) -> bool:
    return source.last is None or (source.size is not None and source.last == source.size - 1)
