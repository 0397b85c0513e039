"""A command that leaves nothing behind: all that it started ends with it, servers in sessions of their own, too."""

import ctypes
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


def adopt_orphans() -> None:
    """From now on each descendant whose parent ended is a child of this process, and all end where this process is
    terminated or its own parent ends. On Linux; elsewhere nothing."""
    if sys.platform == "linux":
        signal.signal(signal.SIGTERM, _end)
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _end(*_: object) -> None:
    end_children()
    os._exit(1)


def ran(
    command: Sequence[str], folder: Path, environment: Mapping[str, str], most_seconds: float
) -> tuple[int | None, str]:
    """The exit code and what was printed; None: it took too long, and was ended.

    For a process that adopts orphans and has no other children: all its children are ended.
    """
    with tempfile.TemporaryFile("w+") as said:  # no pipe: whoever is left behind would hold it open
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=said, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            code = process.wait(most_seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            code = None
        finally:
            end_children()
        said.seek(0)
        return code, said.read()


def end_children() -> None:
    """Ends the children of this process, and theirs, which it adopts by that, until there are none."""
    while children := _children():
        for child in children:
            os.kill(child, signal.SIGKILL)
        for child in children:
            os.waitpid(child, 0)


def _children() -> list[int]:
    lists = Path("/proc/self/task").glob("*/children")
    return [int(child) for children in lists for child in children.read_text().split()]
