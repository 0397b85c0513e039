"""`POST …/heartbeat`: a lease without bytes, where another party moves them. Admitted and confirmed, or refused."""

from collections.abc import Awaitable

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from streamlimit.delivery.entrusted import receipt_of
from streamlimit.delivery.naming import Place
from streamlimit.document import rfc3339
from streamlimit.errors import Refused, UnknownSession
from streamlimit.http.exchange import Exchange
from streamlimit.http.request import Peer, Request
from streamlimit.model import Admitted, Ask, Confirmed, Decision, Device, Lease, Refusal, Session, State, Verdict
from streamlimit.rules.beat import beaten
from streamlimit.store.contract import is_coming, resolved
from streamlimit.web.address import digest_at, place_at
from streamlimit.web.auth import Caller
from streamlimit.web.forms import HeartbeatForm, read_form
from streamlimit.web.http import bare_kind, body_of, not_json, require_kind
from streamlimit.web.problems import Problem
from streamlimit.web.render import lines, reservations
from streamlimit.web.service import Service
from streamlimit.web.spelling import id_in_path

CALL = "POST /v1/users/{user_id}/sessions/{session_id}/heartbeat"
PREFIX, SUFFIX = "/v1/users/", "/heartbeat"
HEADERS = lines({"Content-Type": "application/json", "Cache-Control": "no-store"})


def is_heartbeat(path: str) -> bool:
    """Is the path `/v1/users/<user_id>/sessions/<session_id>/heartbeat`?"""
    return path.endswith(SUFFIX) and path.startswith(PREFIX) and path.count("/") == 6 and "/sessions/" in path


class Shown(Struct, frozen=True):
    """The `session` of api.md, as `session_json`, in a form that is written faster; and how often a player shall beat,
    and after how long without a beat or a segment its seat is free.
    """

    session_id: str
    user_id: str
    stream_id: str
    state: State
    device: str | Device | None
    segment: str | None
    sequence: int | None
    started_at: str
    last_activity_at: str | None
    expires_at: str
    plan: str | None
    limit: int | None
    heartbeat_seconds: float
    silent_after_seconds: float


_encode = msgspec.json.Encoder().encode


def shown(session: Session, heartbeat_seconds: float, silent_after_seconds: float) -> bytes:
    """The answer's body."""
    last_ms = session.last_activity_ms
    return _encode(
        Shown(
            session.session_id,
            session.user_id,
            session.stream_id,
            session.state,
            session.device,
            session.segment,
            session.sequence,
            rfc3339(session.started_at_ms),
            None if last_ms is None else rfc3339(last_ms),
            rfc3339(session.expires_at_ms),
            session.plan,
            session.limit,
            heartbeat_seconds,
            silent_after_seconds,
        )
    )


class Heartbeat:
    """Handles requests; errors are raised, not sent."""

    def __init__(self, service: Service) -> None:
        self._limiter, self._streams = service.limiter, service.streams
        self._authenticator, self._plans = service.authenticator, service.plans
        self._times = _seconds(service.policy.segment_ms), _seconds(service.policy.expiry_ms)

    def __call__(self, request: Request, exchange: Exchange) -> Awaitable[None] | None:
        if request.method != "POST":
            raise Problem("method-not-allowed", "POST it", headers={"Allow": "POST, OPTIONS"})
        ids = ids_in(request.raw_path)
        caller = self._authenticator.recall(request.header(b"authorization"))
        if caller is None:
            return self._of_stranger(ids, request, exchange)
        return self._beat(ids, caller, request, exchange)

    async def _of_stranger(self, ids: tuple[str, str], request: Request, exchange: Exchange) -> None:
        caller = await self._authenticator.identify(request.header(b"authorization"))
        beating = self._beat(ids, caller, request, exchange)
        if beating is not None:
            await beating

    def _beat(
        self, ids: tuple[str, str], caller: Caller, request: Request, exchange: Exchange
    ) -> Awaitable[None] | None:
        form, caller = self._read(caller, request)
        caller.require_session(*ids)
        ask = self._ask(ids, form, caller, request.client)
        if self._streams.is_remote:
            return self._beat_remote(ask, form, exchange)
        if form.segment is not None:
            place = self._streams.place(form.stream_id, form.segment)
            return self._answer_later(self._beat_at(ask, place), ask, exchange)
        self._streams.require_beatable(ask.stream_id)
        coming = self._limiter.beat(ask)
        if is_coming(coming):
            return self._answer_later(coming, ask, exchange)
        self._answer(coming, ask, exchange)
        return None

    async def _beat_remote(self, ask: Ask, form: HeartbeatForm, exchange: Exchange) -> None:
        """The same of a stream that an origin has to be asked for."""
        if form.segment is None:
            await self._streams.look(ask.stream_id)
            self._streams.require_beatable(ask.stream_id)
            self._answer(await resolved(self._limiter.beat(ask)), ask, exchange)
            return
        await self._streams.look_for(ask.stream_id, form.segment)
        self._answer(await self._beat_at(ask, self._streams.place(ask.stream_id, form.segment)), ask, exchange)

    def _read(self, caller: Caller, request: Request) -> tuple[HeartbeatForm, Caller]:
        """What is asked, and who asks: a grant in the body counts before the header. Only with one may it be a text."""
        kind = request.header(b"content-type")
        is_text = kind != "application/json" and bare_kind(kind) == "text/plain"
        if b"authorization" in request.fields:
            caller.require(CALL)
        if not is_text:
            require_kind(kind)
        body = body_of(request)
        if b'"grant"' not in body:
            caller.require(CALL)  # who may not ask is not told what is wrong with it
        form = read_form(HeartbeatForm, body)
        if form.grant is not None:
            caller = self._authenticator.identify_grant(form.grant)
            caller.require(CALL)
        elif is_text:
            raise not_json()
        return form, caller

    def _ask(self, ids: tuple[str, str], form: HeartbeatForm, caller: Caller, client: Peer) -> Ask:
        """What the limiter is asked. Raises 403 where the credential is for other streams or another place."""
        caller.require_stream(form.stream_id)
        caller.require_replacement(form.replace)
        if caller.place is not None:
            caller.require_place(place_at(client))
        terms = caller.terms(form.device, self._plans.limit_of(caller, form.plan), form.plan)
        return Ask(
            *ids,
            form.stream_id,
            client=digest_at(client),
            device=terms.device,
            replace=form.replace,
            limit=terms.limit,
            may_start=terms.may_start,
            granted=terms.granted,
            grant_generation=terms.grant_generation,
            plan=terms.plan,
            play=terms.play,
        )

    async def _beat_at(self, ask: Ask, place: Place) -> Decision:
        """A heartbeat, and the receipt of the segment that it names: by the play that plays, where it names none."""
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
        # Whoever is known is answered before the store has the receipt: what it is about to say of the place.
        session = replace(verdict.session, segment=place.name, sequence=place.sequence)
        return replace(decision, session=session, degraded=decision.degraded or verdict.degraded)

    async def _answer_later(self, coming: Awaitable[Decision], ask: Ask, exchange: Exchange) -> None:
        self._answer(await coming, ask, exchange)

    def _answer(self, decision: Decision, ask: Ask, exchange: Exchange) -> None:
        """Tells the decision. Raises `Refused`, `UnknownSession`."""
        if isinstance(decision, Refusal):
            raise Refused(decision, ask)
        said = lines(reservations(decision)) if decision.degraded or decision.would_refuse is not None else b""
        exchange.whole(200, HEADERS + said, shown(seated(decision), *self._times))


def _seconds(ms: int) -> float:
    return ms // 1_000 if ms % 1_000 == 0 else ms / 1_000


def ids_in(path: str) -> tuple[str, str]:
    """User and session of the path, as it was sent. Raises `malformed`."""
    parts = path.split("/")
    return id_in_path("user_id", parts[3]), id_in_path("session_id", parts[5])


def seated(admitted: Admitted) -> Session:
    """The session. Raises `UnknownSession` where a dry run let it through without recording it."""
    if admitted.session is None:
        raise UnknownSession("the session is not recorded: too many of this user are")
    return admitted.session
