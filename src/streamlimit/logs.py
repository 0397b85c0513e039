"""Structured logs: one JSON line a state change on standard error. Never a secret, a grant or an address."""

import logging
import sys
from collections.abc import Callable, MutableMapping
from contextvars import ContextVar
from typing import Any

import structlog

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
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
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


def announce(event: Event) -> None:
    """One line for one state change."""
    session = event.session
    structlog.get_logger("streamlimit").info(
        event.type,
        user_id=session.user_id,
        session_id=session.session_id,
        stream_id=session.stream_id,
        generation=session.generation,
        reason=event.reason or None,
        by=event.by,
    )


def announce_outage(away: bool) -> None:
    """Once when the store goes away, once when it is back; not per request."""
    log = structlog.get_logger("streamlimit")
    if away:
        log.error("store_away", note="who sits goes on; new sessions are refused with 503")
    else:
        log.warning("store_back")
