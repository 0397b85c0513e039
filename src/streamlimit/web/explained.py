"""Every error in words: when it comes, what a viewer should see, what an engineer does about it.

`GET /problems/<code>` and docs/reference/errors.md are made of this table.
"""

from typing import NamedTuple


class Explained(NamedTuple):
    """The explanation of one code. *viewer*: a sentence that a player may show; empty where no viewer ever meets it."""

    when: str
    viewer: str
    engineer: str


_BUSY = "Something is not working at the moment. Playback starts again by itself in a few seconds."
_MISSING = "This title is not available."
_LOGIN = "Please start the title again, or sign in again."

EXPLAINED: dict[str, Explained] = {
    "malformed": Explained(
        "The request is not JSON, has a wrong type, a missing or unknown field, or a bad id; `field` names it.",
        "",
        "Correct the request: `detail` says what is wrong with it, and `/openapi.json` how it should look.",
    ),
    "unauthenticated": Explained(
        "There is no credential, or one that is not valid here; or a grant that expired while its session held no "
        "seat, or one that was ended with its session.",
        _LOGIN,
        "Get a credential, or open the session again (`POST /v1/sessions`): that gives a new playback URL.",
    ),
    "forbidden": Explained(
        "The credential is for another user, session, stream, place or role.",
        _LOGIN,
        "Use the right credential. The reference of calls says which role may do what.",
    ),
    "not-found": Explained(
        "There is no page or call at this address.",
        "",
        "Compare the path with `/openapi.json`. Pages and calls of a part that is not configured do not exist either.",
    ),
    "unknown-stream": Explained(
        "There is no such stream, or it cannot be served at the moment (the log says why). It takes no seat.",
        _MISSING,
        "Choose another. `GET /v1/streams` lists what can be played; `streamlimit streams` says what is wrong.",
    ),
    "unknown-segment": Explained(
        "The stream has no segment or file of that name. It takes no seat.",
        "",
        "Fetch the playlist or manifest again: a live stream drops old segments.",
    ),
    "unknown-session": Explained(
        "The user has no such session, or it is gone: expired, ended, terminated or abandoned.",
        "",
        "Open a session again. The user's history shows how the old one ended.",
    ),
    "method-not-allowed": Explained(
        "The address exists, this method does not; `Allow` names those that do.",
        "",
        "Use one of the methods in `Allow`.",
    ),
    "request-timeout": Explained(
        "The head of a request, or its body, did not arrive within `request_seconds`; the connection is closed.",
        "",
        "Send the request again on a new connection, whole.",
    ),
    "session-limit": Explained(
        "All seats of the user are taken; `limit`, `live_sessions`, `sessions` (who holds them), `retry_after_seconds`;"
        " where a cap within the user is full, `scope` (`stream`, `device-type`) and `scope_limit`.",
        "Too many devices are playing on this account. Stop one of them, or choose which one gives way.",
        "Show who holds the seats; offer `replace` with one of their session ids; else wait `Retry-After`.",
    ),
    "session-shared": Explained(
        "Two players use one session: it went back and forth between two streams, between players of one playback URL, "
        "or fetched the same twice.",
        "This title is being played by another player with the same link.",
        "Open a session for each player (`POST /v1/sessions`), and hand out each playback URL once.",
    ),
    "session-terminated": Explained(
        "The session was terminated: `by`, `reason`, `at`, and where another session took its place, `by_session_id` "
        "and `by_device`. It is refused until it has been silent for n·X.",
        "Playback was stopped from another device or by support.",
        "Stop the player and say so; do not retry. An operator may let it come back: "
        "`DELETE /v1/users/{user_id}/terminations/{session_id}`.",
    ),
    "too-large": Explained(
        "The body is larger than the call takes: 64 KiB, or 4 MiB of reports (of which a worker reads 16 at once from "
        "clients that are not in `trusted_proxies`).",
        "",
        "Send less, or reports in smaller batches.",
    ),
    "url-too-long": Explained("The URL is longer than 16 KiB.", "", "Send a shorter one."),
    "unsupported-media-type": Explained(
        "The body's content type is not one that this call reads.",
        "",
        "Send `Content-Type: application/json`, or what `/openapi.json` names for this call.",
    ),
    "range-not-satisfiable": Explained(
        "The file has no such bytes; `Content-Range` states its size.", "", "Ask for bytes within the file."
    ),
    "too-many-requests": Explained(
        "The client hammers: it asks again and again right after a refusal.",
        "Too many devices are playing on this account. Wait a moment before trying again.",
        "Wait `Retry-After` before the next request, and let the player back off.",
    ),
    "too-many-visits": Explained(
        "The user started, or moved on to, more streams one after the other than `visit_burst` allows. Who watches "
        "already goes on.",
        "Too many titles were started in a short time. Wait a moment.",
        "Wait `Retry-After`. Feeds of short clips want a larger `visit_burst`, or 0, which turns it off.",
    ),
    "head-too-large": Explained(
        "The head has more than 32 KiB or 100 headers.", "", "Send fewer, or shorter, headers."
    ),
    "internal": Explained(
        "The service has failed by a defect; the log has the details under the request's id.",
        _BUSY,
        "Look up `X-Request-Id` in the log, and report it as a defect.",
    ),
    "not-implemented": Explained(
        "The body comes in another transfer coding than `chunked`.", "", "Send it with its length."
    ),
    "origin-failed": Explained(
        "The origin did not answer with what was asked for. A reservation is given back.",
        _BUSY,
        "Look at the origin: the log names the file and what came instead.",
    ),
    "origin-timeout": Explained(
        "The origin did not answer in time. A reservation is given back.",
        _BUSY,
        "Look at the origin and the network between.",
    ),
    "origin-stalled": Explained(
        "A low-latency playlist did not go on within three target durations of a blocking reload.",
        "The live stream is interrupted at the moment.",
        "Ask again after `Retry-After`; look at the encoder.",
    ),
    "store-unavailable": Explained(
        "The store does not answer, and this session is not known here. Sessions that hold a seat are not affected.",
        _BUSY,
        "Wait `Retry-After`. `GET /readyz` says what is wrong with the store.",
    ),
    "identity-unavailable": Explained(
        "A viewer's token cannot be verified: the identity provider's keys are not at hand.",
        _BUSY,
        "Wait `Retry-After`; see that the service reaches the address in `[jwt]`.",
    ),
    "version-not-supported": Explained(
        "The request line is of another major version than HTTP/1.", "", "Use HTTP/1.1."
    ),
}
