"""The door to the control plane (plane.py). FastAPI is a third of a start and no viewer needs it, so it is imported in
a thread while the first viewers are answered already.
"""

import asyncio
import sys

from streamlimit.web.http import App, Receive, Scope, Send
from streamlimit.web.service import Service
from streamlimit.web.spelling import USERS, raw_path, require_ids_in_path

TURN_SECONDS = 0.000_5
"""How long the import may keep the event loop waiting at a time: Python's 5 ms add up to what viewers notice."""

ASKED = "streamlimit.method"
"""Where a scope keeps the method that was asked for, if it is answered as another one."""


class Control:
    """The control plane of one worker, as an ASGI application. Who comes before it is there waits for it."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._plane: App | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"].startswith(USERS):
            require_ids_in_path(raw_path(scope))
        if self._plane is None:
            await import_plane()
            from streamlimit.web.plane import make_plane

            self._plane = make_plane(self._service)  # of two who waited each makes one: they are alike
        await self._plane(_as_get(scope), receive, send)


def _as_get(scope: Scope) -> Scope:
    """HEAD is answered where GET is, in the same way: who sends the answer has the scope as it was, and leaves the body
    out. (The framework would want two routes for it, and tell of both.)
    """
    return {**scope, "method": "GET", ASKED: "HEAD"} if scope["method"] == "HEAD" else scope


def make_control(service: Service) -> Control:
    """The control plane of one worker."""
    return Control(service)


async def import_plane() -> None:
    """Returns when it is imported, by whichever call."""
    await asyncio.to_thread(_import_plane)


def _import_plane() -> None:
    before = sys.getswitchinterval()
    sys.setswitchinterval(TURN_SECONDS)
    try:
        import streamlimit.web.plane  # noqa: F401
    finally:
        sys.setswitchinterval(before)
