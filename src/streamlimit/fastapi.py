"""For programs on FastAPI or Starlette that hand out segments themselves.

A context manager around a returned response would confirm too early: the framework sends the response after the
function has returned it. `SegmentResponse` holds the lease until it is sent.
"""

import asyncio
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from streamlimit.errors import StreamlimitError
from streamlimit.limiter import LeaseHolder
from streamlimit.web.problems import headers_of, problem_of


class SegmentResponse(Response):
    """A response that confirms its lease when *response* was sent whole, and else abandons it.

    *lease*: from `OpenLimiter.reserve`. *segment*, *sequence* (from 0), *kind* of media and *play_seconds*: of what is
    sent. Abandoned where the client left, sending failed, or the response is an error. Sent means that the server took
    the last byte with the client still there: a framework cannot see more. `streamlimit serve`, which owns the socket,
    confirms what the client acknowledged.
    """

    def __init__(
        self,
        lease: LeaseHolder,
        response: Response,
        segment: str | None = None,
        sequence: int | None = None,
        kind: str = "video",
        play_seconds: float = 0.0,
    ) -> None:
        self._lease, self._response = lease, response
        self.status_code, self.background = response.status_code, None
        lease.issue(segment, sequence, kind, round(1_000 * play_seconds))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._response, name)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sent = _Sent(receive, send)
        try:
            await self._response(scope, receive, sent)
        except BaseException:
            await self._lease.fail()
            raise
        if not sent.is_whole:
            await self._lease.fail()
        elif (leaving := self._lease.leave()) is not None:
            await leaving


class _Sent:
    """An ASGI `send` that notes whether the whole body was sent to a connected client."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        self._is_error = self.is_whole = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._is_error = message["status"] >= 400
        is_last = message["type"] == "http.response.body" and not message.get("more_body", False)
        is_there = not is_last or not await self._has_left()
        await self._send(message)
        if is_last:
            self.is_whole = is_there and not self._is_error

    async def _has_left(self) -> bool:
        """Has the client left? Asked before the last byte: afterwards servers report every client as gone."""
        try:
            async with asyncio.timeout(0):
                while (await self._receive())["type"] == "http.request":
                    pass
        except TimeoutError:
            return False
        return True


def explain_refusals(app: Starlette) -> None:
    """Has *app* answer what the limiter raises (`Refused`, `StoreUnavailable` …) with its problem document."""
    app.add_exception_handler(StreamlimitError, _on_error)


async def _on_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, StreamlimitError)
    problem = problem_of(error)
    return Response(problem.body(), problem.status, headers_of(problem))
