"""What is read of a request beside its path: headers, and bodies, whose kind and size are checked."""

from streamlimit.http.asgi import BODY, Receive, Scope
from streamlimit.http.reader import MAX_BODY
from streamlimit.http.request import Request
from streamlimit.web.problems import Problem

FIELDS = "streamlimit.fields"
"""Key of a scope: its headers by name, made when the first is asked for."""


def header(scope: Scope, name: bytes) -> str | None:
    """The first header of that (lower case) name."""
    fields = scope.get(FIELDS)
    if fields is None:
        fields = scope[FIELDS] = dict(reversed(scope["headers"]))
    value: bytes | None = fields.get(name)
    return None if value is None else value.decode("latin-1")


async def read_json_body(scope: Scope, receive: Receive) -> bytes:
    """The whole body. Raises 415 for a content type other than JSON, 413 above `MAX_BODY`."""
    require_json(scope)
    return await read_body(scope, receive)


def require_json(scope: Scope) -> None:
    """Raises 415 for a content type other than JSON; a body without one is taken for JSON."""
    require_kind(header(scope, b"content-type"))


def content_type(scope: Scope) -> str | None:
    """The content type of the request's body, without parameters, in lower case."""
    return bare_kind(header(scope, b"content-type"))


def require_kind(content_type: str | None) -> None:
    """As `require_json`, by a `Content-Type`."""
    if bare_kind(content_type) not in (None, "application/json"):
        raise not_json()


def bare_kind(kind: str | None) -> str | None:
    """A `Content-Type` without parameters, in lower case."""
    return None if kind is None else kind.partition(";")[0].strip().lower()


def not_json() -> Problem:
    """The problem for a content type other than JSON."""
    return Problem("unsupported-media-type", "send application/json")


async def read_body(scope: Scope, receive: Receive, at_most: int = MAX_BODY) -> bytes:
    """The whole body, whatever it is. Raises 413 for one that was too large to be kept."""
    body = scope[BODY] if BODY in scope else (await receive()).get("body", b"")
    return _kept(body, at_most)


def body_of(request: Request) -> bytes:
    """The whole body, whatever it is. Raises 413 for one that was too large to be kept."""
    return _kept(request.body)


def json_of(request: Request) -> bytes:
    """As `body_of`. Raises 415 for a content type other than JSON."""
    if request.fields.get(b"content-type") != b"application/json":
        require_kind(request.header(b"content-type"))
    return _kept(request.body)


def _kept(body: bytes | None, at_most: int = MAX_BODY) -> bytes:
    if body is None or len(body) > at_most:
        raise Problem("too-large", f"a body is at most {at_most // 1024} KiB")
    return body
