"""Where the answer to a hot request goes: by any server's ASGI, or straight to the connection (exchange.py)."""

from asyncio import Future, get_running_loop
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Protocol

from streamlimit.delivery.wire import Wire
from streamlimit.web.http import Scope, Send, send_end, send_part, send_start
from streamlimit.web.protocol import EXTENSION

Pour = Callable[[int, int, int], Awaitable[None] | None]
"""Of an open file, from which byte, how many; less comes where the client left, or the file ended."""


class Audible(Protocol):
    """What comes later, and tells one who hears it: a `Deferred`, a `Passage`."""

    def hear(self, heard: Callable[[Any], object]) -> None:
        """*heard* is told what came, or now if it came before."""


class Outlet(Protocol):
    """One answer's way out: `start` once, then parts of the body, then `end`.

    What is returned is to be awaited; None, where that was all.
    """

    @property
    def wire(self) -> Wire | None:
        """The client's connection, where our protocol class serves it."""

    def start(self, status: int, lines: bytes) -> None:
        """Status and headers, each a line with its CRLF, all good: nobody looks again. Sent with what follows."""

    def part(self, part: bytes | memoryview) -> Awaitable[None] | None:
        """Some of the body."""

    @property
    def pour(self) -> Pour | None:
        """The same from a file, whose bytes need not be read for it (see `Wire.can_pour`); None: it cannot."""

    def until(self, coming: Audible) -> Awaitable[object]:
        """Waits until *coming* is there, with no more than the way that it is stepped needs."""

    def end(self) -> Awaitable[None] | None:
        """From here on the connection's next request is looked at."""


class AsgiOutlet:
    """By `send`, whoever's it is."""

    pour = None  # ASGI knows no files

    def __init__(self, scope: Scope, send: Send) -> None:
        self.wire: Wire | None = scope.get("extensions", {}).get(EXTENSION)
        self._send = send
        self._head: tuple[int, bytes] | None = None

    def start(self, status: int, lines: bytes) -> None:
        self._head = status, lines

    async def part(self, part: bytes | memoryview) -> None:
        await self._begin()
        await send_part(self._send, part)

    async def until(self, coming: Audible) -> None:
        is_here = get_running_loop().create_future()
        coming.hear(partial(_wake, is_here))
        await is_here

    async def end(self) -> None:
        await self._begin()
        await send_end(self._send)

    async def _begin(self) -> None:
        if self._head is not None:
            (status, lines), self._head = self._head, None
            split = (line.partition(b": ") for line in lines.split(b"\r\n")[:-1])
            await send_start(self._send, status, [(name, value) for name, _, value in split])


def _wake(waiter: "Future[None]", _: object) -> None:
    if not waiter.done():  # who waited may have been cancelled
        waiter.set_result(None)
