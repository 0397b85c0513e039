"""The streams, and what is said of one that cannot be served."""

from pathlib import Path

import structlog

from streamlimit.delivery.catalog import Catalog
from streamlimit.settings import Settings

log = structlog.get_logger("streamlimit")


def open_catalog(settings: Settings) -> Catalog | None:
    """The streams, where any are set."""
    if settings.streams is None:
        return None
    return Catalog(Path(settings.streams), on_problem=_log_problem)


def _log_problem(stream_id: str, problem: str | None) -> None:
    if problem is None:
        log.info("stream_mended", stream_id=stream_id)
    else:
        log.warning("stream_broken", stream_id=stream_id, problem=problem)
