"""One HTTP/1.1 connection: bytes in, one request at a time to the handler, its answer out.

For `uvicorn.Config(http=partial(Connection, parts=…))`; uvicorn makes one for each client, calls its `shutdown`, and
waits until there is none. Bytes that a client sends while an answer is under way are held, and parsed after it. A
client that half-closes after its request is still served. From the first request on a connection has a second
descriptor, by which receipts are read.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, NamedTuple

from streamlimit.http.exchange import CLOSE, STATUS_LINES, Exchange, dated, lines_of
from streamlimit.http.framing import Fault
from streamlimit.http.large_bodies import LargeBodies
from streamlimit.http.limits import Connections
from streamlimit.http.patience import Patience
from streamlimit.http.reader import SLICE, Reader
from streamlimit.http.repeats import Again, Repeats
from streamlimit.http.request import Peer, Request
from streamlimit.http.wire import Tap, Wire
from streamlimit.store.deferred import Deferred

HALF_OPEN_SECONDS = 2.0
"""How long a client that half-closed is still answered; while a body is delivered to it, until that is over."""

MAX_HELD_BYTES = 64 * 1024
"""Bytes of later requests that a connection holds while an answer is under way; then it stops reading."""

MAX_DISCARDED = 4 * 1024 * 1024
"""Bytes read and dropped after a refusal: closing at once would reset the connection, and lose the answer."""

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
Handler = Callable[[Request, Exchange], Awaitable[None] | None]
"""Handles a request. An awaitable that it returns is awaited in a task; a `Deferred` calls back without one."""

log = logging.getLogger("uvicorn.error")


class Parts(NamedTuple):
    """The parts that all connections of one worker share. Made before the workers start, and pickled.

    *refusal*: status, header lines and body of the answer to bytes that are no request.
    *repeats*: requests that need not be read again.
    *larger*: the targets whose bodies may be larger than others'.
    """

    guard: Connections
    tap: Tap
    refusal: Callable[[Fault], tuple[int, bytes, bytes]]
    repeats: Repeats
    larger: LargeBodies = LargeBodies({})


class Connection(asyncio.Protocol):
    """One connection, made by uvicorn, whose loaded application has a `handle`: the `Handler` of all requests."""

    # What most connections never change.
    wire: Wire | None = None
    is_stuck = is_draining = is_refused = False
    """`is_stuck`: the client does not read its answer. `is_draining`: the service stops. `is_refused`: the client sent
    no valid request."""
    _exchange: Exchange | None = None
    _is_reading = _got_eof = False
    _held = _came = b""
    """`_held`: bytes to be parsed later. `_came`: the bytes being parsed, if a request began with them."""
    _discarded = 0
    _room: "asyncio.Future[None] | None" = None

    def __init__(self, config: Any, server_state: Any, app_state: Any, _loop: Any = None, *, parts: Parts) -> None:
        self._server, self._parts = server_state, parts
        self._handle: Handler = config.loaded_app.handle
        self._keep_alive_seconds: float = config.timeout_keep_alive
        self.loop: asyncio.AbstractEventLoop = _loop or asyncio.get_running_loop()

    # Callbacks of the transport

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # it writes, too
        self.transport = transport
        peer: Any = transport.get_extra_info("peername")
        client: Peer = (str(peer[0]), int(peer[1])) if isinstance(peer, tuple) else None
        self._host = client[0] if client else ""
        if not self._parts.guard.enter(self._host):
            transport.abort()
            return
        self.patience = Patience(self, self._parts.guard, self._keep_alive_seconds)
        self._reader = Reader(client, self._parts.larger)
        self._server.connections.add(self)
        self.patience.begin()

    def connection_lost(self, exc: Exception | None) -> None:
        if self not in self._server.connections:
            return  # it was refused when it connected
        self._server.connections.discard(self)
        self._parts.guard.leave(self._host)
        self.patience.end()
        self._reader.close()
        self._held = b""
        if self._exchange is not None:
            self._exchange.gone()
        self._make_room()
        if self.wire is not None:
            self.wire.lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.wire is not None and self.wire.watcher is not None:
            self.wire.nudge()  # with the client's bytes come its acknowledgements: what came before is settled first
        if self.is_refused or (self._reader.is_over and self._exchange is None):
            self._discard(len(data))
        elif self._exchange is None and not self.is_stuck and not self._held:
            if self._reader.stage:
                self._read(data)
            elif not self._parts.repeats.known or not self._repeat(data):
                self._came = data
                self._read(data)
                self._came = b""
        else:  # also where the answer is just out, and what came before this is about to be read
            self._held += data
            if len(self._held) > MAX_HELD_BYTES:
                self.transport.pause_reading()

    def eof_received(self) -> bool:
        """Handles a FIN, which says only that no more requests come. True keeps the transport open."""
        is_sealed = self.transport.get_extra_info("sslcontext") is not None
        if is_sealed or not self._has_asked:
            return False  # TLS has no half-open connections
        if self.wire is not None:
            self.wire.nudge()
        self._got_eof = True
        self.loop.call_later(HALF_OPEN_SECONDS, self._close_unless_delivering)
        return True

    def pause_writing(self) -> None:
        self.is_stuck = True
        self.patience.stuck()

    def resume_writing(self) -> None:
        self.is_stuck = False
        self.patience.unstuck()
        self._make_room()
        if self._exchange is None:
            self.loop.call_soon(self._go_on)

    def shutdown(self) -> None:
        """Answers the requests that have arrived, then closes: the service stops."""
        self.is_draining = True
        if self._exchange is not None:
            self._exchange.drain()
        elif self._reader.stage != "body" and not self._has_asked:
            self.close()

    # Calls of an exchange

    def room(self) -> "asyncio.Future[None]":
        if self._room is None:
            self._room = self.loop.create_future()
        return self._room

    def answered(self) -> None:
        exchange, self._exchange, self._came = self._exchange, None, b""  # the next one in it does not begin it
        self._server.total_requests += 1
        if exchange is None or exchange.is_gone:
            return
        if not exchange.keep_alive or self.is_draining:
            self.close()
        elif not self._is_reading and (self._held or self._reader.ready or self._got_eof):
            self.loop.call_soon(self._go_on)
        else:
            self.patience.rests_since = self.loop.time()
            if not self.patience.is_resting:
                self.patience.rest()

    def again(self, again: Again, common: bytes) -> None:
        is_all = not self._reader.ready and not self._reader.stage  # of one request, and of nothing else
        if self._came and len(self._came) <= SLICE and is_all:
            self._parts.repeats.keep(self._host, self._came, again, common)

    # Questions of `Patience`

    @property
    def is_answering(self) -> bool:
        """Is an answer under way? Then the delay is the server's."""
        return self._exchange is not None

    @property
    def is_delivering(self) -> bool:
        """Does a delivery use the connection? It has its own time-out for clients that do not read."""
        return self.wire is not None and self.wire.watcher is not None

    @property
    def stage(self) -> str:
        """The part that an incomplete request lacks: its `head`, its `body`; empty between two requests."""
        return self._reader.stage

    def close(self) -> None:
        """Closes the connection once all that was written is out."""
        self.transport.close()
        self.patience.closing()

    def hang_up(self) -> None:
        """Ends the connection: a client that sent half a request is answered, one that does not read is reset."""
        if self._reader.stage and not self.is_refused and not self.transport.is_closing():
            self._refuse(Fault("request-timeout", "the request did not arrive in time"))
        elif self.wire is not None and self.transport.get_write_buffer_size():
            self.wire.abort()  # resets: the kernel, too, drops what is not read
        else:
            self.transport.abort()

    # Reading

    def _read(self, data: bytes) -> None:
        """Parses *data* until a request has to be waited for; what is left then is held."""
        reader, ready, at = self._reader, self._reader.ready, 0
        self._is_reading = True
        while True:
            if ready:
                if self.transport.is_closing():
                    break
                self._begin(ready.popleft())
                if self._exchange is not None or self.is_stuck:
                    self._held = data[at:]
                    break
            elif at >= len(data) or reader.is_over or self.transport.is_closing():
                break
            else:
                reader.feed(data if len(data) <= SLICE else data[at : at + SLICE])
                at += SLICE
        self._is_reading = False
        if reader.expects and self._exchange is None and not reader.is_over:
            reader.expects = False
            self.transport.write(CONTINUE)
        if reader.stage:
            self.patience.read(reader.stage)

    def _go_on(self) -> None:
        """Parses the held bytes once the answer is out."""
        if not self._is_free:
            return
        held, self._held = self._held, b""
        self.transport.resume_reading()
        self._read(held)
        if self._got_eof and self._exchange is None and not self.is_stuck:
            self.close()

    def _begin(self, request: Request | Fault) -> None:
        if isinstance(request, Fault):
            self._refuse(request)
            return
        if self.wire is None and not self._tap():
            return
        if self.patience.is_waiting:
            self.patience.asked()
        if self._server.default_headers is not dated.headers:  # the same list for a second
            dated.headers, dated.lines = self._server.default_headers, lines_of(self._server.default_headers)
        exchange = self._exchange = Exchange(self, request)
        try:
            work = self._handle(request, exchange)
        except Exception:  # a defect: it is logged, and costs this connection, not the worker's others
            log.exception("the handler of requests failed")
            self.close()
            return
        if isinstance(work, Deferred):
            work.add_callback(partial(self._over, exchange))
        elif work is not None:
            self._server.tasks.add(task := asyncio.ensure_future(work, loop=self.loop))
            task.add_done_callback(partial(self._done, exchange))
        elif self._exchange is exchange:
            self.close()  # the handler sent no answer

    def _done(self, exchange: Exchange, task: "asyncio.Future[None]") -> None:
        """Handles the end of a request's task."""
        self._server.tasks.discard(task)
        self._over(exchange, None if task.cancelled() else task.exception())

    def _over(self, exchange: Exchange, outcome: object) -> None:
        """Handles the end of a request's work: a connection with an incomplete answer is closed."""
        if isinstance(outcome, BaseException):
            log.error("the handler of requests failed", exc_info=outcome)
        if self._exchange is exchange:
            self._exchange = None
            if not exchange.is_gone:
                self.close()

    def _tap(self) -> bool:
        try:
            self.wire = self._parts.tap(self.transport)
        except OSError as error:  # no descriptor left: without a wire receipts would be guesses
            log.warning("Connection refused: %s", error)
            self.transport.abort()
        return self.wire is not None

    def _repeat(self, data: bytes) -> bool:
        """Answers *data* by a remembered answer (`Repeats`). False: it is to be parsed."""
        if self.is_draining or self._server.default_headers is not dated.headers:
            return False
        answer = self._parts.repeats.answer(self._host, data)
        if answer is None:
            return False
        if self.patience.is_waiting:
            self.patience.asked()
        self.transport.write(answer)
        self._server.total_requests += 1
        self.patience.rests_since = self.loop.time()
        if not self.patience.is_resting:
            self.patience.rest()
        return True

    # The end

    def _refuse(self, fault: Fault) -> None:
        """Answers an invalid request and ends the connection, which is still read from for a while."""
        self.is_refused, self._held = True, b""
        self._parts.guard.tally.problems[fault.code] += 1
        status, lines, body = self._parts.refusal(fault)
        self.transport.write(STATUS_LINES[status] + lines + CLOSE + b"content-length: %d\r\n\r\n" % len(body) + body)
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self.patience.refused()
        else:
            self.close()

    def _discard(self, count: int) -> None:
        self._discarded += count
        if self._discarded > MAX_DISCARDED:
            self.transport.abort()

    def _close_unless_delivering(self) -> None:
        if not self.is_delivering:
            self.transport.close()

    def _make_room(self) -> None:
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)

    @property
    def _is_free(self) -> bool:
        """May the next request be handled?"""
        return self._exchange is None and not self.is_stuck and not self.is_refused and not self.transport.is_closing()

    @property
    def _has_asked(self) -> bool:
        """Is a request under way, or still to be handled?"""
        return self._exchange is not None or bool(self._held) or bool(self._reader.ready)
