"""The entry point of requests: the hot path is chosen here, before any framework, or else the control plane."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol

from streamlimit.errors import Refused, StreamlimitError
from streamlimit.http.asgi import Bridge, scope_of
from streamlimit.http.exchange import Exchange
from streamlimit.http.request import Request
from streamlimit.logs import EventLog, asking
from streamlimit.refusal_limiter import CODE as HAMMERING
from streamlimit.store.contract import Answer, resolved
from streamlimit.store.deferred import Deferred
from streamlimit.web.cors import Cors
from streamlimit.web.hammering import Hammering
from streamlimit.web.headers import lines
from streamlimit.web.heartbeat import Heartbeat, is_heartbeat
from streamlimit.web.lazy_plane import LazyPlane
from streamlimit.web.leaving import ClientLeft
from streamlimit.web.outgoing import Call, Reply
from streamlimit.web.playback import PlaybackFiles
from streamlimit.web.problems import FAILURE, SECURITY_HEADERS, Problem, headers_of, log_problem, problem_of
from streamlimit.web.request_id import RequestId, id_header
from streamlimit.web.responder import Responder
from streamlimit.web.segments import Segments
from streamlimit.web.sending import NotReceived
from streamlimit.web.service import Service
from streamlimit.web.wanted import Elsewhere

log = EventLog("streamlimit.web")


EDGE, SEGMENTS = "/edge/", "/v1/segments"


class Edges(Protocol):
    """What edges ask, each in its protocol: a request in, a reply out; errors are raised.

    `elsewhere`: a call that has files of `/play/` delivered by another server; None: streamlimit delivers.
    `cookies_of`: the cookies that playlists of a stream carry then, for a session with a seat on it.
    """

    def __call__(self, request: Request) -> Awaitable[Reply]: ...
    def takes_options(self, path: str) -> bool: ...
    def route_of(self, path: str) -> str: ...
    @property
    def elsewhere(self) -> Call | None: ...
    @property
    def cookies_of(self) -> Callable[[str], list[str]] | None: ...


class FrontDoor:
    """Handles all requests of one worker. *edges* answer what is below `/edge/`."""

    def __init__(self, service: Service, edges: Edges) -> None:
        self._edges = edges
        self._cors, self._proxies = Cors(service.settings.cors_origins), service.proxies
        self._same_for_all = self._headers(None) if self._cors.is_for_all else b""
        responder = Responder(service, edges.cookies_of)
        self._segments, self._play = _hot_calls(service, responder)
        self._heartbeat = Heartbeat(service)
        self._limiter, self._tally = service.limiter, service.tally
        self._control = LazyPlane(service)
        self._elsewhere = edges.elsewhere

    def handle(self, request: Request, exchange: Exchange) -> Awaitable[None] | None:
        """Answers *request*, at once or by the returned awaitable."""
        asking.set(RequestId(request.fields))  # lines logged in this context carry the request's id
        if self._proxies.are_any:
            self._proxies.reveal(request)
        exchange.common = self._same_for_all or self._headers(request.header(b"origin"))
        try:
            work = self._route(request, exchange)
        except Exception as error:
            self._fail(request, exchange, error)
            return None
        if isinstance(work, Deferred):
            return work.then(None, partial(self._fail, request, exchange))
        return None if work is None else self._see_through(work, request, exchange)

    def _headers(self, origin: str | None) -> bytes:
        """The headers of every answer, as lines."""
        return lines(SECURITY_HEADERS | self._cors.headers(origin))

    async def _see_through(self, work: Awaitable[None], request: Request, exchange: Exchange) -> None:
        try:
            await work
        except Exception as error:
            self._fail(request, exchange, error)

    def _route(self, request: Request, exchange: Exchange) -> Answer[None]:
        path = request.path
        if request.method == "OPTIONS" and not self._is_edges_own(path):
            self._preflight(request, exchange)
            return None
        if path == SEGMENTS:
            return self._segments(request, exchange)
        if path.startswith("/play/"):
            if self._elsewhere is None:
                return self._play(request, exchange)
            return self._play_elsewhere(self._elsewhere, request, exchange)
        if is_heartbeat(path):
            return self._heartbeat(request, exchange)
        if path.startswith(EDGE):
            return self._reply(self._edges, request, exchange)
        return self._bridge(request, exchange)

    async def _play_elsewhere(self, elsewhere: Call, request: Request, exchange: Exchange) -> None:
        try:
            await resolved(self._play(request, exchange))
        except Elsewhere:
            await self._reply(elsewhere, request, exchange)

    async def _reply(self, call: Call, request: Request, exchange: Exchange) -> None:
        (await call(request)).send(exchange)

    def _preflight(self, request: Request, exchange: Exchange) -> None:
        exchange.whole(204, lines(self._cors.preflight(request.header(b"access-control-request-headers"))))

    async def _bridge(self, request: Request, exchange: Exchange) -> None:
        """Has the control plane answer, an ASGI application."""
        scope, bridge = scope_of(request, exchange), Bridge(request, exchange)
        try:
            await self._control(scope, bridge.receive, bridge.send)
        except Exception as error:
            self._fail(request, exchange, error, getattr(scope.get("route"), "path", None))

    def _is_edges_own(self, path: str) -> bool:
        """Is an `OPTIONS` on *path* a viewer's request, forwarded by an edge?"""
        return path.startswith(EDGE) and self._edges.takes_options(path)

    def _route_of(self, path: str) -> str | None:
        """The name of a call that is not the control plane's, for the log: a path may hold a grant, or anything."""
        if path.startswith("/play/"):
            return "/play"
        if is_heartbeat(path):
            return "/v1/users/{user_id}/sessions/{session_id}/heartbeat"
        if path.startswith(EDGE):
            return self._edges.route_of(path)
        return path if path == SEGMENTS else None

    def _fail(self, request: Request, exchange: Exchange, error: Exception, route: str | None = None) -> None:
        """Answers with *error*.

        Where a part of the answer is sent, or the client has left, the connection is closed.
        """
        route = self._route_of(request.path) or route
        if isinstance(error, Problem):
            self._refuse(error, request, exchange, route)
        elif isinstance(error, StreamlimitError):
            if isinstance(error, Refused) and error.refusal.code == HAMMERING and error.ask is not None:
                exchange.again(Hammering(self._limiter, error.ask, request.fields))
            self._refuse(problem_of(error), request, exchange, route)
        elif isinstance(error, ClientLeft):
            log.debug("client_left", route=route)
        elif not isinstance(error, NotReceived):
            log.error("failed", exc_info=error, method=request.method, route=route)
            self._refuse(FAILURE, request, exchange, route)

    def _refuse(self, problem: Problem, request: Request, exchange: Exchange, route: str | None) -> None:
        self._tally.problems[problem.code] += 1
        log_problem(problem, request.method, route)
        if not exchange.has_started:
            exchange.whole(problem.status, lines(headers_of(problem) | id_header()), problem.body())


def _hot_calls(service: Service, responder: Responder) -> tuple[Segments, PlaybackFiles]:
    """The handlers of files. Those of an origin are imported only where there is one, with its HTTP client."""
    if service.origin is None:
        return Segments(service, responder), PlaybackFiles(service, responder)
    from streamlimit.web.origin_play import OriginPlaybackFiles
    from streamlimit.web.origin_segments import OriginSegments

    return OriginSegments(service, responder), OriginPlaybackFiles(service, responder)
