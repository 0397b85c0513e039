"""`streamlimit streams`: what would be served, and what is wrong with others, or odd about these."""

import sys

from streamlimit.bootstrap.streams import open_catalog
from streamlimit.cli.tables import print_table, shown
from streamlimit.delivery.catalog import Catalog
from streamlimit.delivery.survey import survey
from streamlimit.errors import SettingsError
from streamlimit.settings import Settings

COLUMNS = ("stream", "title", "segments", "seconds", "live", "entry")


def show(settings: Settings) -> None:
    """The streams as a table; troubles on standard error."""
    catalog = open_catalog(settings)
    if catalog is None:
        why = "an origin lists no streams; one is found when it is asked for" if settings.has_origin else "none are set"
        raise SettingsError("streams", why)
    rows = []
    for stream in catalog.streams():
        told = (stream.stream_id, stream.title, str(stream.segments), f"{stream.segment_seconds:g}")
        rows.append((*map(shown, told), "yes" if stream.live else "no", shown(stream.entry)))
    print_table(COLUMNS, rows)
    for trouble in troubles(catalog):
        print(trouble, file=sys.stderr)


def troubles(catalog: Catalog) -> list[str]:
    """Why streams, or parts of them, cannot be served, and what was odd about the others."""
    told = [f"{stream_id}: {problem}" for stream_id, problem in catalog.problems.items()]
    told += [f"{stream_id}: note: {note}" for stream_id, note in survey(catalog)]
    return [shown(line).plain for line in told]
