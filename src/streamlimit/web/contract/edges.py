"""The descriptions of edges' calls, each in its own protocol. A path stands for all paths below it."""

from collections.abc import Mapping
from typing import Any

from streamlimit.web.contract import shapes
from streamlimit.web.contract.examples import GRANT, ORIGINAL_PATH, problem
from streamlimit.web.contract.operation import (
    CREDENTIALS,
    FORM,
    JSON,
    LIMITS,
    PROBLEM,
    PROBLEM_JSON,
    RETRY_AFTER,
    STORE,
    TEXT,
    Body,
    Operation,
    Says,
)

REFUSED = {
    "Streamlimit-Code": "the problem's code",
    "Streamlimit-Problem": "the problem as ASCII JSON, its list of sessions cut to fit 4 KB",
} | RETRY_AFTER
YES = {
    "Streamlimit-User": "whose request it is, percent-encoded",
    "Streamlimit-Session": "of which session",
    "Streamlimit-Stream": "for which stream",
    "Streamlimit-Segment": "for which segment; absent where it is for a file that takes no seat",
    "Streamlimit-Live-Sessions": "how many seats are taken",
    "Streamlimit-Limit": "the user's seats",
    "Cache-Control": "how long the edge may keep this answer",
}
DECIDING = (*CREDENTIALS, *LIMITS, "malformed", "store-unavailable")
HOOK = (*FORM, *CREDENTIALS, *LIMITS, *STORE)
CALLED = {"session": "as it came in `Location`"}
WHO = {"idp": "the identity provider's id", "subject": "the user there"}


def _fields(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": required, "properties": properties}


_TEXT: dict[str, Any] = {"type": "string"}
REPORT = _fields(
    ["path", "complete"],
    path={"type": "string", "minLength": 1, "description": "of the request, or <stream_id>/<file>"},
    complete={"type": "boolean"},
    grant={"type": ["string", "null"], "minLength": 1, "description": "where the path is not the request's"},
    at={"type": ["string", "number", "null"], "description": "RFC 3339, or seconds of the epoch"},
    status={"type": ["integer", "null"], "minimum": 100, "maximum": 999},
    bytes={"type": ["integer", "null"], "minimum": 0},
) | {"additionalProperties": False}
REPORTS = {"type": "array", "maxItems": 1_000, "items": REPORT}
MEDIAMTX = _fields(["action"], action=_TEXT, path=_TEXT, query=_TEXT, token=_TEXT, password=_TEXT, ip=_TEXT, id=_TEXT)
SRS = _fields(["action"], action=_TEXT, client_id={"type": ["string", "integer"]}, ip=_TEXT, stream=_TEXT, param=_TEXT)
OME = _fields(
    ["request"],
    request=_fields(["direction", "url"], direction=_TEXT, url=_TEXT, status=_TEXT),
    client=_fields([], address=_TEXT, real_ip=_TEXT),
)
RTMP = _fields(["call"], call=_TEXT, name=_TEXT, addr=_TEXT, clientid=_TEXT, grant=_TEXT)
OME_SAYS = _fields([], allowed={"type": "boolean"}, reason=_TEXT, lifetime={"type": "integer"})
SRS_SAYS = _fields(["code"], code={"type": "integer"})
ADVICE = _fields([], associatedAdvice={"type": "array", "items": {"type": "object"}}, obligations={})
ADVICE["properties"]["obligations"] = {"anyOf": [{"type": "array", "items": {"type": "object"}}, {"type": "object"}]}
RUNNING = _fields(
    ["runningStreams"], runningStreams={"type": "array", "items": {"type": "object"}}, otherStreams={"type": "integer"}
)
UNAUTHENTICATED, FORBIDDEN = problem("unauthenticated"), problem("session-limit")
EXPIRES = {"Expires": "when to call again"}


def _hook(name: str, server: str, kind: str, form: dict[str, Any], example: Any, answer: Says) -> Operation:
    return Operation(
        f"{name}_hook",
        {200: answer},
        HOOK,
        summary=f"{server} asks whether a viewer may play, and tells that one stopped",
        body=Body({kind: (form, example)}),
    )


def _adobe(
    name: str, summary: str, answers: dict[int, Says], parameters: Mapping[str, str], form: bool = False
) -> Operation:
    body = Body({"application/x-www-form-urlencoded": (TEXT, "channel=aurora&deviceName=Living+room")}, False)
    return Operation(
        f"adobe_{name}",
        answers,
        ("unauthenticated", "malformed", "store-unavailable", "internal"),
        summary=f"Adobe Concurrency Monitoring v2: {summary}",
        parameters=parameters,
        body=body if form else None,
    )


CONFLICT = {
    409: Says("A rule is violated: all seats are taken", ADVICE, {"associatedAdvice": [], "obligations": []}),
    410: Says("The session is gone", ADVICE, {"associatedAdvice": [], "obligations": []}),
    429: Says("Too many calls", headers=EXPIRES),
}

OPERATIONS: dict[str, Operation] = {
    "GET /edge/auth": Operation(
        "decide_for_edge",
        {
            200: Says("The viewer may have the file; empty", headers=YES),
            401: Says("No valid grant", PROBLEM, UNAUTHENTICATED, PROBLEM_JSON, REFUSED),
            403: Says("Refused: the problem's own status is in it", PROBLEM, FORBIDDEN, PROBLEM_JSON, REFUSED),
        },
        summary="May the viewer have this file? For nginx, HAProxy, Caddy, Traefik and Varnish, by any method",
    ),
    "GET /edge/envoy/{path}": Operation(
        "decide_for_envoy",
        {200: Says("The viewer may have the file; empty", headers=YES)},
        DECIDING,
        summary="The same for Envoy's ext_authz, by any method: a refusal has its own status",
        parameters={"path": "the viewer's own path"},
    ),
    "POST /edge/reports": Operation(
        "report_deliveries",
        {200: Says("Whom to let in no more", shapes.Gone, {"gone": []})},
        (*FORM, *CREDENTIALS, *STORE),
        summary="What an edge delivered: complete ones confirm, others give the lease back",
        body=Body({JSON: (REPORTS, [{"path": ORIGINAL_PATH, "complete": True, "status": 200, "bytes": 48_000}])}),
    ),
    "POST /edge/cmcd/{grant}": Operation(
        "report_cmcd",
        {204: Says("Noted"), 410: Says("The session is gone: send no more")},
        HOOK,
        summary="A player's CMCD event reports are heartbeats, pauses and ends",
        parameters={"grant": "the signed token of user and session"},
        body=Body({"application/cmcd": (TEXT, "e=t,sta=p,ts=1763667006120,v=2"), "text/cmcd": (TEXT, "e=t,sta=p,v=2")}),
    ),
    "POST /edge/rtmp": _hook(
        "rtmp",
        "nginx-rtmp",
        "application/x-www-form-urlencoded",
        RTMP,
        {"call": "play", "name": "aurora", "addr": "192.0.2.7", "clientid": "1", "grant": GRANT},
        Says("Go on"),
    ),
    "POST /edge/mediamtx": _hook(
        "mediamtx",
        "MediaMTX",
        JSON,
        MEDIAMTX,
        {"action": "read", "path": "aurora", "query": f"grant={GRANT}", "ip": "192.0.2.7"},
        Says("Go on"),
    ),
    "POST /edge/srs": _hook(
        "srs",
        "SRS",
        JSON,
        SRS,
        {"action": "on_play", "client_id": "c1", "ip": "192.0.2.7", "stream": "aurora", "param": f"?grant={GRANT}"},
        Says("Go on", SRS_SAYS, {"code": 0}),
    ),
    "POST /edge/ome": _hook(
        "ome",
        "OvenMediaEngine",
        JSON,
        OME,
        {
            "request": {
                "direction": "outgoing",
                "url": f"wss://tv.example/app/aurora?grant={GRANT}",
                "status": "opening",
            },
            "client": {"address": "192.0.2.7"},
        },
        Says("Whether it is allowed, and why not", OME_SAYS, {"allowed": True, "lifetime": 0}),
    ),
    "GET /edge/adobe/v2/metadata": _adobe(
        "metadata", "what an app must tell", {200: Says("Names", {"type": "array", "items": _TEXT}, ["channel"])}, {}
    ),
    "GET /edge/adobe/v2/runningStreams/{idp}/{subject}": _adobe(
        "running_streams",
        "what the user watches",
        {200: Says("The sessions", RUNNING, {"runningStreams": [], "otherStreams": 0}, headers=EXPIRES)},
        WHO,
    ),
    "POST /edge/adobe/v2/sessions/{idp}/{subject}": _adobe(
        "create_session",
        "begin a session",
        {202: Says("It counts", headers=EXPIRES | {"Location": "the session's id"})} | CONFLICT,
        WHO,
        form=True,
    ),
    "POST /edge/adobe/v2/sessions/{idp}/{subject}/{session}": _adobe(
        "heartbeat",
        "a heartbeat",
        {202: Says("It goes on", headers=EXPIRES)} | CONFLICT,
        WHO | CALLED,
        form=True,
    ),
    "DELETE /edge/adobe/v2/sessions/{idp}/{subject}/{session}": _adobe(
        "end_session",
        "the end of a session",
        {202: Says("It has ended"), 410: CONFLICT[410], 429: CONFLICT[429]},
        WHO | CALLED,
    ),
}
