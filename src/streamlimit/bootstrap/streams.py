"""The streams, and what is said of one that cannot be served."""

from pathlib import Path
from typing import TYPE_CHECKING

from streamlimit.delivery.catalog import Catalog
from streamlimit.errors import OriginFailed, SettingsError
from streamlimit.logs import EventLog
from streamlimit.settings import Settings

if TYPE_CHECKING:
    from streamlimit.delivery.origin.catalog import OriginCatalog

log = EventLog("streamlimit")


def open_catalog(settings: Settings) -> Catalog | None:
    """The streams of a folder, where one is set."""
    if settings.streams is None or settings.has_origin:
        return None
    return Catalog(Path(settings.streams), on_problem=_log_problem)


def open_origin(settings: Settings) -> "OriginCatalog | None":
    """The streams of an HTTP origin, where one is set. Nothing else needs its client, which takes a while to import."""
    if settings.streams is None or not settings.has_origin:
        return None
    from streamlimit.delivery.origin.address import Address
    from streamlimit.delivery.origin.catalog import OriginCatalog
    from streamlimit.delivery.origin.client import OriginClient

    client = OriginClient(Address.parse(settings.streams), settings.origin_wait)
    return OriginCatalog(client, settings.segment_seconds / 2, on_problem=_log_problem)


async def check_origin(settings: Settings) -> None:
    """Whether the origin answers anything at all. Raises `SettingsError`."""
    origin = open_origin(settings)
    assert origin is not None
    try:
        reply = await origin.client.open(settings.streams or "", {}, "HEAD")
        await reply.close()
    except OriginFailed as problem:
        raise SettingsError("streams", str(problem)) from problem
    finally:
        await origin.close()


def _log_problem(stream_id: str, problem: str | None) -> None:
    if problem is None:
        log.info("stream_mended", stream_id=stream_id)
    else:
        log.warning("stream_broken", stream_id=stream_id, problem=problem)
