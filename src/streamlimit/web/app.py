"""The front door: the hot path is picked here, before any framework; all else goes to the control plane."""

from collections.abc import Awaitable, MutableMapping
from typing import Any, NamedTuple, Protocol

import structlog

from streamlimit.errors import StreamlimitError
from streamlimit.model import Decision
from streamlimit.store.contract import Answer
from streamlimit.web.control import make_control
from streamlimit.web.cors import Cors
from streamlimit.web.delivery import NotReceived
from streamlimit.web.exchange import Exchange
from streamlimit.web.heads import Heads, Hot
from streamlimit.web.heartbeat import Heartbeat, is_heartbeat
from streamlimit.web.http import WHOLE, App, ClientLeft, Receive, Scope, Send, encode_headers, send_problem
from streamlimit.web.problems import FAILURE, Problem, log_problem, problem_of
from streamlimit.web.quick import Beat, Beats
from streamlimit.web.request_id import begin, id_header
from streamlimit.web.service import Service
from streamlimit.web.viewer import Viewer

log = structlog.get_logger("streamlimit.web")


EDGE = "/edge/"
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",  # playback URLs carry the grant
}
"""On every answer; pages add their own."""


class Room(Protocol):
    """Another room of the house, behind the same door: an ASGI callable that raises its errors."""

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]: ...
    def takes_options(self, path: str) -> bool: ...
    def route_of(self, path: str) -> str: ...
    def playing(self, play: App) -> App: ...


class FrontDoor:
    """The ASGI application of one worker. *edge* answers what is below `/edge/`."""

    def __init__(self, service: Service, edge: Room | None = None) -> None:
        self._edge = edge
        self._cors, self._proxies = Cors(service.settings.cors_origins), service.proxies
        self._same_for_all = self._headers({"headers": []}) if self._cors.is_for_all else None
        self._viewer, self._heartbeat = Viewer(service), Heartbeat(service)
        self.beats = Beats(service, self._heartbeat, self._common)
        self.heads = Heads(service, self._viewer, self._common)
        self._tally, self._limiter = service.tally, service.limiter
        self._control = make_control(service)
        self._play = self._viewer.play if edge is None else edge.playing(self._viewer.play)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] != "http":
            return _nothing()  # uvicorn refuses a WebSocket that nobody accepts
        begin(scope)
        if self._proxies.are_any:
            self._proxies.reveal(scope)
        watched = _Watched(send, self._common(scope), WHOLE in scope.get("extensions", ()))
        if scope["method"] == "OPTIONS" and not self._is_edges_own(scope["path"]):
            return self._cors.preflight(scope, watched)
        return self._answer(self._route(scope, receive, watched), scope, receive, watched)

    async def go_on(self, beat: Beat, coming: Answer[Decision] | Exception, receive: Receive, send: Send) -> None:
        """Tells what became of a heartbeat that `Beats` began."""
        scope = beat.scope()
        watched = _Watched(send, self._common(scope), takes_whole=True)
        await self._answer(self._heartbeat.answer(coming, beat.ask, watched), scope, receive, watched)

    async def serve(self, hot: Hot, exchange: Exchange) -> None:
        """Answers a request that `Heads` understood and nothing holds back."""
        try:
            await self._viewer.serve(hot.wanted, self._limiter.decide(hot.wanted.ask), exchange)
        except Exception as error:
            scope = hot.scope()
            watched = _Watched(exchange.send, hot.head.common, takes_whole=True)
            watched.has_started = exchange.has_started
            await self._fail(error, scope, exchange.receive, watched)

    def _common(self, scope: Scope) -> list[tuple[bytes, bytes]]:
        return self._same_for_all or self._headers(scope)

    def _headers(self, scope: Scope) -> list[tuple[bytes, bytes]]:
        """What every answer has."""
        return encode_headers(SECURITY_HEADERS | self._cors.headers(scope))

    async def _answer(self, work: Awaitable[None], scope: Scope, receive: Receive, send: "_Watched") -> None:
        try:
            await work
        except Exception as error:
            await self._fail(error, scope, receive, send)

    async def _fail(self, error: Exception, scope: Scope, receive: Receive, send: "_Watched") -> None:
        """Tells what became of it instead."""
        if isinstance(error, Problem):
            await self._refuse(error, scope, send)
        elif isinstance(error, StreamlimitError):
            await self._refuse(problem_of(error), scope, send)
        elif isinstance(error, ClientLeft):
            log.debug("client_left", route=_route_of(scope))
        elif isinstance(error, NotReceived):
            await receive()  # its connection is being reset; then the server, too, knows that nobody is there
        else:
            log.error("failed", exc_info=error, method=scope["method"], route=_route_of(scope))
            await self._refuse(FAILURE, scope, send)

    def _is_edges_own(self, path: str) -> bool:
        """Is an `OPTIONS` a viewer's request, handed on by an edge?"""
        return self._edge is not None and path.startswith(EDGE) and self._edge.takes_options(path)

    async def _enter(self, room: Room, scope: Scope, receive: Receive, send: Send) -> None:
        scope["route"] = _Named(room.route_of(scope["path"]))
        await room(scope, receive, send)

    def _route(self, scope: Scope, receive: Receive, send: "_Watched") -> Awaitable[None]:
        path: str = scope["path"]
        if path == "/v1/segments":
            return self._viewer.segments(scope, receive, send)
        if path.startswith("/play/"):
            return self._play(scope, receive, send)
        if is_heartbeat(path):
            return self._heartbeat(scope, receive, send)
        if self._edge is not None and path.startswith(EDGE):
            return self._enter(self._edge, scope, receive, send)
        return self._control(scope, receive, send)

    async def _refuse(self, problem: Problem, scope: Scope, send: "_Watched") -> None:
        self._tally.problems[problem.code] += 1
        log_problem(problem, scope["method"], _route_of(scope))
        if not send.has_started:  # else half of an answer is out; the server closes the connection
            await send_problem(send, problem, id_header())


class _Named(NamedTuple):
    """A route, as far as the log is told of it."""

    path: str


async def _nothing() -> None:
    """No answer."""


def _route_of(scope: Scope) -> str | None:
    """The call's name, for the log: a path may hold a grant, or whatever someone sent."""
    path: str = scope["path"]
    if path.startswith("/play/"):
        return "/play"
    if is_heartbeat(path):
        return "/v1/users/{user_id}/sessions/{session_id}/heartbeat"
    return path if path == "/v1/segments" else getattr(scope.get("route"), "path", None)


class _Watched:
    """`send` that adds headers and knows whether an answer has begun."""

    __slots__ = ("_headers", "_send", "has_started", "takes_whole")

    def __init__(self, send: Send, headers: list[tuple[bytes, bytes]], takes_whole: bool) -> None:
        self._send, self._headers = send, headers
        self.has_started, self.takes_whole = False, takes_whole

    def __call__(self, message: MutableMapping[str, Any]) -> Awaitable[None]:
        if not self.has_started:
            self.has_started = True
            if self.takes_whole:
                message["common"] = self._headers
            else:
                message["headers"] = [*message.get("headers", []), *self._headers]
        return self._send(message)
