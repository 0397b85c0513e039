"""Runs workers under uvicorn: one in this process, or several that share one listening socket."""

import asyncio
import logging
import math
import os
import signal
import socket
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType

import uvicorn
from prometheus_client.multiprocess import mark_process_dead
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess, multiprocess

from streamlimit.bootstrap.reload import has_terminal
from streamlimit.bootstrap.worker import WorkerFactory
from streamlimit.delivery.wire import Wire
from streamlimit.edge.reports import MAX_BYTES, ROUTE
from streamlimit.errors import SettingsError, StreamlimitError
from streamlimit.http.connection import Connection, Parts
from streamlimit.http.large_bodies import LargeBodies
from streamlimit.http.limits import Connections, raise_descriptors
from streamlimit.http.repeats import Repeats
from streamlimit.settings import Settings
from streamlimit.tally import Tally
from streamlimit.web.address import Proxies
from streamlimit.web.metrics import FOLDER_VARIABLE
from streamlimit.web.outgoing import fault_answer

logger = logging.getLogger("uvicorn.error")

KEEP_ALIVE_SECONDS = 75
"""The least time that a connection may be idle, never below n·X: players send a request per segment."""

DATE_SECONDS = 1.0
"""The greatest age of the `Date` in answers."""

LARGER = {ROUTE.encode(): MAX_BYTES}
"""The most bytes of bodies of routes that may have large ones."""

HEALTHCHECK_SECONDS = 30
"""How long a worker may not respond before it is replaced; on a busy machine a start takes seconds."""


def run(settings: Settings, listening: socket.socket, on_listening: Callable[[str], None]) -> None:
    """Serves on the socket that `bind` gave until a signal says stop; running segments get `drain_seconds` to finish.

    *on_listening* is called with the address before. Raises `StreamlimitError` where no worker could start.
    """
    raise_descriptors()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until the workers or their supervisor handle it
    config = _config(settings)
    on_listening(address_of(listening))
    if settings.workers == 1:
        server = QuietServer(config)
        server.run(sockets=[listening])
        has_started = server.started
    else:
        has_started = _run_workers(config, listening)
    if not has_started:
        raise StreamlimitError("no worker could start; the log says why")


def _config(settings: Settings) -> uvicorn.Config:
    tally, seconds = Tally(), settings.request_seconds  # pickled together, guard and factory share it in each worker
    trusted = Proxies(settings.trusted_proxies).trusts
    guard = Connections(settings.connections_per_address, seconds, trusted, tally)
    parts = Parts(guard, Wire.tap, fault_answer, Repeats(), LargeBodies(LARGER, trusted))
    return uvicorn.Config(
        WorkerFactory(settings, tally),
        factory=True,
        http=partial(Connection, parts=parts),  # type: ignore[arg-type]  # it is only ever called
        loop="uvloop",
        ws="none",
        lifespan="on",
        interface="asgi3",
        workers=settings.workers,
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=math.ceil(settings.drain_seconds),
        timeout_keep_alive=max(KEEP_ALIVE_SECONDS, math.ceil(settings.segment_seconds * settings.missed_segments)),
        timeout_worker_healthcheck=HEALTHCHECK_SECONDS,
    )


def _run_workers(config: uvicorn.Config, listening: socket.socket) -> bool:
    """Runs several workers until a signal says stop. Did any of them start to serve?"""
    with tempfile.TemporaryDirectory(prefix="streamlimit-metrics-") as folder:
        os.environ[FOLDER_VARIABLE] = folder  # where the workers' metrics are added up
        workers = Workers(config, sockets=[listening])
        workers.run()
    return not workers.none_could_start


class QuietServer(uvicorn.Server):
    """uvicorn's server without polling: it checks ten times a second whether to stop; this one is woken for that."""

    _loop: asyncio.AbstractEventLoop | None = None
    _wake: asyncio.Event

    async def main_loop(self) -> None:
        self._loop, self._wake = asyncio.get_running_loop(), asyncio.Event()
        while not await self.on_tick(0):  # of uvicorn's ticks the one that dates answers
            try:
                await asyncio.wait_for(self._wake.wait(), DATE_SECONDS)
            except TimeoutError:
                pass

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._wake.set)


class QuietProcess(multiprocess.Process):
    """A worker's process, whose server is a `QuietServer`."""

    @property
    def server(self) -> uvicorn.Server:
        if self._server is None:
            self._server = QuietServer(self.config)
        return self._server

    def start(self) -> None:
        """Starts the process with SIGHUP blocked until it has a handler: else the signal would end it."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
        try:
            super().start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


multiprocess.Process = QuietProcess  # type: ignore[misc]  # the class that `Multiprocess` starts; it has no parameter for it


class Workers(Multiprocess):
    """uvicorn's supervisor of workers with two changes.

    A dead worker is noticed at once and never ends the others; and at a stop no client is kept waiting at a socket from
    which no worker accepts any more.
    """

    have_started = none_could_start = False
    """Did any worker ever start to serve? Did all fail to?"""

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket]) -> None:
        super().__init__(config, sockets)
        self._had_terminal = has_terminal()

    def handle_hup(self) -> None:
        """Has all workers read the settings again, each logging the result; later workers start with them."""
        if self._had_terminal and not has_terminal():
            return self.handle_term()
        factory = self.config.app
        assert isinstance(factory, WorkerFactory)
        try:
            self.config.app = factory.read_again()
        except SettingsError:
            pass  # each worker logs it, and keeps the settings it has; so will new ones
        for process in self.processes:
            if process.pid is not None and process.process.is_alive():
                os.kill(process.pid, signal.SIGHUP)

    def keep_subprocess_alive(self) -> None:
        """As uvicorn's, after closing the workers' ends of their pipes in this process.

        Else the pipe of a worker that dies with an unanswered health check would not end, and for `HEALTHCHECK_SECONDS`
        no worker would be replaced and no signal handled.
        """
        for process in self.processes:
            process.child_conn.close()
        for place, process in enumerate(self.processes):
            if self.should_exit.is_set():
                return
            if process.is_alive(timeout=HEALTHCHECK_SECONDS):
                self.have_started = self.have_started or process.is_ready(timeout=HEALTHCHECK_SECONDS)
            else:
                self._replace(place, process)

    def _replace(self, place: int, process: multiprocess.Process) -> None:
        """Replaces a worker, also one that could not start, as long as others serve: the cause may be temporary."""
        process.kill()  # it may only be unresponsive
        process.join()
        if process.exitcode == STARTUP_FAILURE and not self.have_started:
            self.none_could_start = True
            self.should_exit.set()
            return
        if process.pid is not None and FOLDER_VARIABLE in os.environ:
            mark_process_dead(process.pid)  # type: ignore[no-untyped-call]  # its gauges count no more
        logger.error("worker %s died (exit code %s); another one starts", process.pid, process.exitcode)
        self.processes[place] = QuietProcess(self.config, self.sockets)
        self.processes[place].start()

    def terminate_all(self) -> None:
        for listening in self.sockets:
            listening.close()
        super().terminate_all()


def bind(listen: str) -> socket.socket:
    """The socket to listen on. Port 0 lets the system choose; a Unix socket that no process serves is replaced."""
    try:
        if "/" in listen:
            return _bind_unix(listen)
        host, port = listen.rsplit(":", 1)
        host = host.strip("[]")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.socket(family)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, int(port)))
    except OSError as error:
        raise SettingsError("listen", f"cannot listen on {listen}: {error.strerror or error}") from error
    listening.set_inheritable(True)
    return listening


def _bind_unix(path: str) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX)
    if Path(path).is_socket():
        try:
            listening.connect(path)
        except ConnectionRefusedError:
            Path(path).unlink()  # left behind by a process that was killed
            listening.close()
            listening = socket.socket(socket.AF_UNIX)
    listening.bind(path)
    listening.set_inheritable(True)
    return listening


def address_of(listening: socket.socket) -> str:
    """The address of a listening socket, as a URL or a path."""
    name = listening.getsockname()
    if isinstance(name, str):
        return name
    host = f"[{name[0]}]" if ":" in name[0] else name[0]
    return f"http://{host}:{name[1]}"
