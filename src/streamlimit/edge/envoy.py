"""`/edge/envoy/<original path>`: Envoy's ext_authz over HTTP (`path_prefix`). Envoy sends refusals on unchanged."""

from streamlimit.edge.auth import Auth
from streamlimit.http.request import Request
from streamlimit.web.problems import Problem

ROUTE = "/edge/envoy"
AS_THEY_ARE = frozenset({401, 403, 409, 410, 429})
"""Statuses that are sent to Envoy unchanged; 5xx would count as a failed decision, others become 403."""


class Envoy(Auth):
    """As `Auth`; path, method and query are the viewer's own."""

    route = ROUTE

    def uri_of(self, request: Request) -> str:
        """The original URI, raw, behind the prefix."""
        return request.target.decode("latin-1").removeprefix(ROUTE)

    def method_of(self, request: Request) -> str:
        return request.method

    def status_of(self, problem: Problem) -> int:
        return problem.status if problem.status in AS_THEY_ARE else 403
