"""The viewer's control calls: open a session, see who is watching, keep alive, end."""

import asyncio
import secrets
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query, Request, Response
from msgspec.structs import replace
from pydantic import AfterValidator

from streamlimit.delivery.stream import Stream
from streamlimit.document import session_json
from streamlimit.model import Admitted, Ask, Purpose, Roster
from streamlimit.store.contract import resolved
from streamlimit.terms import has_control_character
from streamlimit.web.address import digest_at, place_at
from streamlimit.web.auth import Caller
from streamlimit.web.calls import CallerDep, IdInPath, ServiceDep, asked, caller_of, described, form_in, json_answer
from streamlimit.web.forms import SessionForm, read_end_form
from streamlimit.web.grants import Grant, streams_carried
from streamlimit.web.headers import reservations
from streamlimit.web.incoming import body_of
from streamlimit.web.problems import Problem
from streamlimit.web.service import Service
from streamlimit.web.spelling import encoded

router = APIRouter(tags=["viewer"])

STREAM = ("stream_id", "title", "entry", "segments", "segment_seconds", "live")
LISTED = 100
"""Streams of a list that are written at once; it takes 0.4 ms."""


def _on_one_line(text: str) -> str:
    if has_control_character(text):
        raise ValueError("holds a control character")
    return text


Reason = Annotated[str, AfterValidator(_on_one_line), Query(max_length=200)]
"""Why a session is terminated: its viewer reads it, and so does the log."""


@router.get("/v1/streams")
async def streams(service: ServiceDep, caller: CallerDep) -> Response:
    """The streams that can be played here, by the caller."""
    async with service.streams.listing:
        found = await service.streams.all()
        allowed = [each for each in found if caller.streams is None or each.stream_id in caller.streams]
        parts = []
        for number, stream in enumerate(allowed, start=1):
            parts.append(msgspec.json.encode(_stream_json(stream)))
            if number % LISTED == 0:
                await asyncio.sleep(0)  # others have their turn
    return json_answer({"streams": msgspec.Raw(b"[" + b",".join(parts) + b"]")})


@router.post("/v1/sessions", status_code=201, openapi_extra=described(SessionForm))
async def open_session(request: Request, service: ServiceDep, caller: CallerDep) -> Response:
    """Reserves a seat and hands out a playback URL. 200 instead of 201 where the session has a seat already."""
    form = form_in(request, SessionForm)
    session_id = form.session_id or "s-" + secrets.token_hex(12)
    caller.require_session(form.user_id, session_id)
    caller.require_stream(form.stream_id)
    caller.require_replacement(form.replace)
    await service.streams.look(form.stream_id)
    stream = service.streams.find(form.stream_id)
    service.grants.require_keys()  # before a seat is taken
    ask = caller.ask(
        form.user_id,
        session_id,
        form.stream_id,
        Purpose.SEAT,
        digest_at(asked(request).client),
        device=form.device,
        replace=form.replace,
        plan=form.plan,
        plan_limit=service.plans.limit_of(caller.role, form.plan),
    )
    admitted = await service.limiter.admitted(ask)
    grant = service.grants.write(_grant(service, caller, ask, admitted, request))
    document = {
        "session": None if admitted.session is None else session_json(admitted.session),
        "playback_url": _playback_url(service, grant, form.stream_id, "" if stream is None else stream.entry),
        "grant": grant,
        "limit": admitted.limit,
        "live_sessions": admitted.live,
    }
    return json_answer(document, 200 if admitted.existing else 201, reservations(admitted))


@router.get("/v1/users/{user_id}/sessions")
async def user_sessions(user_id: IdInPath, service: ServiceDep, caller: CallerDep) -> Response:
    """Who is watching on this user's seats."""
    caller.require_session(user_id, None)
    roster = await resolved(service.limiter.store.sessions(user_id))
    if caller.limit is not None and await resolved(service.store.own_limit(user_id)) is None:
        roster = replace(roster, limit=caller.limit)
    return json_answer(_roster_json(roster))


@router.get("/v1/users/{user_id}/sessions/{session_id}")
async def user_session(user_id: IdInPath, session_id: IdInPath, service: ServiceDep, caller: CallerDep) -> Response:
    """One session."""
    caller.require_session(user_id, session_id)
    session = (await resolved(service.limiter.store.sessions(user_id))).find(session_id)
    if session is None:
        raise Problem("unknown-session", "this user has no such session, or it is gone")
    return json_answer(session_json(session))


@router.delete("/v1/users/{user_id}/sessions/{session_id}", status_code=204)
async def end_session(
    user_id: IdInPath,
    session_id: IdInPath,
    service: ServiceDep,
    caller: CallerDep,
    reason: Reason = "operator",
) -> Response:
    """The viewer's own end; with an operator key a termination. Again: the same answer."""
    caller.require_session(user_id, session_id)
    if caller.role == "operator":
        await resolved(service.limiter.terminate(user_id, session_id, caller.name, reason))
    else:
        await resolved(service.limiter.end(user_id, session_id))
    return Response(status_code=204)


@router.delete("/v1/users/{user_id}/sessions", status_code=204)
async def end_all_sessions(
    user_id: IdInPath, service: ServiceDep, caller: CallerDep, reason: Reason = "operator"
) -> Response:
    """All of the user's sessions: ended by the viewer, or with an operator key terminated."""
    caller.require_session(user_id, None)
    if caller.role == "operator":
        await resolved(service.limiter.terminate(user_id, None, caller.name, reason))
        return Response(status_code=204)
    roster = await resolved(service.store.sessions(user_id))
    for session in roster.sessions:
        if caller.role != "grant" or session.session_id == caller.session_id:  # a grant speaks for its own
            await resolved(service.limiter.end(user_id, session.session_id))
    return Response(status_code=204)


@router.post("/v1/users/{user_id}/sessions/{session_id}/end", status_code=204)
async def end_by_beacon(user_id: IdInPath, session_id: IdInPath, request: Request, service: ServiceDep) -> Response:
    """The viewer's end, for `navigator.sendBeacon`: a POST with any body or none. The grant may be the body."""
    form = read_end_form(body_of(asked(request)))
    caller = await caller_of(request, service, form.grant)
    caller.require_session(user_id, session_id)
    await resolved(service.limiter.end(user_id, session_id, form.keep_grant))
    return Response(status_code=204)


def _playback_url(service: Service, grant: str, stream_id: str, entry: str) -> str:
    """The playback URL, absolute where `public_url` is set."""
    path = f"/play/{grant}/{encoded(stream_id)}/{encoded(entry, '/')}"
    return (service.settings.public_url or "") + path


def _grant(service: Service, caller: Caller, ask: Ask, admitted: Admitted, request: Request) -> Grant:
    """The grant for a session, with the caller's own restrictions: a grant made by a grant allows no more."""
    is_their_own = caller.role != "service" or asked(request).is_revealed  # else it is the back end's address
    binds = service.settings.grant_address and is_their_own and caller.role != "grant"
    return Grant(
        ask.user_id,
        ask.session_id,
        caller.expires_at if caller.role == "grant" else service.grants.expiry(),
        ask.limit,
        streams_carried(caller.streams, ask.stream_id),
        ask.device,
        place_at(asked(request).client) if binds else caller.place,
        None if admitted.session is None else admitted.session.generation,
        ask.plan,
    )


def _roster_json(roster: Roster) -> dict[str, Any]:
    return {
        "user_id": roster.user_id,
        "limit": roster.limit,
        "live_sessions": roster.live,
        "sessions": [session_json(session) for session in roster.sessions],
    }


def _stream_json(stream: Stream) -> dict[str, Any]:
    return {name: getattr(stream, name) for name in STREAM}
