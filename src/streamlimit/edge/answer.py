"""Answers to an edge: the headers of an admission, and a refusal as one header, ASCII, sized for nginx."""

import json
from typing import Any

from streamlimit.edge.decision import Yes
from streamlimit.errors import StreamlimitError
from streamlimit.logs import EventLog
from streamlimit.model import State
from streamlimit.tally import Tally
from streamlimit.web.headers import reservations
from streamlimit.web.outgoing import Reply
from streamlimit.web.problems import Problem, log_problem, problem_of
from streamlimit.web.spelling import encoded

HEADER_BYTES = 3_072
"""Most bytes of the problem's header: with the others it stays below 4 KiB, all that nginx reads of a head."""

log = EventLog("streamlimit.edge")


def yes_headers(yes: Yes, cache_seconds: int) -> dict[str, str]:
    """The headers of an admission: user, session, stream, seats, and how long an edge may cache the answer."""
    admitted, caller = yes.admitted, yes.caller
    headers = {
        "Streamlimit-User": encoded(caller.user_id),
        "Streamlimit-Session": encoded(caller.session_id),
        "Streamlimit-Stream": encoded(yes.stream_id),
    }
    if yes.place is not None and not yes.is_look:
        headers["Streamlimit-Segment"] = encoded(yes.place.name, "/")
    headers["Streamlimit-Live-Sessions"] = str(admitted.live)
    headers["Streamlimit-Limit"] = str(admitted.limit)
    headers["Cache-Control"] = f"max-age={cache_seconds}" if _may_keep(yes, cache_seconds) else "no-store"
    return headers | reservations(admitted)


def _may_keep(yes: Yes, cache_seconds: int) -> bool:
    """May an edge cache the admission? Not for a playlist (it would open media), nor before the first receipt.

    Nor with a grant that is bound to an address: the edge's cache does not check the client's.
    """
    return cache_seconds >= 1 and yes.place is not None and _is_active(yes) and yes.caller.place is None


def _is_active(yes: Yes) -> bool:
    """Is the session active? By a look only on its own stream: a look pays no visit (rule 13), so it opens no other."""
    session = yes.admitted.session
    if session is None or session.state is not State.ACTIVE:
        return False
    return not yes.is_look or session.stream_id == yes.stream_id


def refused(problem: Problem, status: int) -> Reply:
    """Sends *problem* as *status*, which the edge understands; the document in header and body has its own status."""
    headers = {
        "Content-Type": "application/problem+json",
        "Streamlimit-Code": problem.code,
        "Streamlimit-Problem": compact(problem),
    }
    return Reply(status, headers | problem.headers, problem.body())


def noted(error: Exception, tally: Tally, method: str, route: str) -> Problem:
    """The problem for *error*, counted and logged. Raises an error that is a defect."""
    if isinstance(error, StreamlimitError):
        error = problem_of(error)
    if not isinstance(error, Problem):
        raise error
    tally.problems[error.code] += 1
    log_problem(error, method, route)
    return error


def compact(problem: Problem) -> str:
    """The problem document as one line of ASCII, with as many of its sessions as fit."""
    document: dict[str, Any] = json.loads(problem.body())
    text = _dumped(document)
    while len(text) > HEADER_BYTES and document.get("sessions"):
        document["sessions"].pop()
        text = _dumped(document)
    if len(text) > HEADER_BYTES:  # names and reasons chosen by others may be long
        text = _dumped({name: document[name] for name in ("type", "title", "status", "code")})
    return text


def _dumped(document: dict[str, Any]) -> str:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=True)
