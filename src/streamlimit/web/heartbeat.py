"""`POST …/heartbeat`: a lease without bytes, where another party moves them. Admitted and confirmed, or refused."""

import msgspec

from streamlimit.errors import Refused
from streamlimit.model import Admitted, Ask, Confirmed, Decision, Receipt, Refusal, Verdict
from streamlimit.store.contract import resolved
from streamlimit.web.address import client_digest, client_place
from streamlimit.web.forms import HeartbeatForm, bad_id, is_id, read_form
from streamlimit.web.http import Receive, Scope, Send, header, read_json_body, send_whole
from streamlimit.web.problems import Problem
from streamlimit.web.render import reservations, session_json
from streamlimit.web.service import Service

_encode = msgspec.json.Encoder().encode

CALL = "POST /v1/users/{user_id}/sessions/{session_id}/heartbeat"
PREFIX, SUFFIX = "/v1/users/", "/heartbeat"


def is_heartbeat(path: str) -> bool:
    """Is the path `/v1/users/<user_id>/sessions/<session_id>/heartbeat`?"""
    return path.endswith(SUFFIX) and path.startswith(PREFIX) and path.count("/") == 6 and "/sessions/" in path


class Heartbeat:
    """An ASGI callable; errors are raised, not sent."""

    def __init__(self, service: Service) -> None:
        self._limiter, self._catalog = service.limiter, service.catalog
        self._doorman, self._plans, self._counts = service.doorman, service.plans, service.store.counts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST":
            raise Problem("method-not-allowed", "POST it", headers={"Allow": "POST, OPTIONS"})
        _, _, _, user_id, _, session_id, _ = scope["path"].split("/")
        for name, value in (("user_id", user_id), ("session_id", session_id)):
            if not is_id(value):
                raise Problem("malformed", bad_id(name), {"field": name})
        caller = await self._doorman.identify(header(scope, b"authorization"))
        caller.require(CALL)
        form = read_form(HeartbeatForm, await read_json_body(scope, receive))
        caller.require_session(user_id, session_id)
        caller.require_stream(form.stream_id)
        if caller.place is not None:
            caller.require_place(client_place(scope))
        if self._catalog is not None:
            self._catalog.stream(form.stream_id)
        ask = Ask(
            user_id,
            session_id,
            form.stream_id,
            client=client_digest(scope),
            **caller.terms(None, self._plans.limit_of(caller, form.plan)),
        )
        admitted, confirmed = await self._beat(ask)
        headers: dict[str, str] = {"Content-Type": "application/json", "Cache-Control": "no-store"}
        if confirmed.degraded and not admitted.degraded:
            self._counts.degraded += 1  # the store went away between the two
            headers["Streamlimit-Degraded"] = "true"
        headers |= reservations(admitted)
        await send_whole(send, 200, headers, _encode(session_json(confirmed.session)))

    async def _beat(self, ask: Ask) -> tuple[Admitted, Confirmed]:
        decision: Decision = await resolved(self._limiter.admit(ask))
        if isinstance(decision, Refusal):
            raise Refused(decision, ask)
        assert decision.lease is not None  # not a check
        verdict: Verdict = await resolved(self._limiter.confirm(Receipt(decision.lease)))
        if not isinstance(verdict, Confirmed):
            raise Problem("unknown-session", "the session went away at this moment")
        return decision, verdict
