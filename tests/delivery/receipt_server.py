"""A real uvicorn server in a thread that delivers bodies with receipts and keeps a journal of the outcomes."""

import asyncio
import contextlib
import functools
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn

from streamlimit.delivery.receipt import DeliveryTracker
from streamlimit.delivery.wire import Wire
from streamlimit.http.asgi import Bridge
from streamlimit.http.connection import Connection, Parts
from streamlimit.http.exchange import Exchange
from streamlimit.http.limits import Connections
from streamlimit.http.repeats import Repeats
from streamlimit.http.request import Request

BODY = bytes(range(256)) * 16_384  # 4 MiB
SLICE = 256 * 1024
PARTS = Parts(Connections(0, 60.0), Wire.tap, lambda fault: (400, b"", fault.detail.encode()), Repeats())
PATIENCE_SECONDS = 20.0


@functools.cache
def body_file() -> int:
    """A descriptor of a file with BODY in it."""
    fd = os.memfd_create("body")
    with open(fd, "wb", closefd=False) as file:
        file.write(BODY)
    return fd


def wait_until(condition: Callable[[], Any]) -> Any:
    """Returns the first true answer of *condition*."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (answer := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.001)
    return answer


async def outcome_of(tracker: DeliveryTracker) -> bool:
    """Now that all is handed over, as soon as it is known."""
    is_known = asyncio.get_running_loop().create_future()
    tracker.over().add_callback(lambda outcome: None if is_known.done() else is_known.set_result(outcome))
    await is_known
    return tracker.outcome is True


class Deliverer:
    """The app: `GET /<bytes>/<name>` delivers so many bytes; what became of it is in `journal[name]`.

    `began` has the names in the order in which requests reached the app, each with the journal of that moment.
    """

    def __init__(self, stall_seconds: float = 10.0, progress_seconds: float = 1.0, pours: bool = False) -> None:
        """*pours*: past the server, from a file."""
        self.stall_seconds, self.progress_seconds = stall_seconds, progress_seconds
        self.file = body_file() if pours else None
        self.journal: dict[str, bool] = {}
        self.began: list[tuple[str, dict[str, bool]]] = []
        self.progress: list[int] = []
        self.addresses: set[str] = set()
        self.passages: dict[str, DeliveryTracker] = {}

    async def __call__(self, request: Request, exchange: Exchange) -> None:
        _, size, name = request.path.split("/")
        self.began.append((name, dict(self.journal)))
        if size == "silent":
            await exchange.until_left()
            self.journal[name] = False
            return
        await self._deliver(exchange.wire, int(size), name, exchange, Bridge(request, exchange).send)

    async def _deliver(self, wire: Any, size: int, name: str, exchange: Exchange, send: Any) -> None:
        self.addresses.add(wire.address)
        tracker = DeliveryTracker(
            wire, size, lambda: self._progressed(tracker), self.stall_seconds, self.progress_seconds
        )
        self.passages[name] = tracker
        try:
            headers = [(b"content-length", str(size).encode())]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            if self.file is not None:
                await self._pour(wire, size, exchange)
            for at in range(0 if self.file is None else size, size, SLICE):
                chunk = memoryview(BODY)[at : min(at + SLICE, size)]
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
                tracker.handed(len(chunk))
            self.journal[name] = await outcome_of(tracker)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            tracker.close()

    async def _pour(self, wire: Any, size: int, exchange: Exchange) -> None:
        """By the wire itself."""
        assert self.file is not None
        while not wire.is_lost and wire.transport.get_write_buffer_size():
            await asyncio.sleep(0)
        if wire.can_pour:
            coming = exchange.pour(self.file, 0, size)
            if coming is not None:
                await coming

    def _progressed(self, tracker: DeliveryTracker) -> None:
        self.progress.append(tracker.acknowledged())


class Running:
    """The server as its clients see it. Each test gives it an `app` of its own."""

    def __init__(self, options: dict[str, Any], tls: ssl.SSLContext | None, pours: bool) -> None:
        self.pours = pours
        self.app = Deliverer(pours=pours)
        self.address: Any = options.get("uds")
        self.is_tls = tls is not None
        self._tls, self._listeners = tls, []
        if self.address is None:
            self._listeners = [socket.create_server(("127.0.0.1", 0), backlog=1024)]
            self.address = self._listeners[0].getsockname()
        app = partial(self._serve)
        app.handle = self._handle  # type: ignore[attr-defined]
        config = uvicorn.Config(app, interface="asgi3", proxy_headers=False, **options)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=(self._listeners or None,))

    async def _serve(self, scope: Any, receive: Any, send: Any) -> None:
        """uvicorn asks for an application; requests go to its `handle`."""

    async def _handle(self, request: Request, exchange: Exchange) -> None:
        await self.app(request, exchange)

    def start(self) -> None:
        self._thread.start()
        wait_until(lambda: self._server.started)

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(PATIENCE_SECONDS)
        for listener in self._listeners:
            listener.close()

    def connect(self) -> socket.socket:
        """A client with the buffers that the system gives."""
        family = socket.AF_UNIX if isinstance(self.address, str) else socket.AF_INET
        plain = socket.socket(family, socket.SOCK_STREAM)
        plain.settimeout(PATIENCE_SECONDS)
        plain.connect(self.address)
        return self._tls.wrap_socket(plain) if self._tls else plain

    def outcome(self, name: str) -> bool:
        """What the app found out; waits for it."""
        wait_until(lambda: name in self.app.journal)
        return self.app.journal[name]


@contextlib.contextmanager
def running(
    loop: Any, *, unix: Path | None = None, certificate: tuple[Path, Path] | None = None, pours: bool = False
) -> Iterator[Running]:
    """Starts a server on a free loopback port (or the Unix socket *unix*), and stops it."""
    options: dict[str, Any] = {
        "http": partial(Connection, parts=PARTS),
        "loop": loop,
        "lifespan": "off",
        "log_config": None,
    }
    if certificate:
        options |= {"ssl_certfile": str(certificate[0]), "ssl_keyfile": str(certificate[1])}
    if unix:
        options["uds"] = str(unix)
    server = Running(options, _trusting() if certificate else None, pours)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
