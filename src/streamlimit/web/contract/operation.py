"""The types by which calls are described."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

BYTES = {"type": "string", "format": "binary"}
TEXT = {"type": "string"}
JSON = "application/json"
PROBLEM_JSON = "application/problem+json"
PROBLEM = {"$ref": "#/components/schemas/Problem"}


class Says(Struct, frozen=True):
    """One answer. *shape*: a type or a JSON schema; None: it has no body.

    *also*: alternatives by `Accept`: schema and example by media type.
    """

    words: str
    shape: Any = None
    example: Any = None
    media_type: str = JSON
    headers: Mapping[str, str] = {}
    also: Mapping[str, tuple[Any, Any]] = {}


class Body(Struct, frozen=True):
    """The body of a request. *kinds*: schema and example by media type."""

    kinds: Mapping[str, tuple[Any, Any]]
    is_required: bool = True


class Operation(Struct, frozen=True):
    """One call. *problems*: its error codes.

    *summary*, *tag*, *parameters*, *body*: for calls that FastAPI does not route. Others need only *sends*, an example
    of the body.
    """

    id: str
    answers: Mapping[int, Says]
    problems: tuple[str, ...] = ()
    sends: Any = None
    summary: str = ""
    tag: str = "edge"
    parameters: Mapping[str, str] = {}
    body: Body | None = None


RETRY_AFTER = {"Retry-After": "when to come back, in seconds"}
DEGRADED = {"Streamlimit-Degraded": "true: the store did not answer, and the worker answered from what it knew"}
DRY_RUN = {"Streamlimit-Would-Refuse": "with `enforce = false`: the code that it would have been refused with"}

CREDENTIALS = ("unauthenticated", "forbidden")
STORE = ("store-unavailable", "internal")
FORM = ("malformed", "too-large", "unsupported-media-type")
LIMITS = ("session-limit", "session-shared", "session-terminated", "too-many-visits", "too-many-requests")
IDENTITY = ("identity-unavailable",)
ORIGIN = ("origin-failed", "origin-timeout")
