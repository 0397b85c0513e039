"""Heartbeats answered where they were parsed, without a scope, a coroutine or two sends: the shortest way there is.

A player sends the same heartbeat, byte for byte, every few seconds; and those that one back end, or one make of
player, sends for many sessions differ in their first line alone. What is in them beside that line (a credential and
what it allows, a stream, what the answer needs) is worked out once, by the parts that every other way
uses, and remembered by its bytes. So is the whole, for some sessions. `Beats.again` finds what was remembered;
`Beats.first` reads, after parsing, what never was seen. Either way the limiter decides as ever, each time.
Whatever is not plainly good takes the long way, which says why.

Remembered are the newest, by the room they take; with the client's address, and never beyond the credential's time.
"""

import math
import re
import time
from collections.abc import Awaitable, Callable
from random import getrandbits
from typing import Any

from msgspec import Struct

from streamlimit.logs import asking
from streamlimit.model import Admitted, Ask, Decision, Repeated
from streamlimit.store.contract import Answer
from streamlimit.web.auth import Caller
from streamlimit.web.forms import HeartbeatForm, read_form
from streamlimit.web.heartbeat import CALL, HEADERS, Heartbeat, ids_in, is_heartbeat, shown
from streamlimit.web.http import Scope, encode_headers, require_json
from streamlimit.web.problems import Problem
from streamlimit.web.recent import Recent
from streamlimit.web.request_id import RequestId
from streamlimit.web.service import Service

REMEMBERED_BYTES = 4_000_000
"""Of whole requests; what they mean takes about three times as much."""

EACH_BITS = 3
"""Of 2**3 heartbeats that are not remembered as a whole one is, by chance. Those of few sessions soon all are; of very
many hardly any would be found again, and remembering each would cost more than it saves."""

RESTS_BYTES = 1_000_000
MAX_REQUEST = 2_048
Headers = list[tuple[bytes, bytes]]
NONE: Headers = []
Peer = tuple[str, int] | None
"""Host and port; None of a Unix socket."""

_ID = rb"(?!\.{1,2}/)([A-Za-z0-9._~:@|!$&'()*+,;=%-]{1,128})"
_first_line = re.compile(rb"POST (/v1/users/%b/sessions/%b/heartbeat) HTTP/1\.1\r\n" % (_ID, _ID)).match
# An id without a percent sign is one as it stands there.


class Rest(Struct, frozen=True):
    """What a heartbeat says beside its first line. `host`: where its connection comes from; good before `until`
    (seconds of the epoch; None: for ever).

    `terms` of the `Ask`; `headers`: those of its own that are needed later; `tail`: the last ones of every answer.
    """

    caller: Caller
    terms: dict[str, Any]
    host: str
    until: float | None
    headers: Headers
    tail: bytes

    def holds(self, host: str) -> bool:
        """Does it still mean the same, from there?"""
        return self.host == host and (self.until is None or time.time() < self.until)


class Beat(Struct, frozen=True, gc=False):
    """One heartbeat, understood."""

    ask: Ask
    rest: Rest

    def scope(self) -> Scope:
        """As much of ASGI's as the long way needs from here on."""
        path = f"/v1/users/{self.ask.user_id}/sessions/{self.ask.session_id}/heartbeat"
        return {"type": "http", "method": "POST", "path": path, "headers": self.rest.headers}


class Beats:
    """One worker's. *common*: the headers that every answer to a request has."""

    def __init__(self, service: Service, heartbeat: Heartbeat, common: Callable[[Scope], Headers]) -> None:
        self._heartbeat, self._doorman, self._proxies = heartbeat, service.doorman, service.proxies
        self._common = common
        self._known: Recent[bytes, Beat] = Recent(REMEMBERED_BYTES)
        self._rests: Recent[bytes, Rest] = Recent(RESTS_BYTES)
        self._lines, self._last = NONE, b""
        self._dated, self._head = NONE, b""
        self._doorman.on_change(self._known.clear)
        self._doorman.on_change(self._rests.clear)

    def again(self, request: bytes, host: str) -> Beat | None:
        """What *request*, head and body, means, if all of it, or all but its first line, was seen before."""
        beat = self._known.get(request)
        if beat is not None:
            return beat if beat.rest.holds(host) else None
        line = _first_line(request)
        if line is None:
            return None
        rest = self._rests.get(request[line.end() :])
        if rest is None or not rest.holds(host):
            return None
        kind = Ask if getrandbits(EACH_BITS) else Repeated
        user_id, session_id = line[2].decode(), line[3].decode()
        if b"%" in line[1]:
            try:
                user_id, session_id = ids_in(line[1].decode())
            except Problem:
                return None
        beat = self._of(user_id, session_id, rest, kind)
        if beat is not None and kind is Repeated:
            self._known.put(request, beat)
        return beat

    def first(self, url: bytes, headers: Headers, body: bytes, peer: Peer) -> Beat | None:
        """A `POST` that came by *peer*'s connection; None unless it is a good heartbeat of somebody known."""
        path = url.decode("latin-1")
        if not is_heartbeat(path) or not path.isascii() or "?" in path or "#" in path:
            return None
        asking.set(RequestId(headers))
        try:
            user_id, session_id = ids_in(path)
            rest = self._read(path, headers, body, peer)
        except Problem:
            return None
        return None if rest is None else self._of(user_id, session_id, rest)

    def remember(self, request: bytes, beat: Beat) -> None:
        """*request*, head and body, means *beat*; not worth it where each has an id of its own."""
        line = _first_line(request)
        if line is not None and len(request) <= MAX_REQUEST and not beat.rest.headers:
            self._rests.put(request[line.end() :], beat.rest)

    def _of(self, user_id: str, session_id: str, rest: Rest, kind: type[Ask] = Ask) -> Beat | None:
        try:
            rest.caller.require_session(user_id, session_id)
        except Problem:
            return None
        return Beat(kind(user_id, session_id, **rest.terms), rest)

    def _read(self, path: str, headers: Headers, body: bytes, peer: Peer) -> Rest | None:
        """Raises `Problem` where it is not good."""
        fields = dict(reversed(headers))  # of several of one name the first
        scope = {"type": "http", "method": "POST", "path": path, "headers": headers, "client": peer}
        if self._proxies.are_any:
            self._proxies.reveal(scope)
        credential = fields.get(b"authorization")
        caller = self._doorman.recall(None if credential is None else credential.decode("latin-1"))
        if caller is None:
            return None
        caller.require(CALL)
        if fields.get(b"content-type") != b"application/json":
            require_json(scope)
        form = read_form(HeartbeatForm, body)
        if form.grant is not None or form.segment is not None:
            return None  # another caller than the header says; a receipt beside it
        terms = self._heartbeat.terms(form, caller, scope)
        runs_out = terms["may_start"] or caller.role == "viewer"  # a grant that has: it only goes on
        until = caller.expires_at if runs_out and caller.expires_at < math.inf else None
        kept = [each for each in headers if each[0] in (b"x-request-id", b"origin")] or NONE
        return Rest(caller, terms, host_of(peer), until, kept, self._tail(scope))

    def begin(self, beat: Beat) -> Answer[Decision] | Exception:
        """The decision, what will be one, or why there is none."""
        asking.set(RequestId(beat.rest.headers))
        try:
            return self._heartbeat.begin(beat.ask)
        except Exception as error:  # the long way tells and logs it, whatever it is
            return error

    async def come(self, coming: Awaitable[Decision]) -> Decision | Exception:
        """The same, when it is there."""
        try:
            return await coming
        except Exception as error:  # the long way tells and logs it, whatever it is
            return error

    def answer(self, beat: Beat, decision: object, dated: Headers) -> bytes | None:
        """The whole answer to a *decision* that is plainly good, else None. *dated*: the server's own headers."""
        if type(decision) is not Admitted or decision.degraded or decision.would_refuse or decision.session is None:
            return None
        if dated is not self._dated:
            self._date(dated)
        body = shown(decision.session)
        return b"%b%d\r\n%b%b" % (self._head, len(body), beat.rest.tail, body)

    def _tail(self, scope: Scope) -> bytes:
        """The common headers, and the end of the head; the same object for all where CORS is for all."""
        lines = self._common(scope)
        if lines is not self._lines:
            self._lines, self._last = lines, b"".join(b"%b: %b\r\n" % each for each in lines) + b"\r\n"
        return self._last

    def _date(self, dated: Headers) -> None:
        """The head of all answers of this second."""
        lines = b"".join(b"%b: %b\r\n" % each for each in [*dated, *encode_headers(HEADERS)])
        self._dated, self._head = dated, b"HTTP/1.1 200 OK\r\n" + lines + b"content-length: "


def host_of(peer: Peer) -> str:
    """The part that its connections have in common."""
    return peer[0] if peer else ""
