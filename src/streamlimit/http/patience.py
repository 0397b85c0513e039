"""The time-outs of one connection: for a first request, the rest of one, reading the answer, the next request.

While the client has to act, the connection is in the queue of `Connections`. While it may be idle it has one timer,
which runs on as requests come, and checks when it fires how long none came.
"""

import asyncio
from typing import TYPE_CHECKING

from streamlimit.http.limits import Connections

if TYPE_CHECKING:
    from streamlimit.http.connection import Connection


class Patience:
    """The time-outs of one connection. `is_waiting`: the client has to act now."""

    is_waiting = False
    _what = "request"
    """What the client has to do: send a `request`, the rest of its `head` or `body`, or be `reading`."""
    is_resting = False
    """Does the timer for an idle client run?"""
    rests_since = 0.0
    _unsent = 0
    _timer: asyncio.TimerHandle | None = None

    def __init__(self, client: "Connection", guard: Connections, rest_seconds: float) -> None:
        self._client, self._guard, self._rest_seconds = client, guard, rest_seconds

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop of the connection."""
        return self._client.loop

    def begin(self) -> None:
        """Begins to wait for the first request of a new connection."""
        self._await("request")

    def end(self) -> None:
        """Ends all waiting: the client is gone. Breaks the cycle of references with the connection."""
        del self._client
        self._guard.forget(self)
        if self._timer is not None:
            self._timer.cancel()

    def asked(self) -> None:
        """Called when a whole request came."""
        if self._what != "reading":
            self._forget()

    def read(self, stage: str) -> None:
        """Called when bytes came; *stage*: the part that the request still lacks."""
        if stage and (not self.is_waiting or (stage != self._what and self._what != "reading")):
            self._await(stage)

    def stuck(self) -> None:
        """Called when the client does not read."""
        if not self._client.is_delivering:
            self._await("reading")

    def unstuck(self) -> None:
        """Called when the client reads again."""
        if self.is_waiting and self._what == "reading" and not self._client.transport.is_closing():
            self._forget()
            self.read(self._client.stage)

    def refused(self) -> None:
        """Called when the client was refused, and has to read that."""
        self._await("reading")

    def closing(self) -> None:
        """Bounds the time for sending the rest before the connection is closed: some clients never read."""
        if not self.is_waiting and self._client.transport.get_write_buffer_size():
            self._await("reading")

    def rest(self) -> None:
        """Lets an answered client be idle for long, from `rests_since` on."""
        self.is_resting = True
        self._timer = self.loop.call_later(self._rest_seconds, self._rested)

    def is_excused(self) -> bool:
        """Is the client not to blame, though its time is over: is the server slow, or does it read, if slowly?"""
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
        """Ends the connection of a client that keeps the server waiting; logged unless it was refused before."""
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
        """Closes the connection if it was idle long enough; else the timer runs on, for requests came meanwhile."""
        left = self.rests_since + self._rest_seconds - self.loop.time()
        if self._client.is_answering or self._client.stage or left > 0:
            self._timer = self.loop.call_later(left if left > 0 else self._rest_seconds, self._rested)
        else:
            self.is_resting = False
            self._client.close()
