"""`streamlimit streams`: the streams that would be served, problems of others, and oddities."""

import sys
from typing import Any

from rich.text import Text

from streamlimit.bootstrap.streams import open_catalog
from streamlimit.cli.flags import Where
from streamlimit.cli.remote import Remote
from streamlimit.cli.tables import print_table, shown
from streamlimit.delivery.catalog import Catalog
from streamlimit.delivery.survey import survey
from streamlimit.errors import SettingsError
from streamlimit.settings import Settings

NAMES = ("stream_id", "title", "segments", "segment_seconds", "live", "entry")
COLUMNS = ("stream", "title", "segments", "seconds", "live", "entry")


def show(where: Where) -> None:
    """Lists the streams; problems go to standard error."""
    if isinstance(where, Remote):
        print_table(COLUMNS, [_row(stream) for stream in where.get("/v1/streams", None, "streams")["streams"]])
    else:
        _show_own(where)


def _show_own(settings: Settings) -> None:
    catalog = open_catalog(settings)
    if catalog is None:
        why = "an origin lists no streams; one is found when it is asked for" if settings.has_origin else "none are set"
        raise SettingsError("streams", why)
    print_table(COLUMNS, [_row({name: getattr(stream, name) for name in NAMES}) for stream in catalog.streams()])
    for trouble in troubles(catalog):
        print(trouble, file=sys.stderr)


def _row(stream: dict[str, Any]) -> tuple[str | Text, ...]:
    seconds = f"{stream['segment_seconds'] or 0:g}"
    cells = stream["stream_id"], stream["title"], str(stream["segments"]), seconds
    return *map(shown, cells), "yes" if stream["live"] else "no", shown(stream["entry"])


def troubles(catalog: Catalog) -> list[str]:
    """The problems of streams that cannot be served, or in part only, and oddities of the others."""
    lines = [f"{stream_id}: {problem}" for stream_id, problem in catalog.problems.items()]
    lines += [f"{stream_id}: note: {note}" for stream_id, note in survey(catalog)]
    return [shown(line).plain for line in lines]
