"""`edge_log`: access-log lines of an edge as reports: JSON, one a datagram, or one a line of a file that is followed.

A syslog header may precede a line. The names are those of nginx's variables (deploy/nginx-*.conf), which HAProxy's and
Envoy's formats use, too; Caddy's and Traefik's own are in log_names.py. Lines about other requests than for media are
ignored.
"""

import asyncio
import math
import socket
import time
from typing import Any

import msgspec

from streamlimit.edge.datagrams import Datagrams, bound
from streamlimit.edge.followed_file import FollowedFile
from streamlimit.edge.gathered import Gathered
from streamlimit.edge.log_names import in_our_names
from streamlimit.edge.original import without_origin
from streamlimit.edge.reported import DELIVERED, Report, Reported, in_order, latest
from streamlimit.errors import StreamlimitError
from streamlimit.logs import EventLog
from streamlimit.tally import Tally

RETRY_SECONDS = 1.0
"""How often a worker tries to become the listener."""
GATHER_SECONDS = 0.1
"""How long lines are collected: of a session's segments in that time only the newest one is counted."""
AGAIN_SECONDS, AGAIN_SHARE = 3.0, 8
"""The least time between two counted lines of a rendition: 3 s, as in nginx's scripts, and X/8."""
FILE = "file:"
POLL_SECONDS = 0.25
"""How often a file is checked for new lines."""

NUMBERS = str, int, float
"""The types of a number in a line; a constant, since a union written in place is made anew each time."""

log = EventLog("streamlimit.edge")


def report_in(line: bytes) -> Report | None:
    """The report in a line of the log; None: it is about no delivery.

    A `HEAD` sends no media, whatever else the line says.
    """
    fields = _fields(line)
    uri = fields.get("request_uri")
    path = without_origin(uri) if isinstance(uri, str) else ""
    if not path.startswith("/") or fields.get("request_method", "GET") != "GET":
        return None
    status, sent = _whole(fields.get("status")), _whole(fields.get("body_bytes_sent"))
    at = _number(fields.get("msec"))
    grant = fields.get("grant")
    named = grant if isinstance(grant, str) and grant not in ("", "-") else None
    return Report(path, _is_complete(fields, status, sent), named, None if at is None else at * 1_000, status, sent)


def _fields(line: bytes) -> dict[str, Any]:
    begin = line.find(b"{")
    try:
        found = _decoded(line[begin:]) if begin >= 0 else None
    except (msgspec.MsgspecError, RecursionError):
        return {}
    return in_our_names(found) if isinstance(found, dict) else {}


def _decoded(text: bytes) -> Any:
    """The document in *text*. nginx writes bytes of a viewer's query as they are, UTF-8 or not."""
    try:
        return msgspec.json.decode(text)
    except UnicodeDecodeError:
        return msgspec.json.decode(text.decode(errors="replace"))


def _is_complete(fields: dict[str, Any], status: int | None, sent: int | None) -> bool:
    """Was the whole answer sent, as announced? HAProxy and Envoy report that by a termination state of `-`."""
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
    """Listens at *where*: `unix:<path>`, `udp://host:port` or `file:<path>`; of several workers one does.

    *segment_seconds*: X.
    """

    def __init__(self, where: str, segment_seconds: float, reported: Reported, tally: Tally) -> None:
        self._where, self._reported, self._tally = where, reported, tally
        self._gathered = Gathered(min(AGAIN_SECONDS, segment_seconds / AGAIN_SHARE))
        self._some = asyncio.Event()

    async def listen_forever(self) -> None:
        """Counts lines until cancelled."""
        if self._where.startswith(FILE):
            await self._follow_forever(FollowedFile(self._where.removeprefix(FILE)))
        with await self._opened() as line:
            datagrams = Datagrams(line, self._took)
            try:
                while True:
                    await self._some.wait()
                    await asyncio.sleep(GATHER_SECONDS)
                    await self._note_due(time.monotonic())
            finally:
                datagrams.close()
                await self._note_due(math.inf)

    async def _follow_forever(self, file: FollowedFile) -> None:
        try:
            while True:
                self._took(file.new_lines())
                await self._note_due(time.monotonic())
                await asyncio.sleep(POLL_SECONDS)
        finally:
            file.close()
            await self._note_due(math.inf)

    async def _opened(self) -> socket.socket:
        while True:
            line = bound(self._where)
            if line is not None:
                return line
            await asyncio.sleep(RETRY_SECONDS)

    def _took(self, lines: list[bytes]) -> None:
        self._gathered.add(lines, time.monotonic())
        self._some.set()

    async def _note_due(self, now: float) -> None:
        lines = self._gathered.take(now)
        if not self._gathered:
            self._some.clear()
        self._tally.edge_lines_dropped += self._gathered.dropped()
        reports = [report for report in map(report_in, lines) if report is not None]
        await in_order(latest(reports), self._note)

    async def _note(self, report: Report) -> None:
        """Counts a report; one that cannot be counted now is dropped, for the next segment's has the same effect."""
        try:
            await self._reported.note(report)
        except StreamlimitError as error:
            self._tally.edge_lines_dropped += 1
            log.debug("edge_line_lost", problem=str(error))
