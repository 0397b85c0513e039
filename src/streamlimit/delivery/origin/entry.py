"""A known stream of an origin, and which of its files are due to be fetched again. No I/O."""

from streamlimit.delivery.entry import ENTRY_NAMES, Entry
from streamlimit.delivery.origin.reader import Kept, Want
from streamlimit.errors import StreamlimitError

LEAST_LIVE_SECONDS, MOST_LIVE_SECONDS = 0.25, 1.0
LIVE_SHARE = 8
"""A live playlist is fetched again after this fraction of a segment's duration, within bounds."""
AGAIN_SECONDS = 1.0
"""The least time before a failed file is fetched again."""
MAX_PLAYLISTS = 16
"""Most entry playlists of a stream, including those that players requested by other names."""


def candidates(stream_id: str) -> list[str]:
    """The usual names of a stream's entry playlist, HLS before DASH."""
    stems = [*ENTRY_NAMES, *([] if stream_id.startswith(".") else [stream_id])]
    return [f"{stem}{suffix}" for suffix in (".m3u8", ".mpd") for stem in dict.fromkeys(stems)]


class OriginEntry(Entry):
    """A known stream of an origin. `problem` or `failure`: why `stream` is None; neither where it is unknown.

    *keep_seconds*: how long a finished playlist is used (X/2). *asked_seconds*: a playlist not requested for so long is
    not in use any more.
    """

    def __init__(self, stream_id: str, keep_seconds: float, asked_seconds: float) -> None:
        super().__init__(stream_id)
        self._keep, self._asked = keep_seconds, asked_seconds
        self.failure: StreamlimitError | None = None
        self.kept: dict[Want, Kept] = {}
        self.is_stale = False

    @property
    def period(self) -> float:
        """How long a playlist is used before it is fetched again, in seconds."""
        if self.stream is None or not self.stream.live:
            return self._keep
        return min(max(self.stream.segment_seconds / LIVE_SHARE, LEAST_LIVE_SECONDS), MOST_LIVE_SECONDS)

    def is_due(self, path: str, now: float) -> bool:
        """Is the playlist to be fetched again? A failed one is after a while, too."""
        kept = self.kept.get(Want(path))
        if kept is None:
            return True
        return now - kept.checked_at >= (self.period if kept.failure is None else AGAIN_SECONDS)

    def due_playlists(self, now: float, all_of_them: bool) -> list[str]:
        """The due ones of the playlists that matter: entries, the main rendition's, those in use (or all)."""
        known = [want.path for want, kept in self.kept.items() if self._counts(want, kept, now, all_of_them)]
        return [path for path in known if self.is_due(path, now)]

    def _counts(self, want: Want, kept: Kept, now: float, all_of_them: bool) -> bool:
        if want.span is not None or want.is_look or kept.body is None:
            return want.path in self.playlists and want.span is None and not want.is_look
        return all_of_them or want.path in self.playlists or want.path in self._main() or self._is_used(kept, now)

    def _is_used(self, kept: Kept, now: float) -> bool:
        return now - kept.asked_at < self._asked

    def _main(self) -> list[str]:
        """The playlist of the main rendition (in HLS the rendition's name), if there is one."""
        stream = self.stream
        return [] if stream is None else [name for name, found in stream.tracks.items() if found is stream.main]
