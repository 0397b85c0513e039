"""Examples that several calls share: Ada watches on her television."""

from typing import Any

from streamlimit.web.explained import EXPLAINED
from streamlimit.web.problems import PROBLEMS

SESSION: dict[str, Any] = {
    "session_id": "tv",
    "user_id": "ada",
    "stream_id": "aurora",
    "state": "active",
    "device": {"id": "d-17", "name": "Living room", "type": "tv"},
    "segment": "video-180p/seg-00002.m4s",
    "sequence": 1,
    "started_at": "2026-11-20T19:30:00.000Z",
    "last_activity_at": "2026-11-20T19:30:06.120Z",
    "expires_at": "2026-11-20T19:30:24.120Z",
    "plan": "family",
    "limit": 3,
}
GONE_SESSION = SESSION | {"state": "expired"}
GRANT = "eyJ1IjoiYWRhIiwicyI6InR2In0.c2lnbmF0dXJl"

PARAMETERS: dict[str, Any] = {
    "user_id": "ada",
    "session_id": "tv",
    "stream_id": "aurora",
    "grant": GRANT,
    "path": "video-180p/seg-00002.m4s",
    "code": "session-limit",
    "state": "idle",
    "device": "phone",
    "span": "hour",
    "limit": 100,
    "from": "2026-11-20T20:00:00Z",
    "to": "2026-11-20T21:00:00Z",
    "by": "hour",
    "group": "plan",
    "cursor": "WyIxMiIsbnVsbCxudWxsXQ",
    "reason": "asked for by the subscriber",
    "idp": "idp-1",
    "subject": "ada",
    "session": "9f1c2a7be0d4c3b2a1908f7e6d5c4b3a",
}
"""Examples of parameters in paths and queries, by name."""

ORIGINAL_PATH = f"/play/{GRANT}/aurora/video-180p/seg-00002.m4s"
PROBLEM_EXTRAS: dict[str, dict[str, Any]] = {
    "malformed": {"field": "stream_id"},
    "session-limit": {"limit": 3, "live_sessions": 3, "sessions": [SESSION], "retry_after_seconds": 11.88},
    "session-shared": {"limit": 3, "live_sessions": 1, "sessions": [SESSION], "retry_after_seconds": 12.0},
    "too-many-visits": {"limit": 3, "live_sessions": 1, "sessions": [SESSION], "retry_after_seconds": 4.0},
    "session-terminated": {
        "by": "operator",
        "reason": "asked for by the subscriber",
        "at": "2026-11-20T19:30:06.120Z",
    },
    "too-many-requests": {"retry_after_seconds": 1.5},
}
"""Examples of the further members of problems, by code."""


def problem(code: str) -> dict[str, Any]:
    """An example of the problem document of *code*."""
    status, title = PROBLEMS[code]
    detail = EXPLAINED[code].when.partition(". ")[0].rstrip(".")
    own = {"type": f"/problems/{code}", "title": title, "status": status, "detail": detail, "code": code}
    return own | PROBLEM_EXTRAS.get(code, {})
