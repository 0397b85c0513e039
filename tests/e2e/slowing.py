"""A proxy to a server that delays each message, both ways, by the next of a list of delays."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle

CHUNK = 65_536


@contextmanager
def slow_line(port: int, there_ms: Sequence[float], back_ms: Sequence[float]) -> Iterator[int]:
    """The port of one that leads to *port*. What is sent keeps its order, so a quick word may wait for a slow one."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    line = _Line(port, there_ms, back_ms)
    try:
        yield asyncio.run_coroutine_threadsafe(line.open(), loop).result(5)
    finally:
        asyncio.run_coroutine_threadsafe(line.close(), loop).result(5)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        loop.close()


class _Line:
    def __init__(self, port: int, there_ms: Sequence[float], back_ms: Sequence[float]) -> None:
        self._port, self._delays = port, (cycle(there_ms), cycle(back_ms))
        self._transports: set[asyncio.Transport] = set()

    async def open(self) -> int:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _End(self._meet), "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        self._server.close()
        for transport in self._transports:
            transport.abort()
        await asyncio.sleep(0)

    def _meet(self, near: "_End") -> None:
        """A connection was made here: another one is made there."""
        there, back = self._delays
        near.delays = there
        self._transports.add(near.transport)
        asyncio.get_running_loop().create_task(self._reach(near, _End(lambda far: None, back)))

    async def _reach(self, near: "_End", far: "_End") -> None:
        near.other, far.other = far, near
        try:
            await asyncio.get_running_loop().create_connection(lambda: far, "127.0.0.1", self._port)
        except OSError:
            near.transport.abort()
        else:
            self._transports.add(far.transport)
            for data in near.early:
                far.transport.write(data)


class _End(asyncio.Protocol):
    """What comes in here goes out at the *other* end after its delay (ms)."""

    def __init__(self, made: "Callable[[_End], None]", delays: "Iterator[float] | None" = None) -> None:
        self._made, self.delays = made, delays
        self.other: _End | None = None
        self.early: list[bytes] = []
        self._due = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._made(self)

    def data_received(self, data: bytes) -> None:
        assert self.delays is not None
        loop = asyncio.get_running_loop()
        # Two words of one moment keep their order: they are due a little apart.
        self._due = max(self._due + 1e-6, loop.time() + next(self.delays) / 1_000)
        loop.call_at(self._due, self._pass_on, data)

    def connection_lost(self, error: Exception | None) -> None:
        if self.other is not None and hasattr(self.other, "transport"):
            self.other.transport.abort()

    def _pass_on(self, data: bytes) -> None:
        assert self.other is not None
        if hasattr(self.other, "transport"):
            self.other.transport.write(data)
        else:
            self.early.append(data)
