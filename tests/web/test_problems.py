"""The one table of errors: complete, and as docs/reference/errors.md has it."""

import ast
import inspect
import json
import re
from pathlib import Path

import pytest

from streamlimit import errors, model, rules
from streamlimit.web import problems
from streamlimit.web.problems import ERRORS, PROBLEMS, Problem, problem_of, problem_of_refusal

SOURCES = Path(inspect.getfile(rules)).parent.parent
API_CODES = {  # written out, so that a change of the contract fails here
    "malformed": 400, "unauthenticated": 401, "forbidden": 403, "unknown-stream": 404, "unknown-segment": 404,
    "unknown-session": 404, "session-limit": 409, "session-shared": 409, "session-terminated": 410, "too-large": 413,
    "unsupported-media-type": 415, "method-not-allowed": 405, "too-many-requests": 429, "too-many-visits": 429,
    "origin-failed": 502, "origin-timeout": 504, "store-unavailable": 503,
}  # fmt: skip


def _subclasses(kind: type[errors.StreamlimitError]) -> set[type[errors.StreamlimitError]]:
    return {kind}.union(*(_subclasses(each) for each in kind.__subclasses__())) - {errors.StreamlimitError}


def _codes_in(*names: str) -> set[str]:
    """The first argument, where it is a text, of every call of one of *names* in our sources."""
    found = set()
    for source in SOURCES.rglob("*.py"):
        for node in ast.walk(ast.parse(source.read_text())):
            if not isinstance(node, ast.Call) or not node.args or not isinstance(node.args[0], ast.Constant):
                continue
            called = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            if called in names and isinstance(node.args[0].value, str):
                found.add(node.args[0].value)
    return found


def test_every_documented_code_has_its_status() -> None:
    assert {code: PROBLEMS[code][0] for code in API_CODES} == API_CODES


def _ours() -> list[type[errors.StreamlimitError]]:
    """Those of errors.py; what another room adds for itself is caught there."""
    found = [kind for kind in _subclasses(errors.StreamlimitError) if kind.__module__ == errors.__name__]
    return sorted(found, key=lambda kind: kind.__name__)


@pytest.mark.parametrize("kind", _ours())
def test_every_error_of_ours_has_an_answer(kind: type[errors.StreamlimitError]) -> None:
    if kind is errors.SettingsError:
        return  # stops the start; nobody is there to be answered
    if kind is errors.Refused:
        error: errors.StreamlimitError = errors.Refused(model.Refusal("session-limit", 3, 3))
    else:
        error = kind("the reason")
        assert kind in ERRORS, "named in the table, not only by way of its parent"
    assert problem_of(error).code in PROBLEMS


def test_every_refusal_has_an_answer() -> None:
    codes = _codes_in("refusal", "Refusal")
    assert codes >= {"session-limit", "session-shared", "session-terminated", "grant-expired", "too-many-visits"}
    for code in codes:
        mark = model.Mark("s", 1, model.State.TERMINATED, 1, 2, by="operator", reason="why")
        assert problem_of_refusal(model.Refusal(code, 3, 3, mark=mark)).status in (401, 409, 410, 429)


def test_every_problem_that_is_raised_is_in_the_table() -> None:
    raised = _codes_in("Problem")
    assert len(raised) > 8
    assert raised <= PROBLEMS.keys()


def test_nothing_in_the_table_is_nameless() -> None:
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", code) for code in PROBLEMS)
    assert all(400 <= status < 600 and title for status, title in PROBLEMS.values())
    assert set(ERRORS.values()) <= PROBLEMS.keys()


def test_the_document_is_as_rfc_9457_wants_it() -> None:
    problem = Problem("session-limit", "why", {"limit": 3})
    assert json.loads(problem.body()) == {
        "type": "/problems/session-limit",
        "title": "All seats are taken",
        "status": 409,
        "detail": "why",
        "code": "session-limit",
        "limit": 3,
    }


def test_a_store_that_is_away_says_when_to_try_again_and_nothing_of_itself() -> None:
    problem = problem_of(errors.StoreUnavailable("sqlite: unable to open /secret/path"))
    assert (problem.status, problem.headers["Retry-After"]) == (503, str(problems.STORE_RETRY_SECONDS))
    assert b"secret" not in problem.body()


def test_a_refusal_says_when_a_seat_may_come_free() -> None:
    problem = problem_of_refusal(model.Refusal("session-limit", 3, 3, retry_after_ms=1_234))
    assert problem.extra["retry_after_seconds"] == 1.234
    assert problem.headers["Retry-After"] == "2"
    soon = problem_of_refusal(model.Refusal("session-limit", 3, 3, retry_after_ms=0))
    assert soon.headers["Retry-After"] == "1", "never at once"


@pytest.mark.parametrize("kind", [errors.UnknownSegment, errors.OriginFailed])
def test_our_internals_are_not_told(kind: type[errors.StreamlimitError]) -> None:
    problem = problem_of(kind("/srv/streams/x cannot be opened"))
    assert b"/srv" not in problem.body()
