"""The bridge to ASGI: a request answered by an ASGI application, in a task. For calls that are not frequent."""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from streamlimit.http.exchange import Exchange, lines_of
from streamlimit.http.request import Headers, Request

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

REQUEST = "streamlimit.request"
"""Key of a scope: the request, as it was read."""

DRAINING = "streamlimit.draining"
"""Key of a scope's extensions: awaited for the stop of the service by answers without an end of their own."""

_ASGI = {"version": "3.0", "spec_version": "2.3"}


def scope_of(request: Request, exchange: Exchange) -> Scope:
    """The *request*, which is answered by *exchange*, as ASGI's scope."""
    return {
        "type": "http",
        "asgi": _ASGI,
        "http_version": request.version,
        "method": request.method,
        "scheme": "http",
        "path": request.path,
        "raw_path": request.target.partition(b"?")[0],
        "query_string": request.query,
        "root_path": "",
        "headers": request.headers,
        "server": None,
        "client": request.client,
        "state": {},
        "extensions": {DRAINING: exchange.until_draining},
        REQUEST: request,
    }


class Bridge:
    """One exchange as ASGI's `receive` and `send`."""

    def __init__(self, request: Request, exchange: Exchange) -> None:
        self._body: bytes | None = request.body or b""
        self._exchange, self._is_old = exchange, request.version == "1.0"
        self._is_chunked = False

    async def receive(self) -> dict[str, Any]:
        """ASGI's `receive`: the body once, then the disconnect."""
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._exchange.until_left()
        return {"type": "http.disconnect"}

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """ASGI's `send`. The head is held back until the first part of the body."""
        if message["type"] == "http.response.start":
            self._start(message["status"], list(message.get("headers", ())))
            return
        body, more = message.get("body", b""), message.get("more_body", False)
        part = b"" if self._exchange.is_head else _chunk(bytes(body), more) if self._is_chunked else body
        sending = self._exchange.part(part) if part else None
        if sending is not None:
            await sending
        if not more:
            self._exchange.end()

    def _start(self, status: int, headers: Headers) -> None:
        exchange = self._exchange
        if any(name == b"connection" and value.lower() == b"close" for name, value in headers):
            exchange.keep_alive = False
        kept = [each for each in headers if each[0] != b"connection"]
        has_length = any(name == b"content-length" for name, _ in kept)
        if not has_length and status not in (204, 304) and not exchange.is_head:
            if self._is_old:
                exchange.keep_alive = False  # its end is the connection's
            else:
                self._is_chunked = True
                kept.append((b"transfer-encoding", b"chunked"))
        exchange.start(status, lines_of(kept))


def _chunk(part: bytes, more: bool) -> bytes:
    content = b"%x\r\n%b\r\n" % (len(part), part) if part else b""
    return content if more else content + b"0\r\n\r\n"
