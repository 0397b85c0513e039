"""A worker's parts in this process, behind a real port: for tests that look into them, or break one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from uvicorn.server import ServerState

import streamlimit
from streamlimit.bootstrap.service import build_service
from streamlimit.delivery.wire import Wire
from streamlimit.edge.protocols import Edge
from streamlimit.http.connection import Connection, Parts
from streamlimit.http.limits import Connections
from streamlimit.http.repeats import Repeats
from streamlimit.settings import load_settings
from streamlimit.store.contract import resolved
from streamlimit.web.app import FrontDoor
from streamlimit.web.outgoing import fault_answer
from streamlimit.web.service import Service

SAMPLES = Path(streamlimit.__file__).parent / "samples"


@dataclass(frozen=True)
class Worker:
    """No background work is done."""

    service: Service
    address: tuple[str, int]
    state: ServerState

    @property
    def is_answering(self) -> bool:
        """Is any answer under way?"""
        connections: Any = self.state.connections
        return any(each.is_answering for each in connections)

    @asynccontextmanager
    async def line(self) -> AsyncIterator["Line"]:
        """A client's connection."""
        reader, writer = await asyncio.open_connection(*self.address)
        try:
            yield Line(reader, writer)
        finally:
            writer.close()


@dataclass(frozen=True)
class Line:
    """A client's end of a connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def answer(self) -> tuple[int, bytes]:
        """The next one: status and body."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        return int(head[9:12]), await self.reader.readexactly(length)

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        self.writer.write(request)
        return await self.answer()


@asynccontextmanager
async def worker(store: str) -> AsyncIterator[Worker]:
    """One on *store*, with the streams that come with us."""
    service = await build_service(load_settings(store=store, streams=str(SAMPLES), segment_seconds=60.0))
    config: Any = SimpleNamespace(loaded_app=FrontDoor(service, Edge(service)), timeout_keep_alive=60.0)
    parts, state = Parts(Connections(0, 60.0), Wire.tap, fault_answer, Repeats()), ServerState()
    make = partial(Connection, config, state, {}, parts=parts)
    server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0)
    try:
        yield Worker(service, server.sockets[0].getsockname(), state)
    finally:
        server.close()
        await service.store.finish()
        await resolved(service.store.close())
