"""The operator's calls: Endpoint 2, and whether this process and its store are well."""

from fastapi import APIRouter, Request, Response

from streamlimit.store.contract import resolved
from streamlimit.sweeper import expire_once
from streamlimit.web.calls import OperatorDep, ServiceDep, described, form_or_default, json_answer
from streamlimit.web.forms import ExpirationForm
from streamlimit.web.render import session_json

router = APIRouter(tags=["operator"])


@router.post("/v1/expirations", openapi_extra=described(ExpirationForm))
async def expirations(request: Request, service: ServiceDep, _operator: OperatorDep) -> Response:
    """Endpoint 2: expires every session whose last activity is n·X or more ago. Safe at any time."""
    form = await form_or_default(request, ExpirationForm)
    sweep = await expire_once(service.limiter, form.max_seconds)
    document = {
        "expired": sweep.expired,
        "abandoned": sweep.abandoned,
        "sessions": [session_json(session) for session in sweep.sessions],
        "callbacks_pending": await resolved(service.limiter.store.pending()),
        "finished": sweep.finished,
    }
    return json_answer(document)


@router.get("/healthz", tags=["health"])
async def healthz() -> Response:
    """This process runs."""
    return json_answer({"status": "ok"})


@router.get("/readyz", tags=["health"])
async def readyz(service: ServiceDep) -> Response:
    """The store answers; 503 otherwise."""
    await resolved(service.limiter.store.ping())
    return json_answer({"status": "ready"})
