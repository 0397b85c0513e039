"""`POST …/heartbeat`: a lease without bytes, where another party moves them. Admitted and confirmed, or refused."""

from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import asdict, replace

from streamlimit.delivery.entrusted import receipt_of
from streamlimit.delivery.naming import Place
from streamlimit.document import rfc3339
from streamlimit.errors import Refused, UnknownSession
from streamlimit.model import Admitted, Ask, Confirmed, Decision, Device, Lease, Refusal, Session, State, Verdict
from streamlimit.rules.beat import beaten
from streamlimit.store.contract import Answer, resolved
from streamlimit.web.address import client_digest, client_place
from streamlimit.web.auth import Caller
from streamlimit.web.forms import HeartbeatForm, read_form
from streamlimit.web.http import (
    Receive,
    Scope,
    Send,
    content_type,
    header,
    not_json,
    read_body,
    require_json,
    send_whole,
)
from streamlimit.web.problems import Problem
from streamlimit.web.render import reservations
from streamlimit.web.service import Service
from streamlimit.web.spelling import id_in_path, raw_path

CALL = "POST /v1/users/{user_id}/sessions/{session_id}/heartbeat"
PREFIX, SUFFIX = "/v1/users/", "/heartbeat"
HEADERS = {"Content-Type": "application/json", "Cache-Control": "no-store"}


def is_heartbeat(path: str) -> bool:
    """Is the path `/v1/users/<user_id>/sessions/<session_id>/heartbeat`?"""
    return path.endswith(SUFFIX) and path.startswith(PREFIX) and path.count("/") == 6 and "/sessions/" in path


class Shown(Struct, frozen=True):
    """The `session` of api.md, as `session_json`, in a form that is written faster."""

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


_encode = msgspec.json.Encoder().encode


def shown(session: Session) -> bytes:
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
        )
    )


class Heartbeat:
    """An ASGI callable; errors are raised, not sent."""

    def __init__(self, service: Service) -> None:
        self._limiter, self._streams = service.limiter, service.streams
        self._doorman, self._plans = service.doorman, service.plans

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST":
            raise Problem("method-not-allowed", "POST it", headers={"Allow": "POST, OPTIONS"})
        user_id, session_id = ids_in(raw_path(scope))
        form, caller = await self._read(scope, receive)
        caller.require_session(user_id, session_id)
        ask = Ask(user_id, session_id, **self.terms(form, caller, scope))
        if form.segment is None:
            await self.answer(self.begin(ask), ask, send)
        else:
            place = self._streams.place(form.stream_id, form.segment)
            await self.answer(await self._beat_at(ask, place), ask, send)

    async def _read(self, scope: Scope, receive: Receive) -> tuple[HeartbeatForm, Caller]:
        """What is asked, and who asks: a grant in the body counts before the header. Only with one may it be a text."""
        authorization = header(scope, b"authorization")
        caller = await self._doorman.identify(authorization)
        is_text = content_type(scope) == "text/plain"
        if authorization is not None:
            caller.require(CALL)
        if not is_text:
            require_json(scope)
        body = await read_body(scope, receive)
        if b'"grant"' not in body:
            caller.require(CALL)  # who may not ask is not told what is wrong with it
        form = read_form(HeartbeatForm, body)
        if form.grant is not None:
            caller = self._doorman.identify_grant(form.grant)
        caller.require(CALL)
        if is_text and form.grant is None:
            raise not_json()
        return form, caller

    def terms(self, form: HeartbeatForm, caller: Caller, scope: Scope) -> dict[str, Any]:
        """What the store is asked beside whose session it is. Raises 403 where the credential is for other streams."""
        caller.require_stream(form.stream_id)
        caller.require_replacement(form.replace)
        if caller.place is not None:
            caller.require_place(client_place(scope))
        terms = caller.terms(form.device, self._plans.limit_of(caller, form.plan), form.plan)
        return {"stream_id": form.stream_id, "client": client_digest(scope), "replace": form.replace} | asdict(terms)

    def begin(self, ask: Ask) -> Answer[Decision]:
        """The decision, or what will be one. Raises `UnknownStream`, `StoreUnavailable`."""
        self._streams.require_beatable(ask.stream_id)
        return self._limiter.beat(ask)

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

    async def answer(self, coming: Answer[Decision] | Exception, ask: Ask, send: Send) -> None:
        """Tells the decision. Raises `Refused`, `UnknownSession`, or the error itself."""
        if isinstance(coming, Exception):
            raise coming
        decision: Decision = await resolved(coming)
        if isinstance(decision, Refusal):
            raise Refused(decision, ask)
        await send_whole(send, 200, HEADERS | reservations(decision), shown(seated(decision)))


def ids_in(path: str) -> tuple[str, str]:
    """User and session of the path, as it was sent. Raises `malformed`."""
    parts = path.split("/")
    return id_in_path("user_id", parts[3]), id_in_path("session_id", parts[5])


def seated(admitted: Admitted) -> Session:
    """The session. Raises `UnknownSession` where a dry run let it through without recording it."""
    if admitted.session is None:
        raise UnknownSession("the session is not recorded: too many of this user are")
    return admitted.session
