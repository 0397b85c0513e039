"""Segments that a playlist lists and that are not there: said once in the log, and left out by Endpoint 1."""

from streamlimit.delivery.catalog import Catalog
from streamlimit.delivery.local import Body, LocalFiles
from streamlimit.delivery.segment import LiveEdge, Segment
from streamlimit.delivery.stream import Stream
from streamlimit.errors import UnknownSegment
from streamlimit.logs import EventLog
from streamlimit.web.problems import Problem

MOST_LEFT_OUT = 16
"""Segments in a row that may be left out where their files are missing; of more the caller gets an error."""
MOST_TOLD = 1_000
"""Files that need not be logged again."""

log = EventLog("streamlimit")


class StreamFiles:
    """Opens the files of streams, each where the catalog says that it is."""

    def __init__(self, catalog: Catalog, files: LocalFiles) -> None:
        self._catalog, self._files = catalog, files
        self._told: set[tuple[str, str]] = set()

    def open(self, stream: Stream, path: str) -> Body:
        """The file at *path* of the stream. Raises UnknownSegment, which is logged once for a listed one."""
        try:
            return self._files.open(self._catalog.resolve(stream, path))
        except UnknownSegment:
            if path in stream.files and path not in stream.hints:
                self._tell(stream, path)
            raise

    def forget(self, stream: Stream, path: str) -> None:
        """Looks at the file again when it is opened next: it is known to have changed."""
        self._files.forget(self._catalog.resolve(stream, path))

    def next(self, stream: Stream, chosen: Segment | LiveEdge | None) -> tuple[Segment, Body] | LiveEdge | None:
        """The chosen segment, or the first one after it that is there; what comes behind the last one, else.

        Raises a problem that names the chosen one where too many are missing, or all of them.
        """
        first = chosen
        for _ in range(MOST_LEFT_OUT + 1):
            if not isinstance(chosen, Segment):
                break
            try:
                return chosen, self.open(stream, chosen.path)
            except UnknownSegment:
                chosen = stream.after(chosen.sequence)
        if isinstance(first, Segment) and (isinstance(chosen, Segment) or first == stream.after(None)):
            detail = f"the next segment, {first.name}, and those after it are not there; name a later one"
            raise Problem("unknown-segment", detail)
        return None if isinstance(chosen, Segment) else chosen

    def _tell(self, stream: Stream, path: str) -> None:
        about = (stream.stream_id, path)
        if about in self._told:
            return
        if len(self._told) >= MOST_TOLD:
            self._told.clear()
        self._told.add(about)
        log.warning("file_missing", stream_id=stream.stream_id, file=path, problem=self._catalog.absence(stream, path))
