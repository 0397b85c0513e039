"""The JSON of sessions and events, in answers, feed and webhooks; web/contract/shapes.py has its schema."""

import time
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from msgspec import Struct
from msgspec.structs import asdict

from streamlimit.model import Device, Event, OwnLimit, Session, State


def wall_ms() -> int:
    """The wall clock in ms, which dates documents, log lines and reports."""
    return time.time_ns() // 1_000_000


def rfc3339(ms: int) -> str:
    """Milliseconds of the epoch as RFC 3339 UTC, with milliseconds."""
    return to_the_second(ms // 1_000) + MILLISECONDS[ms % 1_000]


MILLISECONDS = [f".{ms:03}Z" for ms in range(1_000)]  # formatting one took longer than all else here


@lru_cache(maxsize=4_096)  # sessions that live at the same time share their seconds
def to_the_second(seconds: int) -> str:
    """The time of RFC 3339 to the second, without milliseconds and `Z`; cached."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


class SessionDocument(Struct, frozen=True):
    """The document of a session, as a struct, which is encoded faster than a dictionary."""

    session_id: str
    user_id: str
    stream_id: str
    state: State
    device: str | Device | None
    segment: str | None
    sequence: int | None
    started_at: str
    last_activity_at: str | None
    expires_at: str
    plan: str | None
    limit: int | None


def session_document(session: Session) -> SessionDocument:
    """The document of *session*."""
    last_ms, started_ms, expires_ms = session.last_activity_ms, session.started_at_ms, session.expires_at_ms
    return SessionDocument(
        session.session_id,
        session.user_id,
        session.stream_id,
        session.state,
        session.device,
        session.segment,
        session.sequence,
        to_the_second(started_ms // 1_000) + MILLISECONDS[started_ms % 1_000],
        None if last_ms is None else to_the_second(last_ms // 1_000) + MILLISECONDS[last_ms % 1_000],
        to_the_second(expires_ms // 1_000) + MILLISECONDS[expires_ms % 1_000],
        session.plan,
        session.limit,
    )


def session_json(session: Session) -> dict[str, Any]:
    """The document of *session* as a new dictionary."""
    return asdict(session_document(session))


def limit_json(own: OwnLimit, wall_ms: int) -> dict[str, Any]:
    """A user's own limit as callers see it at *wall_ms*."""
    terms = own.terms
    until_ms = terms.until_ms
    if until_ms is None and terms.lasts_ms is not None:
        until_ms = wall_ms + terms.lasts_ms
    until = None if until_ms is None else rfc3339(until_ms)
    return {"user_id": own.user_id, "max_sessions": own.max_sessions, "until": until, "note": terms.note}


def event_json(event: Event) -> dict[str, Any]:
    """The document of an event, as in webhooks, the feed and histories."""
    data: dict[str, Any] = {"session": _session_of(event), "reason": event.reason}
    if event.by is not None:
        data["by"] = event.by
    if event.live_sessions is not None:
        data |= {"plan": event.session.plan, "limit": event.session.limit, "live_sessions": event.live_sessions}
    return {"type": event.type, "timestamp": rfc3339(event.at_ms), "data": data}


def _session_of(event: Event) -> dict[str, Any]:
    session = event.session
    document = session_json(session) | {"generation": session.generation, "move": session.move}
    if not session.expires_at_ms:  # a refused session without a seat
        document |= {"started_at": None, "last_activity_at": None, "expires_at": None}
        document["state"] = session.state if session.generation else "refused"
    return document
