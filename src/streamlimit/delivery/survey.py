"""A survey of oddities of the streams in a folder, for the operator. It opens files, so it is not for a hot path.

Of each rendition the first and the last segment are opened; files directly in a stream's folder are checked for links
that lead out, and folders without a stream for streams further down.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from streamlimit.delivery.catalog import Catalog
from streamlimit.delivery.entry import playlists_in
from streamlimit.delivery.segment import Segment
from streamlimit.delivery.stream import Stream
from streamlimit.errors import UnknownSegment

MOST_NOTES = 10
"""Most notes on one stream."""


def survey(catalog: Catalog) -> Iterator[tuple[str, str]]:
    """The oddities as (stream or folder, text), also of streams that are served."""
    if playlists_in(str(catalog.folder)):
        yield ".", "a playlist right in the folder of streams belongs to no stream; a stream is a folder in it"
    for stream in catalog.streams():
        missing = [f"{path}, which a master playlist names, is not there" for path in catalog.missing(stream)]
        notes = [*stream.notes, *missing, *_files(catalog, stream), *_links_out(catalog, stream)]
        yield from ((stream.stream_id, note) for note in notes[:MOST_NOTES])
        if len(notes) > MOST_NOTES:
            yield stream.stream_id, f"and {len(notes) - MOST_NOTES} more like these"
    for name in catalog.others():
        below = _stream_below(catalog.folder / name)
        if below:
            yield name, f"holds no playlist, but {below} does: only folders right in the folder of streams are streams"


def _files(catalog: Catalog, stream: Stream) -> Iterator[str]:
    """The first and the last segment of each rendition, and the inits and keys."""
    for segments in stream.tracks.values():
        for segment in dict.fromkeys((segments[0], segments[-1])) if segments else ():
            why = _why_not(catalog, stream, segment.path, segment)
            if why:
                yield f"{segment.name}, a segment of {segment.rendition}, {why}"
    for path, what in stream.files.items():
        if what in ("init", "key") and (why := _why_not(catalog, stream, path)):
            yield f"{path}, the {what} of a rendition, {why}"


def _why_not(catalog: Catalog, stream: Stream, path: str, segment: Segment | None = None) -> str:
    """Why a file cannot be served; empty: it can."""
    try:
        with open(catalog.resolve(stream, path), "rb") as file:
            size = os.fstat(file.fileno()).st_size
    except (OSError, UnknownSegment):
        return catalog.absence(stream, path)
    if not size:
        return "is empty"
    is_short = segment is not None and segment.last is not None and segment.last >= size
    return f"lies beyond the file's {size} bytes" if is_short else ""


def _links_out(catalog: Catalog, stream: Stream) -> list[str]:
    folder = catalog.folder / stream.stream_id
    names = [item.name for item in os.scandir(folder) if item.is_symlink() and not item.name.startswith(".")]
    root = os.path.realpath(catalog.folder)
    out = sorted(name for name in names if not Path(os.path.realpath(folder / name)).is_relative_to(root))
    if not out:
        return []
    more = f" and {len(out) - 1} more" if len(out) > 1 else ""
    return [f"{out[0]}{more}: links that lead out of the folder of streams, and are not served"]


def _stream_below(folder: Path) -> str:
    """The first subfolder with a playlist, two levels down at most; empty: there is none."""
    for below in (*sorted(folder.glob("*/")), *sorted(folder.glob("*/*/"))):
        if not below.name.startswith(".") and playlists_in(str(below)):
            return f"{below.relative_to(folder.parent)}/"
    return ""
