"""The table of all errors that a caller can get, and the problem documents made of them (RFC 9457)."""

import math
from typing import Any

import msgspec

from streamlimit import errors
from streamlimit.document import rfc3339, session_document
from streamlimit.logs import About, EventLog, tell_refused
from streamlimit.model import Refusal

PROBLEMS: dict[str, tuple[int, str]] = {
    "malformed": (400, "The request is malformed"),
    "unauthenticated": (401, "No valid credential"),
    "forbidden": (403, "The credential does not allow this"),
    "not-found": (404, "There is nothing here"),
    "unknown-stream": (404, "There is no such stream"),
    "unknown-segment": (404, "The stream has no such segment"),
    "unknown-session": (404, "There is no such session"),
    "method-not-allowed": (405, "The method is not allowed here"),
    "session-limit": (409, "All seats are taken"),
    "session-shared": (409, "The session is used by more than one player"),
    "too-many-visits": (429, "Too many streams one after the other"),
    "session-terminated": (410, "The session was terminated"),
    "request-timeout": (408, "The request did not arrive in time"),
    "too-large": (413, "The request is too large"),
    "url-too-long": (414, "The URL is too long"),
    "unsupported-media-type": (415, "The body must be JSON"),
    "range-not-satisfiable": (416, "The file has no such range"),
    "too-many-requests": (429, "Too many requests"),
    "head-too-large": (431, "The request's head is too large"),
    "identity-unavailable": (503, "Tokens cannot be verified at the moment"),
    "origin-stalled": (503, "The live stream does not go on at the moment"),
    "internal": (500, "Something went wrong here"),
    "not-implemented": (501, "The request needs something that is not implemented here"),
    "origin-failed": (502, "The origin failed"),
    "store-unavailable": (503, "The store does not answer"),
    "origin-timeout": (504, "The origin did not answer in time"),
    "version-not-supported": (505, "The version of HTTP is not supported"),
}

ERRORS: dict[type[errors.StreamlimitError], str] = {
    errors.UnknownStream: "unknown-stream",
    errors.CatalogError: "unknown-stream",
    errors.BadCursor: "malformed",
    errors.UnknownSession: "unknown-session",
    errors.UnknownSegment: "unknown-segment",
    errors.OriginTimeout: "origin-timeout",
    errors.OriginFailed: "origin-failed",
    errors.StoreUnavailable: "store-unavailable",
    errors.StoreLocked: "store-unavailable",
    errors.StoreHindered: "store-unavailable",
}
"""The error code of each exception; `Refused` has its own."""

DETAILS: dict[type[errors.StreamlimitError], str] = {
    errors.UnknownSegment: "the stream has no segment or file of that name",
    errors.OriginTimeout: "the origin did not answer in time",
    errors.OriginFailed: "the origin did not answer with what was asked for",
    errors.StoreUnavailable: "try again in a moment",
}
"""Details for the caller in the place of texts for the operator, which may name folders and hosts."""

STORE_RETRY_SECONDS = 2
RETRY_STORE = {"Retry-After": str(STORE_RETRY_SECONDS)}

log = EventLog("streamlimit.web")


class Problem(Exception):
    """An error answer. *extra*: further members of the document; *headers*: of the answer."""

    def __init__(
        self,
        code: str,
        detail: str,
        extra: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(f"{code}: {detail}")
        self.code, self.detail = code, detail
        self.status, self.title = PROBLEMS[code]
        self.extra, self.headers = extra or {}, headers or {}
        self.about: About | None = None  # the refused question and its refusal, for the log

    def body(self) -> bytes:
        """The JSON document."""
        document = {
            "type": f"/problems/{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
        }
        return msgspec.json.encode(document | self.extra)


def wrong_field(field: str, words: str) -> Problem:
    """The problem of a request of which one *field*, or parameter, is wrong."""
    return Problem("malformed", f"{field}: {words}", {"field": field})


SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",  # playback URLs carry the grant
}
"""Headers of every answer; pages add their own."""


def headers_of(problem: Problem) -> dict[str, str]:
    """The headers of the problem's answer."""
    return {"Content-Type": "application/problem+json", "Cache-Control": "no-store"} | problem.headers


def log_problem(problem: Problem, method: str, route: str | None) -> None:
    """Logs one error answer. *route*: the call's name, never a path, which may hold a grant."""
    if problem.code == "too-many-requests":
        return  # thousands a second of them; they are counted
    if problem.status < 500:
        tell_refused(problem.code, problem.status, method, route, problem.about)
    else:
        fields = {"code": problem.code, "status": problem.status, "method": method, "route": route}
        log.warning("refused", cause=str(problem.__cause__ or problem.detail), **fields)


def problem_of(error: errors.StreamlimitError) -> Problem:
    """The problem for *error*: status, headers and document of the HTTP answer."""
    if isinstance(error, errors.Refused):
        problem = problem_of_refusal(error.refusal)
        problem.about = None if error.ask is None else (error.ask, error.refusal)
        return problem
    for kind in type(error).__mro__:
        if kind in ERRORS:
            code = ERRORS[kind]
            headers = dict(RETRY_STORE) if code == "store-unavailable" else {}
            problem = Problem(code, DETAILS.get(kind, str(error)), headers=headers)
            problem.__cause__ = error
            return problem
    raise error


def problem_of_refusal(refusal: Refusal) -> Problem:
    """The problem for *refusal*, with the sessions that hold the seats (rule 10)."""
    if refusal.code == "session-terminated" and refusal.mark is not None:
        return _terminated(refusal)
    if refusal.code in GRANT_REFUSALS:
        return Problem("unauthenticated", GRANT_REFUSALS[refusal.code], headers=CHALLENGE)
    if refusal.code == "too-many-requests":
        return _hammering(refusal)
    seconds = round(refusal.retry_after_ms / 1_000, 3)
    extra = {
        "limit": refusal.limit,
        "live_sessions": refusal.live,
        "sessions": [session_document(session) for session in refusal.sessions],
        "retry_after_seconds": seconds,
    }
    detail = f"{_taken(refusal)}; the next may come free in {seconds:g} s"
    if refusal.scope != "user":
        extra |= {"scope": refusal.scope, "scope_limit": refusal.scope_limit}
    if refusal.code == "session-shared":
        detail = "this session went back and forth between players more often than one player does"
    if refusal.code == "too-many-visits":
        detail = f"too many streams were started one after the other; the next may be in {seconds:g} s"
    headers = {"Retry-After": str(max(math.ceil(seconds), 1))}
    if refusal.degraded:
        headers["Streamlimit-Degraded"] = "true"
    return Problem(refusal.code, detail, extra, headers)


def _taken(refusal: Refusal) -> str:
    """The scope that is full, in words for the document's `detail`."""
    if refusal.scope == "stream":
        return f"of one stream a user may watch {refusal.scope_limit} at once, and does"
    if refusal.scope == "device-type":
        return f"on devices of this type a user may watch {refusal.scope_limit} at once, and does"
    return f"{refusal.live} of {refusal.limit} seats are taken"


FAILURE = Problem("internal", "this is our fault; the log says more")
CHALLENGE = {"WWW-Authenticate": "Bearer"}

GRANT_REFUSALS = {
    "grant-expired": "the grant has expired and its session holds no seat",
    "grant-ended": "the session was ended, and its grant with it; ask for a new playback URL",
}


def _hammering(refusal: Refusal) -> Problem:
    """The short problem for a hammering client: made thousands of times a second, after explained refusals."""
    seconds = max(math.ceil(refusal.retry_after_ms / 1_000), 1)
    detail = "refused again and again; wait before the next request"
    extra = {"retry_after_seconds": round(refusal.retry_after_ms / 1_000, 3)}
    return Problem("too-many-requests", detail, extra, {"Retry-After": str(seconds)})


def _terminated(refusal: Refusal) -> Problem:
    mark = refusal.mark
    assert mark is not None
    extra: dict[str, Any] = {"by": mark.by, "reason": mark.reason, "at": rfc3339(mark.at_ms)}
    if mark.by_session_id is not None:
        extra |= {"by_session_id": mark.by_session_id, "by_device": mark.by_device}
    return Problem("session-terminated", f"terminated by {mark.by}: {mark.reason}", extra)
