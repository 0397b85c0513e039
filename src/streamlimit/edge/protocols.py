"""`/edge/…`: which file answers which foreign protocol. A request in, a reply out; errors are raised, not sent."""

from collections.abc import Awaitable, Callable, Mapping

from streamlimit.edge.accel import Accel
from streamlimit.edge.adobe import Adobe
from streamlimit.edge.auth import Auth
from streamlimit.edge.cmcd import Cmcd
from streamlimit.edge.decision import Decider
from streamlimit.edge.envoy import Envoy
from streamlimit.edge.holding import Holding
from streamlimit.edge.hooks import HELD_SECONDS
from streamlimit.edge.kicking import Kicker, ServerApi, mediamtx_cut, srs_cut
from streamlimit.edge.mediamtx import MediaMtx
from streamlimit.edge.ome import Ome
from streamlimit.edge.redirect import Redirect
from streamlimit.edge.reported import Reported
from streamlimit.edge.reports import Reports
from streamlimit.edge.rtmp import Rtmp
from streamlimit.edge.seating import Seating
from streamlimit.edge.signed_cookie import Cookies
from streamlimit.edge.srs import Srs
from streamlimit.edge.watching import Watching
from streamlimit.http.request import Request
from streamlimit.web.outgoing import Call, Reply
from streamlimit.web.problems import Problem
from streamlimit.web.service import Service

PREFIX = "/edge/"


class Edge:
    """All edges' protocols of one worker.

    `names`: of the edges, as they stand behind `/edge/`.
    """

    def __init__(self, service: Service) -> None:
        self._service, self._decider = service, (decider := Decider(service))
        seating = Seating(service)
        holding = Holding(service.limiter, service.policy.expiry_ms / 1_000, HELD_SECONDS)
        watching = Watching(seating.holds_seat, service.policy.segment_ms / 1_000, HELD_SECONDS)
        srs, mediamtx = service.settings.srs_api, service.settings.mediamtx_api
        srs_kicker = None if srs is None else Kicker("srs", srs_cut(ServerApi(srs)))
        mediamtx_kicker = None if mediamtx is None else Kicker("mediamtx", mediamtx_cut(ServerApi(mediamtx)))
        self._calls: Mapping[str, Call] = {
            "auth": Auth(service, decider),
            "reports": Reports(service, Reported(service)),
            "rtmp": Rtmp(seating, service.proxies),
            "mediamtx": MediaMtx(seating, watching, mediamtx_kicker, service.proxies),
            "srs": Srs(seating, holding, srs_kicker, service.proxies),
            "ome": Ome(service, seating, holding),
        }
        """The edges, by what stands behind `/edge/`."""
        self._with_more: Mapping[str, Call] = {
            "adobe": Adobe(service),
            "envoy": Envoy(service, decider),
            "cmcd": Cmcd(seating),
        }
        """The edges whose paths have further parts, which they parse themselves."""
        self.names = self._calls.keys() | self._with_more.keys()
        self._asks: frozenset[str] = frozenset({"auth", "envoy"})
        """The edges that forward a viewer's `OPTIONS`; at others it is a browser's preflight."""
        settings = service.settings
        self._cdn = settings.cdn if settings.deliver == "redirect" else None
        self._cookies = None if self._cdn is None or not self._cdn.by_cookies else Cookies(self._cdn)

    def __call__(self, request: Request) -> Awaitable[Reply]:
        path = request.path
        call = self._with_more.get(_name(path)) or self._calls.get(path.removeprefix(PREFIX))
        if call is None:
            raise Problem("not-found", "there is no such edge")
        return call(request)

    @property
    def elsewhere(self) -> Call | None:
        """The call by which another server delivers files of `/play`; None: streamlimit delivers."""
        if self._cdn is not None:
            return Redirect(self._cdn, self._cookies, self._decider)
        return Accel(self._service, self._decider) if self._service.settings.deliver == "accel" else None

    @property
    def cookies_of(self) -> Callable[[str], list[str]] | None:
        """The cookies that playlists of a stream carry for a session with a seat on it; None: there are none."""
        return None if self._cookies is None else self._cookies.of

    def takes_options(self, path: str) -> bool:
        """Is an `OPTIONS` at *path* a viewer's request, not a browser's preflight?"""
        return _name(path) in self._asks

    def route_of(self, path: str) -> str:
        """The call's name for the log: a path may hold a grant."""
        name = _name(path)
        return PREFIX + name if name in self.names else PREFIX


def _name(path: str) -> str:
    return path.removeprefix(PREFIX).partition("/")[0]
