"""`/edge/auth`: the portable decision, as nginx's auth_request, Caddy, Traefik, HAProxy and Varnish ask for it.

The original URI and method come in headers. Of what edges set and a viewer can forge nothing is believed that
contradicts itself; what the edge itself sets stands last in its own configuration (docs/how-to/edges.md).
"""

from streamlimit.edge.answer import noted, send_refusal, send_yes, yes_headers
from streamlimit.edge.callers import require_edge
from streamlimit.edge.decision import LOOKS, Decider
from streamlimit.edge.original import Original, original_of
from streamlimit.http.asgi import Receive, Scope, Send
from streamlimit.web.problems import Problem
from streamlimit.web.service import Service

URIS = (b"x-original-uri", b"x-forwarded-uri")
METHODS = (b"x-original-method", b"x-forwarded-method")
ROUTE = "/edge/auth"


class Auth:
    """An ASGI callable. Reads no body, no `Range` and no condition, whatever of these the edge hands on."""

    def __init__(self, service: Service, decider: Decider) -> None:
        self._proxies, self._tally, self._decider = service.proxies, service.tally, decider
        self._cache_seconds, self._prefix = service.settings.edge_cache, service.settings.public_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] != ROUTE:
            raise Problem("not-found", "there is no such edge")
        try:
            require_edge(self._proxies, scope)
            yes = await self._decider.decide(self._original(scope), method_of(scope), scope)
        except Exception as error:
            problem = noted(error, self._tally, scope["method"], ROUTE)
            await send_refusal(send, problem, 401 if problem.status == 401 else 403)
        else:
            await send_yes(send, yes_headers(yes, self._cache_seconds))

    def _original(self, scope: Scope) -> Original:
        uris = _values(scope, URIS)
        if not uris:
            raise Problem("malformed", "X-Original-URI: the edge does not say what was asked of it")
        if len(uris) > 1:
            raise Problem("forbidden", "X-Original-URI and X-Forwarded-Uri contradict each other")
        return original_of(uris.pop(), self._prefix)


def method_of(scope: Scope) -> str:
    """The viewer's method. One that would take no seat counts only where nothing says otherwise."""
    methods = {method.upper() for method in _values(scope, METHODS)} or {scope["method"]}
    return min(methods - LOOKS, default=min(methods))


def _values(scope: Scope, names: tuple[bytes, ...]) -> set[str]:
    return {value.decode("latin-1").strip() for name, value in scope["headers"] if name in names} - {""}
