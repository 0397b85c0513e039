"""Structured logs: one line of compact JSON a state change on standard error. Never a secret, a grant or an address."""

import logging
import time
from collections.abc import Callable, MutableMapping
from contextvars import ContextVar
from typing import Any, TextIO, cast

import msgspec
import structlog
from msgspec import UNSET, Struct, UnsetType

from streamlimit.document import rfc3339
from streamlimit.log_lines import log_lines
from streamlimit.model import Event

asking: ContextVar[Callable[[], str] | None] = ContextVar("asking", default=None)
"""Tells the id of the request that is being answered in this context; None in the background."""


def configure_logs() -> None:
    """Once per process. uvicorn's own lines come through the same door."""
    structlog.configure(
        processors=[
            _add_request_id,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(separators=(",", ":")),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, log_lines)),
        cache_logger_on_first_use=True,
    )
    server = logging.getLogger("uvicorn")
    server.handlers = [_Forwarder()]
    server.setLevel(logging.INFO)
    server.propagate = False


def _add_request_id(_log: object, _level: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    request = asking.get()
    if request is not None:
        line["request_id"] = request()
    return line


class _Forwarder(logging.Handler):
    """Hands the server's log records to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger("server")
        log.log(record.levelno, "server", message=record.getMessage(), exc_info=record.exc_info or None)


class _Line(Struct, omit_defaults=True):
    """One line, as structlog writes it."""

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


_encode = msgspec.json.Encoder().encode


def announce(event: Event) -> None:
    """One line for one state change. Written here, for structlog takes longer than deciding does."""
    session, request = event.session, asking.get()
    line = _Line(
        session.user_id,
        session.session_id,
        session.stream_id,
        session.generation,
        event.reason or None,
        event.by,
        event.type,
        rfc3339(time.time_ns() // 1_000_000),
        "info",
        UNSET if request is None else request(),
        session.plan or UNSET,
        UNSET if session.limit is None else session.limit,
        UNSET if event.live_sessions is None else event.live_sessions,
    )
    log_lines.add(_encode(line) + b"\n")


WHILE_AWAY = {
    "keep-known": "who sits goes on; new sessions are refused with 503",
    "admit-all": "who sits goes on; new sessions are admitted, also beyond the limit",
    "refuse-all": "everyone is refused with 503, also who sits",
}
"""What `on_store_outage` comes to."""


def announce_outage(on_outage: str, outage_seconds: float, away: bool, cause: str = "", problem: str = "") -> None:
    """Once when the store goes away, once when it is back; not per request. *cause* is in words, *problem* is not."""
    log = structlog.get_logger("streamlimit")
    if away:
        note = WHILE_AWAY[on_outage]
        if on_outage == "keep-known" and outage_seconds:
            note += f", but for {outage_seconds:g} s not those with a valid grant"
        log.error("store_away", cause=cause, problem=problem, note=note)
    else:
        log.warning("store_back")
