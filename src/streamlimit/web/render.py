"""Our values as the JSON and header texts of api.md."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from streamlimit.model import Admitted, Session


def rfc3339(ms: int) -> str:
    """Milliseconds of the epoch as RFC 3339 UTC, with milliseconds."""
    return datetime.fromtimestamp(ms / 1_000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def session_json(session: Session) -> dict[str, Any]:
    """The `session` of api.md."""
    last_ms = session.last_activity_ms
    return {
        "session_id": session.session_id,
        "user_id": session.user_id,
        "stream_id": session.stream_id,
        "state": session.state,
        "device": session.device,
        "segment": session.segment,
        "sequence": session.sequence,
        "started_at": rfc3339(session.started_at_ms),
        "last_activity_at": None if last_ms is None else rfc3339(last_ms),
        "expires_at": rfc3339(session.expires_at_ms),
    }


def counts(admitted: Admitted) -> dict[str, str]:
    """The headers that say how the user's seats stand, as of the store's last answer."""
    headers = {"Streamlimit-Limit": str(admitted.limit), "Streamlimit-Live-Sessions": str(admitted.live)}
    if admitted.degraded:
        headers["Streamlimit-Degraded"] = "true"
    if admitted.session is not None:
        headers["Streamlimit-Expires-At"] = rfc3339(admitted.session.expires_at_ms)
    return headers


def names(name: str, sequence: int) -> dict[str, str]:
    """The headers that say which segment this is."""
    # Header values are Latin-1; a file's name may be anything.
    return {
        "Streamlimit-Segment": quote(name, safe="/@:~!$&'()*+,;=%"),
        "Streamlimit-Sequence": str(sequence),
    }
