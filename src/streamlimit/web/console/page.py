"""`/console`: the page, the identity of its reader, and the key for a browser on this machine.

The page sends its key as a bearer token with each call and keeps it in the tab's sessionStorage: there is no cookie, so
no other site can make a browser use it.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from streamlimit.settings import Settings
from streamlimit.web.calls import CallerDep, ServiceDep, json_answer
from streamlimit.web.console.series import SAMPLE_SECONDS, Span
from streamlimit.web.pages import page
from streamlimit.web.problems import CHALLENGE, Problem

router = APIRouter(tags=["operator"])
pages = APIRouter(include_in_schema=False)

LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")
HANDED_ON = ("forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-real-ip")
"""Headers that proxies add: then the browser may be on another machine."""


@pages.get("/console")
async def console(service: ServiceDep) -> Response:
    """Users, sessions, events, charts and health. What it shows it asks for with its reader's key."""
    settings = service.settings
    numbers = {
        "segment_seconds": settings.segment_seconds,
        "missed_segments": settings.missed_segments,
        "sample_seconds": SAMPLE_SECONDS,
        "workers": settings.workers,
        "open": settings.auth == "open",
    }
    return page("console.html", settings=numbers)


@pages.post("/console/key")
async def local_key(request: Request, service: ServiceDep) -> Response:
    """The operator key that was made for this run, for a browser on this machine: with open access on loopback nobody
    need copy it. 401 for everybody else.
    """
    key = made_key(service.settings)
    if key is None or not is_at_home(request):
        raise Problem("unauthenticated", "sign in with an operator key", headers=CHALLENGE)
    return json_answer({"key": key})


@router.get("/v1/me")
async def me(caller: CallerDep) -> Response:
    """Who the credential speaks for: its role, its owner's name, and the one user or session it is for."""
    document: dict[str, Any] = {"role": caller.role, "name": caller.name or None}
    return json_answer(document | {"user_id": caller.user_id or None, "session_id": caller.session_id or None})


@router.get("/v1/stats/series")
async def stats_series(
    service: ServiceDep, _reader: CallerDep, span: Annotated[Span, Query(description="how far back")] = "hour"
) -> Response:
    """The last hour or day in numbers, by time: what this machine's workers decided since their start."""
    await service.counted.recent()
    return json_answer({"span": span, **service.series.columns(span)})


def made_key(settings: Settings) -> str | None:
    """The operator key made for this run; None where keys are set, access is not open, or other machines have it."""
    if settings.auth != "open" or not settings.is_loopback or settings.trusted_proxies:
        return None
    made = settings.made.get("operator_keys")
    return made[0].get_secret_value() if made and settings.operator_keys == made else None


def is_at_home(request: Request) -> bool:
    """Does the console itself ask, in a browser on this machine?

    Decided by headers that no page can set: another site's request is `cross-site`, and after DNS rebinding the host is
    the other site's name.
    """
    headers = request.headers
    host = headers.get("host", "").rpartition(":")[0] or headers.get("host", "")
    return (
        headers.get("sec-fetch-site") == "same-origin"
        and host in LOOPBACK_NAMES
        and request.scope.get("http_version") == "1.1"  # nginx uses 1.0 unless it is configured otherwise
        and not any(name in headers for name in HANDED_ON)
    )
