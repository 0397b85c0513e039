"""Plain ASGI, for the hot path: read a request, write an answer. Knows no session and no stream."""

from collections.abc import Awaitable, Callable, MutableMapping
from functools import lru_cache
from typing import Any

from streamlimit.web.problems import Problem

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MAX_BODY_BYTES = 64 * 1024
WHOLE = "streamlimit.whole"
"""The message of a whole answer; where the scope's extensions have this name, `send` takes it (see exchange.py)."""

FIELDS = "streamlimit.fields"
"""In a scope: its headers by their names, made when the first is asked for."""

BODY = "streamlimit.body"
"""In a scope: the whole body, where it was there before anybody asked."""

DISCARDED_BYTES = 32 * 1024 * 1024
"""Read of a body that is too large, so that its sender gets to read why."""


class ClientLeft(Exception):
    """The client went away before its request was whole; nobody is there to be answered."""


def header(scope: Scope, name: bytes) -> str | None:
    """The first header of that (lower case) name."""
    fields = scope.get(FIELDS)
    if fields is None:
        fields = scope[FIELDS] = dict(reversed(scope["headers"]))
    value: bytes | None = fields.get(name)
    return None if value is None else value.decode("latin-1")


async def read_json_body(scope: Scope, receive: Receive) -> bytes:
    """The whole body. Raises 415 for a body that says it is something else, 413 above `MAX_BODY_BYTES`."""
    require_json(scope)
    return await read_body(scope, receive)


def require_json(scope: Scope) -> None:
    """Raises 415 for a body that says it is something else than JSON; one that says nothing is taken for it."""
    if content_type(scope) not in (None, "application/json"):
        raise not_json()


def content_type(scope: Scope) -> str | None:
    """What the body says it is, without parameters, in lower case."""
    kind = header(scope, b"content-type")
    return None if kind is None else kind.partition(";")[0].strip().lower()


def not_json() -> Problem:
    """For a body that says it is something else."""
    return Problem("unsupported-media-type", "send application/json")


async def read_body(scope: Scope, receive: Receive, at_most: int = MAX_BODY_BYTES) -> bytes:
    """The whole body, whatever it is. Raises 413 for one that is too large, when most of it has come.

    For a client reads no answer while it sends, and closing the connection before would reset it, answer and all.
    """
    if header(scope, b"expect") is not None and int(header(scope, b"content-length") or 0) > at_most:
        raise _too_large(at_most)  # this one asks before it sends
    body: bytes = scope.get(BODY, b"")
    if body:
        return body
    size, more = 0, True
    while more and size <= DISCARDED_BYTES:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientLeft
        part = message.get("body", b"")
        size, more = size + len(part), message.get("more_body", False)
        if size <= at_most:
            body += part
    if size > at_most:
        raise _too_large(at_most)
    return body


def _too_large(at_most: int) -> Problem:
    return Problem("too-large", f"a body is at most {at_most // 1024} KiB", headers={"Connection": "close"})


def encode_headers(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    """As ASGI wants them."""
    return [(_spelled(name), value.encode("latin-1")) for name, value in headers.items()]


@lru_cache(maxsize=256)
def _spelled(name: str) -> bytes:
    return name.lower().encode("latin-1")


async def send_start(send: Send, status: int, headers: list[tuple[bytes, bytes]]) -> None:
    """Status and headers."""
    await send({"type": "http.response.start", "status": status, "headers": headers})


async def send_part(send: Send, part: bytes | memoryview) -> None:
    """Some of the body; more follows."""
    await send({"type": "http.response.body", "body": part, "more_body": True})


async def send_end(send: Send, part: bytes = b"") -> None:
    """The last of the body: from here on the connection's next request is looked at."""
    await send({"type": "http.response.body", "body": part, "more_body": False})


async def send_whole(send: Send, status: int, headers: dict[str, str], body: bytes = b"") -> None:
    """A whole answer at once."""
    encoded = encode_headers(headers)
    if status != 204:
        encoded.append((b"content-length", b"%d" % len(body)))
    if getattr(send, "takes_whole", False):
        await send({"type": WHOLE, "status": status, "headers": encoded, "body": body})
    else:
        await send_start(send, status, encoded)
        await send_end(send, body)


async def send_problem(send: Send, problem: Problem, headers: dict[str, str]) -> None:
    """An error, as RFC 9457 wants it. *headers* (CORS) go along with the problem's own."""
    await send_whole(send, problem.status, headers_of(problem) | headers, problem.body())


def headers_of(problem: Problem) -> dict[str, str]:
    """Its own."""
    return {"Content-Type": "application/problem+json", "Cache-Control": "no-store"} | problem.headers
