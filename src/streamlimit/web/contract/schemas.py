"""JSON schemas of what calls answer: the documents of shapes.py, and one problem document a code."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from streamlimit.web.contract.operation import PROBLEM_JSON, Operation
from streamlimit.web.contract.shapes import EXTRAS
from streamlimit.web.problems import PROBLEMS

TEMPLATE = "#/components/schemas/{name}"
COMMON = ("type", "title", "status", "detail", "code")


def reference(name: str) -> dict[str, str]:
    """To a component."""
    return {"$ref": TEMPLATE.format(name=name)}


def problem_name(code: str) -> str:
    """What its schema is called: `SessionLimitProblem`."""
    return "".join(part.capitalize() for part in code.split("-")) + "Problem"


def schema_of(shape: Any) -> dict[str, Any]:
    """As it stands in an answer: a type of ours by its name, a schema as it is."""
    return reference(shape.__name__) if isinstance(shape, type) else dict(shape)


def components(operations: Iterable[Operation]) -> dict[str, Any]:
    """All that their answers refer to."""
    shapes = {says.shape for each in operations for says in each.answers.values() if isinstance(says.shape, type)}
    _, found = msgspec.json.schema_components([*shapes, *EXTRAS.values()], ref_template=TEMPLATE)
    extras = {kind.__name__ for kind in EXTRAS.values()}
    own = {name: _untitled(schema) for name, schema in found.items() if name not in extras}
    members = {code: found[kind.__name__] for code, kind in EXTRAS.items()}
    return own | {"Problem": _any_problem()} | {problem_name(code): _problem(code, members) for code in PROBLEMS}


def _untitled(schema: dict[str, Any]) -> dict[str, Any]:
    """Its title would only repeat its name."""
    return {key: value for key, value in schema.items() if key != "title"}


def _any_problem() -> dict[str, Any]:
    text = {"type": "string"}
    return {
        "description": "What every error is (RFC 9457); some have members of their own.",
        "type": "object",
        "required": list(COMMON),
        "properties": {
            "type": text | {"description": "resolves: the page explains it"},
            "title": text,
            "status": {"type": "integer"},
            "detail": text,
            "code": text | {"enum": sorted(PROBLEMS)},
        },
    }


def _problem(code: str, members: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    status, title = PROBLEMS[code]
    own = members.get(code, {"properties": {}, "required": []})
    return {
        "description": title,
        "type": "object",
        "required": [*COMMON, *own.get("required", [])],
        "properties": {
            "type": {"type": "string", "const": f"/problems/{code}"},
            "title": {"type": "string"},
            "status": {"type": "integer", "const": status},
            "detail": {"type": "string"},
            "code": {"type": "string", "const": code},
            **own["properties"],
        },
    }


def problem_answer(codes: list[str]) -> dict[str, Any]:
    """One status of an operation, which is that of all *codes*."""
    schemas = [reference(problem_name(code)) for code in codes]
    schema = schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
    examples = {code: {"$ref": f"#/components/examples/{code}"} for code in codes}
    content = {PROBLEM_JSON: {"schema": schema, "examples": examples}}
    return {"description": "; ".join(PROBLEMS[code][1] for code in codes), "content": content}


def schema_of_form(form: Any) -> dict[str, Any]:
    """A form's, in one piece: forms are small and do not recur. A schema as it is."""
    if not (isinstance(form, type) and issubclass(form, Struct)):
        return dict(form)
    (schema,), parts = msgspec.json.schema_components([form], ref_template=TEMPLATE)
    found: dict[str, Any] = _inlined(schema, parts)
    return found


def _inlined(node: Any, parts: dict[str, Any]) -> Any:
    if isinstance(node, dict):
        if "$ref" in node:
            return _inlined(parts[node["$ref"].rsplit("/", 1)[1]], parts)
        return {key: _inlined(value, parts) for key, value in node.items()}
    return [_inlined(item, parts) for item in node] if isinstance(node, list) else node
