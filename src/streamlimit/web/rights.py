"""The table of rights: the roles that may make each call. A call that is not in it is allowed to no role."""

from typing import Literal

Role = Literal["nobody", "anyone", "local", "grant", "viewer", "service", "reader", "operator"]
"""Without a credential: *nobody* (auth = "jwt"), *anyone* (open), *local* (open, on loopback only). With one:

*grant*: one session of one user; *viewer*: one user, by the platform's token; *service*: any user, by the platform's
back end; *reader*: may look at everything; *operator*: may do everything.
"""

_WATCHING: frozenset[Role] = frozenset({"anyone", "local", "grant", "viewer", "service", "operator"})
_LOOKING: frozenset[Role] = _WATCHING | {"reader"}
_INSPECTING: frozenset[Role] = frozenset({"reader", "operator"})
_OPERATING: frozenset[Role] = frozenset({"operator"})
_REPORTING: frozenset[Role] = frozenset({"service", "operator"})

RIGHTS: dict[str, frozenset[Role]] = {
    "GET /v1/me": _LOOKING,
    "POST /v1/segments": _WATCHING,
    "POST /v1/sessions": _WATCHING,
    "GET /v1/streams": _LOOKING,
    "GET /v1/users/{user_id}/sessions": _LOOKING,
    "DELETE /v1/users/{user_id}/sessions": _WATCHING,
    "GET /v1/users/{user_id}/sessions/{session_id}": _LOOKING,
    "DELETE /v1/users/{user_id}/sessions/{session_id}": _WATCHING,
    "POST /v1/users/{user_id}/sessions/{session_id}/end": _WATCHING,
    "POST /v1/users/{user_id}/sessions/{session_id}/heartbeat": _WATCHING,
    "POST /edge/reports": _REPORTING,
    "POST /v1/expirations": _OPERATING,
    "GET /v1/sessions": _INSPECTING,
    "PUT /v1/users/{user_id}/limit": _OPERATING,
    "GET /v1/users/{user_id}/limit": _INSPECTING | {"service"},
    "DELETE /v1/users/{user_id}/limit": _OPERATING,
    "GET /v1/limits": _INSPECTING,
    "DELETE /v1/users/{user_id}": _OPERATING,
    "DELETE /v1/users/{user_id}/terminations": _OPERATING,
    "DELETE /v1/users/{user_id}/terminations/{session_id}": _OPERATING,
    "GET /v1/stats": _INSPECTING,
    "GET /v1/stats/series": _INSPECTING,
    "GET /v1/events": _INSPECTING,
    "GET /v1/reports": _INSPECTING,
    "GET /v1/users/{user_id}/history": _INSPECTING,
    "GET /metrics": _INSPECTING | {"local"},
}
"""The roles of each call.

In addition `GET /play/…` is for the grant in its path, and `PUBLIC` calls are for everyone.
"""

PUBLIC = frozenset(
    {"/healthz", "/readyz", "/openapi.json", "/docs", "/problems/{code}"}
    | {"/client.js", "/", "/watch", "/console", "/console/key", "/static/{name:path}", "/favicon.ico"}
)
"""Paths that need no credential, by any method: they show nothing of users, sessions or streams."""
