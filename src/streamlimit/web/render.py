"""Our values as the JSON and header texts of api.md."""

from urllib.parse import quote

from streamlimit.document import rfc3339, session_json
from streamlimit.model import Admitted

__all__ = ["counts", "names", "rfc3339", "session_json"]


def counts(admitted: Admitted) -> dict[str, str]:
    """The headers that say how the user's seats stand, as of the store's last answer."""
    headers = {"Streamlimit-Limit": str(admitted.limit), "Streamlimit-Live-Sessions": str(admitted.live)}
    if admitted.degraded or admitted.would_refuse is not None:
        headers |= reservations(admitted)
    if admitted.session is not None:
        headers["Streamlimit-Expires-At"] = rfc3339(admitted.session.expires_at_ms)
    return headers


def reservations(admitted: Admitted) -> dict[str, str]:
    """The headers that say what was not as usual: the store was away, or a dry run left a refusal out."""
    headers = {"Streamlimit-Degraded": "true"} if admitted.degraded else {}
    if admitted.would_refuse is not None:
        headers["Streamlimit-Would-Refuse"] = admitted.would_refuse
    return headers


def names(name: str, sequence: int) -> dict[str, str]:
    """The headers that say which segment this is."""
    return {"Streamlimit-Segment": spelled(name), "Streamlimit-Sequence": str(sequence)}


def spelled(name: str) -> str:
    """A segment's name as a header value, which is Latin-1 while a file's name may be anything: percent-encoded."""
    return quote(name, safe="/@:~!$&'()*+,;=%")
