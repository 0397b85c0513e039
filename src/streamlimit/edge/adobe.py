"""`/edge/adobe/v2/…`: Adobe Concurrency Monitoring v2, as its apps use it. Its sessions are sessions here."""

import binascii
import math
import secrets
import time
from base64 import b64decode
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from streamlimit.edge import adobe_words as words
from streamlimit.edge.answer import noted
from streamlimit.edge.holding import Holding
from streamlimit.edge.throttle import Throttle
from streamlimit.errors import Refused
from streamlimit.http.exchange import dated
from streamlimit.http.request import Request
from streamlimit.model import Ask, Decision, Refusal, Roster
from streamlimit.store.contract import resolved
from streamlimit.web.address import digest_at
from streamlimit.web.incoming import body_of, require_method
from streamlimit.web.outgoing import Reply
from streamlimit.web.problems import Problem, problem_of
from streamlimit.web.service import Service
from streamlimit.web.spelling import id_in_path

ROUTE, PREFIX = "/edge/adobe", "/edge/adobe/v2/"
CALLS_A_MINUTE = 200
LIFE = 1.5
"""How long a session is held after its last call, in intervals: 90 s of 60, as in the hosted product."""

RANDOM = 24
CHALLENGE = {"WWW-Authenticate": 'Basic realm="application id"'}
GONE = frozenset({"grant-expired", "grant-ended"})
LATER = frozenset({"too-many-requests", "too-many-visits"})


class Adobe:
    """The handler of Concurrency Monitoring: errors that its apps read are answered their way, others are raised."""

    def __init__(self, service: Service) -> None:
        settings = service.settings
        self._limiter, self._streams, self._grants = service.limiter, service.streams, service.grants
        self._tally, self._settings, self._is_open = service.tally, settings.adobe, settings.auth == "open"
        self._life = LIFE * settings.adobe.interval_seconds
        self._holding = Holding(service.limiter, service.policy.expiry_ms / 1_000, self._life)
        self._throttle = Throttle(CALLS_A_MINUTE)

    async def __call__(self, request: Request) -> Reply:
        if not request.path.startswith(PREFIX):
            raise Problem("not-found", "there is no such edge")
        self._require_application(request)
        match request.raw_path.removeprefix(PREFIX).split("/"):
            case ["metadata"]:
                require_method(request, "GET")
                return _answer(200, document=[self._settings.stream_attribute])
            case ["runningStreams", idp, subject] if idp and subject:
                require_method(request, "GET")
                return await self._running(words.user_of(idp, subject))
            case ["sessions", idp, subject] if idp and subject:
                require_method(request, "POST")
                return await self._create(words.user_of(idp, subject), request)
            case ["sessions", idp, subject, session] if idp and subject and session:
                require_method(request, "POST", "DELETE")
                user_id = words.user_of(idp, subject)
                return await self._go_on(user_id, self._issued(user_id, session), request)
            case _:
                raise Problem("not-found", "Concurrency Monitoring has no such call here")

    async def _create(self, user_id: str, request: Request) -> Reply:
        """Creates a session, which takes a seat at once."""
        if (wait := self._wait(user_id)) > 0:
            return _later(wait)
        metadata = words.metadata_of(request.query, body_of(request))
        channel = metadata.get(self._settings.stream_attribute)
        if not channel:
            return _answer(400, document=words.METADATA_WANTED)
        stream_id = words.stream_of(channel)
        await self._streams.look(stream_id)
        self._streams.require_beatable(stream_id)
        codes = ",".join(value.decode("latin-1") for name, value in request.headers if name == b"x-terminate")
        replace = None if not codes else words.session_called(codes, await self._roster(user_id))
        ids, client = (user_id, self._new_id(user_id), stream_id), digest_at(request.client)
        ask = Ask(*ids, device=words.device_of(metadata), client=client, replace=replace)
        return await self._beat(ask, {"Location": ask.session_id})

    async def _go_on(self, user_id: str, session_id: str, request: Request) -> Reply:
        """Handles a heartbeat, or the end of a session."""
        if (wait := self._wait(f"{user_id}\n{session_id}")) > 0:
            return _later(wait)
        if request.method == "DELETE":
            self._holding.let_go(user_id, session_id)
            events = await resolved(self._limiter.end(user_id, session_id))
            has_ended = any(event.type == "session.ended" for event in events)  # else it had expired, or there is none
            return _answer(202 if has_ended else 410)
        body_of(request)  # its metadata is not stored; the channel cannot be changed
        stream_id = self._holding.stream_of(user_id, session_id) or await self._stream_of(user_id, session_id)
        ask = Ask(user_id, session_id, stream_id, client=digest_at(request.client), may_start=False)
        return await self._beat(ask)

    async def _beat(self, ask: Ask, headers: Mapping[str, str] | None = None) -> Reply:
        decision: Decision = await resolved(self._limiter.beat(ask))
        if isinstance(decision, Refusal):
            return await self._refused(decision, ask)
        self._holding.hold_if_seated(decision)
        next_call = words.http_date(_date() + math.ceil(self._settings.interval_seconds))
        return _answer(202, {"Expires": next_call, **(headers or {})})

    async def _refused(self, refusal: Refusal, ask: Ask) -> Reply:
        problem = noted(problem_of(Refused(refusal, ask)), self._tally, "POST", ROUTE)
        if refusal.code in GONE:
            return _answer(410)
        if refusal.mark is not None:
            return _answer(410, document=words.remote_termination(refusal.mark, await self._roster(ask.user_id)))
        if refusal.code in LATER:
            return _later(refusal.retry_after_ms / 1_000)
        return _answer(409, document=words.rule_violation(refusal, problem.detail))

    async def _running(self, user_id: str) -> Reply:
        roster = await self._roster(user_id)
        ends = [max(each.expires_at_ms / 1_000, self._ends(each.last_activity_ms)) for each in roster.sessions]
        headers = {"Expires": words.http_date(min(ends))} if ends else {}
        return _answer(200, headers, words.running(roster))

    def _wait(self, key: str) -> float:
        """Counts a call. In how many seconds the next may come; 0: this one may go on."""
        wait = self._throttle.wait_seconds(key)
        if wait:
            self._tally.problems["too-many-requests"] += 1
        return wait

    async def _roster(self, user_id: str) -> Roster:
        return await resolved(self._limiter.store.sessions(user_id))

    async def _stream_of(self, user_id: str, session_id: str) -> str:
        """The stream of a session that another worker created, or this one before a restart."""
        session = (await self._roster(user_id)).find(session_id)
        return words.UNKNOWN if session is None else session.stream_id

    def _ends(self, last_activity_ms: int | None) -> float:
        return (last_activity_ms or 0) / 1_000 + self._life

    def _new_id(self, user_id: str) -> str:
        random = secrets.token_hex(RANDOM // 2)
        return random + self._grants.seal(f"{user_id}\n{random}")

    def _issued(self, user_id: str, part: str) -> str:
        """The session's id. Raises 404 for an id that was not issued to this user."""
        session_id = id_in_path("session_id", part)
        if not self._grants.is_sealed(f"{user_id}\n{session_id[:RANDOM]}", session_id[RANDOM:]):
            raise Problem("unknown-session", "no session of this subject was ever given this id")
        return session_id

    def _require_application(self, request: Request) -> None:
        """Checks the application's id, the user name of basic authentication without a password."""
        application, known = _user_name(request.header(b"authorization")), self._settings.applications
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


def _date() -> float:
    """The `Date` of answers, from which apps count to `Expires`: it may be a second old."""
    date = dict(dated.headers).get(b"date")
    return time.time() if date is None else parsedate_to_datetime(date.decode()).timestamp()


def _after(seconds: float) -> str:
    return words.http_date(math.floor(time.time()) + math.ceil(seconds))


def _later(seconds: float) -> Reply:
    return _answer(429, {"Expires": _after(seconds)})


def _answer(status: int, headers: Mapping[str, str] | None = None, document: Any = None) -> Reply:
    if document is None:
        return Reply(status, headers or {})
    kind = {"Content-Type": "application/json;charset=utf-8"}
    return Reply(status, {**kind, **(headers or {})}, msgspec.json.encode(document))
