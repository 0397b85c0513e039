"""Cross-origin access for players in pages: which origins, which headers, and the preflight answer."""

from streamlimit.web.http import Scope, Send, header, send_whole

EXPOSED = (
    "Content-Length, Content-Range, Date, ETag, Expires, Location, Retry-After, Streamlimit-Code, "
    "Streamlimit-Degraded, Streamlimit-End, Streamlimit-Expires-At, Streamlimit-Limit, "
    "Streamlimit-Live-Sessions, Streamlimit-Segment, Streamlimit-Sequence, Streamlimit-Would-Refuse, "
    "X-Request-Id"
)


class Cors:
    """*origins*: those allowed, `*` for all. Credentials travel in headers and paths, never in cookies."""

    def __init__(self, origins: list[str]) -> None:
        self.is_for_all = "*" in origins
        self._origins = frozenset(origins)

    def headers(self, scope: Scope) -> dict[str, str]:
        """What to add to an answer."""
        if self.is_for_all:
            return {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": EXPOSED}
        origin = header(scope, b"origin")
        if origin not in self._origins or origin is None:
            return {"Vary": "Origin"}
        return {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Expose-Headers": EXPOSED,
            "Vary": "Origin",
        }

    async def preflight(self, scope: Scope, send: Send) -> None:
        """The answer to `OPTIONS`, beside `headers`."""
        asked = header(scope, b"access-control-request-headers")
        allowed = {
            "Access-Control-Allow-Methods": "GET, HEAD, POST, PUT, DELETE, OPTIONS",
            "Access-Control-Allow-Headers": asked or "Authorization, Content-Type, Range",
            "Access-Control-Max-Age": "86400",
        }
        await send_whole(send, 204, allowed)
