"""The front door: the hot path is picked here, before any framework; all else goes to the control plane."""

from collections.abc import MutableMapping
from typing import Any

import structlog

from streamlimit.errors import StreamlimitError
from streamlimit.web.control import make_control
from streamlimit.web.cors import Cors
from streamlimit.web.http import ClientLeft, Receive, Scope, Send, send_problem
from streamlimit.web.problems import Problem, problem_of
from streamlimit.web.service import Service
from streamlimit.web.viewer import Viewer

log = structlog.get_logger("streamlimit.web")


class FrontDoor:
    """The ASGI application of one worker."""

    def __init__(self, service: Service) -> None:
        self._cors = Cors(service.settings.cors_origins)
        self._viewer = Viewer(service)
        self._control = make_control(service)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return None  # uvicorn refuses a WebSocket that nobody accepts
        if scope["method"] == "OPTIONS":
            return await self._cors.preflight(scope, send)
        return await self._answer(scope, receive, _Watched(send, self._cors.headers(scope)))

    async def _answer(self, scope: Scope, receive: Receive, send: "_Watched") -> None:
        try:
            await self._route(scope, receive, send)
        except Problem as problem:
            await self._refuse(problem, send)
        except StreamlimitError as error:
            await self._refuse(problem_of(error), send)
        except ClientLeft:
            log.debug("client_left", path=scope["path"])

    async def _route(self, scope: Scope, receive: Receive, send: "_Watched") -> None:
        path: str = scope["path"]
        if path == "/v1/segments":
            await self._viewer.segments(scope, receive, send)
        elif path.startswith("/play/"):
            await self._viewer.play(scope, receive, send)
        else:
            await self._control(scope, receive, send)

    async def _refuse(self, problem: Problem, send: "_Watched") -> None:
        if not send.has_started:  # else half of an answer is out; the server closes the connection
            await send_problem(send, problem, {})


class _Watched:
    """`send` that adds the CORS headers and knows whether an answer has begun."""

    def __init__(self, send: Send, cors: dict[str, str]) -> None:
        self._send, self._cors = send, [(k.lower().encode(), v.encode()) for k, v in cors.items()]
        self.has_started = False

    async def __call__(self, message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.has_started = True
            message["headers"] = [*message.get("headers", []), *self._cors]
        await self._send(message)
