"""A stream with its segments, as a value made by build.py. Reads no file.

Of several renditions the first variant's video is the *main* one; the next segment, and the number of segments, are
defined by it.
"""

from bisect import bisect_left, bisect_right
from operator import attrgetter

from msgspec import Struct

from streamlimit.delivery import free
from streamlimit.delivery.segment import Edge, LiveEdge, Segment

START_TARGETS = 3
"""Target durations before the edge at which a live viewer starts, as players do (RFC 8216, 6.3.3)."""

_by_sequence = attrgetter("sequence")
_by_last = attrgetter("last")


class Stream(Struct, frozen=True):
    """One version of one stream, immutable; a changed playlist makes a new one.

    `start_seconds`: where players of the main rendition begin, from its beginning or, negative, from its end (None: not
    stated). `gaps_ms`: durations of its missing segments. `edges`: of low-latency playlists, by path. `hints`:
    announced files, which need not exist yet.
    """

    stream_id: str
    title: str
    entry: str
    segment_seconds: float
    live: bool
    main: list[Segment]
    notes: tuple[str, ...]
    tracks: dict[str, list[Segment]]
    names: dict[str, Segment]
    ranges: dict[str, list[Segment]]
    files: dict[str, str]
    headers: dict[str, list[tuple[int, int]]]
    start_seconds: float | None = None
    gaps_ms: dict[int, int] = {}
    edges: dict[str, Edge] = {}
    hints: frozenset[str] = frozenset()

    @property
    def segments(self) -> int:
        """The number of segments of the main rendition (of a live one: in its window)."""
        return len(self.main)

    def find(self, name: str) -> Segment | None:
        """The segment or part of that name in any rendition of any playlist.

        None for a live stream may mean that the playlist on disk is newer: ask the catalog `fresh=True` once.
        """
        return self.names.get(name)

    def classify(self, path: str) -> str:
        """The kind of the file: `playlist`, `init`, `key`, `media` (takes a seat) or `other` (text, images …)."""
        return self.files.get(path) or free.by_name(path)

    def is_single_file(self, path: str) -> bool:
        """Is *path* a single file with many segments, each a byte range?"""
        return path in self.ranges

    def segments_in(self, path: str, first: int, last: int) -> list[Segment]:
        """The segments of a single-file stream whose last byte is in *first*–*last* (inclusive), in order."""
        ranges = self.ranges.get(path, [])
        return ranges[bisect_left(ranges, first, key=_by_last) : bisect_right(ranges, last, key=_by_last)]

    def at(self, path: str, position: int) -> Segment | None:
        """The segment of a single-file stream that contains the byte *position*, else the next one."""
        ranges = self.ranges.get(path, [])
        index = bisect_left(ranges, position, key=_by_last)
        return ranges[index] if index < len(ranges) else None

    def is_beyond_headers(self, path: str, first: int, last: int) -> bool:
        """Is any of the bytes *first*–*last* (inclusive) outside the ranges of init and index?"""
        for start, end in self.headers.get(path, ()):
            if start <= first <= end:
                first = end + 1
        return first <= last

    def after(self, sequence: int | None, rendition: str | None = None) -> Segment | LiveEdge | None:
        """The segment after *sequence* in the main (or the named) rendition; None after the end of a finished one.

        Without a *sequence*, the start: that of EXT-X-START, else the first segment, or for a live stream the usual
        distance from the edge. A segment that slid out of the window is followed by the oldest one; one far ahead of it
        (the stream was restarted) by the start.
        """
        segments = self.main if rendition is None else self.tracks.get(rendition, [])
        if sequence is None or self._is_from_another_life(segments, sequence):
            return self._start(segments)
        index = bisect_right(segments, sequence, key=_by_sequence)
        if index < len(segments):
            return segments[index]
        return LiveEdge(int(self.segment_seconds * 500)) if self.live else None

    def follows(self, earlier: Segment, later: Segment) -> bool:
        """Is *later* the segment directly after *earlier* of the same rendition?"""
        if earlier.rendition != later.rendition or later.sequence <= earlier.sequence:
            return False
        following = self.after(earlier.sequence, earlier.rendition)
        return isinstance(following, Segment) and following.sequence == later.sequence

    def _is_from_another_life(self, segments: list[Segment], sequence: int) -> bool:
        if not self.live or not segments:
            return False
        oldest, newest = segments[0].sequence, segments[-1].sequence
        return sequence > newest + (newest - oldest) + START_TARGETS

    def _start(self, segments: list[Segment]) -> Segment | LiveEdge | None:
        if not segments:
            return LiveEdge(int(self.segment_seconds * 500)) if self.live else None
        if self.start_seconds is not None and segments is self.main:
            return self._said_start(self.start_seconds)
        if not self.live:
            return segments[0]
        left_ms = START_TARGETS * self.segment_seconds * 1000
        for segment in reversed(segments):
            left_ms -= segment.duration_ms
            if left_ms <= 0:
                return segment
        return segments[0]

    def _said_start(self, seconds: float) -> Segment:
        """The segment of the main rendition that plays at *seconds*, or the nearest one."""
        plays = sorted([*((each.sequence, each.duration_ms) for each in self.main), *self.gaps_ms.items()])
        length_ms = sum(play_ms for _, play_ms in plays)
        at_ms = round(seconds * 1000) + (length_ms if seconds < 0 else 0)
        for sequence, play_ms in plays:
            at_ms -= play_ms
            if at_ms < 0:
                return self.main[min(bisect_left(self.main, sequence, key=_by_sequence), len(self.main) - 1)]
        return self.main[-1]
