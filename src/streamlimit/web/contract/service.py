"""The descriptions of calls about the service itself, and of its own files."""

from streamlimit.web.contract import shapes
from streamlimit.web.contract.operation import CREDENTIALS, TEXT, Operation, Says
from streamlimit.web.contract.problem_shapes import Explanation
from streamlimit.web.explained import EXPLAINED

METRICS = "# HELP streamlimit_admissions_total …\n# TYPE streamlimit_admissions_total counter\n"
PAGE, WORDS = "<!doctype html>…", "All seats are taken (409 session-limit)\n\n…"
EXAMPLE = {
    "code": "session-limit",
    "status": 409,
    "title": "All seats are taken",
    **EXPLAINED["session-limit"]._asdict(),
}

OPERATIONS: dict[str, Operation] = {
    "GET /healthz": Operation("get_health", {200: Says("It runs", shapes.Health, {"status": "ok"})}),
    "GET /readyz": Operation(
        "get_readiness", {200: Says("It is ready", shapes.Health, {"status": "ready"})}, ("store-unavailable",)
    ),
    "GET /metrics": Operation(
        "get_metrics", {200: Says("In Prometheus' text format", TEXT, METRICS, "text/plain")}, CREDENTIALS
    ),
    "GET /client.js": Operation(
        "get_client",
        {
            200: Says("An ES module", TEXT, "export class Client { … }", "text/javascript"),
            304: Says("Unchanged since the `ETag` that was sent"),
        },
    ),
    "GET /problems/{code}": Operation(
        "explain_problem",
        {
            200: Says(
                "In words: a page, unless `Accept` asks for another form",
                Explanation,
                EXAMPLE,
                headers={"Vary": "Accept"},
                also={"text/html": (TEXT, PAGE), "text/plain": (TEXT, WORDS)},
            )
        },
        ("not-found",),
    ),
}
