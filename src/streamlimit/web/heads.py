"""Segments and files answered where they were parsed: what a request's head means is remembered by its bytes.

The requests of one player, or of one back end, differ in their first line (`/play/`: a grant, a file) or in their body
(`POST /v1/segments`), while all else is the same, byte for byte: a credential and what it allows, an address, what
goes with every answer. That is worked out once, by the parts that every other way uses. `Heads.again` finds
it; `Heads.first` reads, after parsing, what never was seen. Either way `Viewer` decides and delivers as ever.
Whatever is not plainly good takes the long way, which says why.

What was remembered is exactly one whole head as the parser saw it: from the first byte of a packet, on a connection at
rest, to the empty line; with a body of as many bytes as it says, and nothing behind. Met again at such a place
those bytes are that head, whatever they may be elsewhere (in a body, in another header).
"""

import math
import re
import time
from collections.abc import Callable
from functools import lru_cache

from msgspec import Struct
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from streamlimit.logs import asking
from streamlimit.model import Refusal
from streamlimit.refusal_limiter import CODE
from streamlimit.web.address import client_digest, client_place
from streamlimit.web.auth import Caller
from streamlimit.web.exchange import lines_of, unquoted
from streamlimit.web.forms import read_segment_form
from streamlimit.web.http import Scope, headers_of, require_json
from streamlimit.web.problems import Problem, problem_of_refusal
from streamlimit.web.quick import NONE, Headers, Peer, host_of
from streamlimit.web.recent import Recent
from streamlimit.web.render import lines
from streamlimit.web.request_id import HEADER, RequestId, own_id
from streamlimit.web.requested import PLAIN, Conditions, conditions_of
from streamlimit.web.service import Service
from streamlimit.web.viewer import CALL, Issue, Playback, Viewer, Wanted

HEADS_BYTES = 2_000_000
"""Of heads, and as many of what stands below the first line of those for `/play/`; what they mean takes more."""

MAX_HEAD = 2_048
SEGMENTS, PLAY = b"/v1/segments", b"/play/"
END = b"\r\n\r\n"
_POST = b"POST /v1/segments HTTP/1.1\r\n"
_GET = b"GET /play/"

_is_path = re.compile(rb"[!\"$->@-~]+").fullmatch  # no query, no fragment
# A path that no parser could understand in another way than we do.
_first_line = re.compile(
    rb"GET (/play/[A-Za-z0-9._-]+/[A-Za-z0-9._~:@=+,%-]+/[A-Za-z0-9._~:@/=+,%-]+) HTTP/1\.1\r\n"
).match


class Head(Struct, frozen=True):
    """What a head says beside its first line. `host`: where its connection comes from; good before `until`
    (seconds of the epoch; None: for ever).

    `caller`: None of `/play/`, where the path tells. `client`, `place`: digests of its address. `named`: its
    headers that give it an id. `common`: what goes with every answer; `tail`: the same as lines, and the empty one.
    """

    host: str
    caller: Caller | None
    until: float | None
    client: str
    place: str
    length: int
    named: Headers
    common: Headers
    tail: bytes

    def holds(self, host: str) -> bool:
        """Does it still mean the same, from there?"""
        return self.host == host and (self.until is None or time.time() < self.until)


class Hot(Struct, frozen=True):
    """One request, understood."""

    head: Head
    wanted: Wanted

    def scope(self) -> Scope:
        """As much of ASGI's as it takes to tell what went wrong."""
        method, path = ("GET", "/play/") if self.head.caller is None else ("POST", "/v1/segments")
        return {"type": "http", "method": method, "path": path, "headers": self.head.named}


class Heads:
    """One worker's. *common*: the headers that every answer to a request has."""

    def __init__(self, service: Service, viewer: Viewer, common: Callable[[Scope], Headers]) -> None:
        self._viewer, self._limiter, self._tally = viewer, service.limiter, service.tally
        self._doorman, self._proxies, self._common = service.doorman, service.proxies, common
        self._heads: Recent[bytes, Head] = Recent(HEADS_BYTES)
        self._rests: Recent[bytes, Head] = Recent(HEADS_BYTES)
        self._lines, self._tail = NONE, b""
        self._doorman.on_change(self._heads.clear)

    def again(self, data: bytes, host: str) -> Hot | None:
        """What *data*, one packet, asks for, if its head was seen before and it is that with its body."""
        try:
            if data.startswith(_POST):
                end = data.find(END) + 4
                head = self._heads.get(data[:end])
                if head is not None and len(data) - end == head.length and head.holds(host):
                    asking.set(RequestId(NONE))
                    return self._segment(head, data[end:])
            elif data.startswith(_GET) and (line := _first_line(data)) is not None:
                head = self._rests.get(data[line.end() :])
                if head is not None and head.holds(host):
                    asking.set(RequestId(NONE))
                    return self._play(head, unquoted(line[1].decode()), PLAIN)
        except Exception:
            pass  # the long way meets it again, tells and logs it, whatever it is
        return None

    def first(self, method: bytes, url: bytes, headers: Headers, body: bytes, peer: Peer) -> Hot | None:
        """The same of a request that came by *peer*'s connection and was parsed; None unless it is plainly good."""
        asking.set(RequestId(headers))
        try:
            if url == SEGMENTS and method == b"POST":
                head = self._of_segments(headers, len(body), peer)
                return None if head is None else self._segment(head, body)
            if url.startswith(PLAY) and method == b"GET" and not body and _is_path(url):
                head = self._of(headers, 0, peer, None, None)
                conditions = conditions_of({"method": "GET", "headers": headers})
                return self._play(head, unquoted(url.decode("ascii")), conditions)
        except Exception:
            pass  # the long way meets it again, tells and logs it, whatever it is
        return None

    def remember(self, data: bytes, hot: Hot) -> None:
        """*data*, one packet, was *hot* and no more; not worth it where the next of its kind will be another."""
        head, wanted, end = hot.head, hot.wanted, data.find(END) + 4
        if head.named or end > MAX_HEAD or len(data) - end != head.length:
            return
        if isinstance(wanted, Issue):
            self._heads.put(data[:end], head)
        elif isinstance(wanted, Playback) and wanted.is_plain and (line := _first_line(data)) is not None:
            self._rests.put(data[line.end() :], head)

    def refuse(self, hot: Hot, dated: Headers) -> bytes | None:
        """The whole answer, if it is a refusal from memory: thousands come a second, and are counted, not logged.

        *dated*: the server's own headers.
        """
        held = self._limiter.hold(hot.wanted.ask)
        if held is None:
            return None
        problem, start, length, body = _told(held.retry_after_ms)
        self._tally.problems[problem.code] += 1
        return b"".join((STATUS, lines_of(dated), start, own_id().encode(), length, hot.head.tail, body))

    def _segment(self, head: Head, body: bytes) -> Hot | None:
        caller = head.caller
        assert caller is not None
        return Hot(head, self._viewer.issue(read_segment_form(body), caller, head.client, head.place))

    def _play(self, head: Head, path: str, conditions: Conditions) -> Hot:
        return Hot(head, self._viewer.playback(path, conditions, head.client, head.place))

    def _of_segments(self, headers: Headers, length: int, peer: Peer) -> Head | None:
        """Raises `Problem` where it is not good; None where it takes more to find that out."""
        credential = next((value for name, value in headers if name == b"authorization"), None)
        caller = self._doorman.recall(None if credential is None else credential.decode("latin-1"))
        if caller is None:
            return None
        caller.require(CALL)
        require_json({"headers": headers})
        # After its time a token is worth nothing; a grant still is something, and its terms say what, each time.
        until = caller.expires_at if caller.role == "viewer" and caller.expires_at < math.inf else None
        return self._of(headers, length, peer, caller, until)

    def _of(self, headers: Headers, length: int, peer: Peer, caller: Caller | None, until: float | None) -> Head:
        scope: Scope = {"headers": headers, "client": peer}
        if self._proxies.are_any:
            self._proxies.reveal(scope)
        named = [each for each in headers if each[0] == b"x-request-id"] or NONE
        common = self._common(scope)
        if common is not self._lines:  # the same object for all where CORS is for all
            self._lines, self._tail = common, b"".join(b"%b: %b\r\n" % each for each in common) + b"\r\n"
        client, place = client_digest(scope), client_place(scope)
        return Head(host_of(peer), caller, until, client, place, length, named, common, self._tail)


STATUS = STATUS_LINE[429]


@lru_cache(maxsize=1_024)
def _told(retry_after_ms: int) -> tuple[Problem, bytes, bytes, bytes]:
    """A refusal from memory: what it is, its lines before and after the request's id, its body."""
    problem = problem_of_refusal(Refusal(CODE, 0, 0, retry_after_ms=retry_after_ms))
    body = problem.body()
    start = lines(headers_of(problem)) + HEADER.lower().encode() + b": "
    return problem, start, b"\r\ncontent-length: %d\r\n" % len(body), body
