"""Common parts of the control plane's handlers: the service, the caller, a form, an answer in JSON."""

from typing import Annotated, Any, TypeVar

import msgspec
from fastapi import Depends, Path, Query, Request, Response
from msgspec import Struct
from pydantic import AfterValidator

from streamlimit.http.asgi import REQUEST
from streamlimit.http.request import Request as Asked
from streamlimit.ids import wrong_with_id
from streamlimit.web.address import place_at
from streamlimit.web.auth import Caller
from streamlimit.web.contract.schemas import schema_of_form
from streamlimit.web.forms import ID_SCHEMA, read_form
from streamlimit.web.incoming import body_of, json_of
from streamlimit.web.service import Service

T = TypeVar("T", bound=Struct)

Cursor = Annotated[str | None, Query(max_length=2_048)]
PageSize = Annotated[int, Query(ge=1, le=1_000)]
IdInPath = Annotated[str, Path(json_schema_extra=ID_SCHEMA)]
"""An id in a path, decoded; it was checked before routing (spelling.py)."""


def _an_id(text: str | None) -> str | None:
    wrong = None if text is None else wrong_with_id(text)
    if wrong is not None:
        raise ValueError(wrong)
    return text


IdInQuery = Annotated[str | None, AfterValidator(_an_id), Query(json_schema_extra=ID_SCHEMA)]


async def service_of(request: Request) -> Service:
    """The worker's parts."""
    service: Service = request.app.state.service
    return service


def asked(request: Request) -> Asked:
    """The request as it was read, before the framework had it."""
    found: Asked = request.scope[REQUEST]
    return found


ServiceDep = Annotated[Service, Depends(service_of)]


async def caller_in_header(request: Request, service: ServiceDep) -> Caller:
    """The caller by the header. Raises 401 or 403 where it has no right to this call (rights.py)."""
    return await caller_of(request, service)


async def caller_of(request: Request, service: Service, grant: str | None = None) -> Caller:
    """The caller of *request*; *grant*: a credential in the body, which counts before the header."""
    if grant is None:
        caller = await service.authenticator.identify(asked(request).fields.get(b"authorization"))
    else:
        caller = service.authenticator.identify_grant(grant)
    caller.require(f"{request.method} {request.scope['route'].path}")
    if caller.place is not None:
        caller.require_place(place_at(asked(request).client))
    return caller


CallerDep = Annotated[Caller, Depends(caller_in_header)]


def form_in(request: Request, form: type[T]) -> T:
    """The form in the request's body."""
    return read_form(form, json_of(asked(request)))


def form_or_default(request: Request, form: type[T]) -> T:
    """The form, or its defaults where there is no body at all."""
    return form_in(request, form) if body_of(asked(request)) else form()


def described(form: type, required: bool = True) -> dict[str, Any]:
    """A form's JSON schema, as a route's `openapi_extra`. Not *required*: the call may be made without a body."""
    content = {"application/json": {"schema": schema_of_form(form)}}
    return {"requestBody": {"required": required, "content": content}}


def json_answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """*value* as a JSON answer, `no-store`: it is of this moment."""
    own = {"Cache-Control": "no-store"} | (headers or {})
    return Response(msgspec.json.encode(value), status, own, media_type="application/json")
