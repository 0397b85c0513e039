"""Listed segments whose files are missing, or end before them: Endpoint 1 skips them."""

from collections.abc import Iterator

from streamlimit.delivery.body import Body
from streamlimit.delivery.local import StreamFiles
from streamlimit.delivery.segment import LiveEdge, Segment
from streamlimit.delivery.stream import Stream
from streamlimit.errors import UnknownSegment
from streamlimit.web.problems import Problem

MOST_LEFT_OUT = 16
"""Segments in a row that are skipped where their files are missing; beyond that the caller gets an error."""

Chosen = Segment | LiveEdge | None
"""The segment that is next; where there is none, the live edge, or the end of the stream."""


def candidates(stream: Stream, chosen: Chosen) -> Iterator[Segment]:
    """The chosen segment and those after it, of which the first one with a file is issued."""
    for _ in range(MOST_LEFT_OUT + 1):
        if not isinstance(chosen, Segment):
            return
        yield chosen
        chosen = stream.after(chosen.sequence)


def behind_gap(stream: Stream, chosen: Chosen) -> LiveEdge | None:
    """The answer where none of the `candidates` is there: what comes behind the last one.

    Raises a problem that names the chosen one where too many are missing, or all of the stream.
    """
    behind = chosen
    for missing in candidates(stream, chosen):
        behind = stream.after(missing.sequence)
    if isinstance(chosen, Segment) and (isinstance(behind, Segment) or chosen == stream.after(None)):
        detail = f"the next segment, {chosen.name}, and those after it are not there; name a later one"
        raise Problem("unknown-segment", detail)
    return None if isinstance(behind, Segment) else behind


def first_there(files: StreamFiles, stream: Stream, chosen: Chosen) -> tuple[Segment, Body] | LiveEdge | None:
    """The first of the `candidates` whose file is there, else as `behind_gap`."""
    for segment in candidates(stream, chosen):
        try:
            return segment, files.open_segment(stream, segment)
        except UnknownSegment:
            continue
    return behind_gap(stream, chosen)
