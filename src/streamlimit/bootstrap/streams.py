"""The catalogs of streams, and the log of streams that cannot be served."""

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
    """The catalog of a folder; None: none is set."""
    if settings.streams is None or settings.has_origin:
        return None
    return Catalog(Path(settings.streams), on_problem=_log_problem)


def open_origin(settings: Settings) -> "OriginCatalog | None":
    """The catalog of an HTTP origin; None: none is set. Its client takes a while to import, so it is imported here."""
    if settings.streams is None or not settings.has_origin:
        return None
    from streamlimit.delivery.origin.address import Address
    from streamlimit.delivery.origin.catalog import OriginCatalog
    from streamlimit.delivery.origin.client import OriginClient

    client = OriginClient(Address.parse(settings.streams), settings.origin_wait)
    return OriginCatalog(client, settings.segment_seconds / 2, on_problem=_log_problem)


async def check_origin(settings: Settings) -> None:
    """Checks that the origin answers at all. Raises `SettingsError`."""
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
