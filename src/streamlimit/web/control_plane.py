"""The control plane, on FastAPI: all calls off the hot path, and the OpenAPI document."""

from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route

from streamlimit import errors
from streamlimit.web import events, monitoring, operator, pages, problem_pages, reports, sessions
from streamlimit.web.calls import asked
from streamlimit.web.console import page as console
from streamlimit.web.openapi import shown, with_hot_calls
from streamlimit.web.problems import FAILURE, Problem, log_problem, problem_of, wrong_field
from streamlimit.web.request_id import id_header
from streamlimit.web.service import Service

_OPERATORS = (operator.router, monitoring.router, events.router, reports.router, monitoring.health, console.router)
_PAGES = (problem_pages.router, console.pages, pages.shared, pages.router)
ROUTERS = (sessions.router, *_OPERATORS, *_PAGES)

_STATUS_CODES = {404: "not-found", 405: "method-not-allowed"}


def make_plane(service: Service) -> FastAPI:
    """The control plane of one worker."""
    # The version is the API's: only operators need to see which release runs.
    # FastAPI's own documentation pages load scripts of another host; pages.py has one that does not. Its own
    # `/openapi.json` writes the document anew for everyone who asks.
    app = FastAPI(title="streamlimit", version="1", openapi_url=None, redirect_slashes=False)
    app.state.service = service
    for router in ROUTERS:
        app.include_router(router)
    app.add_exception_handler(Problem, _on_error)
    app.add_exception_handler(errors.StreamlimitError, _on_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(Exception, _on_failure)
    return shown(with_hot_calls(app))


def answer(request: Request, problem: Problem) -> Response:
    """The response for *problem*, which is logged here."""
    request.app.state.service.tally.problems[problem.code] += 1
    log_problem(problem, asked(request).method, getattr(request.scope.get("route"), "path", None))
    return _response(problem)


def _response(problem: Problem) -> Response:
    headers = {"Cache-Control": "no-store"} | id_header() | problem.headers
    return Response(problem.body(), problem.status, headers, media_type="application/problem+json")


async def _on_error(request: Request, error: Any) -> Response:
    return answer(request, error if isinstance(error, Problem) else problem_of(error))


async def _on_invalid(request: Request, error: Any) -> Response:
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"][1:])
    return answer(request, wrong_field(field, first["msg"].removeprefix("Value error, ")))


async def _on_http(request: Request, error: Any) -> Response:
    code = _STATUS_CODES.get(error.status_code, "malformed")
    headers = dict(error.headers or {})
    if code == "method-not-allowed":
        headers["Allow"] = ", ".join(_methods(request))
    return answer(request, Problem(code, str(error.detail), headers=headers))


async def _on_failure(_request: Request, _error: Any) -> Response:
    """The response for a defect. The framework raises the error again; app.py logs and counts it."""
    return _response(FAILURE)


def _methods(request: Request) -> list[str]:
    """All methods of this path; the framework names only those of the first route."""
    routes = [route for router in ROUTERS for route in router.routes if isinstance(route, Route)]
    here = [route for route in routes if route.matches(request.scope)[0] is not Match.NONE]
    methods = {"OPTIONS"}.union(*(route.methods or () for route in here))
    return sorted(methods | {"HEAD"} if "GET" in methods else methods)
