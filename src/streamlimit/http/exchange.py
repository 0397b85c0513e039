"""The exchange: one request's answer, as a head, parts of a body or bytes of a file, and an end. Knows no session."""

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Protocol

from streamlimit.http.request import Headers, Request
from streamlimit.http.wire import Wire

SMALL = 64 * 1024
"""Bytes of a first part that are sent together with the head: one system call instead of two."""

STATUS_LINES = {each.value: b"HTTP/1.1 %d %b\r\n" % (each, each.phrase.encode()) for each in HTTPStatus}
CLOSE = b"connection: close\r\n"


class Way(Protocol):
    """The connection, as one answer sees it."""

    wire: Wire | None
    transport: asyncio.Transport
    is_stuck: bool
    is_draining: bool

    def room(self) -> "asyncio.Future[None]":
        """A future that is done when the client reads again, or is gone."""

    def answered(self) -> None:
        """Called when the answer is complete."""

    def again(self, again: Callable[[], tuple[int, bytes, bytes] | None], common: bytes) -> None:
        """Has *again* answer the same bytes if they come again; see `Repeats`."""


class Dated:
    """The server's own headers, `Date` among them: as pairs, and as lines."""

    headers: Headers = []  # noqa: RUF012  # replaced, never changed
    lines = b""


dated = Dated()


class Exchange:
    """The answer to one *request*: `whole`, or `start` once, then parts, then `end`.

    An awaitable that `part` and `pour` return is to be awaited: the client reads slowly. `common`: the last headers of
    every head.
    """

    # What most answers never change; an exchange is made for each request.
    has_started = is_over = is_gone = False
    common = b""
    _head: bytes | None = None
    _left: "asyncio.Future[None] | None" = None
    _draining: "asyncio.Future[None] | None" = None

    def __init__(self, way: Way, request: Request) -> None:
        self._way, self.wire = way, way.wire
        """`wire`: the client's connection."""
        self.keep_alive = request.keep_alive and not way.is_draining
        self.is_head = request.method == "HEAD"

    def whole(self, status: int, lines: bytes, body: bytes = b"") -> None:
        """Sends a complete answer. *lines*: its own headers, each with its CRLF, without the body's length."""
        if self.is_gone:
            return
        self._head = None  # another answer was begun, of which nothing is out
        length = b"" if status in (204, 304) else b"content-length: %d\r\n" % len(body)
        closing = b"" if self.keep_alive else CLOSE
        sent = b"" if self.is_head else body
        self.has_started = self.is_over = True
        parts = STATUS_LINES[status], dated.lines, lines, length, self.common, closing, b"\r\n", sent
        self._way.transport.write(b"".join(parts))
        self._way.answered()

    def again(self, again: Callable[[], tuple[int, bytes, bytes] | None]) -> None:
        """Has *again* answer if the client sends the same bytes again: it returns status, header lines and body.

        Such bytes are not parsed, unless it returns None. Called before this answer is sent.
        """
        if self.keep_alive and not self.is_head:
            self._way.again(again, self.common)

    def start(self, status: int, lines: bytes) -> None:
        """Begins the answer: *lines* are headers, each with its CRLF, not checked.

        Sent with the first part or the end.
        """
        closing = b"" if self.keep_alive else CLOSE
        self._head = b"".join((STATUS_LINES[status], dated.lines, lines, self.common, closing, b"\r\n"))

    def part(self, part: bytes | memoryview) -> Awaitable[None] | None:
        """Sends a part of the body; does nothing where the client has left."""
        if self.is_gone:
            return None
        if self._way.is_stuck:
            return self._part_later(part)
        if self._head is not None and len(part) <= SMALL:
            self.has_started = True
            self._way.transport.write(b"".join((self._head, part)))
            self._head = None
        else:
            self._write(self._take_head(), part)
        return None

    def pour(self, file: int, first: int, count: int) -> Awaitable[None] | None:
        """As `part`, from a file, where the wire `can_pour`. Less is sent where the client left or the file ended."""
        wire = self._way.wire
        assert wire is not None  # the caller checked `can_pour`
        self.has_started = True
        return wire.pour(self._take_head(), file, first, count)

    def end(self) -> None:
        """Ends the answer; the connection's next request may be handled."""
        if self.is_over:
            return
        if not self.is_gone and self._head is not None:
            self._write(self._take_head(), b"")
        self.is_over = True
        self._way.answered()

    async def until_left(self) -> None:
        """Returns when the client is gone."""
        if not self.is_gone:
            if self._left is None:
                self._left = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._left)

    async def until_draining(self) -> None:
        """Returns when the service stops, for answers without an end of their own."""
        if not self._way.is_draining:
            if self._draining is None:
                self._draining = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._draining)

    def drain(self) -> None:
        """Makes this the connection's last answer: the service stops."""
        self.keep_alive = False
        if self._draining is not None and not self._draining.done():
            self._draining.set_result(None)

    def gone(self) -> None:
        """Called when the connection is closed."""
        self.is_gone = True
        if self._left is not None and not self._left.done():
            self._left.set_result(None)

    def _take_head(self) -> bytes:
        head, self._head = self._head, None
        return head or b""

    async def _part_later(self, part: bytes | memoryview) -> None:
        while self._way.is_stuck and not self.is_gone:
            await self._way.room()
        if not self.is_gone:
            self._write(self._take_head(), part)

    def _write(self, head: bytes, part: bytes | memoryview) -> None:
        self.has_started = True
        write = self._way.transport.write
        if not head:
            if part:
                write(part)
        elif len(part) <= SMALL:
            write(b"".join((head, part)))
        else:
            write(head)
            write(part)


def lines_of(headers: Headers) -> bytes:
    """*headers* as lines. Raises ValueError for one that would be more than a line."""
    joined = b"".join([b"%b: %b\r\n" % each for each in headers])
    if joined.count(b"\n") != len(headers) or joined.count(b"\r") != len(headers):
        raise ValueError("a header is one line")
    return joined
