"""One connection: commands of one turn of the event loop leave in one write, replies come back in their order.

Knows no command and no script. A reply belongs to the oldest command without one, so a command is never
taken out of the queue: when the oldest waits too long the whole connection goes, and everything on it fails.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from typing import Any, Protocol, cast

from libvalkey import ProtocolError, Reader, ReplyError

from streamlimit.errors import StoreUnavailable
from streamlimit.store.valkey.scripts import Script

Reply = Any
Future = asyncio.Future[Any]
Decode = Callable[[Reply], Any]

AHEAD = 8
"""So many calls that somebody waits for leave before the turn is over: the server is at them while the worker reads on.
Else one would wait for the other, and a third of all new sessions a second were lost to that."""

TICKS = 8
"""How often, within the time that an answer may take, to look whether one is overdue."""


def encode(*parts: str | int | bytes) -> bytes:
    """A command as the protocol wants it."""
    packed = [part if isinstance(part, bytes) else str(part).encode() for part in parts]
    return b"*%d\r\n" % len(packed) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in packed)


class Hearing(Protocol):
    """What a call tells its answer: a future, or something that stands where one would."""

    def done(self) -> bool: ...

    def set_result(self, answer: Any, /) -> None: ...

    def set_exception(self, error: Any, /) -> None: ...


class Ear:
    """Stands where a future would, for an answer that nobody awaits: *heard* is told in the turn that brings it.

    And in the context of whoever asked: what it logs is about that request.
    """

    __slots__ = ("_context", "_heard", "_is_done")

    def __init__(self, heard: Callable[[Any], None]) -> None:
        self._heard, self._is_done, self._context = heard, False, copy_context()

    def done(self) -> bool:
        """It was told."""
        return self._is_done

    def set_result(self, answer: Any) -> None:
        """Tells the answer."""
        self._is_done = True
        try:
            self._context.run(self._heard, answer)
        except Exception as error:  # as a future's callback: it costs the others on the connection nothing
            report = {"message": "the answer of the store could not be told", "exception": error}
            asyncio.get_running_loop().call_exception_handler(report)

    set_exception = set_result


class Call:
    """One command on its way to an answer, over as many servers as it takes."""

    __slots__ = ("asking", "command", "deadline", "decode", "future", "script", "shard", "tries")

    def __init__(
        self,
        command: bytes,
        future: Hearing,
        deadline: float,
        decode: Decode,
        script: Script | None = None,
        shard: int = -1,
    ) -> None:
        self.command, self.future, self.deadline, self.decode = command, future, deadline, decode
        self.script, self.shard = script, shard
        self.tries, self.asking = 0, False

    def answer(self, reply: Reply) -> None:
        """The reply, decoded, goes to whoever waits. One that cannot be decoded is the store's fault, not theirs."""
        if self.future.done():
            return
        try:
            answer = self.decode(reply)
        except Exception as error:
            self.future.set_exception(StoreUnavailable(f"valkey: unreadable answer: {error!r}"))
        else:
            self.future.set_result(answer)

    def fail(self, why: str) -> None:
        """Nobody knows whether the command was run."""
        if not self.future.done():
            self.future.set_exception(StoreUnavailable(f"valkey: {why}"))


class Pipe(asyncio.Protocol):
    """An open connection. *on_error* gets each call that the server refused, *on_lost* the end, both once."""

    def __init__(
        self,
        timeout: float,
        on_error: Callable[["Pipe", Call, str], None],
        on_lost: Callable[["Pipe", str], None],
    ) -> None:
        self._on_error, self._on_lost = on_error, on_lost
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._reader = Reader()
        self._out: list[bytes] = []
        self._awaited = 0  # of these
        self._is_flushing = False  # at the end of this turn
        self._waiting: deque[Call | None] = deque()
        self._sent = self._received = 0
        self._tick = timeout / TICKS
        self._marks: deque[int] = deque(maxlen=TICKS)
        self._watch: asyncio.TimerHandle | None = None
        self._why = "the server closed the connection"

    def send(self, call: Call | None, command: bytes) -> None:
        """Sends *command* at the end of this turn, or earlier; its reply goes to *call* (None: to nobody)."""
        if not self._is_flushing:
            self._is_flushing = True
            self._loop.call_soon(self._flush)
        self._out.append(command)
        self._waiting.append(call)
        self._sent += 1
        if call is not None and not isinstance(call.future, Ear):
            self._awaited += 1
            if self._awaited == AHEAD:
                self._write()

    def close(self, why: str) -> None:
        """Ends the connection; what waits on it fails."""
        self._why = why
        if self._transport is not None:
            self._transport.abort()

    @property
    def is_idle(self) -> bool:
        """Nobody waits for a reply."""
        return not self._waiting

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but its class

    def data_received(self, data: bytes) -> None:
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not False:
                call = self._waiting.popleft()
                self._received += 1
                if call is None:
                    continue
                if isinstance(reply, ReplyError):
                    self._on_error(self, call, str(reply))
                else:
                    call.answer(reply)
        except (ProtocolError, IndexError) as error:
            self.close(f"not the protocol: {error}")

    def connection_lost(self, error: Exception | None) -> None:
        if self._watch is not None:
            self._watch.cancel()
        why = str(error) if error else self._why
        waiting, self._waiting = self._waiting, deque()
        self._on_lost(self, why)
        for call in waiting:
            if call is not None:
                call.fail(why)

    def _write(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"".join(self._out))
        self._out.clear()
        self._awaited = 0

    def _flush(self) -> None:
        self._is_flushing = False
        if self._out:
            self._write()
        if self._watch is None:
            self._marks.clear()
            self._watch = self._loop.call_later(self._tick, self._look)

    def _look(self) -> None:
        """Is a reply overdue? Notes how much was sent by now; `TICKS` looks later all of it must have its reply.

        Looks once more before it gives up: after a long turn of the loop the replies may be here already, unread.
        """
        if not self._waiting:
            self._watch = None
            return
        if len(self._marks) == TICKS and self._received < self._marks[0]:
            self._watch = self._loop.call_later(self._tick / TICKS, self._give_up, self._received)
            return
        self._marks.append(self._sent)
        self._watch = self._loop.call_later(self._tick, self._look)

    def _give_up(self, received: int) -> None:
        if self._received == received:
            self.close("no answer in time")
        else:
            self._look()
