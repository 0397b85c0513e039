"""The descriptions of calls of viewers and the platform's back end."""

from streamlimit.web.contract import shapes
from streamlimit.web.contract.examples import GRANT, SESSION
from streamlimit.web.contract.operation import (
    BYTES,
    CREDENTIALS,
    DEGRADED,
    DRY_RUN,
    FORM,
    IDENTITY,
    JSON,
    LIMITS,
    ORIGIN,
    RETRY_AFTER,
    STORE,
    TEXT,
    Body,
    Operation,
    Says,
)
from streamlimit.web.forms import EndForm, HeartbeatForm
from streamlimit.web.segments import SegmentForm

SEATS = {
    "Streamlimit-Limit": "the user's seats",
    "Streamlimit-Live-Sessions": "how many of them are taken",
    "Streamlimit-Expires-At": "until when the session keeps its seat if it receives nothing",
}
WHICH = {"Streamlimit-Segment": "its name, percent-encoded", "Streamlimit-Sequence": "its number, from 0"}
REFUSABLE = (*CREDENTIALS, *IDENTITY, *LIMITS, *STORE)
FILES = ("unknown-stream", "unknown-segment", *ORIGIN)
OWN = (*CREDENTIALS, *IDENTITY, "malformed", *STORE)

ASK = {"user_id": "ada", "session_id": "tv", "stream_id": "aurora"}
BEAT = {"stream_id": "aurora"}
OPENED = {
    "session": SESSION | {"state": "starting", "segment": None, "sequence": None, "last_activity_at": None},
    "playback_url": f"/play/{GRANT}/aurora/master.m3u8",
    "grant": GRANT,
    "limit": 3,
    "live_sessions": 1,
}
BEATING = SESSION | {"heartbeat_seconds": 6, "silent_after_seconds": 18}
SEATED = {"user_id": "ada", "limit": 3, "live_sessions": 1, "sessions": [SESSION]}
STREAM = {
    "stream_id": "aurora",
    "title": "Aurora",
    "entry": "master.m3u8",
    "segments": 30,
    "segment_seconds": 2.0,
    "live": False,
}
OCTETS = {"application/octet-stream": (BYTES, None)}
"""The media type of bytes that code generators know, beside the real one."""

OPERATIONS: dict[str, Operation] = {
    "POST /v1/segments": Operation(
        "issue_segment",
        {
            200: Says("The segment's bytes", BYTES, None, "*/*", WHICH | SEATS | DEGRADED | DRY_RUN, OCTETS),
            204: Says(
                "The stream is over, or its live edge is reached",
                headers={"Streamlimit-End": "true: the stream is over"} | RETRY_AFTER | SEATS,
            ),
        },
        (*FORM, *REFUSABLE, *FILES, "method-not-allowed"),
        summary="Endpoint 1: the named segment of a stream, or the next one",
        tag="viewer",
        body=Body({JSON: (SegmentForm, ASK)}),
    ),
    "GET /play/{grant}/{stream_id}/{path}": Operation(
        "play_file",
        {
            200: Says("The file", BYTES, None, "*/*", WHICH | SEATS | DEGRADED | DRY_RUN, OCTETS),
            206: Says("The range asked for", BYTES, None, "*/*", {"Content-Range": "which bytes of how many"}, OCTETS),
            302: Says("The file at a CDN (`deliver = redirect`)", headers={"Location": "its signed URL"}),
            304: Says("Unchanged"),
        },
        ("malformed", *REFUSABLE, *FILES, "range-not-satisfiable", "origin-stalled", "method-not-allowed"),
        summary="Any file of a stream, for ordinary players",
        tag="viewer",
        parameters={
            "grant": "the signed token of user and session; `~<play>` may follow",
            "stream_id": "the stream",
            "path": "the file's path within the stream, with its slashes",
        },
    ),
    "POST /v1/users/{user_id}/sessions/{session_id}/heartbeat": Operation(
        "heartbeat",
        {200: Says("The session goes on", shapes.BeatingSession, BEATING, headers=DEGRADED | DRY_RUN)},
        (*FORM, *REFUSABLE, "unknown-stream", "unknown-segment", "unknown-session", "method-not-allowed"),
        summary="A lease without bytes, where another party moves them",
        tag="viewer",
        parameters={"user_id": "the user", "session_id": "the session"},
        body=Body({JSON: (HeartbeatForm, BEAT), "text/plain": (TEXT, f'{{"grant":"{GRANT}","stream_id":"aurora"}}')}),
    ),
    "POST /v1/sessions": Operation(
        "open_session",
        {
            201: Says("A seat is reserved", shapes.OpenedSession, OPENED, headers=DEGRADED | DRY_RUN),
            200: Says("The session holds a seat already", shapes.OpenedSession, OPENED, headers=DEGRADED | DRY_RUN),
        },
        (*FORM, *REFUSABLE, "unknown-stream", *ORIGIN),
        sends={"user_id": "ada", "stream_id": "aurora", "device": {"id": "d-17", "type": "tv"}},
    ),
    "GET /v1/streams": Operation(
        "list_streams",
        {200: Says("The streams", shapes.Streams, {"streams": [STREAM]})},
        (*CREDENTIALS, *IDENTITY, "internal"),
    ),
    "GET /v1/users/{user_id}/sessions": Operation(
        "list_user_sessions", {200: Says("Who is watching", shapes.UserSessions, SEATED)}, OWN
    ),
    "GET /v1/users/{user_id}/sessions/{session_id}": Operation(
        "get_session", {200: Says("The session", shapes.Session, SESSION)}, (*OWN, "unknown-session")
    ),
    "DELETE /v1/users/{user_id}/sessions": Operation("end_all_sessions", {204: Says("None of them holds a seat")}, OWN),
    "DELETE /v1/users/{user_id}/sessions/{session_id}": Operation(
        "end_session", {204: Says("It holds no seat, whether or not it did before")}, OWN
    ),
    "POST /v1/users/{user_id}/sessions/{session_id}/end": Operation(
        "end_session_by_beacon",
        {204: Says("It holds no seat, whether or not it did before")},
        (*OWN, "too-large"),
        body=Body({JSON: (EndForm, {"grant": GRANT}), "text/plain": (TEXT, f'{{"grant":"{GRANT}"}}')}, False),
    ),
}
