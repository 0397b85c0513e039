"""The OpenAPI document: FastAPI's own for the control plane, and beside it the hot calls, which no framework sees."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from streamlimit.web.calls import described
from streamlimit.web.forms import ID_SCHEMA, HeartbeatForm, SegmentForm
from streamlimit.web.problems import PROBLEMS

_BYTES = {"schema": {"type": "string", "format": "binary"}}


def with_hot_calls(app: FastAPI) -> FastAPI:
    """Makes *app*'s document tell all calls, and how every call says no."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = get_openapi(title=app.title, version=app.version, routes=app.routes)
            made["paths"] |= _hot_paths()
            made["components"] = {**made.get("components", {}), **_components(made)}
            for path in made["paths"].values():
                for call in path.values():
                    _add_problems(call)
            app.openapi_schema = made
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # as FastAPI's documentation says
    return app


def _hot_paths() -> dict[str, Any]:
    segment = {
        "tags": ["viewer"],
        "summary": "Endpoint 1: the named segment of a stream, or the next one",
        "operationId": "segments",
        **described(SegmentForm),
        "responses": {
            "200": {"description": "The segment's bytes", "content": {"*/*": _BYTES}},
            "204": {"description": "The stream is over (Streamlimit-End), or its live edge reached (Retry-After)"},
        },
        "security": [{}, {"bearer": []}],
    }
    anything = {"type": "string"}
    play = {
        "tags": ["viewer"],
        "summary": "Any file of a stream, for ordinary players",
        "operationId": "play",
        "parameters": [_parameter("grant", anything), _id("stream_id"), _parameter("path", anything)],
        "responses": {
            "200": {"description": "The file", "content": {"*/*": _BYTES}},
            "206": {"description": "The range asked for", "content": {"*/*": _BYTES}},
            "304": {"description": "Unchanged"},
        },
    }
    beat = {
        "tags": ["viewer"],
        "summary": "A lease without bytes, where another party moves them",
        "operationId": "heartbeat",
        "parameters": [_id("user_id"), _id("session_id")],
        **described(HeartbeatForm),
        "responses": {"200": {"description": "The session", "content": {"application/json": {"schema": {}}}}},
        "security": [{}, {"bearer": []}],
    }
    return {
        "/v1/segments": {"post": segment},
        "/play/{grant}/{stream_id}/{path}": {"get": play},
        "/v1/users/{user_id}/sessions/{session_id}/heartbeat": {"post": beat},
        "/edge/reports": {"post": _reports()},
    }


def _reports() -> dict[str, Any]:
    """The call of edges; the others of theirs are their own protocols."""
    properties: dict[str, Any] = {
        "path": {"type": "string", "minLength": 1, "description": "of the request, or <stream_id>/<file>"},
        "complete": {"type": "boolean"},
        "grant": {"type": ["string", "null"], "minLength": 1, "description": "where the path is not the request's"},
        "at": {"type": ["string", "number", "null"], "description": "RFC 3339, or seconds of the epoch"},
        "status": {"type": ["integer", "null"], "minimum": 100, "maximum": 999},
        "bytes": {"type": ["integer", "null"], "minimum": 0},
    }
    report = {
        "type": "object",
        "required": ["path", "complete"],
        "properties": properties,
        "additionalProperties": False,
    }
    body = {"type": "array", "maxItems": 1_000, "items": report}
    gone = {"type": "object", "properties": {"gone": {"type": "array", "items": {"type": "string"}}}}
    return {
        "tags": ["edge"],
        "summary": "What an edge delivered: complete ones confirm, others give the lease back",
        "operationId": "edge_reports",
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": {
            "200": {"description": "Whom to let in no more", "content": {"application/json": {"schema": gone}}}
        },
        "security": [{}, {"bearer": []}],
    }


def _components(made: dict[str, Any]) -> dict[str, Any]:
    problem = {
        "type": "object",
        "required": ["type", "title", "status", "detail", "code"],
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "code": {"type": "string", "enum": sorted(PROBLEMS)},
        },
    }
    schemas = {k: v for k, v in made.get("components", {}).get("schemas", {}).items() if "Validation" not in k}
    return {
        "schemas": {**schemas, "Problem": problem},
        "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
    }


def _add_problems(call: dict[str, Any]) -> None:
    """Every call may say no, always in the same form; FastAPI's own 422 is never sent."""
    call.get("responses", {}).pop("422", None)
    schema = {"$ref": "#/components/schemas/Problem"}
    content = {"application/problem+json": {"schema": schema}}
    call["responses"]["default"] = {"description": "A problem (RFC 9457)", "content": content}


def _id(name: str) -> dict[str, Any]:
    return _parameter(name, {"type": "string"} | ID_SCHEMA)


def _parameter(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": schema}
