"""The control plane (plane.py), imported late.

FastAPI takes a third of a start and no viewer needs it, so it is imported in a thread while the first viewers are
answered.
"""

import asyncio
import sys

from streamlimit.http.asgi import App, Receive, Scope, Send
from streamlimit.web.service import Service
from streamlimit.web.spelling import USERS, raw_path, require_ids_in_path

TURN_SECONDS = 0.000_5
"""The interpreter's switch interval during the import: Python's 5 ms would delay viewers noticeably."""

ASKED = "streamlimit.method"
"""Key of a scope: the request's method, if it is answered as another one."""


class Control:
    """The control plane of one worker, as an ASGI application. Requests wait until it is imported."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._plane: App | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"].startswith(USERS):
            require_ids_in_path(raw_path(scope))
        if self._plane is None:
            await import_plane()
            from streamlimit.web.plane import make_plane

            self._plane = make_plane(self._service)  # two requests that waited may each make one: they are equal
        await self._plane(_as_get(scope), receive, send)


def _as_get(scope: Scope) -> Scope:
    """A scope in which HEAD is GET; the sender leaves the body out. (FastAPI would need a second, documented route.)"""
    return {**scope, "method": "GET", ASKED: "HEAD"} if scope["method"] == "HEAD" else scope


def make_control(service: Service) -> Control:
    """The control plane of one worker."""
    return Control(service)


async def import_plane() -> None:
    """Returns when the control plane is imported, by this call or another."""
    await asyncio.to_thread(_import_plane)


def _import_plane() -> None:
    before = sys.getswitchinterval()
    sys.setswitchinterval(TURN_SECONDS)
    try:
        import streamlimit.web.plane  # noqa: F401
    finally:
        sys.setswitchinterval(before)
