"""One hot request and its answer, stepped where it was parsed: see fast.py for why. Knows no URL and no session."""

import asyncio
from collections.abc import Awaitable
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from streamlimit.delivery.wire import Wire
from streamlimit.web.http import BODY, WHOLE, App, Scope
from streamlimit.web.protocol import ReceiptProtocol as Protocol
from streamlimit.web.stepping import Stepping, until

LISTS_KNOWN = 64
Headers = list[tuple[bytes, bytes]]

SMALL = 64 * 1024
"""Bytes of a first part that are sent together with the headers: one system call instead of two."""


class Exchange(Stepping):
    """One request and its answer, stepped where it was parsed.

    The answer is given by ASGI's `send`, or as to an `Outlet` (outlet.py): then *tail* ends its head.
    """

    # What most answers never change; an exchange is made for each request.
    has_started = disconnected = response_complete = False
    _chunked = _is_head = False
    _body: bytes | None
    _head: bytes | None = None
    _waiters: "tuple[asyncio.Future[None], ...]" = ()

    def __init__(self, protocol: Protocol, body: bytes, keep_alive: bool, tail: bytes = b"\r\n") -> None:
        self._protocol, self._body, self.keep_alive, self._tail = protocol, body, keep_alive, tail

    def begin(self, app: App) -> None:
        """Answers at once as far as possible."""
        scope = self._scope()
        self._is_head = scope["method"] == "HEAD"
        self.run(app(scope, self.receive, self.send))

    @property
    def message_event(self) -> "Exchange":
        """What uvicorn sets when the client leaves: ourselves, so that nothing has to be made, and no cycle of it."""
        return self

    def set(self) -> None:
        """The client left; `receive` waits for it. Most answers never do."""
        waiters, self._waiters = self._waiters, ()
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def receive(self) -> dict[str, Any]:
        """The body, once; then only the client's leaving."""
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        while not (self.disconnected or self.response_complete):
            waiter: asyncio.Future[None] = self._protocol.loop.create_future()
            self._waiters += (waiter,)
            await waiter
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        """uvicorn's `send`, with the headers held back until the first part of the body.

        Takes `WHOLE`, too: `http.response.start` and the only `http.response.body` in one. Either may have `common`:
        headers after its own, in a list that is the same object for many answers.
        """
        flow = self._protocol.flow
        if flow.write_paused and not self.disconnected:
            await flow.drain()
        if self.disconnected:
            return
        kind = message["type"]
        if kind == "http.response.start":
            self._start(message)
        else:
            if kind == WHOLE:
                self._start(message)
            self._send_body(message.get("body", b""), message.get("more_body", False))

    @property
    def wire(self) -> Wire | None:
        return self._protocol.wire

    def start(self, status: int, lines: bytes) -> None:
        dated = lines_of(self._protocol.server_state.default_headers)
        tail = self._tail if self.keep_alive else b"%bconnection: close\r\n\r\n" % self._tail[:-2]
        self._head = b"".join((STATUS_LINE[status], dated, lines, tail))

    def part(self, part: bytes | memoryview) -> Awaitable[None] | None:
        return self._write(part, more=True)

    def pour(self, file: int, first: int, count: int) -> Awaitable[None] | None:
        head, self._head = self._head, None
        self.has_started = True
        wire = self._protocol.wire
        assert wire is not None  # it was asked whether it can
        return wire.pour(head or b"", file, first, count)

    def until(self, coming: Any) -> Awaitable[object]:
        return until(coming)

    def end(self) -> Awaitable[None] | None:
        if self._head is not None or self.disconnected or self._protocol.flow.write_paused:
            return self._write(b"", more=False)
        self._complete()
        return None

    def send_whole(self, answer: bytes) -> None:
        """Head and body at once, made by somebody who knows how; for a connection that is kept."""
        if not self.disconnected:
            self.has_started = True
            if not self.keep_alive:
                answer = answer.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n", 1)
            self._protocol.transport.write(answer)
            self._complete()

    def _write(self, part: bytes | memoryview, more: bool) -> Awaitable[None] | None:
        """A part of the body, now or when there is room again; nothing where nobody is there any more."""
        if self.disconnected:
            return None
        if self._protocol.flow.write_paused:
            return self._write_later(part, more)
        self._send_body(part, more)
        return None

    async def _write_later(self, part: bytes | memoryview, more: bool) -> None:
        await self._protocol.flow.drain()
        if not self.disconnected:
            self._send_body(part, more)

    def _scope(self) -> Scope:
        protocol = self._protocol
        path, _, query = protocol.url.partition(b"?")
        text = path.decode("ascii")
        return {
            "type": "http",
            "asgi": _ASGI,
            "http_version": "1.1",
            "method": protocol.parser.get_method().decode("ascii"),
            "scheme": protocol.scheme,
            "path": unquoted(text),
            "raw_path": path,
            "query_string": query.partition(b"#")[0],
            "root_path": "",
            "headers": protocol.headers,
            "server": protocol.server,
            "client": protocol.client,
            "state": {},
            "extensions": protocol._extensions | _EXTENSIONS,
            BODY: self._body,
        }

    def _ended(self) -> None:
        if not self.response_complete and not self.disconnected:
            self._protocol.transport.close()  # half an answer, or none: the connection is of no more use

    def _start(self, message: Any) -> None:
        status = message["status"]
        own, has_length = self._joined(message.get("headers", ()))
        self._chunked = not has_length and status not in (204, 304) and not self._is_head
        closing = b"" if self.keep_alive else b"connection: close\r\n"
        framing = b"transfer-encoding: chunked\r\n" if self._chunked else b""
        dated = lines_of(self._protocol.server_state.default_headers)
        common = lines_of(message["common"]) if "common" in message else b""
        self._head = b"".join((STATUS_LINE[status], dated, own, common, closing, framing, b"\r\n"))

    def _joined(self, headers: Headers) -> tuple[bytes, bool]:
        """As they are sent; is their body's length among them?"""
        lines: list[bytes] = []
        count, has_length = 0, False
        for name, value in headers:
            if name == b"content-length":
                has_length = True
            elif name == b"connection" and value.lower() == b"close":
                self.keep_alive = False
                continue
            lines += (name, b": ", value, b"\r\n")
            count += 1
        joined = b"".join(lines)
        if joined.count(b"\n") != count:
            raise RuntimeError("Invalid HTTP header value.")
        return joined, has_length

    def _send_body(self, part: bytes | memoryview, more: bool) -> None:
        if self._is_head:
            part = b""
        if self._chunked:
            part = _chunk(bytes(part), more)
        self.has_started = True
        write = self._protocol.transport.write
        head, self._head = self._head, None
        if head is None:
            if part:
                write(part)
        elif len(part) <= SMALL:
            write(b"".join((head, part)))
        else:
            write(head)
            write(part)
        if not more:
            self._complete()

    def _complete(self) -> None:
        self.response_complete = True
        protocol = self._protocol
        if not self.keep_alive:
            protocol.transport.close()
        protocol.on_response_complete()


_EXTENSIONS: dict[str, Any] = {WHOLE: {}}
_ASGI = {"version": "3.0", "spec_version": "2.3"}


def unquoted(path: str) -> str:
    """Percent-decoded."""
    if "%" not in path:
        return path
    from urllib.parse import unquote

    return unquote(path)


def _chunk(part: bytes, more: bool) -> bytes:
    content = b"%x\r\n%b\r\n" % (len(part), part) if part else b""
    return content if more else content + b"0\r\n\r\n"


class _Lines:
    """Headers as they are sent. The same few lists come with every answer, and are joined once."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Headers, bytes]] = {}

    def __call__(self, headers: Headers) -> bytes:
        found = self._known.get(id(headers))
        if found is not None and found[0] is headers:
            return found[1]
        joined = b"".join(b"%b: %b\r\n" % header for header in headers)
        if len(self._known) >= LISTS_KNOWN:
            self._known.clear()
        self._known[id(headers)] = headers, joined
        return joined


lines_of = _Lines()
