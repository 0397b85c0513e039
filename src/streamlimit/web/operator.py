"""The operator's calls: Endpoint 2, live sessions, terminations, users' own limits."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response

from streamlimit.document import limit_json, session_json, wall_ms
from streamlimit.logs import EventLog
from streamlimit.model import OwnLimit, Session
from streamlimit.store.contract import resolved
from streamlimit.sweeper import expire_once
from streamlimit.web.auth import Caller
from streamlimit.web.browsing import Filters, browse, browse_limits
from streamlimit.web.calls import (
    CallerDep,
    Cursor,
    IdInPath,
    IdInQuery,
    PageSize,
    ServiceDep,
    described,
    form_in,
    form_or_default,
    json_answer,
)
from streamlimit.web.forms import ExpirationForm, LimitForm
from streamlimit.web.service import Service
from streamlimit.web.spelling import require_text

log = EventLog("streamlimit.web")
router = APIRouter(tags=["operator"])


Live = Literal["starting", "active", "idle"]


@router.post("/v1/expirations", openapi_extra=described(ExpirationForm, required=False))
async def expirations(request: Request, service: ServiceDep, _operator: CallerDep) -> Response:
    """Endpoint 2: expires every session whose last activity is n·X or more ago. Safe at any time."""
    form = form_or_default(request, ExpirationForm)
    sweep = await expire_once(service.limiter, form.max_seconds)
    document = {
        "expired": sweep.expired,
        "abandoned": sweep.abandoned,
        "sessions": _shown(sweep.sessions),
        "callbacks_pending": await resolved(service.store.pending()),
        "finished": sweep.finished,
    }
    return json_answer(document)


@router.get("/v1/sessions")
async def all_sessions(
    request: Request,
    service: ServiceDep,
    _reader: CallerDep,
    user_id: IdInQuery = None,
    stream_id: IdInQuery = None,
    state: Live | None = None,
    device: Annotated[str | None, Query(max_length=128)] = None,
    cursor: Cursor = None,
    limit: PageSize = 100,
) -> Response:
    """Live sessions, page by page: follow `cursor` until it is null. *device*: a part of its name, id or type."""
    require_text(request.scope["query_string"])
    filters = Filters(user_id, stream_id, state, device and device.casefold())
    sessions, following = await browse(service.store, cursor, limit, filters)
    return json_answer({"sessions": _shown(sessions), "cursor": following})


@router.put("/v1/users/{user_id}/limit", openapi_extra=described(LimitForm))
async def put_limit(request: Request, user_id: IdInPath, service: ServiceDep, operator: CallerDep) -> Response:
    """Gives the user a limit of their own, for good or until then. Nobody who holds a seat is refused by it."""
    form = form_in(request, LimitForm)
    await resolved(service.limiter.set_limit(user_id, form.max_sessions, form.terms(wall_ms())))
    document = await _limit_json(service, user_id)
    kept = {name: document[name] for name in ("max_sessions", "until", "note")}
    log.info("limit_set", user_id=user_id, by=operator.name, **kept)
    return json_answer(document)


@router.get("/v1/users/{user_id}/limit")
async def get_limit(user_id: IdInPath, service: ServiceDep, _reader: CallerDep) -> Response:
    """The user's limit, where it comes from, and the plans. What a token or a grant says is kept nowhere."""
    return json_answer(await _limit_json(service, user_id))


@router.delete("/v1/users/{user_id}/limit", status_code=204)
async def delete_limit(user_id: IdInPath, service: ServiceDep, operator: CallerDep) -> Response:
    """The service's limit holds again."""
    await resolved(service.limiter.set_limit(user_id, None))
    log.info("limit_removed", user_id=user_id, by=operator.name)
    return Response(status_code=204)


@router.delete("/v1/users/{user_id}/terminations", status_code=204)
async def forgive_all(user_id: IdInPath, service: ServiceDep, operator: CallerDep) -> Response:
    """Lets all of the user's terminated sessions come back at once."""
    return await _forgive(service, operator, user_id, None)


@router.delete("/v1/users/{user_id}/terminations/{session_id}", status_code=204)
async def forgive(user_id: IdInPath, session_id: IdInPath, service: ServiceDep, operator: CallerDep) -> Response:
    """Lets a terminated session id come back at once. Again, or where it was not terminated: the same answer."""
    return await _forgive(service, operator, user_id, session_id)


@router.delete("/v1/users/{user_id}", status_code=204)
async def forget_user(user_id: IdInPath, service: ServiceDep, operator: CallerDep) -> Response:
    """Forgets everything of the user: sessions end, marks, history, own limit go, and given grants start nothing."""
    events = await resolved(service.limiter.forget(user_id))
    await service.recorder.forget(user_id)
    log.info("user_forgotten", user_id=user_id, sessions=len(events), by=operator.name)
    return Response(status_code=204)


@router.get("/v1/limits")
async def all_limits(
    request: Request,
    service: ServiceDep,
    _reader: CallerDep,
    cursor: Cursor = None,
    limit: PageSize = 100,
) -> Response:
    """All users with a limit of their own, page by page: follow `cursor` until it is null."""
    require_text(request.scope["query_string"])
    found, following = await browse_limits(service.store, cursor, limit)
    return json_answer({"limits": [limit_json(own, wall_ms()) for own in found], "cursor": following})


async def _limit_json(service: Service, user_id: str) -> dict[str, Any]:
    own = await resolved(service.store.own_limit(user_id))
    return {
        **limit_json(OwnLimit(user_id, service.policy.max_sessions) if own is None else own, wall_ms()),
        "own": own is not None,
        "source": "max_sessions" if own is None else "own",
        "plans": service.plans.by_name,
    }


async def _forgive(service: Service, operator: Caller, user_id: str, session_id: str | None) -> Response:
    count = await resolved(service.limiter.forgive(user_id, session_id))
    if count:
        log.info("terminations_forgiven", user_id=user_id, session_id=session_id, sessions=count, by=operator.name)
    return Response(status_code=204)


def _shown(sessions: list[Session]) -> list[dict[str, Any]]:
    return [session_json(session) for session in sessions]
