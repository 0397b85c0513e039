"""Starts `streamlimit` commands by forking a process that has imported them: a start takes a tenth of its time.

The real command with the real entry point, in a process, session, folder and environment of its own; but Python and
what it imports are loaded once for each of xdist's workers, not for each start. A worker that the service itself
starts (`workers` above 1) imports all by itself, as always. Under a wrapper, with other variables for Python, or
where there is no fork that can be waited for (macOS), Python starts anew.
"""

import array
import gc
import json
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO, Any, Protocol

ROOT = Path(__file__).parent.parent
PRELOADED = [
    "streamlimit.cli.serving",
    "streamlimit.web.control_plane",
    "streamlimit.store.sqlite",
    "streamlimit.store.valkey",
    "streamlimit.webhooks.dispatcher",
]
CAN_FORK = hasattr(os, "pidfd_open")


def _for_python(env: Mapping[str, str]) -> dict[str, str]:
    """What Python reads at its own start."""
    return {name: value for name, value in env.items() if name.startswith("PYTHON")}


OURS = _for_python(os.environ)


class Process(Protocol):
    """What tests use of a `subprocess.Popen`."""

    @property
    def pid(self) -> int: ...

    @property
    def returncode(self) -> int | Any: ...

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...

    def send_signal(self, number: int, /) -> None: ...


class Forked:
    """A process that the launcher forked, and that it waits for: its pid comes first, its exit code when it ends."""

    returncode: int | None = None

    def __init__(self, told: socket.socket) -> None:
        self._told = told
        self.pid = int(told.recv(64))

    def poll(self) -> int | None:
        return self._hear(0)

    def wait(self, timeout: float | None = None) -> int:
        code = self._hear(timeout)
        if code is None:
            raise subprocess.TimeoutExpired("streamlimit", timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def _hear(self, timeout: float | None) -> int | None:
        if self.returncode is None:
            self._told.settimeout(timeout)
            try:
                self.returncode = int(self._told.recv(64))
                self._told.close()
            except (BlockingIOError, TimeoutError):
                return None
        return self.returncode


def start(
    arguments: Sequence[str],
    cwd: Path,
    env: Mapping[str, str],
    out: IO[bytes],
    err: IO[bytes],
    wrapper: Sequence[str] = (),
) -> Process:
    """`streamlimit` with *arguments*, leader of a session of its own; *wrapper* comes before it on the command line."""
    if wrapper or not CAN_FORK or _for_python(env) != OURS:
        command = [*wrapper, sys.executable, "-m", "streamlimit.cli", *arguments]
        return subprocess.Popen(command, cwd=cwd, env=env, stdout=out, stderr=err, start_new_session=True)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        fds = array.array("i", [out.fileno(), err.fileno(), theirs.fileno()])
        asked = json.dumps([list(arguments), str(cwd), dict(env)]).encode()
        _launcher()[0].sendmsg([asked], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
    return Forked(ours)


def run(arguments: Sequence[str], cwd: Path, env: Mapping[str, str] = os.environ) -> tuple[int, str, str]:
    """Exit code, standard output and error of a command that ends."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = start(arguments, cwd, env, out, err)
        try:
            code = process.wait(60)
        finally:
            process.send_signal(signal.SIGKILL)
        return code, _written(out), _written(err)


def _written(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


@cache
def _launcher() -> "tuple[socket.socket, subprocess.Popen[bytes]]":
    """Ends with this process, at the latest."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    with theirs:
        command = [sys.executable, "-m", "tests.launcher", str(theirs.fileno())]
        env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")} | OURS
        process = subprocess.Popen(
            command, cwd=ROOT, env=env, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, start_new_session=True
        )
    return ours, process


# In the launcher's own process


def serve(control: socket.socket) -> list[str]:
    """Forks for each request, and tells of each end. Returns in the forked process, with its arguments."""
    children = selectors.DefaultSelector()
    children.register(control, selectors.EVENT_READ)
    while True:
        for key, _ in children.select():
            if key.data is not None:
                children.unregister(key.fd)
                _tell_end(key.fd, *key.data)
                continue
            asked, fds, *_ = socket.recv_fds(control, 1 << 20, 3)
            if not asked:
                sys.exit()  # who asked is gone
            told = socket.socket(fileno=fds[2])
            pid = os.fork()
            if not pid:
                children.close()
                control.close()
                return _become(told, fds[:2], *json.loads(asked))
            os.close(fds[0])
            os.close(fds[1])
            children.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, told))


def _tell_end(pidfd: int, pid: int, told: socket.socket) -> None:
    os.close(pidfd)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with told:
        try:
            told.send(str(code).encode())
        except BrokenPipeError:
            pass  # nobody wants to know


def _become(
    told: socket.socket, outputs: Sequence[int], arguments: list[str], cwd: str, env: dict[str, str]
) -> list[str]:
    os.setsid()
    with told:
        told.send(str(os.getpid()).encode())
    for place, output in enumerate(outputs, 1):
        os.dup2(output, place)
        os.close(output)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    return arguments


if __name__ == "__main__":
    for name in PRELOADED:
        __import__(name)
    gc.collect()
    gc.freeze()
    sys.argv[1:] = serve(socket.socket(fileno=int(sys.argv[1])))
    runpy.run_module("streamlimit.cli", run_name="__main__", alter_sys=True)
