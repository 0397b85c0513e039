"""`/edge/auth`: the portable authorization request of nginx's auth_request, Caddy, Traefik, HAProxy and Varnish.

The original URI and method come in headers. A viewer can forge some of these, so contradicting ones are refused; the
recipes have the edge overwrite its own (docs/how-to/edges.md).
"""

from streamlimit.edge.answer import noted, refused, yes_headers
from streamlimit.edge.decision import LOOKS, Decider
from streamlimit.edge.original import original_of
from streamlimit.http.request import Request
from streamlimit.web.outgoing import Reply
from streamlimit.web.problems import Problem
from streamlimit.web.service import Service

URIS = (b"x-original-uri", b"x-forwarded-uri")
METHODS = (b"x-original-method", b"x-forwarded-method")
ROUTE = "/edge/auth"


class Auth:
    """The handler of edges' questions. It answers exactly 200, with nothing in it, or a refusal.

    Other edges than nginx take any other status for a no. No body, no `Range` and no condition is read, whatever of
    these the edge hands on.
    """

    route = ROUTE

    def __init__(self, service: Service, decider: Decider) -> None:
        self._proxies, self._tally, self._decider = service.proxies, service.tally, decider
        self._cache_seconds, self._prefix = service.settings.edge_cache, service.settings.public_path

    async def __call__(self, request: Request) -> Reply:
        try:
            self._proxies.require(request)
            original = original_of(self.uri_of(request), self._prefix)
            yes = await self._decider.decide(original, self.method_of(request), request)
        except Exception as error:
            problem = noted(error, self._tally, request.method, self.route)
            return refused(problem, self.status_of(problem))
        return Reply(200, yes_headers(yes, self._cache_seconds))

    def uri_of(self, request: Request) -> str:
        """The viewer's URI. Raises `malformed` without one, and 403 where there are two."""
        uris = _values(request, URIS)
        if not uris:
            raise Problem("malformed", "X-Original-URI: the edge does not say what was asked of it")
        if len(uris) > 1:
            raise Problem("forbidden", "X-Original-URI and X-Forwarded-Uri contradict each other")
        return uris.pop()

    def method_of(self, request: Request) -> str:
        """The viewer's method. Where headers differ, one that takes a seat goes before one that does not."""
        methods = {method.upper() for method in _values(request, METHODS)} or {request.method}
        return min(methods - LOOKS, default=min(methods))

    def status_of(self, problem: Problem) -> int:
        """The status of a no, as the edge understands it."""
        return 401 if problem.status == 401 else 403


def _values(request: Request, names: tuple[bytes, ...]) -> set[str]:
    return {value.decode("latin-1").strip(" \t") for name, value in request.headers if name in names} - {""}
