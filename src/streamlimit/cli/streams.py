"""`streamlimit streams`: what would be served, and what is wrong with others."""

import sys

from streamlimit.bootstrap.streams import open_catalog
from streamlimit.cli.tables import print_table, shown
from streamlimit.errors import SettingsError
from streamlimit.settings import Settings

COLUMNS = ("stream", "title", "segments", "seconds", "live", "entry")


def show(settings: Settings) -> None:
    """The streams as a table; the others on standard error."""
    catalog = open_catalog(settings)
    if catalog is None:
        raise SettingsError("streams", "no folder is set")
    rows = []
    for stream in catalog.streams():
        told = (stream.stream_id, stream.title, str(stream.segments), f"{stream.segment_seconds:g}")
        rows.append((*map(shown, told), "yes" if stream.live else "no", shown(stream.entry)))
    print_table(COLUMNS, rows)
    for stream_id, problem in catalog.problems.items():
        print(f"{stream_id}: {problem}", file=sys.stderr)
