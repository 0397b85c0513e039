"""The descriptions of calls made for the console; others may use them, too."""

from streamlimit.web.contract import shapes
from streamlimit.web.contract.operation import CREDENTIALS, IDENTITY, Operation, Says

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
    "GET /v1/me": Operation("get_me", {200: Says("The caller", shapes.Me, ME)}, (*CREDENTIALS, *IDENTITY)),
    "GET /v1/stats/series": Operation(
        "get_stats_series",
        {200: Says("The numbers, each list as long as `at`", shapes.Series, SERIES)},
        (*CREDENTIALS, "malformed"),
    ),
}
