"""The control plane on FastAPI: everything that is not the hot path, and its OpenAPI document."""

from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from streamlimit import errors
from streamlimit.web import operator, sessions
from streamlimit.web.problems import Problem, problem_of
from streamlimit.web.service import Service

_STATUS_CODES = {404: "not-found", 405: "method-not-allowed"}


def make_control(service: Service) -> FastAPI:
    """The control plane of one worker."""
    from streamlimit import __version__

    app = FastAPI(title="streamlimit", version=__version__, redirect_slashes=False)
    app.state.service = service
    app.include_router(sessions.router)
    app.include_router(operator.router)
    app.add_exception_handler(Problem, _on_problem)
    app.add_exception_handler(errors.StreamlimitError, _on_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    return app


def answer(problem: Problem) -> Response:
    """The problem as a response."""
    headers = {"Cache-Control": "no-store"} | problem.headers
    return Response(problem.body(), problem.status, headers, media_type="application/problem+json")


async def _on_problem(_request: Request, error: Any) -> Response:
    return answer(error)


async def _on_error(_request: Request, error: Any) -> Response:
    return answer(problem_of(error))


async def _on_invalid(_request: Request, error: Any) -> Response:
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"][1:])
    return answer(Problem("malformed", f"{field}: {first['msg']}", {"field": field}))


async def _on_http(_request: Request, error: Any) -> Response:
    code = _STATUS_CODES.get(error.status_code, "malformed")
    return answer(Problem(code, str(error.detail), headers=dict(error.headers or {})))
