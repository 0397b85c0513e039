"""The connection to one server: opened in the background, and again after failures, with growing pauses.

While a server is connected for the first time (or after an orderly close) calls are queued for as long as an answer may
take. After a time-out or a failed attempt they fail at once, until the server answers again.
"""

import asyncio
import random
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from streamlimit.errors import StoreUnavailable
from streamlimit.store.deferred import Deferred, all_of
from streamlimit.store.valkey.connection import CLOSED, Call, OnError, OnLost, Pipe, encode
from streamlimit.store.valkey.location import Address, Location, shown

OPENING_SECONDS = 1.0
"""How long connecting, TLS, login and loading the scripts may take together."""

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
"""Seconds between attempts; doubled each time."""


ASKING = encode("ASKING")


@dataclass(frozen=True, slots=True)
class Opening:
    """How to open a connection: TLS, how long an answer may take (seconds), and which commands to send first.

    *runs_scripts*: the server's time is asked for, for the deadlines of scripts.
    """

    tls: ssl.SSLContext | None
    timeout: float
    greeting: tuple[bytes, ...]
    runs_scripts: bool = False

    async def open(self, address: Address, on_error: OnError, on_lost: OnLost) -> Pipe:
        """An open connection, logged in. Raises `OSError`, `TimeoutError`, `StoreUnavailable`."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(OPENING_SECONDS):
            _, pipe = await loop.create_connection(
                lambda: Pipe(self.timeout, on_error, on_lost, address), *address, ssl=self.tls
            )
            try:
                answers: list[Deferred[Any]] = [pipe.ask(command) for command in self.greeting]
                if self.runs_scripts:
                    answers.append(pipe.learn_time())
                await all_of(answers)
            except BaseException:
                pipe.close("the greeting failed")
                raise
        return pipe


def login_of(location: Location) -> tuple[bytes, ...]:
    """The commands that log a new connection in."""
    commands = []
    if location.password is not None:
        user = () if location.user is None else (location.user,)
        commands.append(encode("AUTH", *user, location.password))
    if location.db:
        commands.append(encode("SELECT", location.db))
    return tuple(commands)


class Node:
    """One server. *on_error* gets calls that it rejected; *on_trouble* is called whenever it cannot be reached.

    *on_trouble* gets the reason why calls fail at once; empty where the connection only has to be opened again.
    """

    def __init__(
        self, address: Address, opening: Opening, on_error: OnError, on_trouble: Callable[[str], None]
    ) -> None:
        self.address = address
        self.pipe: Pipe | None = None
        self._opening, self._on_error, self._on_trouble = opening, on_error, on_trouble
        self._loop = asyncio.get_running_loop()
        self._queue: list[tuple[Call, bool]] = []
        self._trouble = ""
        self._closed = False
        self._patience: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._start()

    def send(self, call: Call, asking: bool = False) -> None:
        """Sends the call, queues it until the connection is open, or fails it."""
        if self.pipe is not None:
            if asking:
                self.pipe.send(None, ASKING)
            self.pipe.send(call, call.command)
        elif self._trouble or self._closed:
            call.fail(self._say(self._trouble or CLOSED))
        else:
            self._queue.append((call, asking))

    def close(self) -> None:
        """Closes the connection; calls that wait on it fail."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()
        self._fail_queue(CLOSED)
        if self.pipe is not None:
            self.pipe.close(CLOSED)

    def retire(self) -> None:
        """Closes the connection, not needed any more, once pending calls have had the time for an answer."""
        self._loop.call_later(2 * self._opening.timeout, self.close)

    def _start(self) -> None:
        if not self._trouble:
            self._patience = self._loop.call_later(self._opening.timeout, self._fail_queue, "not connected in time")
        self._task = self._loop.create_task(self._open_forever())

    async def _open_forever(self) -> None:
        pause = FIRST_PAUSE
        while not self._closed:
            try:
                await self._open_once()
                return
            except (OSError, TimeoutError, StoreUnavailable) as error:
                said = str(error).removeprefix("valkey: ").removeprefix(f"{shown(self.address)}: ")
                self._fail_queue(said or "no answer in time")
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _open_once(self) -> None:
        pipe = await self._opening.open(self.address, self._on_error, self._lost)
        self.pipe, self._trouble = pipe, ""
        queue, self._queue = self._queue, []
        self._calm()
        for call, asking in queue:
            self.send(call, asking)

    def _lost(self, pipe: Pipe, why: str) -> None:
        if pipe is not self.pipe:
            return  # the greeting failed, so it was never in use; `_open_forever` goes on
        self.pipe = None
        if not self._closed:
            self._trouble = why if "in time" in why else ""
            self._on_trouble(self._say(self._trouble) if self._trouble else "")
            self._start()

    def _fail_queue(self, why: str) -> None:
        self._calm()
        self._trouble = why
        queue, self._queue = self._queue, []
        for call, _ in queue:
            call.fail(self._say(why))
        if not self._closed:
            self._on_trouble(self._say(why))

    def _calm(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _say(self, why: str) -> str:
        return f"{shown(self.address)}: {why}"


async def ask_once(address: Address, opening: Opening, command: bytes) -> object:
    """The reply to one *command* on a connection opened for it."""
    pipe = await opening.open(address, lambda _, call, text: call.fail(text), lambda *_: None)
    try:
        reply: object = await pipe.ask(command)
        return reply
    finally:
        pipe.close("done")
