"""Values of the model as headers of answers."""

from collections.abc import Mapping
from functools import lru_cache

from streamlimit.document import MILLISECONDS, rfc3339, to_the_second
from streamlimit.model import Admitted
from streamlimit.web.spelling import encoded


def counts(admitted: Admitted) -> dict[str, str]:
    """The headers with the user's limit and live sessions, by the store's last answer."""
    headers = {"Streamlimit-Limit": str(admitted.limit), "Streamlimit-Live-Sessions": str(admitted.live)}
    if admitted.degraded or admitted.would_refuse is not None:
        headers |= reservations(admitted)
    if admitted.session is not None:
        headers["Streamlimit-Expires-At"] = rfc3339(admitted.session.expires_at_ms)
    return headers


def reservations(admitted: Admitted) -> dict[str, str]:
    """The headers of unusual admissions: in an outage of the store, or refused but for a dry run."""
    headers = {"Streamlimit-Degraded": "true"} if admitted.degraded else {}
    if admitted.would_refuse is not None:
        headers["Streamlimit-Would-Refuse"] = admitted.would_refuse
    return headers


def counted(admitted: Admitted) -> bytes:
    """The headers of `counts`, as header lines."""
    if admitted.degraded or admitted.would_refuse is not None or admitted.session is None:
        return lines(counts(admitted))
    ms = admitted.session.expires_at_ms
    expires_at = to_the_second(ms // 1_000) + MILLISECONDS[ms % 1_000]
    return b"%bstreamlimit-expires-at: %b\r\n" % (_seats(admitted.limit, admitted.live), expires_at.encode())


@lru_cache(maxsize=4_096)
def _seats(limit: int, live: int) -> bytes:
    return lines({"Streamlimit-Limit": str(limit), "Streamlimit-Live-Sessions": str(live)})


def named(name: str, sequence: int) -> bytes:
    """The header lines that name the segment."""
    return b"streamlimit-segment: %b\r\nstreamlimit-sequence: %d\r\n" % (spelled(name).encode(), sequence)


def lines(headers: Mapping[str, str]) -> bytes:
    """*headers* as header lines, each with its CRLF. Raises ValueError for one that would be more than a line."""
    joined = "".join([f"{name.lower()}: {value}\r\n" for name, value in headers.items()])
    if joined.count("\n") != len(headers) or joined.count("\r") != len(headers):
        raise ValueError("a header is one line")
    return joined.encode("latin-1")


@lru_cache(maxsize=16_384)
def spelled(name: str) -> str:
    """A segment's name as a header value, percent-encoded: a header is Latin-1, a file's name may be any text."""
    return encoded(name, "/")
