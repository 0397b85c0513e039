"""JSON schemas of answers: the documents of shapes.py, and of problem_shapes.py one problem document per code."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from streamlimit.web.contract.operation import PROBLEM_JSON, Operation
from streamlimit.web.contract.problem_shapes import EXTRAS
from streamlimit.web.problems import PROBLEMS

TEMPLATE = "#/components/schemas/{name}"


def reference(name: str) -> dict[str, str]:
    """A reference to the component *name*."""
    return {"$ref": TEMPLATE.format(name=name)}


def problem_name(code: str) -> str:
    """The name of the schema of a problem, such as `SessionLimitProblem`."""
    return "".join(part.capitalize() for part in code.split("-")) + "Problem"


def schema_of(shape: Any) -> dict[str, Any]:
    """The schema of *shape* in an answer: a reference for a type, a schema unchanged."""
    return reference(shape.__name__) if isinstance(shape, type) else dict(shape)


def components(operations: Iterable[Operation]) -> dict[str, Any]:
    """The components that the answers of *operations* refer to."""
    shapes = {says.shape for each in operations for says in each.answers.values() if isinstance(says.shape, type)}
    _, found = msgspec.json.schema_components([*shapes, *EXTRAS.values()], ref_template=TEMPLATE)
    extras = {kind.__name__ for kind in EXTRAS.values()}
    own = {name: _untitled(schema) for name, schema in found.items() if name not in extras}
    members = {code: found[kind.__name__] for code, kind in EXTRAS.items()}
    return own | {"Problem": _any_problem()} | {problem_name(code): _problem(code, members) for code in PROBLEMS}


def _untitled(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema without its title, which repeats its name."""
    return {key: value for key, value in schema.items() if key != "title"}


def _any_problem() -> dict[str, Any]:
    words = "What every error is (RFC 9457); some have members of their own."
    return _document(words, {"description": "resolves: the page explains it"}, {}, {"enum": sorted(PROBLEMS)})


def _problem(code: str, members: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    status, title = PROBLEMS[code]
    found = _document(title, {"const": f"/problems/{code}"}, {"const": status}, {"const": code})
    own = members.get(code, {"properties": {}, "required": []})
    found["required"] += own.get("required", [])
    found["properties"] |= own["properties"]
    return found


def _document(words: str, kind: dict[str, Any], status: dict[str, Any], code: dict[str, Any]) -> dict[str, Any]:
    """The schema of a problem document, with what is more said of these members than their types."""
    text = {"type": "string"}
    members = {"type": text | kind, "title": text, "status": {"type": "integer"} | status, "detail": text}
    members["code"] = text | code
    return {"description": words, "type": "object", "required": list(members), "properties": members}


def problem_answer(codes: list[str]) -> dict[str, Any]:
    """The answer for one error status of an operation, with all *codes* of that status."""
    schemas = [reference(problem_name(code)) for code in codes]
    schema = schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
    examples = {code: {"$ref": f"#/components/examples/{code}"} for code in codes}
    content = {PROBLEM_JSON: {"schema": schema, "examples": examples}}
    return {"description": "; ".join(PROBLEMS[code][1] for code in codes), "content": content}


def schema_of_form(form: Any) -> dict[str, Any]:
    """The schema of a form, without references; a schema unchanged."""
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
