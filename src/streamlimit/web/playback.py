"""`GET /play/…`, any file of a stream: the caller, the bytes, and the rights. `responder.py` answers."""

from msgspec.structs import replace

from streamlimit.delivery.body import Body
from streamlimit.delivery.held import Held
from streamlimit.delivery.stream import Stream
from streamlimit.errors import UnknownSegment
from streamlimit.http.exchange import Exchange
from streamlimit.http.request import Request
from streamlimit.model import Purpose
from streamlimit.store.contract import Answer, resolved
from streamlimit.web.address import digest_of, place_at
from streamlimit.web.auth import Caller
from streamlimit.web.blocking import MARK, until_listed, until_made
from streamlimit.web.entries import Entry, led_content
from streamlimit.web.plays import new_play
from streamlimit.web.requested import PlayPath, Requested, conditions_of, requested_of
from streamlimit.web.responder import Responder
from streamlimit.web.service import Service
from streamlimit.web.wanted import Elsewhere, Playback, streams_here

_LEASE, _CHECK = Purpose.LEASE, Purpose.CHECK  # looked up once


class PlaybackFiles:
    """The handler of playback URLs; errors are raised, not sent."""

    def __init__(self, service: Service, responder: Responder) -> None:
        self._limiter, self._authenticator, self._responder = service.limiter, service.authenticator, responder
        self._catalog, self._streams, self._files = service.catalog, service.streams, service.files
        self._stream = streams_here(service)
        self._held = None if service.catalog is None else Held(service.catalog)
        self._hands_out = service.settings.deliver == "bytes"

    def __call__(self, request: Request, exchange: Exchange) -> Answer[None]:
        """`GET /play/<grant>/<stream_id>/<path>`: any file of the stream, for ordinary players."""
        if MARK in request.query:
            return self._answer_reload(request, exchange)
        try:
            wanted = self._playback_of(request)
        except UnknownSegment as error:
            return self._answer_hint(error, request, exchange)
        return self._responder.answer(wanted, exchange)

    async def _answer_hint(self, error: UnknownSegment, request: Request, exchange: Exchange) -> None:
        """Answers with a file that does not exist yet, if a playlist hints at it."""
        if not await self._is_made(request, exchange):
            raise error
        wanted = self._playback_of(request)
        await resolved(self._responder.answer(wanted, exchange))

    async def _answer_reload(self, request: Request, exchange: Exchange) -> None:
        """Answers with a playlist whose client states the version that it has."""
        try:
            wanted = self._playback_of(request)
        except UnknownSegment as error:
            await self._answer_hint(error, request, exchange)
            return
        if await self._is_listed(wanted, request, exchange):
            wanted = self._playback_of(request)
        await resolved(self._responder.answer(wanted, exchange))

    async def _is_made(self, request: Request, exchange: Exchange) -> bool:
        """Waits for a missing file that a playlist hints at. Did it come? The caller's rights are checked before."""
        asked = PlayPath(request.path)
        stream = self._stream(asked.stream_id)
        if self._held is None or self._catalog is None or request.method != "GET" or not stream.edges:
            return False
        newest = self._catalog.stream(asked.stream_id, fresh=True)
        return await until_made(self._held, newest, asked.path, exchange)

    async def _is_listed(self, wanted: Playback | Entry, request: Request, exchange: Exchange) -> bool:
        """Waits until the *wanted* playlist meets the request's directives. Did it have to wait?"""
        if self._held is None or self._catalog is None or self._files is None:
            return False
        if isinstance(wanted, Entry) or wanted.requested.is_head:
            return False
        path, stream = PlayPath(request.path).path, self._catalog.stream(wanted.ask.stream_id, fresh=True)
        if not await until_listed(self._held, stream, path, request.query, exchange):
            return False
        self._files.forget(stream, path)
        return True

    def _playback_of(self, request: Request) -> Playback | Entry:
        """The file that *request* is for. Raises 401, 403, 404, 405 and 416, and `Elsewhere`."""
        conditions, asked, peer = conditions_of(request), PlayPath(request.path), request.client
        caller = self._authenticator.identify_grant(asked.grant)
        if caller.streams is not None:
            caller.require_stream(asked.stream_id)
        if caller.place is not None:
            caller.require_place(place_at(peer))
        if not self._hands_out and self._streams.find(asked.stream_id) is None:
            raise Elsewhere
        stream = self._stream(asked.stream_id)
        assert self._files is not None  # there is a catalog then
        body, client = self._files.open(stream, asked.path), digest_of(peer[0]) if peer else ""
        # A reload names the version of a live playlist that the client has: its play has begun before.
        begins = not caller.play and MARK not in request.query and stream.files.get(asked.path) == "playlist"
        if begins and (entry := self._entry(asked, caller, stream, body, client)) is not None:
            return entry
        return self._file(requested_of(conditions, stream, asked.path, body), caller, stream, client)

    def _file(self, requested: Requested, caller: Caller, stream: Stream, client: str) -> Playback:
        takes_seat = requested.takes_seat
        if takes_seat and not self._hands_out:
            raise Elsewhere
        ask = caller.ask(
            caller.user_id,
            caller.session_id,
            stream.stream_id,
            _LEASE if takes_seat else _CHECK,
            client,
            next(self._limiter.lease_ids),
            kind=requested.kind,
            sequence=requested.sequence,
            part=requested.number,
        )
        return Playback(ask, requested)

    def _entry(self, asked: PlayPath, caller: Caller, stream: Stream, body: Body, client: str) -> Entry | None:
        """The entry playlist that begins a new play (rule 8); None: the file is sent unchanged."""
        play = new_play()
        content = led_content(self._files, stream, asked.path, body, asked.grant, play)
        if content is None:
            return None
        ids, playing = (caller.user_id, caller.session_id, stream.stream_id), replace(caller, play=play)
        return Entry(playing.ask(*ids, _CHECK, client), content, body.media_type)
