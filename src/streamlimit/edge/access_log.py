"""`edge_log`: access-log lines of an edge as reports: JSON, one a datagram, or one a line of a file that is followed.

A syslog header may stand before. The names are those of nginx's variables (deploy/nginx-*.conf), which HAProxy's and
Envoy's formats use, too; Caddy's and Traefik's own are in log_names.py. A line that says nothing of media is passed
over: an edge logs whatever it was asked for.
"""

import asyncio
import contextlib
import errno
import fcntl
import math
import os
import socket
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import msgspec

from streamlimit.edge.followed_file import FollowedFile
from streamlimit.edge.log_names import in_our_names
from streamlimit.edge.reported import DELIVERED, Report, Reported, in_order, latest
from streamlimit.errors import StreamlimitError
from streamlimit.logs import EventLog
from streamlimit.tally import Tally

WAITING = 10_000
"""Reports that may wait for the store; of more the oldest are dropped, and counted."""
BUFFER = 4 * 1024 * 1024
"""Bytes of the socket's buffer: nginx drops what does not fit."""
RETRY_SECONDS = 1.0
"""How often a worker tries to be the one that listens."""
GATHER_SECONDS = 0.1
"""How long lines are gathered: of a session's segments in that time the newest one is counted, for all of them."""
FILE = "file:"
POLL_SECONDS = 0.25
"""How often a file is looked at."""

NUMBERS = str, int, float
"""What a number comes as; written out at each look it is a new union each time."""

log = EventLog("streamlimit.edge")


def report_in(line: bytes) -> Report | None:
    """The report in a line of the log; None: it tells of no delivery.

    A `HEAD` sends no media, whatever else the line says.
    """
    fields = _fields(line)
    path = fields.get("request_uri")
    if not isinstance(path, str) or not path.startswith("/") or fields.get("request_method", "GET") != "GET":
        return None
    status, sent = _whole(fields.get("status")), _whole(fields.get("body_bytes_sent"))
    at = _number(fields.get("msec"))
    grant = fields.get("grant")
    named = grant if isinstance(grant, str) and grant not in ("", "-") else None
    return Report(path, _is_complete(fields, status, sent), named, None if at is None else at * 1_000, status, sent)


def _fields(line: bytes) -> dict[str, Any]:
    begin = line.find(b"{")
    try:
        found = msgspec.json.decode(line[begin:]) if begin >= 0 else None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}
    return in_our_names(found) if isinstance(found, dict) else {}


def _is_complete(fields: dict[str, Any], status: int | None, sent: int | None) -> bool:
    """All of it went out, and no less than was announced. HAProxy and Envoy say so by a termination state of `-`."""
    if "termination_state" in fields:
        done = str(fields["termination_state"]).startswith("-")
    else:
        done = fields.get("request_completion") == "OK"
    announced = _whole(fields.get("sent_http_content_length"))
    if done and status in DELIVERED and announced is not None and sent is not None:
        return sent >= announced
    return done


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, NUMBERS):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def _whole(value: Any) -> int | None:
    number = _number(value)
    return int(number) if number is not None and 0 <= number < 1e15 else None


class AccessLog:
    """Listens at *where*: `unix:<path>`, `udp://host:port` or `file:<path>`; of several workers one does."""

    def __init__(self, where: str, reported: Reported, tally: Tally) -> None:
        self._where, self._reported, self._tally = where, reported, tally
        self._waiting: asyncio.Queue[Report] = asyncio.Queue()

    async def listen_forever(self) -> None:
        """Ends only by being cancelled."""
        if self._where.startswith(FILE):
            await self._follow_forever(FollowedFile(self._where.removeprefix(FILE)))
        with await self._opened() as line:
            loop = asyncio.get_running_loop()
            transport, _ = await loop.create_datagram_endpoint(lambda: _Lines(self._took), sock=line)
            try:
                while True:
                    first = await self._waiting.get()
                    await asyncio.sleep(GATHER_SECONDS)
                    await self._note_batch(first)
            finally:
                transport.close()

    async def _follow_forever(self, file: FollowedFile) -> None:
        try:
            while True:
                for line in file.new_lines():
                    self._took(line)
                while not self._waiting.empty():
                    await self._note_batch(self._waiting.get_nowait())
                await asyncio.sleep(POLL_SECONDS)
        finally:
            file.close()

    async def _note_batch(self, first: Report) -> None:
        more = [self._waiting.get_nowait() for _ in range(self._waiting.qsize())]
        await in_order(latest([first, *more]), self._note)

    async def _opened(self) -> socket.socket:
        while True:
            line = bound(self._where)
            if line is not None:
                return line
            await asyncio.sleep(RETRY_SECONDS)

    def _took(self, line: bytes) -> None:
        report = report_in(line)
        if report is None:
            return
        if self._waiting.qsize() >= WAITING:
            self._waiting.get_nowait()
            self._tally.edge_lines_dropped += 1
        self._waiting.put_nowait(report)

    async def _note(self, report: Report) -> None:
        """A report that cannot be counted now is lost: the next segment's is as good."""
        try:
            await self._reported.note(report)
        except StreamlimitError as error:
            self._tally.edge_lines_dropped += 1
            log.debug("edge_line_lost", problem=str(error))


class _Lines(asyncio.DatagramProtocol):
    def __init__(self, took: Callable[[bytes], None]) -> None:
        self._took = took

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._took(data)


def bound(where: str) -> socket.socket | None:
    """The socket, or None: another worker has it. Raises `OSError` for what does not go by itself."""
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
    """A socket bound to *path*: the holder of the lock beside it replaces what an earlier process left there."""
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
        os.chmod(path, 0o666)  # nginx's workers write to it under another name than ours
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
