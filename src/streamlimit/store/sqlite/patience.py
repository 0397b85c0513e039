"""Waiting for another process's lock without blocking: the event loop goes on, and a timer tries the step again.

Transactions take some 20 µs, and the connection itself tries for `connection.LOOP_SECONDS`. A lock that is held for
longer (by a process that the system put aside, a checkpoint, another program's backup) must not stop the loop.
"""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar, cast

from streamlimit.errors import StoreLocked
from streamlimit.store.contract import Answer, resolved
from streamlimit.store.sqlite.connection import LOCK_WAIT_SECONDS, LOOP_SECONDS

T = TypeVar("T")

RETRY_SECONDS = 0.003


class Patience:
    """How long tries go on: `LOCK_WAIT_SECONDS` from the first failed one; after that a locked file fails at once."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: float | None = None

    def next_try(self) -> float | None:
        """The seconds until the next try on a locked file; None: no more tries."""
        now = self._clock()
        if self._until is None:
            self._until = now + LOCK_WAIT_SECONDS
        return RETRY_SECONDS if now < self._until else None

    def over(self) -> None:
        """Called when a try succeeded."""
        self._until = None


def patiently(step: Callable[[], Answer[T]]) -> Answer[T]:
    """The answer of *step*, `Deferred` while another process holds the lock."""
    try:
        return step()
    except StoreLocked:
        return _again(step)


async def _again(step: Callable[[], Answer[T]]) -> T:
    patience = Patience()
    while True:
        try:
            answer = step()
        except StoreLocked:
            seconds = patience.next_try()
            if seconds is None:
                raise
            await asyncio.sleep(seconds)
        else:
            return await resolved(answer)


class Patient:
    """A proxy for *kept* whose calls wait for a lock without blocking the event loop; only `close` does not wait."""

    def __init__(self, kept: Any) -> None:
        self._kept = kept

    def __getattr__(self, name: str) -> Callable[..., Any]:
        promise = getattr(self._kept, name)

        def keep(*asked: Any, **more: Any) -> Any:
            return patiently(partial(promise, *asked, **more))

        setattr(self, name, keep)
        return keep

    def close(self) -> None:
        """Closes the part behind the proxy."""
        self._kept.close()


def patient(make: Callable[..., T], *how: Any) -> T:
    """What *make* opens in that way, behind a proxy for event loops: where another process holds the lock, no call
    blocks, and its answer comes later.
    """
    return cast(T, Patient(make(*how, patience_seconds=LOOP_SECONDS)))
