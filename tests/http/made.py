"""Requests as the server's reader makes them, without a connection."""

from streamlimit.http.request import Headers, Peer, Request, unquoted


def made(
    method: str = "GET", target: bytes = b"/", headers: Headers | None = None, body: bytes = b"", client: Peer = None
) -> Request:
    """A whole request."""
    path, _, query = target.partition(b"?")
    given = headers or []
    return Request(method, target, unquoted(path), query, given, dict(reversed(given)), body, client, True)
