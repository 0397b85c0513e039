"""Grants outside the path: as `?grant=` of the viewer's own URI, as a bearer token, as a cookie."""

from urllib.parse import unquote_plus

from streamlimit.http.request import Request

NAME, COOKIE = "grant", "streamlimit"


def grants_beside(query: str, request: Request) -> list[str]:
    """The texts that may be the grant, perhaps with a play behind it. *query*: of the viewer's URI, not of the edge's.

    A bearer token may be for another server, and the cookie be the grant; what a query calls a grant is none or is it.
    """
    named = in_query(query)
    found = in_bearer(request.header(b"authorization")), in_cookies(request.header(b"cookie"))
    return [text for text in found if text is not None] if named is None else [named]


def in_query(query: str) -> str | None:
    """The grant in a query: the first parameter of the name, since a viewer may append another one."""
    for pair in query.split("&"):
        name, _, value = pair.partition("=")
        if name == NAME:
            return unquote_plus(value) or None
    return None


def in_bearer(authorization: str | None) -> str | None:
    """The bearer token; None for another scheme, which is for another server."""
    scheme, _, token = (authorization or "").partition(" ")
    return (token.strip() or None) if scheme.lower() == "bearer" else None


def in_cookies(cookies: str | None) -> str | None:
    """The grant in the first cookie `streamlimit`."""
    for pair in (cookies or "").split(";"):
        name, _, value = pair.strip().partition("=")
        if name == COOKIE:
            return value.strip('"') or None
    return None
