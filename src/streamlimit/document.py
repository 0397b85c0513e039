"""Sessions and events as the JSON of api.md: the same to whoever asks, listens, or is called back."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from streamlimit.model import Event, Session


def rfc3339(ms: int) -> str:
    """Milliseconds of the epoch as RFC 3339 UTC, with milliseconds."""
    return to_the_second(ms // 1_000) + MILLISECONDS[ms % 1_000]


MILLISECONDS = [f".{ms:03}Z" for ms in range(1_000)]  # formatting one took longer than all else here


@lru_cache(maxsize=4_096)  # sessions that live at the same time share their seconds
def to_the_second(seconds: int) -> str:
    """The date to the second, without milliseconds and the ending."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


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
        "plan": session.plan,
        "limit": session.limit,
    }


def event_json(event: Event) -> dict[str, Any]:
    """The body of a webhook, which is also what listeners and histories are told."""
    data: dict[str, Any] = {"session": _session_of(event), "reason": event.reason}
    if event.by is not None:
        data["by"] = event.by
    if event.live_sessions is not None:
        data |= {"plan": event.session.plan, "limit": event.session.limit, "live_sessions": event.live_sessions}
    return {"type": event.type, "timestamp": rfc3339(event.at_ms), "data": data}


def _session_of(event: Event) -> dict[str, Any]:
    session = event.session
    document = session_json(session) | {"generation": session.generation, "move": session.move}
    if not session.expires_at_ms:  # it was refused, and sits nowhere
        document |= {"started_at": None, "last_activity_at": None, "expires_at": None}
        document["state"] = session.state if session.generation else "refused"
    return document
