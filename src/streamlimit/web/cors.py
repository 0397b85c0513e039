"""Cross-origin access for players in pages: which origins, which headers, and the preflight answer."""

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

    def headers(self, origin: str | None) -> dict[str, str]:
        """Headers to add to an answer to a page of that *origin*."""
        if self.is_for_all:
            return {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": EXPOSED}
        if origin not in self._origins or origin is None:
            return {"Vary": "Origin"}
        return {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Expose-Headers": EXPOSED,
            "Vary": "Origin",
        }

    def preflight(self, asked: str | None) -> dict[str, str]:
        """Headers of the answer to an `OPTIONS` that *asked* for some, beside `headers`."""
        return {
            "Access-Control-Allow-Methods": "GET, HEAD, POST, PUT, DELETE, OPTIONS",
            "Access-Control-Allow-Headers": asked or "Authorization, Content-Type, Range",
            "Access-Control-Max-Age": "86400",
        }
