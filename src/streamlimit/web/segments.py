"""Endpoint 1, `POST /v1/segments`: the caller, the segment, and the rights. `responder.py` answers."""

import re

import msgspec
from msgspec import Struct

from streamlimit.delivery.segment import Segment
from streamlimit.delivery.stream import Stream
from streamlimit.errors import UnknownSegment
from streamlimit.http.exchange import Exchange
from streamlimit.http.request import Request
from streamlimit.model import Device, Label, Purpose
from streamlimit.store.contract import Answer, resolved
from streamlimit.web.address import digest_of, place_at
from streamlimit.web.auth import BOUND, Caller
from streamlimit.web.forms import Id, SegmentName, read_form
from streamlimit.web.incoming import json_of, wrong_method
from streamlimit.web.responder import Responder
from streamlimit.web.rights import RIGHTS
from streamlimit.web.service import Service
from streamlimit.web.wanted import Issue, as_spelled, streams_here

_LEASE = Purpose.LEASE  # looked up once
CALL, JSON = "POST /v1/segments", b"application/json"


class SegmentForm(Struct, frozen=True, forbid_unknown_fields=True):
    """`POST /v1/segments`."""

    user_id: Id
    session_id: Id
    stream_id: Id
    segment: SegmentName | None = None
    device: Label | Device | None = None
    replace: Id | None = None
    plan: Label | None = None


_decode_segment = msgspec.json.Decoder(SegmentForm).decode
_PLAIN_ID = r"(?!\.{1,2}(?:\n|\Z))[ !-.0-\[\]-~]{1,128}"
_are_plain_ids = re.compile(rf"{_PLAIN_ID}(?:\n{_PLAIN_ID}){{2}}").fullmatch


def read_segment_form(body: bytes) -> SegmentForm:
    """As `read_form(SegmentForm, body)`, faster: ids of ASCII, as most are, are checked in one step."""
    try:
        form = _decode_segment(body)
        if form.replace is None and _are_plain_ids(f"{form.user_id}\n{form.session_id}\n{form.stream_id}"):
            return form
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass  # `read_form` says what is wrong
    return read_form(SegmentForm, body)


class Segments:
    """The handler of Endpoint 1; errors are raised, not sent."""

    def __init__(self, service: Service, responder: Responder) -> None:
        self._limiter, self._authenticator, self._plans = service.limiter, service.authenticator, service.plans
        self._catalog, self._streams, self._responder = service.catalog, service.streams, responder
        self._stream = streams_here(service)

    def __call__(self, request: Request, exchange: Exchange, caller: Caller | None = None) -> Answer[None]:
        """Answers with the named segment, or the next one. *caller*: where it is identified already."""
        if request.method != "POST":
            raise wrong_method("POST")
        caller = caller or self._authenticator.recall(request.fields.get(b"authorization"))
        if caller is None:
            return self._of_stranger(request, exchange)
        if caller.role not in RIGHTS[CALL]:
            caller.require(CALL)
        body, client = request.body, request.client
        if body is None or request.fields.get(b"content-type") != JSON:
            body = json_of(request)
        form = read_segment_form(body)
        place = "" if caller.place is None else place_at(client)
        wanted = self.issue(form, caller, digest_of(client[0]) if client else "", place)
        return self._responder.answer(wanted, exchange)

    async def _of_stranger(self, request: Request, exchange: Exchange) -> None:
        caller = await self._authenticator.identify(request.fields.get(b"authorization"))
        await resolved(self(request, exchange, caller))

    def issue(self, form: SegmentForm, caller: Caller, client: str, place: str) -> Issue:
        """The segment that *form* asks for, for a client at that address. Raises 403 and 404."""
        if caller.role in BOUND:
            caller.require_own(form.user_id, form.session_id, form.stream_id, form.replace)
            caller.require_place(place)
        stream, name = self._stream(form.stream_id), form.segment
        named = None if name is None else stream.names.get(name) or self._segment(stream, name)
        plan_limit = None if form.plan is None else self._plans.limit_of(caller.role, form.plan)
        ask = caller.ask(
            form.user_id,
            form.session_id,
            form.stream_id,
            _LEASE,
            client,
            next(self._limiter.lease_ids),
            device=form.device,
            replace=form.replace,
            plan=form.plan,
            plan_limit=plan_limit,
            kind="video" if named is None else named.kind,
            sequence=None if named is None else named.sequence,
            part=0 if named is None else named.part,
            wants_next=named is None,
        )
        return Issue(ask, stream, named)

    def _segment(self, stream: Stream, name: str) -> Segment:
        segment = stream.find(name) or as_spelled(stream, name)
        if segment is None and stream.live and self._catalog is not None:
            # The playlist on disk may be newer than the known one.
            segment = self._catalog.stream(stream.stream_id, fresh=True).find(name)
        if segment is None:
            raise UnknownSegment("the stream has no segment of that name")
        return segment
