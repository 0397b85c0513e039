"""What is no request for us: a head that is too large, the half of one, anything but HTTP/1.1.

It is answered here, without an application, and its connection ended. Knows no session and no stream.
"""

import re
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from streamlimit.web.framing import Fault, fault_of, unknown_version
from streamlimit.web.http import MAX_BODY_BYTES
from streamlimit.web.problems import Problem
from streamlimit.web.waiting import WaitingProtocol

MAX_HEAD = 32 * 1024
"""Bytes of a request's line and headers together."""

MAX_FRAMING = 16
"""Bytes that a chunked body may take for one of its own: chunks of one byte, with room for their extensions."""

MAX_HEADERS = 100
MAX_URL = 16 * 1024

MAX_DISCARDED = 4 * 1024 * 1024
"""Read and thrown away of a client that was refused and goes on."""

H2C = b"h2c"
_UPGRADE = re.compile(rb"\r\nupgrade:", re.IGNORECASE)
_BODY = re.compile(rb"\r\n(?:content-length:[ \t0]*[1-9]|transfer-encoding:)", re.IGNORECASE)


class GuardedProtocol(WaitingProtocol):
    """`WaitingProtocol` that says what was wrong. `functools.partial` hands it its *guard*."""

    _taps_at_once = False  # who never asks costs one descriptor, not two
    _is_over = False
    _received = _body_bytes = 0
    _fault: Fault | None = None
    """Of the head that stopped the parser."""
    _farewell: Fault | None = None
    """To be told when what was asked before is answered."""

    def data_received(self, data: bytes) -> None:
        if self._is_in and not self._is_over:
            super().data_received(data)
            return
        self._received += len(data)
        if self._received > MAX_DISCARDED:
            self.transport.abort()

    def _parse(self, data: bytes) -> None:
        self._received += len(data)
        if H2C in data and not (self._is_half and self._head_is_done):
            data = without_h2c(data)
        super()._parse(data)
        if self._is_half:
            if not self._head_is_done and self._received > MAX_HEAD:
                self._refuse("head-too-large", "the request's head is too large")
            elif self._head_is_done and self._framing() > MAX_HEAD:
                self._refuse("head-too-large", "the request's trailers are too large")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._body_bytes = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Trailers are left out: they say neither who asks nor from where (RFC 9110, 6.5.1)."""
        if not self._head_is_done:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if len(self.headers) > MAX_HEADERS or len(self.url) > MAX_URL or self._is_large():
            raise NoRequest
        parser = self.parser
        self._fault = fault_of(parser.get_method(), parser.get_http_version(), self.headers, parser.should_upgrade())
        if self._fault is not None:
            raise NoRequest
        if self.wire is None:
            self._tap()
        if self.wire is None:
            raise NoRequest  # no descriptor is left: the connection is being reset, and a receipt would be a guess
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._received = 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """What the parser does not like, as any other error of ours."""
        if self._is_half and len(self.url) > MAX_URL:
            self._refuse("url-too-long", f"a URL has at most {MAX_URL} bytes")
        elif self._is_half and (len(self.headers) > MAX_HEADERS or self._is_large()):
            self._refuse("head-too-large", f"a head has at most {MAX_HEAD} bytes and {MAX_HEADERS} headers")
        elif self._fault is not None:
            self._refuse(*self._fault)
        elif self._is_half and self.parser.get_http_version()[0] > "1":
            self._refuse(*unknown_version())
        else:
            self._refuse("malformed", "this is no HTTP/1.1 request")

    def is_excused(self) -> bool:
        """Not who was refused, but for what is answered before."""
        return (not self._is_over or self._farewell is not None) and super().is_excused()

    def give_up(self) -> None:
        """Of who was refused before, it is no news."""
        if self._is_over:
            self._hang_up()
        else:
            super().give_up()

    def _hang_up(self) -> None:
        """Who sent half a request is told so."""
        if self._is_half and not self._is_over and self._may_tell() and not self.transport.is_closing():
            self._refuse("request-timeout", "the request did not arrive in time")
        else:
            super()._hang_up()

    def _may_tell(self) -> bool:
        """Would an answer of ours stand by itself, not in the middle of another one?"""
        if any(not cycle.response_complete for cycle in self._overtaken):
            return False
        cycle: Any = self.cycle
        if self._is_half and self._head_is_done and not self._collecting:
            return not cycle.response_started  # the half request's own
        return cycle is None or cycle.response_complete

    def _framing(self) -> int:
        """Bytes of a request that are not its body, beyond what a body in small chunks needs: its trailers, then."""
        return self._received - self._body_bytes - MAX_FRAMING * min(self._body_bytes, MAX_BODY_BYTES)

    def _is_large(self) -> bool:
        if self._received <= MAX_HEAD:
            return False
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers) > MAX_HEAD

    def _refuse(self, code: str, detail: str) -> None:
        """An answer without an application, and the end of the connection.

        What the client still sends is read for a while: closing before would reset the connection, answer and all.
        """
        if self._is_over or self.transport.is_closing():
            return
        self._is_over, self._received = True, 0
        if self._may_tell():
            self._tell(Fault(code, detail))
        elif self._fault is not None and self._is_answered_first():
            self._farewell = Fault(code, detail)
        else:
            self.transport.close()
        self._await()

    def _tell(self, fault: Fault) -> None:
        self._guard.tally.problems[fault.code] += 1
        self.transport.write(_answer(Problem(*fault)))
        self.transport.write_eof()

    def _is_answered_first(self) -> bool:
        """Is an answer under way to what was asked before this head?"""
        return self._is_answering() or bool(self._overtaken)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._farewell is not None and not self._is_answered_first() and not self.transport.is_closing():
            fault, self._farewell = self._farewell, None
            self._tell(fault)


class NoRequest(Exception):
    """Stops the parser."""


def without_h2c(data: bytes) -> bytes:
    """The request without its offer of HTTP/2, which a server may pass over (RFC 9110, 7.8).

    Java's client makes one by itself; the parser would take the body for the other protocol's. With a body it is the
    connection's last request: others may read it in another way.
    """
    head, end, body = data.partition(b"\r\n\r\n")
    last = b"\r\nconnection: close" if _BODY.search(head) else b""
    return _UPGRADE.sub(last + b"\r\nx-upgrade:", head) + end + body


def _answer(problem: Problem) -> bytes:
    body = problem.body()
    head = (
        b"content-type: application/problem+json\r\ncache-control: no-store\r\nx-content-type-options: nosniff\r\n"
        b"referrer-policy: no-referrer\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body)
    )
    return STATUS_LINE[problem.status] + head + body
