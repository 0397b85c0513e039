"""`/edge/adobe/v2/…`: Adobe Concurrency Monitoring v2, as its apps speak it. A session there is a session here."""

import binascii
import math
import secrets
import time
from base64 import b64decode
from collections.abc import Mapping
from typing import Any

import msgspec

from streamlimit.edge import adobe_words as words
from streamlimit.edge.answer import noted
from streamlimit.edge.holding import Holding
from streamlimit.edge.throttle import Throttle
from streamlimit.errors import Refused
from streamlimit.http.asgi import Receive, Scope, Send
from streamlimit.model import Admitted, Ask, Decision, Refusal, Roster
from streamlimit.store.contract import resolved
from streamlimit.web.address import client_digest
from streamlimit.web.incoming import header, read_body
from streamlimit.web.outgoing import send_whole
from streamlimit.web.problems import Problem, problem_of
from streamlimit.web.service import Service
from streamlimit.web.spelling import id_in_path, raw_path

ROUTE, PREFIX = "/edge/adobe", "/edge/adobe/v2/"
CALLS_A_MINUTE = 200
LIFE = 1.5
"""Intervals after its last call for which a session is held: the hosted product's 90 s of 60."""

RANDOM = 24
NO_STORE = {"Cache-Control": "no-store"}
CHALLENGE = {"WWW-Authenticate": 'Basic realm="application id"'}
GONE = frozenset({"grant-expired", "grant-ended"})
LATER = frozenset({"too-many-requests", "too-many-visits"})


class Adobe:
    """An ASGI callable. What its apps read is answered their way; other errors are raised, not sent."""

    def __init__(self, service: Service) -> None:
        settings = service.settings
        self._limiter, self._streams, self._grants = service.limiter, service.streams, service.grants
        self._tally, self._settings, self._is_open = service.tally, settings.adobe, settings.auth == "open"
        self._life = LIFE * settings.adobe.interval_seconds
        self._holding = Holding(service.limiter, service.policy.expiry_ms / 1_000, self._life)
        self._throttle = Throttle(CALLS_A_MINUTE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not scope["path"].startswith(PREFIX):
            raise Problem("not-found", "there is no such edge")
        self._require_application(scope)
        match raw_path(scope).removeprefix(PREFIX).split("/"):
            case ["metadata"]:
                _require_method(scope, "GET")
                await _answer(send, 200, document=[self._settings.stream_attribute])
            case ["runningStreams", idp, subject]:
                _require_method(scope, "GET")
                await self._running(words.user_of(idp, subject), send)
            case ["sessions", idp, subject]:
                _require_method(scope, "POST")
                await self._create(words.user_of(idp, subject), scope, receive, send)
            case ["sessions", idp, subject, session]:
                _require_method(scope, "POST", "DELETE")
                ids = words.user_of(idp, subject), self._issued(words.user_of(idp, subject), session)
                await self._go_on(*ids, scope, receive, send)
            case _:
                raise Problem("not-found", "Concurrency Monitoring has no such call here")

    async def _create(self, user_id: str, scope: Scope, receive: Receive, send: Send) -> None:
        """A session counts at once."""
        if await self._is_throttled(user_id, send):
            return
        metadata = words.metadata_of(scope["query_string"], await read_body(scope, receive))
        channel = metadata.get(self._settings.stream_attribute)
        if not channel:
            await _answer(send, 400, document=words.METADATA_WANTED)
            return
        stream_id = words.stream_of(channel)
        await self._streams.look(stream_id)
        self._streams.require_beatable(stream_id)
        codes = header(scope, b"x-terminate")
        replace = None if not codes else words.session_called(codes, await self._roster(user_id))
        ids, client = (user_id, self._new_id(user_id), stream_id), client_digest(scope)
        ask = Ask(*ids, device=words.device_of(metadata), client=client, replace=replace)
        await self._beat(ask, send, {"Location": ask.session_id})

    async def _go_on(self, user_id: str, session_id: str, scope: Scope, receive: Receive, send: Send) -> None:
        """A heartbeat, or the end."""
        if await self._is_throttled(f"{user_id}\n{session_id}", send):
            return
        if scope["method"] == "DELETE":
            self._holding.let_go(user_id, session_id)
            events = await resolved(self._limiter.end(user_id, session_id))
            has_ended = any(event.type == "session.ended" for event in events)  # else it had expired, or there is none
            await _answer(send, 202 if has_ended else 410)
            return
        await read_body(scope, receive)  # what it adds is kept nowhere; the channel cannot be changed
        stream_id = self._holding.stream_of(user_id, session_id) or await self._stream_of(user_id, session_id)
        ask = Ask(user_id, session_id, stream_id, client=client_digest(scope), may_start=False)
        await self._beat(ask, send)

    async def _beat(self, ask: Ask, send: Send, headers: Mapping[str, str] | None = None) -> None:
        decision: Decision = await resolved(self._limiter.beat(ask))
        if isinstance(decision, Refusal):
            await self._refuse(decision, ask, send)
            return
        self._hold(decision)
        await _answer(send, 202, {"Expires": self._after(self._settings.interval_seconds), **(headers or {})})

    async def _refuse(self, refusal: Refusal, ask: Ask, send: Send) -> None:
        problem = noted(problem_of(Refused(refusal, ask)), self._tally, "POST", ROUTE)
        if refusal.code in GONE:
            await _answer(send, 410)
        elif refusal.mark is not None:
            roster = await self._roster(ask.user_id)
            await _answer(send, 410, document=words.remote_termination(refusal.mark, roster))
        elif refusal.code in LATER:
            await _answer(send, 429, {"Expires": self._after(refusal.retry_after_ms / 1_000)})
        else:
            await _answer(send, 409, document=words.rule_violation(refusal, problem.detail))

    async def _running(self, user_id: str, send: Send) -> None:
        roster = await self._roster(user_id)
        ends = [max(each.expires_at_ms / 1_000, self._ends(each.last_activity_ms)) for each in roster.sessions]
        headers = {"Expires": words.http_date(min(ends))} if ends else {}
        await _answer(send, 200, headers, words.running(roster))

    async def _is_throttled(self, key: str, send: Send) -> bool:
        """Was the answer to come back later?"""
        wait = self._throttle.wait_seconds(key)
        if wait:
            self._tally.problems["too-many-requests"] += 1
            await _answer(send, 429, {"Expires": self._after(wait)})
        return wait > 0

    def _hold(self, admitted: Admitted) -> None:
        if admitted.lease is not None and admitted.session is not None:
            self._holding.hold(admitted.lease)

    async def _roster(self, user_id: str) -> Roster:
        return await resolved(self._limiter.store.sessions(user_id))

    async def _stream_of(self, user_id: str, session_id: str) -> str:
        """The stream of a session that another worker has seen, or this one before it was restarted."""
        session = (await self._roster(user_id)).find(session_id)
        return words.UNKNOWN if session is None else session.stream_id

    def _ends(self, last_activity_ms: int | None) -> float:
        return (last_activity_ms or 0) / 1_000 + self._life

    def _after(self, seconds: float) -> str:
        return words.http_date(math.floor(time.time()) + math.ceil(seconds))

    def _new_id(self, user_id: str) -> str:
        random = secrets.token_hex(RANDOM // 2)
        return random + self._grants.seal(f"{user_id}\n{random}")

    def _issued(self, user_id: str, part: str) -> str:
        """The session's id. Raises 404 where it is none that was given to this user."""
        session_id = id_in_path("session_id", part)
        if not self._grants.is_sealed(f"{user_id}\n{session_id[:RANDOM]}", session_id[RANDOM:]):
            raise Problem("unknown-session", "no session of this subject was ever given this id")
        return session_id

    def _require_application(self, scope: Scope) -> None:
        """The application's id is the user's name; there is no password."""
        application, known = _user_name(header(scope, b"authorization")), self._settings.applications
        is_known = application in known if known else self._is_open
        if not application or not is_known:
            raise Problem("unauthenticated", "give an application's id as the user of Basic", headers=dict(CHALLENGE))


def _user_name(authorization: str | None) -> str:
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        return b64decode(token.strip(), validate=True).decode().partition(":")[0]
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return ""


def _require_method(scope: Scope, *methods: str) -> None:
    if scope["method"] not in methods:
        allowed = ", ".join((*methods, "OPTIONS"))
        raise Problem("method-not-allowed", f"it takes {allowed}", headers={"Allow": allowed})


async def _answer(send: Send, status: int, headers: Mapping[str, str] | None = None, document: Any = None) -> None:
    head = {**NO_STORE, **(headers or {})}
    if document is None:
        await send_whole(send, status, head)
        return
    head["Content-Type"] = "application/json;charset=utf-8"
    await send_whole(send, status, head, msgspec.json.encode(document))
