"""The hot path: Endpoint 1 and /play. Who asks, for what; lease it; deliver it; confirm what arrived."""

import math
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any
from urllib.parse import unquote

from msgspec import Struct
from msgspec.structs import asdict

from streamlimit.delivery.held import Held
from streamlimit.delivery.local import Body
from streamlimit.delivery.segment import LiveEdge, Segment
from streamlimit.delivery.stream import Stream
from streamlimit.errors import Refused, UnknownSegment, UnknownStream
from streamlimit.http.exchange import Exchange
from streamlimit.http.request import Request
from streamlimit.limiter import LeaseHolder
from streamlimit.model import Admitted, Ask, Decision, Purpose, Refusal, Verdict
from streamlimit.store.contract import Answer, resolved
from streamlimit.store.deferred import Deferred, deferred
from streamlimit.web.address import digest_at, digest_of, place_at
from streamlimit.web.auth import BOUND, Caller
from streamlimit.web.blocking import MARK, until_listed, until_made
from streamlimit.web.delivery import Deliverer, NotReceived, Part, issued, wire_of
from streamlimit.web.entries import Entry, led_content
from streamlimit.web.forms import SegmentForm, read_segment_form
from streamlimit.web.gaps import StreamFiles
from streamlimit.web.http import json_of
from streamlimit.web.partials import Partials
from streamlimit.web.plays import new_play
from streamlimit.web.problems import Problem
from streamlimit.web.render import counted, counts, lines, named, reservations, spelled
from streamlimit.web.requested import Conditions, PlayPath, Requested, conditions_of
from streamlimit.web.rights import RIGHTS
from streamlimit.web.service import Service

CALL, JSON = "POST /v1/segments", b"application/json"
_NOTHING_NOTED = None, b""


class Elsewhere(Exception):
    """The file is for another party to hand out (`deliver`)."""


class Issue(Struct, frozen=True):
    """One `POST /v1/segments`: the segment that it names, or the next one (None)."""

    ask: Ask
    stream: Stream
    named: Segment | None


class Playback(Struct, frozen=True):
    """One `GET /play/…`."""

    ask: Ask
    requested: Requested


Wanted = Issue | Playback | Entry


class Viewer:
    """Segments for sessions. `segments` and `play` handle requests; errors are raised, not sent.

    Each finds out what is asked for (`issue`, `playback`), then, with the limiter's answer, does `serve`.
    """

    def __init__(self, service: Service, cookies_of: Callable[[str], list[str]] | None = None) -> None:
        self._limiter, self._authenticator, self._plans = service.limiter, service.authenticator, service.plans
        self._cookies_of = cookies_of
        self._catalog, self._streams = service.catalog, service.streams
        self._files = None if service.catalog is None else StreamFiles(service.catalog, service.files)
        self._held = None if service.catalog is None else Held(service.catalog)
        self._hands_out = service.settings.deliver == "bytes"
        self._deliverer, self._partials = Deliverer(service.policy), Partials()

    def segments(self, request: Request, exchange: Exchange, caller: Caller | None = None) -> Answer[None]:
        """`POST /v1/segments`, Endpoint 1: the named segment, or the next one. *caller*: found out already."""
        if request.method != "POST":
            raise Problem("method-not-allowed", "POST it", headers={"Allow": "POST, OPTIONS"})
        given = request.fields.get(b"authorization")
        caller = caller or self._authenticator.recall(None if given is None else given.decode("latin-1"))
        if caller is None:
            return self._segment_of_stranger(request, exchange)
        if caller.role not in RIGHTS[CALL]:
            caller.require(CALL)
        body, client = request.body, request.client
        if body is None or request.fields.get(b"content-type") != JSON:
            body = json_of(request)
        form = read_segment_form(body)
        place = "" if caller.place is None else place_at(client)
        wanted = self.issue(form, caller, digest_of(client[0]) if client else "", place)
        decision = self._limiter.admit(wanted.ask)
        if type(decision) is Admitted:
            return self._lend(wanted, LeaseHolder(self._limiter, wanted.ask, decision), exchange)
        return self.serve(wanted, decision, exchange)

    async def _segment_of_stranger(self, request: Request, exchange: Exchange) -> None:
        caller = await self._authenticator.identify(request.header(b"authorization"))
        await resolved(self.segments(request, exchange, caller))

    def play(self, request: Request, exchange: Exchange) -> Answer[None]:
        """`GET /play/<grant>/<stream_id>/<path>`: any file of the stream, for ordinary players."""
        if MARK in request.query:
            return self._play_reload(request, exchange)
        try:
            wanted = self._playback_of(request)
        except UnknownSegment as error:
            return self._play_hint(error, request, exchange)
        return self.serve(wanted, self._limiter.admit(wanted.ask), exchange)

    async def _play_hint(self, error: UnknownSegment, request: Request, exchange: Exchange) -> None:
        """A file that is not there yet, if it is one that a playlist hints at."""
        if not await self._is_made(request, exchange):
            raise error
        wanted = self._playback_of(request)
        await resolved(self.serve(wanted, self._limiter.admit(wanted.ask), exchange))

    async def _play_reload(self, request: Request, exchange: Exchange) -> None:
        """A playlist whose client says which version it has."""
        try:
            wanted = self._playback_of(request)
        except UnknownSegment as error:
            await self._play_hint(error, request, exchange)
            return
        if await self._is_listed(wanted, request, exchange):
            wanted = self._playback_of(request)
        await resolved(self.serve(wanted, self._limiter.admit(wanted.ask), exchange))

    def _playback_of(self, request: Request) -> Playback | Entry:
        is_reload, client = MARK in request.query, request.client
        return self.playback(request.path, conditions_of(request), digest_at(client), place_at(client), is_reload)

    async def _is_made(self, request: Request, exchange: Exchange) -> bool:
        """Was a file that is not there worth waiting for? Who asks was found to be allowed to."""
        asked = PlayPath(request.path)
        stream = self._stream(asked.stream_id)
        if self._held is None or self._catalog is None or request.method != "GET" or not stream.edges:
            return False
        newest = self._catalog.stream(asked.stream_id, fresh=True)
        return await until_made(self._held, newest, asked.path, exchange)

    async def _is_listed(self, wanted: Playback | Entry, request: Request, exchange: Exchange) -> bool:
        """Was there something to wait for before the playlist that is *wanted* is sent?"""
        if self._held is None or self._catalog is None or self._files is None:
            return False
        if isinstance(wanted, Entry) or wanted.requested.is_head:
            return False
        path, stream = PlayPath(request.path).path, self._catalog.stream(wanted.ask.stream_id, fresh=True)
        if not await until_listed(self._held, stream, path, request.query, exchange):
            return False
        self._files.forget(stream, path)
        return True

    def issue(self, form: SegmentForm, caller: Caller, client: str, place: str) -> Issue:
        """What *form* asks for, by a client at that address. Raises 403 and 404."""
        if caller.role in BOUND:
            caller.require_own(form.user_id, form.session_id, form.stream_id, form.replace)
            caller.require_place(place)
        stream, name = self._stream(form.stream_id), form.segment
        named = None if name is None else stream.names.get(name) or self._segment(stream, name)
        plan_limit = None if form.plan is None else self._plans.limit_of(caller, form.plan)
        may_start = caller.expires_at == math.inf or caller.may_start
        ask = Ask(
            form.user_id,
            form.session_id,
            form.stream_id,
            client=client,
            kind="video" if named is None else named.kind,
            sequence=None if named is None else named.sequence,
            part=0 if named is None else named.part,
            replace=form.replace,
            wants_next=named is None,
            lease_id=next(self._limiter.lease_ids),
            device=form.device if caller.device is None else caller.device,
            limit=plan_limit if caller.limit is None else caller.limit,
            may_start=may_start,
            granted=may_start and caller.role == "grant",
            grant_generation=caller.generation,
            plan=form.plan if caller.plan is None else caller.plan,
            play=caller.play,
        )
        return Issue(ask, stream, named)

    def playback(
        self, path: str, conditions: Conditions, client: str, place: str, is_reload: bool = False
    ) -> Playback | Entry:
        """What a URL asks for, by a client at that address. Raises 401, 403, 404 and 416, and `Elsewhere`.

        *is_reload*: it says which version of a live playlist it has; a play began before that.
        """
        asked = PlayPath(path)
        caller = self._authenticator.identify_grant(asked.grant)
        caller.require_stream(asked.stream_id)
        caller.require_place(place)
        if not self._hands_out and self._streams.find(asked.stream_id) is None:
            raise Elsewhere
        stream = self._stream(asked.stream_id)
        body = self._open(stream, asked.path)
        begins = not caller.play and not is_reload
        if begins and (entry := self._entry(asked, caller, conditions, stream, body, client)) is not None:
            return entry
        requested = Requested(conditions, stream, asked.path, body)
        if requested.takes_seat and not self._hands_out:
            raise Elsewhere
        terms = caller.terms()
        ask = Ask(
            caller.user_id,
            caller.session_id,
            stream.stream_id,
            Purpose.LEASE if requested.takes_seat else Purpose.CHECK,
            client=client,
            kind=requested.kind,
            sequence=requested.sequence,
            part=requested.number,
            lease_id=next(self._limiter.lease_ids),
            device=terms.device,
            limit=terms.limit,
            may_start=terms.may_start,
            granted=terms.granted,
            grant_generation=terms.grant_generation,
            plan=terms.plan,
            play=terms.play,
        )
        return Playback(ask, requested)

    def _entry(
        self, asked: PlayPath, caller: Caller, conditions: Conditions, stream: Stream, body: Body, client: str
    ) -> Entry | None:
        """What begins a play; None: the file is sent as it is. It is asked for as by that play (rule 8)."""
        play = new_play()
        content = led_content(self._files, stream, asked.path, body, asked.grant, play)
        if content is None:
            return None
        ids = caller.user_id, caller.session_id, stream.stream_id
        ask = Ask(*ids, Purpose.CHECK, client=client, **asdict(caller.terms()) | {"play": play})
        return Entry(ask, content, body.media_type, conditions.is_head)

    def serve(self, wanted: Wanted, decision: Answer[Decision], exchange: Exchange) -> Answer[None]:
        """Delivers what is *wanted* as the limiter's answer, or what will be it, allows. Raises `Refused`."""
        if isinstance(decision, Deferred):
            return decision.then(partial(self._decided, wanted, exchange))
        if isinstance(decision, Admitted | Refusal):
            return self._serve(wanted, decision, exchange)
        return self._serve_later(wanted, decision, exchange)

    async def _serve_later(self, wanted: Wanted, coming: Awaitable[Decision], exchange: Exchange) -> None:
        await resolved(self._serve(wanted, await coming, exchange))

    def _decided(self, wanted: Wanted, exchange: Exchange, decision: Decision | Exception) -> Any:
        """The limiter's answer came."""
        if isinstance(decision, Exception):
            return decision
        serving = self._serve(wanted, decision, exchange)
        return serving if serving is None or isinstance(serving, Deferred) else deferred(serving)

    def _serve(self, wanted: Wanted, decision: Decision, exchange: Exchange) -> Answer[None]:
        if isinstance(decision, Refusal):
            raise Refused(decision, wanted.ask)
        if isinstance(wanted, Entry):
            return self._play_entry(wanted, decision, exchange)
        if isinstance(wanted, Playback) and not wanted.requested.takes_seat:
            return self._play_other(wanted, decision, exchange)
        return self._lend(wanted, LeaseHolder(self._limiter, wanted.ask, decision), exchange)

    def _lend(self, wanted: Issue | Playback, holder: LeaseHolder, exchange: Exchange) -> Answer[None]:
        """Delivers under a lease, as `async with holder` would; without a task where the kernel takes all at once."""
        try:
            part = self._begin(wanted, holder, exchange)
            delivering = None if part is None else self._deliverer.deliver(part, holder, exchange)
        except Exception as error:
            return self._give_back(holder, exchange, error)
        if isinstance(delivering, Deferred):
            return delivering.then(partial(self._delivered, wanted, holder, exchange))
        if delivering is None:
            return self._give_back(holder, exchange)
        return self._lend_longer(wanted, holder, exchange, delivering)

    def _delivered(
        self, wanted: Issue | Playback, holder: LeaseHolder, exchange: Exchange, failure: Exception | None
    ) -> Deferred[None] | None:
        """It is known whether the client has it."""
        if failure is not None or (isinstance(wanted, Playback) and not self._counts(wanted)):
            return deferred(self._give_back(holder, exchange, failure))
        verdict = holder.leave()
        if isinstance(verdict, Deferred):
            return verdict.then(partial(_end, exchange))
        if verdict is not None:
            return deferred(_leave(verdict, exchange))
        exchange.end()
        return None

    async def _lend_longer(
        self, wanted: Issue | Playback, holder: LeaseHolder, exchange: Exchange, delivering: Awaitable[None]
    ) -> None:
        try:
            await delivering
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
        """Nothing of the lease counts; raises what was the reason."""
        if failure is not None:
            await holder.fail()
            raise failure
        await holder.abandon()
        exchange.end()

    def _begin(self, wanted: Issue | Playback, holder: LeaseHolder, exchange: Exchange) -> Part | None:
        """Says what comes. None: nothing does."""
        if isinstance(wanted, Playback):
            requested = wanted.requested
            exchange.start(requested.status, requested.lines() + counted(holder.admitted))
            return requested.part
        assert self._files is not None
        chosen: Segment | LiveEdge | None = wanted.named
        if isinstance(chosen, Segment):
            body = self._files.open(wanted.stream, chosen.path)
        else:
            found = self._files.next(wanted.stream, next_of(wanted.stream, holder))
            if not isinstance(found, tuple):
                exchange.start(204, lines(nothing(found) | counts(holder.admitted)))
                return None
            chosen, body = found
        about = ("issue", chosen.name)
        part, told = body.notes.get(about) or _NOTHING_NOTED
        if part is None or part.segments[0] is not chosen:  # a live stream's may become its last one
            part, told = body.keep(about, _whole(body, chosen))
        exchange.start(200, told + counted(holder.admitted))
        return part

    def _counts(self, wanted: Playback) -> bool:
        """Is what was received more than the pieces that someone who seeks leaves behind?"""
        ask, requested = wanted.ask, wanted.requested
        if requested.completes:
            self._partials.completed(ask.user_id, ask.session_id)
            return True
        return self._partials.counts(ask.user_id, ask.session_id, ask.stream_id, requested.begun)

    async def _play_entry(self, wanted: Entry, decision: Admitted, exchange: Exchange) -> None:
        """As any playlist: it takes no seat, but who could not be issued a segment was refused here already."""
        told = lines(wanted.headers() | reservations(decision)) + self._cookies(wanted.ask, decision)
        exchange.start(200, told)
        sending = None if wanted.is_head else exchange.part(wanted.content)
        if sending is not None:
            await sending
        exchange.end()

    def _cookies(self, ask: Ask, decision: Admitted) -> bytes:
        """Lines by which another party opens the stream's media: for whoever holds a seat on it, and nobody else."""
        session = decision.session
        if self._cookies_of is None or session is None or session.stream_id != ask.stream_id:
            return b""
        return b"".join(b"set-cookie: %b\r\n" % cookie.encode("latin-1") for cookie in self._cookies_of(ask.stream_id))

    def _play_other(self, wanted: Playback, decision: Admitted, exchange: Exchange) -> Answer[None]:
        """What is no media takes no seat, but who could not be issued a segment was refused here already."""
        requested, body = wanted.requested, wanted.requested.part.body
        told = lines(requested.headers() | reservations(decision))
        if requested.is_playlist:
            told += self._cookies(wanted.ask, decision)
        exchange.start(requested.status, told)
        if requested.is_head or requested.is_unchanged:
            exchange.end()
            return None
        if body.content is None or wire_of(exchange).is_closing:
            return _send_other(requested, exchange)
        sending = exchange.part(memoryview(body.content)[requested.part.first : requested.part.last + 1])
        if sending is not None:
            return _ended_after(sending, exchange)
        exchange.end()
        return None

    def _stream(self, stream_id: str) -> Stream:
        if self._catalog is None:
            raise UnknownStream("no streams are set here")
        return self._catalog.stream(stream_id)

    def _segment(self, stream: Stream, name: str) -> Segment:
        assert self._catalog is not None
        segment = stream.find(name) or as_spelled(stream, name)
        if segment is None and stream.live:  # the playlist on disk may be newer than what we know
            segment = self._catalog.stream(stream.stream_id, fresh=True).find(name)
        if segment is None:
            raise UnknownSegment("the stream has no segment of that name")
        return segment

    def _open(self, stream: Stream, path: str) -> Body:
        assert self._files is not None
        return self._files.open(stream, path)


async def _send_other(requested: Requested, exchange: Exchange) -> None:
    wire = wire_of(exchange)
    for chunk in requested.part.body.chunks(requested.part.first, requested.part.last):
        if wire.is_closing:
            raise NotReceived  # what is sent from now on is thrown away
        sending = exchange.part(chunk)
        if sending is not None:
            await sending
    exchange.end()


async def _ended_after(sending: Awaitable[None], exchange: Exchange) -> None:
    await sending
    exchange.end()


async def _leave(verdict: Awaitable[Verdict], exchange: Exchange) -> None:
    await verdict
    exchange.end()


def _end(exchange: Exchange, verdict: Verdict | Exception) -> Exception | None:
    """The receipt is in the store: the connection's next request sees the outcome."""
    if isinstance(verdict, Exception):
        return verdict
    exchange.end()
    return None


def as_spelled(stream: Stream, text: str) -> Segment | None:
    """The segment whose name our header spelled so."""
    found = stream.find(unquote(text)) if "%" in text else None
    return found if found is not None and spelled(found.name) == text else None


def next_of(stream: Stream, holder: LeaseHolder) -> Segment | LiveEdge | None:
    """The segment after the last that this session received of this stream; the first after a move."""
    session = holder.admitted.session
    is_here = session is not None and session.stream_id == stream.stream_id  # none: let through by a dry run
    return stream.after(session.sequence if session is not None and is_here else None)


def require(caller: Caller, form: SegmentForm, place: str) -> None:
    """Raises 403 where the credential is for others than the form names."""
    caller.require_session(form.user_id, form.session_id)
    caller.require_stream(form.stream_id)
    caller.require_replacement(form.replace)
    caller.require_place(place)


def _whole(body: Body, segment: Segment) -> tuple[Part, bytes]:
    """All of a segment, and headers that are the same for everyone who gets it."""
    first = segment.first or 0
    last = body.size - 1 if segment.last is None else segment.last
    part = Part(body, first, last, (segment,), issued(segment))
    kind = {"Content-Type": segment.media_type, "Content-Length": str(part.length), "Cache-Control": "no-store"}
    return part, lines(kind) + named(segment.name, segment.sequence)


def nothing(edge: LiveEdge | None) -> dict[str, str]:
    """What a 204 says: the stream is over, or its live edge is reached."""
    if edge is None:
        return {"Streamlimit-End": "true"}
    return {"Retry-After": str(max(math.ceil(edge.wait_ms / 1_000), 1))}
