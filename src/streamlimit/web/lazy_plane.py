"""The control plane (control_plane.py), imported late.

FastAPI takes a third of a start and no viewer needs it, so it is imported in a thread while the first viewers are
answered.
"""

import asyncio
import sys

from streamlimit.http.asgi import REQUEST, App, Receive, Scope, Send
from streamlimit.web.service import Service
from streamlimit.web.spelling import USERS, require_ids_in_path

TURN_SECONDS = 0.000_5
"""The interpreter's switch interval during the import: Python's 5 ms would delay viewers noticeably."""


class LazyPlane:
    """The control plane of one worker, as an ASGI application. Requests wait until it is imported."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._plane: App | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"].startswith(USERS):
            require_ids_in_path(scope[REQUEST].raw_path)
        if self._plane is None:
            await import_plane()
            from streamlimit.web.control_plane import make_plane

            self._plane = make_plane(self._service)  # two requests that waited may each make one: they are equal
        if scope["method"] == "HEAD":
            # The sender leaves the body out. (FastAPI would need a second, documented route.)
            scope["method"] = "GET"
        await self._plane(scope, receive, send)


async def import_plane() -> None:
    """Returns when the control plane is imported, by this call or another."""
    await asyncio.to_thread(_import_plane)


def _import_plane() -> None:
    before = sys.getswitchinterval()
    sys.setswitchinterval(TURN_SECONDS)
    try:
        import streamlimit.web.control_plane  # noqa: F401
    finally:
        sys.setswitchinterval(before)
