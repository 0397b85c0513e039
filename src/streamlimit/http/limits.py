"""Limits on the open connections of one worker: how many one address may have, how long a client is waited for.

Connections that wait for their client (for a first request, or the rest of one) are in one queue. All wait equally
long, so one look a second at its front is enough: a request that arrives whole, as nearly all do, costs two flags and
no timer. Knows no HTTP.
"""

import asyncio
import resource
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from streamlimit.settings import LOOPBACK
from streamlimit.tally import Tally

if TYPE_CHECKING:
    from streamlimit.http.patience import Patience

DESCRIPTORS = 1_048_576
SWEEP_SECONDS = 1.0
AT_ONCE, PAUSE_SECONDS, ROUNDS = 3, 0.001, 4_000
"""Connections that are given up at once, the pause between two such batches, and the batches of one time-out.

Each takes 40 µs, so a batch of three delays no request; of more than 12,000 connections a batch is larger, so that all
are given up within some seconds.
"""


def nobody(_address: str) -> bool:
    """Trusts no address."""
    return False


class Connections:
    """The open connections of one worker, and how long each may still be waited for.

    *at_most*: open connections of one address (0: any number), except of loopback and of those *trusted*.
    *seconds*: for a head, a body, or any sign of a client that reads. Connections that it refuses or closes it counts
    in *tally*. Made before the workers are, and pickled. `by_address`: how many connections each address has; empty
    where they are not limited.
    """

    def __init__(
        self,
        at_most: int = 0,
        seconds: float = 10.0,
        trusted: Callable[[str], bool] = nobody,
        tally: Tally | None = None,
    ) -> None:
        self._at_most, self._seconds, self._trusted = at_most, seconds, trusted
        self.tally = tally or Tally()
        self.by_address: Counter[str] = Counter()
        self._waiting: dict[Patience, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def enter(self, address: str) -> bool:
        """Counts a connection of *address*; False: it has too many."""
        if self._at_most == 0 or not address:
            return True
        if self.by_address[address] >= self._at_most and not self._is_exempt(address):
            self.tally.turned_away += 1
            return False
        self.by_address[address] += 1
        return True

    def leave(self, address: str) -> None:
        """Counts a connection of *address* that is closed."""
        if self._at_most and address:
            self.by_address[address] -= 1
            if self.by_address[address] <= 0:
                del self.by_address[address]

    def _is_exempt(self, address: str) -> bool:
        return LOOPBACK.fullmatch(address) is not None or self._trusted(address)

    def await_client(self, connection: "Patience") -> None:
        """Gives the client `seconds` from now to go on."""
        self._waiting.pop(connection, None)
        self._waiting[connection] = connection.loop.time() + self._seconds
        if self._timer is None:
            self._timer = connection.loop.call_later(min(SWEEP_SECONDS, self._seconds), self._sweep, connection.loop)

    def forget(self, connection: "Patience") -> None:
        """Takes the connection out of the queue: nothing is expected of the client."""
        self._waiting.pop(connection, None)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        """Gives up connections whose time is over, the oldest first, a few at a time."""
        due = self._due(loop.time())
        pause = PAUSE_SECONDS if len(due) >= AT_ONCE else min(SWEEP_SECONDS, self._seconds)
        self._timer = loop.call_later(pause, self._sweep, loop)
        for connection in due:
            del self._waiting[connection]
            if connection.is_excused():
                self.await_client(connection)
            else:
                connection.give_up()
        if not self._waiting:
            self._timer.cancel()
            self._timer = None

    def _due(self, now: float) -> "list[Patience]":
        """The next batch of connections whose time is over at *now*."""
        due: list[Patience] = []
        at_most = max(AT_ONCE, len(self._waiting) // ROUNDS)
        for connection, until in self._waiting.items():
            if until > now or len(due) == at_most:
                break
            due.append(connection)
        return due


def raise_descriptors() -> None:
    """Raises the soft limit of open files to the hard one: a connection takes two."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
