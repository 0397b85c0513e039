"""Segments that a playlist lists and that are not there: Endpoint 1 leaves them out."""

from streamlimit.delivery.body import Body
from streamlimit.delivery.local import StreamFiles
from streamlimit.delivery.segment import LiveEdge, Segment
from streamlimit.delivery.stream import Stream
from streamlimit.errors import UnknownSegment
from streamlimit.web.problems import Problem

MOST_LEFT_OUT = 16
"""Segments in a row that are skipped where their files are missing; beyond that the caller gets an error."""


def first_there(
    files: StreamFiles, stream: Stream, chosen: Segment | LiveEdge | None
) -> tuple[Segment, Body] | LiveEdge | None:
    """The chosen segment, or the first one after it that is there; what comes behind the last one, else.

    Raises a problem that names the chosen one where too many are missing, or all of them.
    """
    first = chosen
    for _ in range(MOST_LEFT_OUT + 1):
        if not isinstance(chosen, Segment):
            break
        try:
            return chosen, files.open(stream, chosen.path)
        except UnknownSegment:
            chosen = stream.after(chosen.sequence)
    if isinstance(first, Segment) and (isinstance(chosen, Segment) or first == stream.after(None)):
        detail = f"the next segment, {first.name}, and those after it are not there; name a later one"
        raise Problem("unknown-segment", detail)
    return None if isinstance(chosen, Segment) else chosen
