"""The listener to SQLite's checkpoints: counts them, and logs when they begin to fail and when that is over."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from streamlimit.logs import EventLog
from streamlimit.tally import Tally

if TYPE_CHECKING:
    from streamlimit.store.sqlite.checkpoint import Checkpoint

log = EventLog("streamlimit")


def checkpoints(tally: Tally | None) -> "Callable[[Checkpoint], None]":
    """The listener that a store calls after each checkpoint, in a thread.

    Without a *tally* (a command's own store) it does nothing.
    """
    if tally is None:
        return lambda checkpoint: None
    loop, counted = asyncio.get_running_loop(), Checkpoints(tally)

    def notify(checkpoint: "Checkpoint") -> None:
        if not loop.is_closed():  # a worker that stops waits for the thread
            loop.call_soon_threadsafe(counted.count, checkpoint)

    return notify


class Checkpoints:
    """The checkpoints of one worker, counted in *tally*."""

    def __init__(self, tally: Tally) -> None:
        self._tally, self._fails = tally, False

    def count(self, checkpoint: "Checkpoint") -> None:
        """Counts a checkpoint, made or failed."""
        self._tally.log_bytes = checkpoint.log_bytes
        fails = checkpoint.problem is not None
        self._tally.checkpoints_failed += fails
        if fails and not self._fails:
            log.warning("checkpoint_failed", problem=checkpoint.problem, log_bytes=checkpoint.log_bytes)
        elif self._fails and not fails:
            log.info("checkpoint_mended", log_bytes=checkpoint.log_bytes)
        self._fails = fails
