"""The stop of a worker whose parent has died: no supervisor would replace it, and it would keep the port."""

import asyncio
import os
import signal
from multiprocessing import parent_process

from streamlimit.logs import EventLog

log = EventLog("streamlimit")


def end_with_parent() -> None:
    """Has this process stop when its parent dies; running segments still get `drain_seconds`.

    It is noticed by the pipe from the parent, which is closed however that dies. A process that was not started by a
    supervisor is left alone.
    """
    parent = parent_process()
    if parent is not None:
        asyncio.get_running_loop().add_reader(parent.sentinel, _end, parent.sentinel)


def _end(sentinel: int) -> None:
    asyncio.get_running_loop().remove_reader(sentinel)
    log.error("parent_gone", note="this worker stops; its parent was killed")
    os.kill(os.getpid(), signal.SIGTERM)
