"""Hooks of media servers: who may call them, and how their JSON is read."""

from typing import TypeVar

import msgspec
from msgspec import Struct

from streamlimit.edge.callers import require_edge
from streamlimit.http.asgi import Scope
from streamlimit.web.address import Proxies
from streamlimit.web.forms import malformed
from streamlimit.web.problems import Problem

T = TypeVar("T", bound=Struct)

NO_STORE = {"Cache-Control": "no-store"}
JSON = NO_STORE | {"Content-Type": "application/json"}
HELD_SECONDS = 6 * 3600.0
"""How long a viewer may hold a seat whose end is never reported: its server crashed."""


def require_hook(scope: Scope, route: str, proxies: Proxies) -> None:
    """Raises 404, 405 and 403 for what is no server's hook at *route*."""
    require_post(scope, route)
    require_edge(proxies, scope)


def require_post(scope: Scope, route: str) -> None:
    """Raises 404 and 405."""
    if scope["path"] != route:
        raise Problem("not-found", "there is no such edge")
    if scope["method"] != "POST":
        raise Problem("method-not-allowed", "POST it", headers={"Allow": "POST, OPTIONS"})


def read_hook(form: type[T], body: bytes) -> T:
    """The form in a hook's body; fields that are none of ours are passed over. Raises `malformed`."""
    try:
        return msgspec.json.decode(body, type=form)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise malformed(str(error)) from error
