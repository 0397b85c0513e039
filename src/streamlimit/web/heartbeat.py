"""`POST …/heartbeat`: a lease without bytes, where another party moves them. Admitted and confirmed, or refused."""

import re
from functools import lru_cache, partial

import msgspec
from msgspec.structs import replace

from streamlimit.delivery.entrusted import receipt_of
from streamlimit.delivery.naming import Place
from streamlimit.document import session_document
from streamlimit.errors import Refused, UnknownSession
from streamlimit.http.exchange import Exchange
from streamlimit.http.request import Peer, Request
from streamlimit.model import Admitted, Ask, Confirmed, Decision, Lease, Purpose, Refusal, Session, Verdict
from streamlimit.rules.beat import beaten
from streamlimit.store.contract import Answer, resolved
from streamlimit.store.deferred import then
from streamlimit.web.address import digest_of, place_at
from streamlimit.web.auth import BOUND, Caller
from streamlimit.web.forms import HeartbeatForm, read_form
from streamlimit.web.headers import lines, reservations
from streamlimit.web.incoming import bare_kind, body_of, not_json, require_kind, wrong_method
from streamlimit.web.rights import RIGHTS
from streamlimit.web.service import Service
from streamlimit.web.spelling import id_in_path

CALL = "POST /v1/users/{user_id}/sessions/{session_id}/heartbeat"
JSON, COMMON = b"application/json", 256
"""The content type of common bodies, and their most bytes: such bodies are much the same for all viewers of a stream.
"""

MAY_BEAT, _LEASE = RIGHTS[CALL], Purpose.LEASE  # looked up once
HEADERS = lines({"Content-Type": "application/json", "Cache-Control": "no-store"})


is_heartbeat = re.compile(r"/v1/users/[^/]*/sessions/[^/]*/heartbeat").fullmatch
"""Is a path that of a heartbeat?"""

_ID = rb"(?!\.{1,2}/)([!-\"$&-.0->@-\[\]-~]{1,128})"
_plain_ids = re.compile(rb"/v1/users/%b/sessions/%b/heartbeat" % (_ID, _ID)).fullmatch
"""Matches the path of a heartbeat with plain ids: of ASCII, without percent-encoding, as nearly all are."""


_encode = msgspec.json.Encoder().encode


@lru_cache(maxsize=4_096)
def read_common_beat(body: bytes) -> HeartbeatForm:
    """The form in *body*, cached: decoding one takes 1.5 µs, a look-up 0.2."""
    return read_form(HeartbeatForm, body)


class Heartbeat:
    """The handler of heartbeats; errors are raised, not sent."""

    def __init__(self, service: Service) -> None:
        self._limiter, self._streams = service.limiter, service.streams
        self._authenticator, self._plans = service.authenticator, service.plans
        self._require_stream = service.streams.require_beatable
        policy = service.policy
        times = {"heartbeat_seconds": _seconds(policy.segment_ms), "silent_after_seconds": _seconds(policy.expiry_ms)}
        self._times = b"," + _encode(times)[1:]  # the end of every answer, behind the session's fields

    def __call__(self, request: Request, exchange: Exchange, caller: Caller | None = None) -> Answer[None]:
        """Answers a heartbeat. *caller*: where it is identified already."""
        if request.method != "POST":
            raise wrong_method("POST")
        plain = _plain_ids(request.target)
        ids = ids_in(request.raw_path) if plain is None else (plain[1].decode(), plain[2].decode())
        caller = caller or self._authenticator.recall(request.fields.get(b"authorization"))
        if caller is None:
            return self._of_stranger(request, exchange)
        body, form = request.body or b"", None
        if len(body) <= COMMON and request.fields.get(b"content-type") == JSON and b'"grant"' not in body:
            if caller.role not in MAY_BEAT:
                caller.require(CALL)  # a caller without the right does not learn what is wrong with the request
            form = read_common_beat(body)
        if form is None or form.grant is not None:
            form, caller = self._read(caller, request)
        ask = self._ask(ids, form, caller, request.client)
        if self._streams.is_remote:
            return self._beat_remote(ask, form, exchange)
        if form.segment is not None:
            place = self._streams.place(form.stream_id, form.segment)
            return then(self._beat_at(ask, place), partial(self._answer, ask, exchange))
        self._require_stream(ask.stream_id)
        decision = self._limiter.beat(ask)
        if isinstance(decision, Admitted):  # nearly all
            self._answer(ask, exchange, decision)
            return None
        return then(decision, partial(self._answer, ask, exchange))

    async def _of_stranger(self, request: Request, exchange: Exchange) -> None:
        caller = await self._authenticator.identify(request.fields.get(b"authorization"))
        await resolved(self(request, exchange, caller))

    async def _beat_remote(self, ask: Ask, form: HeartbeatForm, exchange: Exchange) -> None:
        """As `__call__`, for a stream that has to be looked up at an origin."""
        if form.segment is None:
            await self._streams.look(ask.stream_id)
            self._streams.require_beatable(ask.stream_id)
            self._answer(ask, exchange, await resolved(self._limiter.beat(ask)))
            return
        await self._streams.look_for(ask.stream_id, form.segment)
        self._answer(ask, exchange, await self._beat_at(ask, self._streams.place(ask.stream_id, form.segment)))

    def _read(self, caller: Caller, request: Request) -> tuple[HeartbeatForm, Caller]:
        """The form and the caller: a grant in the body goes before the header, and allows `text/plain`."""
        kind = request.header(b"content-type")
        is_text = kind != "application/json" and bare_kind(kind) == "text/plain"
        if b"authorization" in request.fields:
            caller.require(CALL)
        if not is_text:
            require_kind(kind)
        body = body_of(request)
        if b'"grant"' not in body:
            caller.require(CALL)  # a caller without the right does not learn what is wrong with the request
        form = read_form(HeartbeatForm, body)
        if form.grant is not None:
            caller = self._authenticator.identify_grant(form.grant)
            caller.require(CALL)
        elif is_text:
            raise not_json()
        return form, caller

    def _ask(self, ids: tuple[str, str], form: HeartbeatForm, caller: Caller, client: Peer) -> Ask:
        """The question to the limiter. Raises 403 where the credential is for other streams or another network."""
        user_id, session_id = ids
        if caller.role in BOUND:
            caller.require_own(user_id, session_id, form.stream_id, form.replace)
            if caller.place is not None:
                caller.require_place(place_at(client))
        plan_limit = None if form.plan is None else self._plans.limit_of(caller.role, form.plan)
        return caller.ask(
            user_id,
            session_id,
            form.stream_id,
            _LEASE,
            digest_of(client[0]) if client else "",
            device=form.device,
            replace=form.replace,
            plan=form.plan,
            plan_limit=plan_limit,
        )

    async def _beat_at(self, ask: Ask, place: Place) -> Decision:
        """A heartbeat with the receipt of the segment that it names; without a play it is of the current one."""
        ask = replace(ask, kind=place.kind, sequence=place.sequence, part=place.part)
        decision: Decision = await resolved(self._limiter.beat(ask))
        if isinstance(decision, Refusal) or decision.session is None:
            return decision
        session = decision.session
        if not ask.play and session.play:
            ask = replace(ask, play=session.play)
        lease = Lease(ask, session.generation, session.move, session.last_activity_ms or 0)
        verdict: Verdict = await resolved(self._limiter.confirm(receipt_of(lease, place)))
        if not isinstance(verdict, Confirmed):
            return beaten(decision, verdict, ask)
        # A cached session is answered before the store has the receipt, so the answer shows the new position.
        session = replace(verdict.session, segment=place.name, sequence=place.sequence)
        return replace(decision, session=session, degraded=decision.degraded or verdict.degraded)

    def _answer(self, ask: Ask, exchange: Exchange, decision: Decision) -> None:
        """Sends the decision. Raises `Refused`, `UnknownSession`."""
        if isinstance(decision, Refusal):
            raise Refused(decision, ask)
        said = lines(reservations(decision)) if decision.degraded or decision.would_refuse is not None else b""
        session = _encode(session_document(decision.session or seated(decision)))
        exchange.whole(200, HEADERS + said, session[:-1] + self._times)


def _seconds(ms: int) -> float:
    return ms // 1_000 if ms % 1_000 == 0 else ms / 1_000


def ids_in(path: str) -> tuple[str, str]:
    """The user and session ids in a raw path. Raises `malformed`."""
    parts = path.split("/")
    return id_in_path("user_id", parts[3]), id_in_path("session_id", parts[5])


def seated(admitted: Admitted) -> Session:
    """The admitted session. Raises `UnknownSession` where a dry run admitted it without recording it."""
    if admitted.session is None:
        raise UnknownSession("the session is not recorded: too many of this user are")
    return admitted.session
