"""Callers that may speak for viewers: edges at `trusted_proxies`; anybody else could make requests up."""

from streamlimit.http.request import Request
from streamlimit.web.address import Proxies
from streamlimit.web.problems import Problem


def require_edge(proxies: Proxies, request: Request) -> None:
    """Raises 403 unless the request comes from one of *proxies* itself."""
    if not proxies.spoke(request):
        raise Problem("forbidden", "only an edge that is one of trusted_proxies may ask this")


def is_edge_itself(proxies: Proxies, request: Request) -> bool:
    """Does the request come from one of *proxies*, on its own account? What it forwards is a viewer's."""
    return proxies.spoke(request) and not request.is_revealed
