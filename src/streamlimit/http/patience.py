"""How long one connection's client is waited for: a first request, the rest of one, that it reads, the next request.

Whoever is expected to do something now stands in the queue of `Connections`; who may rest has one timer, which runs on
while requests come, and looks when it fires how long nothing came.
"""

import asyncio
from typing import Protocol

from streamlimit.http.limits import Connections


class Client(Protocol):
    """One connection, as far as it is waited for."""

    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport

    @property
    def is_answering(self) -> bool: ...
    @property
    def is_delivering(self) -> bool: ...
    @property
    def is_refused(self) -> bool: ...
    @property
    def is_stuck(self) -> bool: ...
    @property
    def stage(self) -> str: ...
    def rested(self) -> None: ...
    def hang_up(self) -> None: ...


class Patience:
    """One connection's. `is_waiting`: the client is expected to do something now."""

    is_waiting = False
    _what = "request"
    """What is expected of the client: a `request`, the rest of its `head` or `body`, or that it is `reading`."""
    is_resting = False
    """The timer for a silent client runs."""
    rests_since = 0.0
    _unsent = 0
    _timer: asyncio.TimerHandle | None = None

    def __init__(self, client: Client, guard: Connections, rest_seconds: float) -> None:
        self._client, self._guard, self._rest_seconds = client, guard, rest_seconds

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """Where it is served."""
        return self._client.loop

    def begin(self) -> None:
        """The client is connected: a request is to come."""
        self._await("request")

    def end(self) -> None:
        """The client is gone. (It and we hold each other.)"""
        del self._client
        self._guard.forget(self)
        if self._timer is not None:
            self._timer.cancel()

    def asked(self) -> None:
        """A whole request came."""
        if self._what != "reading":
            self._forget()

    def read(self, stage: str) -> None:
        """Something came, and what is not whole of it lacks its *stage*."""
        if stage and (not self.is_waiting or (stage != self._what and self._what != "reading")):
            self._await(stage)

    def stuck(self) -> None:
        """The client does not read."""
        if not self._client.is_delivering:
            self._await("reading")

    def unstuck(self) -> None:
        """The client reads again."""
        if self.is_waiting and self._what == "reading" and not self._client.transport.is_closing():
            self._forget()
            self.read(self._client.stage)

    def refused(self) -> None:
        """The client was refused, and may only read that."""
        self._await("reading")

    def closing(self) -> None:
        """The connection is closed when all is sent, and some clients never read."""
        if not self.is_waiting and self._client.transport.get_write_buffer_size():
            self._await("reading")

    def rest(self) -> None:
        """The client was answered, and may be silent for long from `rests_since` on."""
        self.is_resting = True
        self._timer = self.loop.call_later(self._rest_seconds, self._rested)

    def is_excused(self) -> bool:
        """The client's time is over: is it we who are slow, or does it read on, if slowly?"""
        client = self._client
        if client.is_refused:
            return False
        if client.is_delivering:
            return True
        if client.is_stuck or client.transport.is_closing():
            before, self._unsent = self._unsent, client.transport.get_write_buffer_size()
            return self._unsent < before
        return client.is_answering

    def give_up(self) -> None:
        """Nobody is there, or someone who wants us to wait. Of who was refused before, it is no news."""
        self.is_waiting = False
        client = self._client
        if not client.is_refused:
            is_reading = client.is_stuck or client.transport.is_closing()
            self._guard.tally.given_up["reading" if is_reading else self._what] += 1
        client.hang_up()

    def _await(self, what: str) -> None:
        self._what, self.is_waiting = what, True
        self._unsent = self._client.transport.get_write_buffer_size()
        self._guard.await_client(self)

    def _forget(self) -> None:
        self.is_waiting = False
        self._guard.forget(self)

    def _rested(self) -> None:
        """It has rested long enough to be closed; or not yet, for there were requests meanwhile."""
        left = self.rests_since + self._rest_seconds - self.loop.time()
        if self._client.is_answering or self._client.stage or left > 0:
            self._timer = self.loop.call_later(left if left > 0 else self._rest_seconds, self._rested)
        else:
            self.is_resting = False
            self._client.rested()
