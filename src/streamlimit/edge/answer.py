"""Answers to an edge: the headers of a yes, and a refusal as one header. Headers are ASCII; sizes are nginx's."""

import json
from typing import Any

from streamlimit.edge.decision import Yes
from streamlimit.errors import StreamlimitError
from streamlimit.logs import EventLog
from streamlimit.model import State
from streamlimit.tally import Tally
from streamlimit.web.outgoing import Reply
from streamlimit.web.problems import Problem, log_problem, problem_of
from streamlimit.web.render import reservations
from streamlimit.web.spelling import encoded

HEADER_BYTES = 3_072
"""Bytes of the problem's header: with the others it stays below 4 KiB, all that nginx reads of an answer's head."""

log = EventLog("streamlimit.edge")


def yes_headers(yes: Yes, cache_seconds: int) -> dict[str, str]:
    """Headers of a yes: user and session, stream, how the seats stand, and for how long an edge may keep the answer."""
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
    """A yes for a playlist would open media, and one for who has received nothing yet would be kept without a seat.

    A grant that is bound to an address is looked at each time: the edge keeps a yes for any client that shows it.
    """
    return cache_seconds >= 1 and yes.place is not None and _is_active(yes) and yes.caller.place is None


def _is_active(yes: Yes) -> bool:
    """A look pays no visit (rule 13): it says yes to no other stream than the session's own."""
    session = yes.admitted.session
    if session is None or session.state is not State.ACTIVE:
        return False
    return not yes.is_look or session.stream_id == yes.stream_id


def refused(problem: Problem, status: int) -> Reply:
    """The problem as *status*, which the edge understands; its own is in the document, in the header and the body."""
    headers = {
        "Content-Type": "application/problem+json",
        "Streamlimit-Code": problem.code,
        "Streamlimit-Problem": compact(problem),
    }
    return Reply(status, headers | problem.headers, problem.body())


def noted(error: Exception, tally: Tally, method: str, route: str) -> Problem:
    """The problem that *error* is, counted and logged; raises what is a defect of ours."""
    if isinstance(error, StreamlimitError):
        error = problem_of(error)
    if not isinstance(error, Problem):
        raise error
    tally.problems[error.code] += 1
    log_problem(error, method, route)
    return error


def compact(problem: Problem) -> str:
    """The document in ASCII on one line, with as many of its sessions as there is room for."""
    document: dict[str, Any] = json.loads(problem.body())
    text = _dumped(document)
    while len(text) > HEADER_BYTES and document.get("sessions"):
        document["sessions"].pop()
        text = _dumped(document)
    if len(text) > HEADER_BYTES:  # names and reasons that others chose are long
        text = _dumped({name: document[name] for name in ("type", "title", "status", "code")})
    return text


def _dumped(document: dict[str, Any]) -> str:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=True)
