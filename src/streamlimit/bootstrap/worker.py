"""The application of one worker process, from the start of the server to its stop."""

import asyncio
import os
import signal
from multiprocessing import parent_process

from streamlimit.bootstrap import background, garbage_collector
from streamlimit.bootstrap.reload import Reloading, read_again
from streamlimit.bootstrap.service import build_service
from streamlimit.bootstrap.traces import traced
from streamlimit.bootstrap.webhooks import open_dispatcher
from streamlimit.edge.protocols import Edge
from streamlimit.http.asgi import Receive, Scope, Send
from streamlimit.http.connection import Handler
from streamlimit.logs import EventLog, configure_logs
from streamlimit.settings import Settings
from streamlimit.store.contract import resolved
from streamlimit.tally import Tally
from streamlimit.web.app import FrontDoor
from streamlimit.web.lazy_plane import import_plane

log = EventLog("streamlimit")


class Worker:
    """The application of a worker: opens its parts when the server starts, closes them when it stops."""

    def __init__(self, settings: Settings, tally: Tally) -> None:
        self._settings, self._tally = settings, tally
        self._handle: Handler | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "lifespan"  # requests go to `handle`
        await self._live(receive, send)

    @property
    def handle(self) -> Handler:
        """The handler of requests, once the worker has started."""
        assert self._handle is not None
        return self._handle

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        configure_logs()
        end_with_parent()
        dispatcher = open_dispatcher(self._settings, serves=True)
        service = await build_service(self._settings, dispatcher, self._tally)
        beside = background.start(service, dispatcher)
        self._handle, end_traces = traced(self._settings.traces, FrontDoor(service, Edge(service)).handle)
        Reloading(self._settings, service, dispatcher).begin()
        await send({"type": "lifespan.startup.complete"})
        await import_plane()
        garbage_collector.calm()
        await receive()
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        await service.reporter.finish()
        await service.store.finish()
        if service.origin is not None:
            await service.origin.close()
        if dispatcher is not None:
            await dispatcher.stop()
        await service.recorder.finish()
        await resolved(service.store.close())
        await asyncio.to_thread(end_traces)
        await send({"type": "lifespan.shutdown.complete"})


class WorkerFactory:
    """Makes the application in a worker process, to which it is pickled.

    *tally*: also used by the server.
    """

    def __init__(self, settings: Settings, tally: Tally | None = None) -> None:
        self._settings, self._tally = settings, tally or Tally()

    def read_again(self) -> "WorkerFactory":
        """The factory for later workers, with the settings that running ones have after SIGHUP."""
        return WorkerFactory(read_again(self._settings).settings, self._tally)

    def __call__(self) -> Worker:
        return Worker(self._settings, self._tally)


def end_with_parent() -> None:
    """Has this process stop when its parent dies, for no supervisor would replace it, and it would keep the port.

    Running segments still get `drain_seconds`. It is noticed by the pipe from the parent, which is closed however that
    dies. A process that was not started by a supervisor is left alone.
    """
    parent = parent_process()
    if parent is not None:
        asyncio.get_running_loop().add_reader(parent.sentinel, _end, parent.sentinel)


def _end(sentinel: int) -> None:
    asyncio.get_running_loop().remove_reader(sentinel)
    log.error("parent_gone", note="this worker stops; its parent was killed")
    os.kill(os.getpid(), signal.SIGTERM)
