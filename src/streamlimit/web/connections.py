"""Guards on connections: slow heads and bodies, idle ones, too many of one address, heads that are too large.

A connection that waits for its client (for a first request, or for the rest of one) stands in one queue, whose
times are all equal, so one look a second at its front is enough: a request that arrives whole, as nearly
all do, costs two flags and no timer. Knows no session and no stream.
"""

import asyncio
import re
import resource
from collections import Counter
from collections.abc import Sequence
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE
from uvicorn.protocols.utils import get_remote_addr

from streamlimit.settings import LOOPBACK
from streamlimit.tally import Tally
from streamlimit.web.address import Proxies
from streamlimit.web.fast import FastProtocol
from streamlimit.web.http import MAX_BODY_BYTES
from streamlimit.web.problems import Problem

MAX_HEAD = 32 * 1024
"""Bytes of a request's line and headers together."""

MAX_FRAMING = 16
"""Bytes that a chunked body may take for one of its own: chunks of one byte, with room for their extensions."""

MAX_HEADERS = 100
MAX_URL = 16 * 1024

MAX_DISCARDED = 4 * 1024 * 1024
"""Read and thrown away of a client that was refused and goes on."""

DESCRIPTORS = 1_048_576
SWEEP_SECONDS = 1.0

H2C = b"h2c"
_UPGRADE = re.compile(rb"\r\nupgrade:", re.IGNORECASE)


class Connections:
    """All open connections of one worker, and how long each has been waited for.

    *at_most*: open connections of one address (0: any number), except of loopback and of *proxies*.
    *seconds*: for a head, a body, or any sign of a client that reads. Whom it sends away it counts in *tally*.
    Made before the workers are, and pickled.
    """

    def __init__(
        self, at_most: int = 0, seconds: float = 10.0, proxies: Sequence[str] = (), tally: Tally | None = None
    ) -> None:
        self._at_most, self._seconds, self._trusted = at_most, seconds, tuple(proxies)
        self.tally = tally or Tally()
        self._proxies: Proxies | None = None
        self._by_address: Counter[str] = Counter()
        self._waiting: dict[GuardedProtocol, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def enter(self, address: str) -> bool:
        """Counts a connection of *address*; False: it has too many."""
        if self._at_most == 0 or not address:
            return True
        if self._by_address[address] >= self._at_most and not self._is_exempt(address):
            self.tally.turned_away += 1
            return False
        self._by_address[address] += 1
        return True

    def leave(self, address: str) -> None:
        """One of them is closed."""
        if self._at_most and address:
            self._by_address[address] -= 1
            if self._by_address[address] <= 0:
                del self._by_address[address]

    def _is_exempt(self, address: str) -> bool:
        if self._proxies is None:
            self._proxies = Proxies(self._trusted)
        return LOOPBACK.fullmatch(address) is not None or self._proxies.trusts(address)

    def await_client(self, connection: "GuardedProtocol") -> None:
        """From now on the client has so many seconds."""
        self._waiting.pop(connection, None)
        self._waiting[connection] = connection.loop.time() + self._seconds
        if self._timer is None:
            self._timer = connection.loop.call_later(min(SWEEP_SECONDS, self._seconds), self._sweep, connection.loop)

    def forget(self, connection: "GuardedProtocol") -> None:
        """Nothing is expected of the client any more."""
        self._waiting.pop(connection, None)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        """Gives up those whose time is over; the oldest stand first."""
        self._timer, now = None, loop.time()
        for connection in [each for each, until in self._due(now)]:
            del self._waiting[connection]
            if connection.is_excused():
                self.await_client(connection)
            else:
                if not connection.is_over():
                    self.tally.given_up[connection.awaited()] += 1
                connection.give_up()
        if self._waiting and self._timer is None:
            self._timer = loop.call_later(min(SWEEP_SECONDS, self._seconds), self._sweep, loop)

    def _due(self, now: float) -> list[tuple["GuardedProtocol", float]]:
        due = []
        for entry in self._waiting.items():
            if entry[1] > now:
                break
            due.append(entry)
        return due


class GuardedProtocol(FastProtocol):
    """`FastProtocol` that expects something of its clients. `functools.partial` hands it its *guard*."""

    _taps_at_once = False  # who never asks costs one descriptor, not two
    _address = ""
    _is_in = _is_waiting = _head_is_done = _is_stuck = _is_over = False
    _received = _body_bytes = _unsent = 0

    def __init__(self, *args: Any, guard: Connections, **more: Any) -> None:
        super().__init__(*args, **more)
        self._guard = guard

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn does
        client = get_remote_addr(transport)
        self._address = client[0] if client else ""
        self._is_in = self._guard.enter(self._address)
        if not self._is_in:
            self.transport = transport
            transport.abort()
            return
        super().connection_made(transport)
        self._await()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._is_in:
            self._is_in = False
            self._guard.leave(self._address)
            self._guard.forget(self)
            super().connection_lost(exc)

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
            elif not self._is_waiting:
                self._await()
        elif self._is_waiting:
            if self._head_is_done and not self._is_stuck:
                self._forget()
        elif self.timeout_keep_alive_task is None and not self._is_answering():
            self._await()  # stray bytes between requests: uvicorn has stopped its own timer for them

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_is_done, self._body_bytes = False, 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Trailers are left out: they say neither who asks nor from where (RFC 9110, 6.5.1)."""
        if not self._head_is_done:
            super().on_header(name, value)

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        super().on_body(body)

    def on_headers_complete(self) -> None:
        if len(self.headers) > MAX_HEADERS or len(self.url) > MAX_URL or self._is_large():
            raise HeadTooLarge
        if self.wire is None:
            self._tap()
        super().on_headers_complete()
        self._head_is_done = True
        if self._is_waiting:
            self._await()  # the body has its own time

    def on_message_complete(self) -> None:
        self._received = 0
        super().on_message_complete()

    def _again(self, data: bytes) -> bool:
        is_answered = super()._again(data)
        if is_answered and self._is_waiting and not self._is_stuck:
            self._forget()
        return is_answered

    def send_400_response(self, msg: str) -> None:
        """What the parser does not like, as any other error of ours."""
        if self._is_half and len(self.url) > MAX_URL:
            self._refuse("url-too-long", f"a URL has at most {MAX_URL} bytes")
        elif self._is_half and (len(self.headers) > MAX_HEADERS or self._is_large()):
            self._refuse("head-too-large", f"a head has at most {MAX_HEAD} bytes and {MAX_HEADERS} headers")
        else:
            self._refuse("malformed", "this is no HTTP/1.1 request")

    def pause_writing(self) -> None:
        super().pause_writing()
        self._is_stuck = True
        if not self._is_waiting and not self._is_delivering():
            self._await()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._is_stuck = False
        if self._is_waiting and not self._is_half and not self.transport.is_closing():
            self._forget()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing() and not self._is_waiting:
            self._await()  # closed when all is sent, and some clients never read

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        if self.transport.is_closing() and not self._is_waiting:
            self._await()

    def is_excused(self) -> bool:
        """Its time is over. Is it we who are slow, or does it read on, if slowly?"""
        if self._is_over:
            return False
        if self._is_delivering():
            return True  # delivery has its own eyes on who does not read
        if self._is_stuck or self.transport.is_closing():
            before, self._unsent = self._unsent, self.transport.get_write_buffer_size()
            return self._unsent < before
        if any(not cycle.response_complete for cycle in self._overtaken):
            return True
        has_body_to_come = self._is_half and self._head_is_done
        return self._is_answering() and not has_body_to_come

    def is_over(self) -> bool:
        """Was it refused before, so that giving it up is no news?"""
        return self._is_over

    def awaited(self) -> str:
        """What it is waited for: the `request`, the rest of its `head` or `body`, or that it is `reading`."""
        if self._is_stuck or self.transport.is_closing():
            return "reading"
        if self._is_half:
            return "body" if self._head_is_done else "head"
        return "request"

    def give_up(self) -> None:
        """Nobody is there, or someone who wants us to wait. Who sent half a request is told so."""
        if self._is_half and not self._is_over and self._may_tell() and not self.transport.is_closing():
            self._refuse("request-timeout", "the request did not arrive in time")
        elif self.wire is not None and self.transport.get_write_buffer_size():
            self.wire.abort()  # resets: the kernel, too, lets go of what nobody reads
        else:
            self.transport.abort()

    def _may_tell(self) -> bool:
        """Would an answer of ours stand by itself, not in the middle of another one?"""
        if any(not cycle.response_complete for cycle in self._overtaken):
            return False
        cycle: Any = self.cycle
        if self._is_half and self._head_is_done and not self._collecting:
            return not cycle.response_started  # the half request's own
        return cycle is None or cycle.response_complete

    def _await(self) -> None:
        self._is_waiting, self._unsent = True, self.transport.get_write_buffer_size()
        self._guard.await_client(self)

    def _forget(self) -> None:
        self._is_waiting = False
        self._guard.forget(self)

    def _is_delivering(self) -> bool:
        return self.wire is not None and self.wire.watcher is not None

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
            self._guard.tally.problems[code] += 1
            self.transport.write(_answer(Problem(code, detail)))
            self.transport.write_eof()
        else:
            self.transport.close()
        self._await()


def without_h2c(data: bytes) -> bytes:
    """The request without its offer of HTTP/2, which a server may pass over (RFC 9110, 7.8).

    Java's client makes one by itself; the parser would take the body for the other protocol's.
    """
    head, end, body = data.partition(b"\r\n\r\n")
    return _UPGRADE.sub(b"\r\nx-upgrade:", head) + end + body


class HeadTooLarge(Exception):
    """Stops the parser."""


def _answer(problem: Problem) -> bytes:
    body = problem.body()
    head = (
        b"content-type: application/problem+json\r\ncache-control: no-store\r\nx-content-type-options: nosniff\r\n"
        b"referrer-policy: no-referrer\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body)
    )
    return STATUS_LINE[problem.status] + head + body


def raise_descriptors() -> None:
    """As many open files as the system allows without asking: a connection costs two."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
