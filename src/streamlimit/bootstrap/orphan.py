"""A worker whose parent is gone stops, too: no supervisor would replace it, and the port would stay taken."""

import asyncio
import os
import signal
from multiprocessing import parent_process

from streamlimit.logs import EventLog

log = EventLog("streamlimit")


def end_with_parent() -> None:
    """Ends this process with its parent, from now on; running segments still get `drain_seconds`.

    A process that has no parent of ours is left alone.

    The pipe by which the parent started this process ends with the parent, however that dies.
    """
    parent = parent_process()
    if parent is not None:
        asyncio.get_running_loop().add_reader(parent.sentinel, _end, parent.sentinel)


def _end(sentinel: int) -> None:
    asyncio.get_running_loop().remove_reader(sentinel)
    log.error("parent_gone", note="this worker stops; its parent was killed")
    os.kill(os.getpid(), signal.SIGTERM)
