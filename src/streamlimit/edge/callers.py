"""The check that a caller is an edge at `trusted_proxies`: only edges may send requests for viewers."""

from streamlimit.http.request import Request
from streamlimit.web.address import Proxies
from streamlimit.web.problems import Problem


def require_edge(proxies: Proxies, request: Request) -> None:
    """Raises 403 unless the request comes from one of *proxies* itself."""
    if not proxies.spoke(request):
        raise Problem("forbidden", "only an edge that is one of trusted_proxies may ask this")


def is_edge_itself(proxies: Proxies, request: Request) -> bool:
    """Does the request come from one of *proxies* itself, not forwarded for a viewer?"""
    return proxies.spoke(request) and not request.is_revealed
