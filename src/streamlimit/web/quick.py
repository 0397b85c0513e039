"""Heartbeats answered where they were parsed, without a scope, a coroutine or two sends: the shortest way there is.

A player sends the same heartbeat, byte for byte, every few seconds. What its bytes mean (whose it is, what its
credential allows, what the store is asked) is worked out once, by the parts that every other way uses,
and remembered by the bytes: `Beats.again`. A heartbeat that was never seen is read after parsing: `Beats.first`.
Either way the limiter decides as ever, each time. Whatever is not plainly good takes the long way, which says why.

Remembered are the newest, by the room they take; with the client's address, and never beyond the credential's time.
"""

import math
import time
from collections.abc import Awaitable, Callable

from msgspec import Struct

from streamlimit.errors import StreamlimitError
from streamlimit.logs import asking
from streamlimit.model import Admitted, Ask, Decision
from streamlimit.store.contract import Answer
from streamlimit.web.forms import HeartbeatForm, read_form
from streamlimit.web.heartbeat import CALL, HEADERS, Heartbeat, ids_in, is_heartbeat, shown
from streamlimit.web.http import Scope, encode_headers, require_json
from streamlimit.web.problems import Problem
from streamlimit.web.recent import Recent
from streamlimit.web.request_id import RequestId
from streamlimit.web.service import Service

REMEMBERED_BYTES = 4_000_000
"""Of requests; what they mean takes about three times as much."""

MAX_REQUEST = 2_048
NEEDED_LATER = frozenset({b"x-request-id", b"origin"})
Headers = list[tuple[bytes, bytes]]
NONE: Headers = []
Peer = tuple[str, int] | None
"""Host and port; None of a Unix socket."""


class Beat(Struct, frozen=True):
    """One heartbeat, understood. `host`: where its connection comes from; good before `until` (seconds of the epoch).

    `headers`: those of its own that are needed later; `tail`: the last ones of every answer to it.
    """

    ask: Ask
    host: str
    until: float
    headers: Headers
    tail: bytes

    def scope(self) -> Scope:
        """As much of ASGI's as the long way needs from here on."""
        path = f"/v1/users/{self.ask.user_id}/sessions/{self.ask.session_id}/heartbeat"
        return {"type": "http", "method": "POST", "path": path, "headers": self.headers}


class Beats:
    """One worker's. *common*: the headers that every answer to a request has."""

    def __init__(self, service: Service, heartbeat: Heartbeat, common: Callable[[Scope], Headers]) -> None:
        self._heartbeat, self._doorman, self._proxies = heartbeat, service.doorman, service.proxies
        self._common = common
        self._lines: Headers = []
        self._last = b""
        self._known: Recent[bytes, Beat] = Recent(REMEMBERED_BYTES)
        self._dated: Headers = []
        self._head = b""
        self._doorman.on_change(self._known.clear)

    def again(self, request: bytes, host: str) -> Beat | None:
        """What *request*, head and body, meant before, if it still does."""
        beat = self._known.get(request)
        if beat is None or beat.host != host or (beat.until != math.inf and time.time() >= beat.until):
            return None
        return beat

    def first(self, url: bytes, headers: Headers, body: bytes, peer: Peer) -> Beat | None:
        """A `POST` that came by *peer*'s connection; None unless it is a good heartbeat of somebody known."""
        path = url.decode("latin-1")
        if not is_heartbeat(path):
            return None
        scope = {"type": "http", "method": "POST", "path": path, "headers": headers, "client": peer}
        if self._proxies.are_any:
            self._proxies.reveal(scope)
        fields = dict(reversed(headers))  # of several of one name the first
        credential = fields.get(b"authorization")
        caller = self._doorman.recall(None if credential is None else credential.decode("latin-1"))
        if caller is None:
            return None
        try:
            user_id, session_id = ids_in(path)
            caller.require(CALL)
            if fields.get(b"content-type") != b"application/json":
                require_json(scope)
            form = read_form(HeartbeatForm, body)
            ask = self._heartbeat.ask(user_id, session_id, form, caller, scope)
        except Problem:
            return None
        kept = NONE if NEEDED_LATER.isdisjoint(fields) else [each for each in headers if each[0] in NEEDED_LATER]
        until = caller.expires_at if caller.may_start else math.inf
        return Beat(ask, host_of(peer), until, kept, self._tail(scope))

    def remember(self, request: bytes, beat: Beat) -> None:
        """*request*, head and body, means *beat*."""
        if len(request) <= MAX_REQUEST:
            self._known.put(request, beat)

    def begin(self, beat: Beat) -> Answer[Decision] | StreamlimitError:
        """The decision, what will be one, or why there is none."""
        asking.set(RequestId(beat.headers))
        try:
            return self._heartbeat.begin(beat.ask)
        except StreamlimitError as error:
            return error

    async def come(self, coming: Awaitable[Decision]) -> Decision | StreamlimitError:
        """The same, when it is there."""
        try:
            return await coming
        except StreamlimitError as error:
            return error

    def answer(self, beat: Beat, decision: object, dated: Headers) -> bytes | None:
        """The whole answer to a *decision* that is plainly good, else None. *dated*: the server's own headers."""
        if type(decision) is not Admitted or decision.degraded or decision.would_refuse or decision.session is None:
            return None
        if dated is not self._dated:
            self._date(dated)
        body = shown(decision.session)
        return b"%b%d\r\n%b%b" % (self._head, len(body), beat.tail, body)

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
