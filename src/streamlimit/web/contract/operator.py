"""The calls of operators, and those that were made for the console and are there for everybody."""

import json

from streamlimit.web.contract import shapes
from streamlimit.web.contract.examples import GONE_SESSION, SESSION
from streamlimit.web.contract.operation import CREDENTIALS, FORM, IDENTITY, STORE, TEXT, Operation, Says

KEY = (*CREDENTIALS, *STORE)
ABOUT_USER = (*KEY, "malformed")
OWN_LIMIT = {"user_id": "ada", "max_sessions": 5, "until": "2026-12-31T23:00:00.000Z", "note": "holidays"}
LIMIT = OWN_LIMIT | {"own": True, "source": "own", "plans": {"single": 1, "family": 5}}
STATS = {
    "sessions": {"starting": 1, "active": 40, "idle": 3},
    "users": 21,
    "users_at_limit": 4,
    "streams": {"aurora": 44},
    "counted_seconds_ago": 2.5,
    "admissions": 1250,
    "confirmations": 1240,
    "refusals": {"session-limit": 12},
    "would_refuse": {},
    "expiries": 17,
    "events": {"session.started": 61, "session.expired": 17},
    "callbacks": {"pending": 0, "attempts": {"tv.example/sent": 78}, "dropped": {}},
    "workers": {"running": 4, "expected": 4},
    "store": {"away": False, "degraded_answers": 0, "latency_ms": 0.21},
}
REPORT_ROW = {
    "at": "2026-11-20T20:00:00.000Z",
    "plan": "single",
    "admissions": 812,
    "refusals": 97,
    "refused_users": 31,
    "users": 640,
    "peak_live_sessions": 402,
    "seconds_at_limit": 86120.5,
}
REPORT = {
    "from": "2026-11-20T20:00:00.000Z",
    "to": "2026-11-20T21:00:00.000Z",
    "by": "hour",
    "group": "plan",
    "rows": [REPORT_ROW],
}
CSV = f"{','.join(REPORT_ROW)}\r\n{','.join(map(str, REPORT_ROW.values()))}\r\n"

EVENT = {
    "type": "session.expired",
    "timestamp": "2026-11-24T08:00:00.000Z",
    "data": {"session": GONE_SESSION | {"generation": 1_795_000_000_000, "move": 0}, "reason": "idle"},
}
FEED = f"id: 17\nevent: session.expired\ndata: {json.dumps(EVENT, separators=(',', ':'))}\n\n"
ME = {"role": "operator", "name": "support-anna", "user_id": None, "session_id": None}
SERIES = {
    "span": "hour",
    "since": 1_795_000_000.0,
    "at": [1_795_000_010.0],
    "live_sessions": [44],
    "users_at_limit": [3],
    "admissions": [6.1],
    "segments": [6.0],
    "refusals": {"session-limit": [0.2]},
    "store_latency_ms": [0.31],
    "webhooks_sent": [0.4],
    "webhooks_failed": [0.0],
}

OPERATIONS: dict[str, Operation] = {
    "GET /v1/events": Operation(
        "listen_to_events",
        {200: Says("The events, without an end", TEXT, FEED, "text/event-stream")},
        (*CREDENTIALS, "malformed"),
    ),
    "GET /v1/users/{user_id}/history": Operation(
        "get_history",
        {200: Says("A page of them", shapes.History, {"user_id": "ada", "events": [EVENT], "cursor": None})},
        ABOUT_USER,
    ),
    "POST /v1/expirations": Operation(
        "expire_sessions",
        {
            200: Says(
                "What was expired",
                shapes.Expirations,
                {
                    "expired": 1,
                    "abandoned": 0,
                    "sessions": [GONE_SESSION],
                    "callbacks_pending": 1,
                    "finished": True,
                },
            )
        },
        (*KEY, *FORM),
        sends={"max_seconds": 5},
    ),
    "GET /v1/sessions": Operation(
        "list_sessions",
        {200: Says("A page of them", shapes.SessionPage, {"sessions": [SESSION], "cursor": None})},
        ABOUT_USER,
    ),
    "PUT /v1/users/{user_id}/limit": Operation(
        "set_limit",
        {200: Says("The limit as it holds now", shapes.UserLimit, LIMIT)},
        (*KEY, *FORM),
        sends={"max_sessions": 5, "until": "2030-12-31T23:00:00Z", "note": "holidays"},
    ),
    "GET /v1/users/{user_id}/limit": Operation(
        "get_limit", {200: Says("The limit", shapes.UserLimit, LIMIT)}, ABOUT_USER
    ),
    "DELETE /v1/users/{user_id}/limit": Operation(
        "delete_limit", {204: Says("The user has no limit of their own")}, ABOUT_USER
    ),
    "GET /v1/limits": Operation(
        "list_limits",
        {200: Says("A page of them", shapes.LimitPage, {"limits": [OWN_LIMIT], "cursor": None})},
        ABOUT_USER,
    ),
    "DELETE /v1/users/{user_id}/terminations": Operation(
        "forgive_all_terminations", {204: Says("None of them is refused for it any more")}, ABOUT_USER
    ),
    "DELETE /v1/users/{user_id}/terminations/{session_id}": Operation(
        "forgive_termination", {204: Says("It is not refused for it any more")}, ABOUT_USER
    ),
    "DELETE /v1/users/{user_id}": Operation("forget_user", {204: Says("Nothing of the user is kept")}, ABOUT_USER),
    "GET /v1/reports": Operation(
        "get_report",
        {
            200: Says(
                "The report: JSON, or what `Accept` asks for", shapes.Report, REPORT, also={"text/csv": (TEXT, CSV)}
            )
        },
        ABOUT_USER,
    ),
    "GET /v1/stats": Operation(
        "get_stats", {200: Says("The numbers", shapes.Stats, STATS)}, (*CREDENTIALS, "internal")
    ),
    "GET /v1/me": Operation("get_me", {200: Says("The caller", shapes.Me, ME)}, (*CREDENTIALS, *IDENTITY)),
    "GET /v1/stats/series": Operation(
        "get_stats_series",
        {200: Says("The numbers, each list as long as `at`", shapes.Series, SERIES)},
        (*CREDENTIALS, "malformed"),
    ),
}
