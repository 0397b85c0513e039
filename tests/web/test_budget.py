"""What a warm request costs, in calls of our own code and files that they are in: few enough to be followed by a reader.

A worker's parts in this process, a real connection, a real server behind it; no background work. The least of some
tries counts.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Any

import msgspec
import pytest
from uvicorn.server import ServerState

import streamlimit
from streamlimit.bootstrap.service import build_service
from streamlimit.delivery.wire import Wire
from streamlimit.http.connection import Connection, Parts
from streamlimit.http.limits import Connections
from streamlimit.settings import Settings
from streamlimit.store.contract import resolved
from streamlimit.web.app import FrontDoor
from streamlimit.web.refusals import told
from tests.http.raw import post

OURS = str(Path(streamlimit.__file__).parent) + "/"
SAMPLES = Path(streamlimit.__file__).parent / "samples"
TRIES = 7


@dataclass(frozen=True)
class Cost:
    """Of one request."""

    calls: tuple[str, ...]

    @property
    def files(self) -> set[str]:
        return {call.split()[0] for call in self.calls}


class Line:
    """A worker, and a client's connection to it."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_quiet: Callable[[], bool]
    ) -> None:
        self._reader, self._writer, self._is_quiet = reader, writer, is_quiet

    async def ask(self, request: bytes) -> bytes:
        self._writer.write(request)
        head = await self._reader.readuntil(b"\r\n\r\n")
        assert head.startswith((b"HTTP/1.1 200", b"HTTP/1.1 201")), head
        length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        return await self._reader.readexactly(length)

    async def cost(self, request: bytes) -> Cost:
        """With all that is settled after the answer: a receipt, and the store's word on it."""
        calls: list[str] = []

        def note(frame: FrameType, event: str, _: object) -> None:
            if event == "call" and frame.f_code.co_filename.startswith(OURS):
                calls.append(f"{frame.f_code.co_filename.removeprefix(OURS)} {frame.f_code.co_name}")

        sys.setprofile(note)
        try:
            await self.ask(request)
            while not self._is_quiet():
                await asyncio.sleep(0.001)
        finally:
            sys.setprofile(None)
        return Cost(tuple(calls))


@asynccontextmanager
async def line(store: str) -> AsyncIterator[Line]:
    settings = Settings(store=store, streams=str(SAMPLES), segment_seconds=60)
    service = await build_service(settings)
    config: Any = SimpleNamespace(loaded_app=FrontDoor(service), timeout_keep_alive=60.0)
    parts, state = Parts(Connections(0, 60.0), Wire.tap, told), ServerState()
    make = partial(Connection, config, state, {}, parts=parts)
    server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    unanswered = service.store._receipts.unanswered

    def is_quiet() -> bool:
        connections: Any = state.connections
        return not unanswered and not any(vars(each).get("_exchange") for each in connections)

    try:
        yield Line(reader, writer, is_quiet)
    finally:
        writer.close()
        server.close()
        await service.store.finish()
        await resolved(service.store.close())


def form(user: str) -> dict[str, str]:
    return {"user_id": user, "session_id": "tv", "stream_id": "aurora"}


async def segment(_: Line, user: str, number: int) -> bytes:
    return post("/v1/segments", form(user) | {"segment": f"video-180p/seg-{1 + number % 5:05d}.m4s"})


async def played(line: Line, user: str, number: int) -> bytes:
    opened = msgspec.json.decode(await line.ask(post("/v1/sessions", form(user))))
    folder = opened["playback_url"].rsplit("/", 1)[0]
    return f"GET {folder}/video-180p/seg-{1 + number % 5:05d}.m4s HTTP/1.1\r\nHost: it\r\n\r\n".encode()


async def heartbeat(_: Line, user: str, _number: int) -> bytes:
    return post(f"/v1/users/{user}/sessions/tv/heartbeat", {"stream_id": "aurora"})


async def least(store: str, request: Any, is_new: bool) -> Cost:
    async with line(store) as connection:
        found = []
        for number in range(TRIES):
            user = f"{request.__name__}-{number if is_new else 'one'}"
            found.append(await connection.cost(await request(connection, user, number)))
    return min(found[2:], key=lambda cost: len(cost.calls))


@pytest.mark.parametrize(
    ("request_of", "is_new", "calls", "files"),
    [
        (segment, False, 100, 22),
        (segment, True, 130, 26),
        (played, False, 110, 24),
        (heartbeat, False, 45, 16),
        (heartbeat, True, 70, 22),
    ],
    ids=["segment, sitting", "segment, new", "GET /play, sitting", "heartbeat, sitting", "heartbeat, new"],
)
def test_a_warm_request_takes_few_calls_of_few_files(
    valkey_url: str, request_of: Any, is_new: bool, calls: int, files: int
) -> None:
    cost = asyncio.run(least(valkey_url, request_of, is_new))
    assert len(cost.calls) <= calls, "\n".join(cost.calls)
    assert len(cost.files) <= files, sorted(cost.files)
