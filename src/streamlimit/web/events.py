"""Events for operators: the stream `GET /v1/events`, and one user's history."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response

from streamlimit.document import event_json
from streamlimit.errors import StoreUnavailable
from streamlimit.feed.frames import Filters, read_place
from streamlimit.feed.listener import Listener
from streamlimit.http.asgi import DRAINING, Receive, Scope, Send
from streamlimit.model import Event
from streamlimit.settings import EVENT_TYPES
from streamlimit.store.contract import resolved
from streamlimit.store.feed import Place
from streamlimit.web.calls import (
    CallerDep,
    Cursor,
    IdInPath,
    IdInQuery,
    PageSize,
    ServiceDep,
    asked,
    caller_in_header,
    json_answer,
)
from streamlimit.web.problems import Problem, wrong_field
from streamlimit.web.service import Service
from streamlimit.web.spelling import require_text

router = APIRouter(tags=["operator"])

HEARTBEAT_SECONDS = 15.0
"""The longest silence of the stream; proxies close an idle connection after a minute or so."""

OUTAGE_SECONDS = 1.0
"""How often an outage is checked for its end."""

HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
MEDIA_TYPE = "text/event-stream"


@router.get("/v1/events", response_class=Response)
async def events(
    request: Request,
    service: ServiceDep,
    _reader: CallerDep,
    types: Annotated[list[str] | None, Query(alias="type")] = None,
    user_id: IdInQuery = None,
    stream_id: IdInQuery = None,
    last_event_id: Annotated[str, Query(max_length=64)] = "",
    resumed: Annotated[str | None, Header(alias="Last-Event-ID", max_length=64)] = None,
) -> Response:
    """Server-sent events, one per state change and refusal, of all workers, as they happen. `type` may be given several
    times, or several with commas; `Last-Event-ID` (else `last_event_id`) goes on behind that event.
    """
    require_text(request.scope["query_string"])
    wanted = Filters(_types(types), user_id, stream_id)
    place = _place(resumed or last_event_id)
    if asked(request).method == "HEAD":
        return Response(headers=HEADERS, media_type=MEDIA_TYPE)
    return EventStream(request, service, Listener(service.hub, wanted, place))


@router.get("/v1/users/{user_id}/history")
async def history(
    request: Request,
    user_id: IdInPath,
    service: ServiceDep,
    _reader: CallerDep,
    cursor: Cursor = None,
    limit: PageSize = 100,
) -> Response:
    """The user's last events and refusals, newest first (`history_events`): follow `cursor` until it is null."""
    require_text(request.scope["query_string"])
    await service.recorder.flush()  # includes what this worker recorded a moment ago
    found = await resolved(service.recorder.feed.history(user_id))
    rest = found if cursor is None else _behind(cursor, found)
    following = _written(rest[limit - 1]) if len(rest) > limit else None
    page = [event_json(event) for event in rest[:limit]]
    return json_answer({"user_id": user_id, "events": page, "cursor": following})


class EventStream(Response):
    """An answer that ends when its client leaves, the service stops, or its listener is closed."""

    media_type = MEDIA_TYPE

    def __init__(self, request: Request, service: Service, listener: Listener) -> None:
        super().__init__(headers=HEADERS)
        del self.headers["content-length"]
        self._request, self._service, self._listener = request, service, listener

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        left = asyncio.ensure_future(_left(receive))
        stopping = asyncio.ensure_future(scope["extensions"][DRAINING]())
        try:
            with self._service.hub.listening():
                await self._speak(send, left, stopping)
        finally:
            left.cancel()
            stopping.cancel()

    async def _speak(self, send: Send, left: "asyncio.Future[Any]", stopping: "asyncio.Future[Any]") -> None:
        listener, hub, clock = self._listener, self._service.hub, asyncio.get_running_loop().time
        spoke_at = clock()
        while not (left.done() or listener.is_over):
            changed = hub.changed()  # first, lest what comes meanwhile is waited for
            said = await self._words(is_stopping=stopping.done())
            silent_until = spoke_at + HEARTBEAT_SECONDS
            if not said and clock() >= silent_until:  # also where others have much to send meanwhile
                said = listener.mark()
            if said:
                await send({"type": "http.response.body", "body": said, "more_body": True})
                spoke_at = clock()
            else:
                seconds = OUTAGE_SECONDS if listener.knows_outage else silent_until - clock()
                news = (changed, left, stopping)
                await asyncio.wait(news, timeout=max(0.0, seconds), return_when=asyncio.FIRST_COMPLETED)
        await send({"type": "http.response.body", "body": b""})

    async def _words(self, is_stopping: bool) -> bytes:
        """The bytes to be sent to the listener now; its credential is checked each time."""
        if is_stopping:
            return self._listener.last_word("shutdown")
        lost = await self._lost_right()
        return self._listener.last_word(lost) if lost else await self._listener.take()

    async def _lost_right(self) -> str:
        """The reason why the listener's credential is no longer good; empty where it is."""
        try:
            await caller_in_header(self._request, self._service)
        except Problem as problem:
            return problem.code
        except StoreUnavailable:  # it is no key; a grant has no right here
            return "unauthenticated"
        return ""


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _types(given: list[str] | None) -> frozenset[str] | None:
    names = [name for each in given or () for name in each.split(",") if name]
    wrong = next((name for name in names if name not in EVENT_TYPES), None)
    if wrong is not None:
        raise wrong_field("type", f"there is no such event; take of {', '.join(EVENT_TYPES)}")
    return frozenset(names) or None


def _place(text: str) -> Place | None:
    try:
        return read_place(text) if text else None
    except ValueError as error:
        raise wrong_field("Last-Event-ID", str(error)) from error


def _written(event: Event) -> str:
    return f"{event.at_ms}-{event.id}"


def _behind(cursor: str, found: tuple[Event, ...]) -> tuple[Event, ...]:
    """The events after that of *cursor*; where that is gone meanwhile, the older ones."""
    at_ms, _, name = cursor.partition("-")
    if not (at_ms.isascii() and at_ms.isdigit() and name):
        raise wrong_field("cursor", "give the one of the page before")
    for number, event in enumerate(found):
        if _written(event) == cursor:
            return found[number + 1 :]
    return tuple(event for event in found if event.at_ms < int(at_ms))
