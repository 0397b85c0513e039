"""`/edge/envoy/<original path>`: Envoy's ext_authz over HTTP (`path_prefix`). A refusal goes to the viewer as it is."""

from streamlimit.edge.answer import noted, send_refusal, send_yes, yes_headers
from streamlimit.edge.callers import require_edge
from streamlimit.edge.decision import Decider
from streamlimit.edge.original import original_of
from streamlimit.http.asgi import Receive, Scope, Send
from streamlimit.web.service import Service
from streamlimit.web.spelling import raw_path

ROUTE = "/edge/envoy"
AS_THEY_ARE = frozenset({401, 403, 409, 410, 429})
"""Statuses that Envoy hands on; it takes 5xx for a failure of the decision, and the others say too little."""


class Envoy:
    """An ASGI callable. Method and query are the viewer's own."""

    def __init__(self, service: Service, decider: Decider) -> None:
        self._proxies, self._tally, self._decider = service.proxies, service.tally, decider
        self._cache_seconds, self._prefix = service.settings.edge_cache, service.settings.public_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            require_edge(self._proxies, scope)
            original = original_of(_uri(scope), self._prefix)
            yes = await self._decider.decide(original, scope["method"], scope)
        except Exception as error:
            problem = noted(error, self._tally, scope["method"], ROUTE)
            await send_refusal(send, problem, problem.status if problem.status in AS_THEY_ARE else 403)
        else:
            await send_yes(send, yes_headers(yes, self._cache_seconds))


def _uri(scope: Scope) -> str:
    """The original URI, as it was sent behind our own path."""
    query = scope["query_string"].decode("latin-1")
    return raw_path(scope).removeprefix(ROUTE) + (f"?{query}" if query else "")
