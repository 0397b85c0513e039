"""The OpenAPI document: parameters and bodies of the control plane from FastAPI, all else from `contract`."""

import asyncio
import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi

from streamlimit.web.contract import OPERATIONS, Body, Operation, Says
from streamlimit.web.contract.examples import PARAMETERS, problem
from streamlimit.web.contract.operation import PROBLEM, PROBLEM_JSON
from streamlimit.web.contract.schemas import components, problem_answer, schema_of, schema_of_form
from streamlimit.web.forms import ID_SCHEMA
from streamlimit.web.problems import PROBLEMS
from streamlimit.web.rights import RIGHTS

_IDS = ("user_id", "session_id", "stream_id")
_ABOUT = (
    "Keeps a subscriber from watching more streams at once than the plan allows. Times are RFC 3339 in UTC; every "
    "error is a problem document (RFC 9457), and its `type` resolves."
)
_END_OF_SENTENCE = re.compile(r"\.(?:\s|$)")


def with_hot_calls(app: FastAPI) -> FastAPI:
    """Adds the hot calls, and the errors of all calls, to *app*'s OpenAPI document."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # as FastAPI's documentation says
    return app


def shown(app: FastAPI) -> FastAPI:
    """Adds `/openapi.json` to *app*. Anyone may ask for it, so it is made once, in a thread: viewers do not wait."""
    making: asyncio.Task[bytes] | None = None

    async def show(_request: Request) -> Response:
        nonlocal making
        if making is None or _has_failed(making):
            making = asyncio.create_task(asyncio.to_thread(lambda: msgspec.json.encode(app.openapi())))
        return Response(await asyncio.shield(making), media_type="application/json")

    app.add_route("/openapi.json", show, include_in_schema=False)
    return app


def _has_failed(task: asyncio.Task[bytes]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)


def _document(app: FastAPI) -> dict[str, Any]:
    made = get_openapi(title=app.title, version=app.version, description=_ABOUT, routes=app.routes)
    paths: dict[str, dict[str, Any]] = made["paths"]
    for name, operation in OPERATIONS.items():
        method, _, path = name.partition(" ")
        call = paths.setdefault(path, {}).setdefault(method.lower(), {})
        _describe(call, name, operation)
    for item in paths.values():
        for call in item.values():
            _finish(call)
    made["components"] = {
        "schemas": components(OPERATIONS.values()),
        "examples": {code: {"summary": title, "value": problem(code)} for code, (_, title) in PROBLEMS.items()},
        "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
    }
    return made


def _describe(call: dict[str, Any], name: str, operation: Operation) -> None:
    """Replaces FastAPI's description of a call by that of `contract`."""
    call["operationId"] = operation.id
    call["summary"] = operation.summary or _first_sentence(call["description"])
    call.setdefault("tags", [operation.tag])
    if operation.parameters:
        call["parameters"] = [_in_path(*each) for each in operation.parameters.items()]
    if operation.body is not None:
        call["requestBody"] = _body(operation.body)
    elif operation.sends is not None:
        call["requestBody"]["content"]["application/json"]["example"] = operation.sends
    call["responses"] = _answers(operation)
    call["security"] = _security(name)


def _finish(call: dict[str, Any]) -> None:
    """Adds the default error to a call, and removes FastAPI's 422, which is never sent."""
    call["responses"].pop("422", None)
    content = {PROBLEM_JSON: {"schema": PROBLEM, "example": problem("internal")}}
    call["responses"]["default"] = {"description": "Any other problem (RFC 9457)", "content": content}
    for parameter in call.get("parameters", []):
        if parameter["name"] in PARAMETERS:
            parameter.setdefault("example", PARAMETERS[parameter["name"]])


def _first_sentence(text: str) -> str:
    return _END_OF_SENTENCE.split(" ".join(text.split()), maxsplit=1)[0]


def _in_path(name: str, words: str) -> dict[str, Any]:
    schema = {"type": "string"} | (ID_SCHEMA if name in _IDS else {})
    return {"name": name, "in": "path", "required": True, "description": words, "schema": schema}


def _body(body: Body) -> dict[str, Any]:
    content = {
        kind: {"schema": schema_of_form(form), "example": example} for kind, (form, example) in body.kinds.items()
    }
    return {"required": body.is_required, "content": content}


def _answers(operation: Operation) -> dict[str, Any]:
    """The answers by status: the successful ones, and for each error status all codes that have it."""
    found = {str(status): _answer(says) for status, says in operation.answers.items()}
    codes: Mapping[int, list[str]] = defaultdict(list)
    for code in dict.fromkeys(operation.problems):
        codes[PROBLEMS[code][0]].append(code)
    for status, named in sorted(codes.items()):
        refused = problem_answer(named)
        own = found.setdefault(str(status), refused)
        own["content"] = own.get("content", {}) | refused["content"]
    return found


def _answer(says: Says) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": says.words}
    if says.headers:
        answer["headers"] = {
            name: {"description": words, "schema": {"type": "string"}} for name, words in says.headers.items()
        }
    if says.shape is not None:
        example = {} if says.example is None else {"example": says.example}
        answer["content"] = {says.media_type: {"schema": schema_of(says.shape), **example}}
        for kind, (schema, shown) in says.also.items():
            answer["content"][kind] = {"schema": schema} | ({} if shown is None else {"example": shown})
    return answer


def _security(name: str) -> list[dict[str, list[str]]]:
    """The security of the call *name*: a credential for every call in rights.py, optional where access may be open."""
    roles = RIGHTS.get(name)
    if roles is None:
        return []
    return [{}, {"bearer": []}] if roles & {"anyone", "local"} or name.startswith("POST /edge/") else [{"bearer": []}]
