"""Values of this package: segments, renditions, and the listing of one playlist, which `hls` and `dash` make."""

from msgspec import Struct, field

NUMBER_DIGITS = 12
"""Digits of a number that count, the last ones: so numbers, with parts, are exact in every store."""

MOST_SEQUENCE = 4 * 10**NUMBER_DIGITS


def counted(number: int) -> int:
    """The number that stands for the first *number* of a playlist: its last digits. Those after it count on."""
    return int(number % 10**NUMBER_DIGITS)


class Segment(Struct, frozen=True, gc=False):
    """One media segment, or one part of it (low latency), which has its parent's sequence.

    `name` is `path`, or `path@first-last` for a byte range of a bigger file (inclusive; None, None for a
    whole file). `sequence` counts from 0 within `rendition`; of a live stream it is absolute and grows as
    the window slides (by one a segment, but for DASH by `$Time$`: there it is the start in ms). `is_main`:
    its play time counts as buffered media (the video's, or the audio's where there is no video). `part` is the
    part's number within its segment, from 0. `ends_ms`: of the last one of a finished stream, how long that plays.
    """

    name: str
    path: str
    first: int | None
    last: int | None
    sequence: int
    kind: str
    duration_ms: int
    is_main: bool
    media_type: str
    rendition: str
    part: int = 0
    ends_ms: int = 0


class LiveEdge(Struct, frozen=True):
    """The live edge: there is no next segment yet. It says when to ask again."""

    wait_ms: int


class Edge(Struct, frozen=True):
    """The edge of a low-latency playlist that allows blocking requests.

    `sequence`: the segment in progress; `parts`: how many of its parts are listed (`last_parts`: of the segment
    before); `hint`: the file of the next part (empty: none is announced).
    """

    sequence: int
    parts: int
    target_seconds: float
    hint: str
    last_parts: int = 0


class Track(Struct):
    """One rendition: its segments in order. `target_seconds` is the longest that one may play.

    `start_seconds`: where viewers begin, from the beginning or, negative, from the end (None: as players do).
    `gaps_ms`: durations of missing segments, by number. `edge`: of low latency. `hint`: an announced part.
    """

    rendition: str
    kind: str
    segments: list[Segment]
    target_seconds: float
    live: bool
    counts: bool = True
    start_seconds: float | None = None
    gaps_ms: dict[int, int] = field(default_factory=dict)
    edge: Edge | None = None
    hint: str = ""


def segment_of(
    track: Track, path: str, span: tuple[int, int] | None, sequence: int, duration_ms: int, media_type: str,
    part: int = 0,
) -> Segment:  # fmt: skip
    """A segment of *track*, or (low latency) a part of one: the file at *path*, or (*span*) those bytes of it."""
    first, last = span or (None, None)
    name, kind = f"{path}@{first}-{last}" if span else path, track.kind
    is_main, duration_ms = kind == "video", max(duration_ms, 0)
    sequence = min(max(sequence, 0), MOST_SEQUENCE)  # beyond it are only playlists that no player understands
    return Segment(name, path, first, last, sequence, kind, duration_ms, is_main, media_type, track.rendition, part)


class Listing(Struct):
    """The content of one playlist or manifest, with all that it refers to. Paths are relative to the stream.

    `files`: path -> `playlist`, `init` or `key`. `headers`: path -> byte ranges (inclusive) that are init or index.
    `missing`: files that it refers to and that do not exist. `is_torn`: it may be half written. `failures`: by
    playlist, why it could not be read; its last good version is used, if there is one.
    """

    entry: str
    is_master: bool = False
    tracks: list[Track] = field(default_factory=list)
    parts: list[Segment] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    headers: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    is_torn: bool = False
    failures: dict[str, str] = field(default_factory=dict)
    start_seconds: float | None = None

    def main(self) -> Track | None:
        """The main track: the first video, else the first audio, else the first of any kind."""
        for kind in ("video", "audio"):
            for track in self.tracks:
                if track.kind == kind and track.counts:
                    return track
        return self.tracks[0] if self.tracks else None
