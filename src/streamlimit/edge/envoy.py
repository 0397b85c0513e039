"""`/edge/envoy/<original path>`: Envoy's ext_authz over HTTP (`path_prefix`). A refusal goes to the viewer as it is."""

from streamlimit.edge.auth import Auth
from streamlimit.http.request import Request
from streamlimit.web.problems import Problem

ROUTE = "/edge/envoy"
AS_THEY_ARE = frozenset({401, 403, 409, 410, 429})
"""Statuses that Envoy hands on; it takes 5xx for a failure of the decision, and the others say too little."""


class Envoy(Auth):
    """As `Auth`; path, method and query are the viewer's own."""

    route = ROUTE

    def uri_of(self, request: Request) -> str:
        """The original URI, as it was sent behind our own path."""
        return request.target.decode("latin-1").removeprefix(ROUTE)

    def method_of(self, request: Request) -> str:
        return request.method

    def status_of(self, problem: Problem) -> int:
        return problem.status if problem.status in AS_THEY_ARE else 403
