"""A datagram socket, bound by one of several workers, and read in batches. Knows no content of datagrams."""

import asyncio
import contextlib
import errno
import fcntl
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

BUFFER = 4 * 1024 * 1024
"""Bytes of the socket's buffer: nginx drops datagrams that do not fit."""
LONGEST = 65_536
AT_ONCE = 512
"""Datagrams that are read before the event loop goes on."""
BUSY_SECONDS, PAUSE_SECONDS = 0.002, 0.005
"""A socket that is ready again within the first time is read after a pause (the second), without a wake-up each time.
"""
ROOM = 256
"""Datagrams that a Unix socket's queue must hold for that pause."""
QUEUE = Path("/proc/sys/net/unix/max_dgram_qlen")


class Datagrams:
    """Passes the datagrams of *line* to *took*, in their order, until it is closed."""

    def __init__(self, line: socket.socket, took: Callable[[list[bytes]], None]) -> None:
        line.setblocking(False)
        self._line, self._took, self._may_pause = line, took, _has_room(line)
        self._loop, self._last = asyncio.get_running_loop(), 0.0
        self._pause: asyncio.TimerHandle | None = None
        self._loop.add_reader(line, self._on_ready)

    def close(self) -> None:
        """Reads the waiting datagrams, then stops. The socket stays open."""
        self._read()
        self._loop.remove_reader(self._line)
        if self._pause is not None:
            self._pause.cancel()

    def _on_ready(self) -> None:
        self._read()
        before, self._last = self._last, self._loop.time()
        if self._may_pause and self._last - before < BUSY_SECONDS:
            self._loop.remove_reader(self._line)
            self._pause = self._loop.call_later(PAUSE_SECONDS, self._after_pause)

    def _after_pause(self) -> None:
        if self._read():
            self._pause = self._loop.call_later(PAUSE_SECONDS, self._after_pause)
        else:
            self._pause = None
            self._loop.add_reader(self._line, self._on_ready)

    def _read(self) -> bool:
        """Reads a batch of datagrams. Were there any?"""
        receive, found = self._line.recv, list[bytes]()
        with contextlib.suppress(BlockingIOError):
            while len(found) < AT_ONCE:
                found.append(receive(LONGEST))
        if found:
            self._took(found)
        return bool(found)


def _has_room(line: socket.socket) -> bool:
    """Has a Unix socket's queue room for the pause? It is counted in datagrams: 512 under systemd, 10 by default."""
    if line.family != socket.AF_UNIX:
        return True
    try:
        return int(QUEUE.read_text()) >= ROOM
    except (OSError, ValueError):
        return False


def bound(where: str) -> socket.socket | None:
    """The socket bound to *where*; None: another worker has it. Raises `OSError` for other errors."""
    if where.startswith("unix:"):
        return _bound_to_path(where.removeprefix("unix:"))
    url = urlsplit(where)
    address = (url.hostname or "", url.port or 0)
    line = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET, socket.SOCK_DGRAM)
    with _closed_on_error(line):
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        try:
            line.bind(address)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            line.close()
            return None
    return line


def _bound_to_path(path: str) -> socket.socket | None:
    """A socket bound to *path* by the holder of the lock beside it, who replaces one of an ended process."""
    lock = os.open(path + ".lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    line = _Locked(lock)
    with _closed_on_error(line):
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        line.bind(path)
        os.chmod(path, 0o666)  # nginx's workers write to it as another user
    return line


class _Locked(socket.socket):
    """A Unix socket that keeps its lock as long as it is open."""

    def __init__(self, lock: int) -> None:
        super().__init__(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._lock = lock

    def close(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
        super().close()


@contextlib.contextmanager
def _closed_on_error(line: socket.socket) -> Iterator[None]:
    try:
        yield
    except BaseException:
        line.close()
        raise
