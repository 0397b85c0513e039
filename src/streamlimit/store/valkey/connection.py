"""A pipelined connection: the commands of one loop iteration leave in one write, replies come back in their order.

Knows the meaning of no command. A reply belongs to the oldest command without one, so a command is never removed from
the queue: when the oldest waits too long the connection takes no more commands, and is closed when no call waits on it.

A server that hangs may have received commands already, whose callers have been answered by then, and may have sent the
next command. So each script is sent with a deadline by the server's clock, after which it does nothing (clock.lua). The
worker learns that clock from the server's answers, and takes it for as late as it can be: a command is never run after
it was given up. Where that is too strict (the server's clock was set) the script answers with the time, and is sent
again.
"""

import asyncio
import socket
from collections import deque
from collections.abc import Callable
from contextvars import Context
from itertools import islice
from struct import pack
from time import monotonic, time
from typing import Any, TypeAlias, cast

from libvalkey import ProtocolError, Reader, ReplyError
from msgspec import Struct

from streamlimit.errors import StoreUnavailable
from streamlimit.store.deferred import Deferred
from streamlimit.store.valkey.location import Address, shown
from streamlimit.store.valkey.scripts import Script

Reply = Any
Decode = Callable[[Reply], Any]
OnError: TypeAlias = Callable[["Pipe", "Call", str], None]
OnLost: TypeAlias = Callable[["Pipe", str], None]

AHEAD = 8
"""Calls with a waiter that are written before the iteration is over, so that server and worker work at the same time.
Without it a third fewer new sessions a second were admitted (docs/adr/0003-valkey-client.md)."""

TICKS = 8
"""Checks for overdue answers within the time that an answer may take."""

HANGS, CLOSED = "no answer in time", "closed"
"""Reasons why this side closes a connection."""

TOO_LATE = "TOOLATE"
"""The answer of a script past its deadline, which did nothing; the server's time in ms follows."""

RENEWED_SECONDS = 1.0
"""How long a reading of the server's clock is used on a connection in use: clocks drift, and are set."""

FORGETS_WHAT_IS_UNSENT = pack("ii", 1, 0)
"""SO_LINGER of 0 s: after closing, no unacknowledged byte is sent again."""


def encode(*parts: str | int | bytes, more: int = 0) -> bytes:
    """A command in the form of the protocol. *more*: how many arguments will be appended."""
    packed = [part if isinstance(part, bytes) else str(part).encode() for part in parts]
    return b"*%d\r\n" % (len(packed) + more) + b"".join([b"$%d\r\n%b\r\n" % (len(part), part) for part in packed])


def bulk(part: bytes) -> bytes:
    """One argument as a bulk string of the protocol."""
    return b"$%d\r\n%b\r\n" % (len(part), part)


def as_it_is(reply: Reply) -> Any:
    """The reply, where nothing is made of it."""
    return reply


TIME = encode("TIME")


class ServerClock:
    """One server's clock. Until the server has stated its time, this machine's clock is taken for it."""

    __slots__ = ("_ahead_ms", "_learnt_at")

    def __init__(self) -> None:
        self._learnt_at = monotonic()
        self._ahead_ms = (time() - self._learnt_at) * 1_000

    def learn(self, server_ms: float) -> None:
        """Takes in the server's time *server_ms*, which it read at some moment before now."""
        self._learnt_at = monotonic()
        self._ahead_ms = server_ms - self._learnt_at * 1_000

    def is_old(self) -> bool:
        """Should the server be asked again?"""
        return monotonic() - self._learnt_at >= RENEWED_SECONDS

    def deadline(self, moment: float) -> bytes:
        """*moment*, in seconds of this machine's monotonic clock, as the last argument of a script."""
        return b"$13\r\n%013d\r\n" % (self._ahead_ms + moment * 1_000)


class Call(Struct, eq=False):
    """One command on its way to an answer, over any number of redirections.

    *callback* is called once with the answer as *decode* makes it of the reply, or with `StoreUnavailable`; in
    *context*, where that matters to it. *is_awaited*: a caller waits for it. *is_mended*: it failed, and what its
    script reads was mended.
    """

    command: bytes
    callback: Callable[[Any], object]
    deadline: float
    decode: Decode
    script: Script | None = None
    shard: int = -1
    context: Context | None = None
    is_awaited: bool = True
    is_done: bool = False
    tries: int = 0
    asking: bool = False
    is_mended: bool = False

    def answer(self, reply: Reply) -> None:
        """Passes the decoded reply to the caller; one that cannot be decoded fails the call."""
        if self.is_done:
            return
        self.is_done = True
        try:
            answer = self.decode(reply)
        except Exception as error:
            answer = StoreUnavailable(f"valkey: unreadable answer: {error!r}")
        try:
            if self.context is None:
                self.callback(answer)
            else:
                self.context.run(self.callback, answer)
        except Exception as error:  # as a future's callback: it costs the others on the connection nothing
            report = {"message": "the answer of the store could not be passed on", "exception": error}
            asyncio.get_running_loop().call_exception_handler(report)

    def fail(self, why: str) -> None:
        """Fails the call with `StoreUnavailable`: it is unknown whether the command was run."""
        self.decode = as_it_is
        self.answer(StoreUnavailable(f"valkey: {why}"))


class Pipe(asyncio.Protocol):
    """An open connection. *on_error* gets each call that the server rejected, *on_lost* the end of the connection."""

    def __init__(self, timeout: float, on_error: OnError, on_lost: OnLost, address: Address = ("", 0)) -> None:
        self.address, self.clock = address, ServerClock()
        self._on_error, self._on_lost = on_error, on_lost
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._reader = Reader()
        self._scripts: list[bytes] = []  # each with all that leaves before it, and without its deadline
        self._plain = b""  # what leaves behind them
        self._awaited = 0  # of these
        self._is_flushing = False  # at the end of this iteration
        self._waiting: deque[Call | None] = deque()
        self._sent = self._received = 0
        self._timeout, self._tick = timeout, timeout / TICKS
        self._due: deque[tuple[int, float]] = deque()  # so many commands must be answered by then
        self._watch: asyncio.TimerHandle | None = None
        self._why, self._hangs = "the server closed the connection", False

    def send(self, call: Call | None, command: bytes) -> None:
        """Sends *command* at the end of this iteration, or earlier; its reply goes to *call* (None: it is dropped)."""
        if not self._is_flushing:
            self._is_flushing = True
            self._loop.call_soon(self._flush)
        if call is None or call.script is None:
            self._plain += command
        elif call.tries:  # its answer is due when it was
            self._plain += command + self.clock.deadline(call.deadline)
        else:
            self._scripts.append(self._plain + command)
            self._plain = b""
        self._waiting.append(call)
        self._sent += 1
        if call is not None and call.is_awaited:
            self._awaited += 1
            if self._awaited == AHEAD:
                self._write()

    def ask(self, command: bytes, decode: Decode = as_it_is) -> Deferred[Any]:
        """The reply to *command*, as *decode* makes it, without routing."""
        answer: Deferred[Any] = Deferred()
        self.send(Call(command, answer.come, 0.0, decode), command)
        return answer

    def learn_time(self) -> Deferred[None]:
        """Asks the server for its time. The answer comes when `clock` knows it."""
        return self.ask(TIME, self._learn_time)

    def close(self, why: str) -> None:
        """Ends the connection; what waits on it fails."""
        self._why = why
        if self._transport is not None:
            self._transport.abort()

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
        if self._received and why not in (HANGS, CLOSED):  # it was a server that we had come to know
            why = f"the server ended the connection: {why}"
        if not self._hangs:
            self._on_lost(self, why)
        self._fail(len(self._waiting), why)
        self._waiting.clear()

    def _write(self) -> None:
        due = monotonic() + self._timeout
        if self._transport is not None and not self._transport.is_closing():
            self._scripts.append(self._plain)
            self._transport.write(self.clock.deadline(due).join(self._scripts))
        self._due.append((self._sent, due))
        self._scripts.clear()
        self._plain = b""
        self._awaited = 0

    def _flush(self) -> None:
        self._is_flushing = False
        if self._scripts or self._plain:
            self._write()
        if self._watch is None:
            self._watch = self._loop.call_later(self._tick, self._look)

    def _look(self) -> None:
        """Checks for overdue replies. Gives up only at a second look: replies may be here, but not read yet."""
        if not self._waiting:
            self._watch = None
            self._due.clear()
            return
        while self._due and self._due[0][0] <= self._received:
            self._due.popleft()
        if self._due and self._due[0][1] <= monotonic():
            self._watch = self._loop.call_later(self._tick / TICKS, self._give_up, self._received)
            return
        if self.clock.is_old():
            self.send(Call(TIME, _ignore, 0.0, self._learn_time, is_awaited=False), TIME)
        self._watch = self._loop.call_later(self._tick, self._look)

    def _give_up(self, received: int) -> None:
        if self._received != received:
            self._look()
            return
        self._hangs = True
        self._on_lost(self, HANGS)
        self._fail_what_is_due()

    def _fail_what_is_due(self) -> None:
        """Fails calls to a server that hangs, past their deadline: until then a command may still be carried out."""
        while self._due and self._due[0][1] <= monotonic():
            due, _ = self._due.popleft()
            self._fail(due - self._received, HANGS)
        if self._due:
            self._watch = self._loop.call_later(self._due[0][1] - monotonic(), self._fail_what_is_due)
        else:
            self._forget()

    def _fail(self, count: int, why: str) -> None:
        """Fails the oldest *count* calls."""
        for call in islice(self._waiting, max(count, 0)):
            if call is not None:
                call.fail(f"{shown(self.address)}: {why}")

    def _forget(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            ours = self._transport.get_extra_info("socket")
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, FORGETS_WHAT_IS_UNSENT)
        self.close(HANGS)

    def _learn_time(self, reply: Reply) -> None:
        seconds, micros = reply
        self.clock.learn(int(seconds) * 1_000 + int(micros) / 1_000)


def _ignore(_: object) -> None:
    """The callback of an answer that is not needed."""
