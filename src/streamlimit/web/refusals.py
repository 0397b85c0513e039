"""The answer to bytes that are no request, made before any handler is asked: a problem like any other."""

from streamlimit.http.framing import Fault
from streamlimit.web.problems import SECURITY_HEADERS, Problem, headers_of
from streamlimit.web.render import lines


def answer_to(fault: Fault) -> tuple[int, bytes, bytes]:
    """Status, header lines and body."""
    problem = Problem(*fault)
    return problem.status, lines(headers_of(problem) | SECURITY_HEADERS), problem.body()
