"""Structured logs: one line of compact JSON a state change on standard error. Never a secret, a grant or an address.

The lines of one iteration of the event loop are written together at its end: a system call for each took 5 of the 40 µs
that a new session costs. Other output (an error, a warning) is written at once, behind the lines before it.
"""

import asyncio
import atexit
import json
import logging
import sys
import time
from collections.abc import Callable
from contextvars import Context, ContextVar
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from streamlimit.document import MILLISECONDS, rfc3339, to_the_second
from streamlimit.model import Ask, Event, Refusal

PIPE_BYTES = 4_096
"""Most bytes of one write: so many go into a pipe atomically, also where several workers share it (PIPE_BUF)."""

asking: ContextVar[Callable[[], str] | None] = ContextVar("asking", default=None)
"""Returns the id of the request that is answered in this context; None in the background."""


class LogLines:
    """The buffered lines, with a text file's interface."""

    def __init__(self) -> None:
        self._lines: list[bytes] = []
        self._bytes = 0
        self._begun = ""
        self._loop: asyncio.AbstractEventLoop | None = None  # will write them

    def add(self, line: bytes) -> None:
        """Adds *line*, with its newline, to be written at the end of this iteration; at once where no loop runs."""
        self._bytes += len(line)
        if self._bytes > PIPE_BYTES:
            self._write_lines()
            self._bytes = len(line)
        self._lines.append(line)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._write_lines()
            return
        if loop is not self._loop:
            self._loop = loop
            loop.call_soon(self._end_of_iteration)

    def write(self, text: str) -> int:
        """Writes *text* at once, behind earlier lines; an incomplete line is held until its end.

        `print` writes the newline separately; without a buffer (`PYTHONUNBUFFERED`) another worker's line could come
        between.
        """
        self._begun += text
        if text.endswith("\n"):
            self._write_all()
        return len(text)

    def flush(self) -> None:
        """Writes all added lines."""
        self._write_all()
        sys.stderr.flush()

    def _write_all(self) -> None:
        self._write_lines()
        begun, self._begun = self._begun, ""
        if begun:
            sys.stderr.write(begun)

    def _end_of_iteration(self) -> None:
        self._loop = None
        self._write_lines()

    def _write_lines(self) -> None:
        lines, self._lines, self._bytes = self._lines, [], 0
        if lines:
            sys.stderr.write(b"".join(lines).decode())


log_lines = LogLines()
"""The lines of this process."""

atexit.register(log_lines.flush)  # a loop that something stopped has no next iteration


class EventLog:
    """A logger whose records are an event's name and fields; `exc_info` is Python's own argument, not a field."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def debug(self, event: str, **fields: Any) -> None:
        self._record(logging.DEBUG, event, fields)

    def info(self, event: str, **fields: Any) -> None:
        self._record(logging.INFO, event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        self._record(logging.WARNING, event, fields)

    def error(self, event: str, **fields: Any) -> None:
        self._record(logging.ERROR, event, fields)

    def _record(self, level: int, event: str, fields: dict[str, Any]) -> None:
        if self._logger.isEnabledFor(level):
            cause = fields.pop("exc_info", None)
            self._logger.log(level, event, exc_info=cause, extra={"fields": fields})


def configure_logs() -> None:
    """Configures logging of this process, including uvicorn's; called once."""
    for name in ("streamlimit", "uvicorn"):
        logger = logging.getLogger(name)
        logger.handlers = [_Lines()]
        logger.setLevel(logging.INFO)
        logger.propagate = False


class _Lines(logging.Handler):
    """Writes each record as one line of JSON, at once."""

    def emit(self, record: logging.LogRecord) -> None:
        line = _fields(record)
        request = asking.get()
        if request is not None:
            line["request_id"] = request()
        line["level"] = record.levelname.lower()
        line["timestamp"] = rfc3339(int(record.created * 1_000))
        if record.exc_info:
            line["exception"] = _formatter.formatException(record.exc_info)
        log_lines.write(json.dumps(line, separators=(",", ":"), default=repr) + "\n")
        log_lines.flush()


_formatter = logging.Formatter()


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    """The fields of a record: an event's own, or those of a line of another library."""
    fields: dict[str, Any] | None = getattr(record, "fields", None)
    if fields is None:
        return {"message": record.getMessage(), "event": "server"}
    return fields | {"event": record.msg}


class _Line(Struct, omit_defaults=True):
    """A line of the log, in the order of its fields."""

    user_id: str
    session_id: str
    stream_id: str
    generation: int
    reason: str | None
    by: str | None
    event: str
    timestamp: str
    level: str | UnsetType = UNSET
    request_id: str | UnsetType = UNSET
    plan: str | UnsetType = UNSET
    limit: int | UnsetType = UNSET
    live_sessions: int | UnsetType = UNSET


class _RefusedLine(Struct):
    """A line for an error answer, in the order of its fields; session and user where it is about one."""

    code: str
    status: int
    method: str
    route: str | None
    user_id: str | UnsetType
    session_id: str | UnsetType
    stream_id: str | UnsetType
    plan: str | UnsetType | None
    limit: int | UnsetType
    live_sessions: int | UnsetType
    event: str
    request_id: str | UnsetType
    level: str
    timestamp: str


About = tuple[Ask, Refusal]
"""The question of a refused request, and the refusal."""

_ABOUT_NOBODY = (UNSET,) * 6
_encode = msgspec.json.Encoder().encode


def announce(event: Event) -> None:
    """Logs a state change, without Python's logging, which takes longer than a decision."""
    session, request, now_ms = event.session, asking.get(), time.time_ns() // 1_000_000
    line = _Line(
        session.user_id,
        session.session_id,
        session.stream_id,
        session.generation,
        event.reason or None,
        event.by,
        event.type,
        to_the_second(now_ms // 1_000) + MILLISECONDS[now_ms % 1_000],  # as `rfc3339`
        "info",
        UNSET if request is None else request(),
        session.plan or UNSET,
        UNSET if session.limit is None else session.limit,
        UNSET if event.live_sessions is None else event.live_sessions,
    )
    log_lines.add(_encode(line) + b"\n")


def tell_refused(code: str, status: int, method: str, route: str | None, about: About | None) -> None:
    """Logs an error answer, without Python's logging, as `announce`. *route*: the call's name, never a path."""
    request, whose = asking.get(), _ABOUT_NOBODY
    if about is not None:
        ask, refusal = about
        whose = ask.user_id, ask.session_id, ask.stream_id, ask.plan, refusal.limit, refusal.live  # type: ignore[assignment]
    line = _RefusedLine(
        code,
        status,
        method,
        route,
        *whose,
        "refused",
        UNSET if request is None else request(),
        "info",
        rfc3339(time.time_ns() // 1_000_000),
    )
    log_lines.add(_encode(line) + b"\n")


WHILE_AWAY = {
    "keep-known": "who holds a seat goes on; new sessions are refused with 503",
    "admit-all": "who holds a seat goes on; new sessions are admitted, also beyond the limit",
    "refuse-all": "everyone is refused with 503, also who holds a seat",
}
"""The behaviour of each `on_store_outage`, in words."""


def announce_outage(
    on_outage: str, outage_seconds: float, is_unavailable: bool, cause: str = "", problem: str = ""
) -> None:
    """Logs the beginning and the end of an outage of the store. *cause*: in words; *problem*: the error's text.

    An outage is no single request's, and the store's connection lives in the context of the request that opened it, so
    the lines are written in an empty context: without a request's id.
    """
    log = EventLog("streamlimit")
    if is_unavailable:
        note = WHILE_AWAY[on_outage]
        if on_outage == "keep-known" and outage_seconds:
            note += f", but for {outage_seconds:g} s not those with a valid grant"
        Context().run(log.error, "store_away", cause=cause, problem=problem, note=note)
    else:
        Context().run(log.warning, "store_back")
