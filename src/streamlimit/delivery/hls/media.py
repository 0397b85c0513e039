"""HLS media playlists: segments, parts, inits and keys.

A line that cannot be parsed affects only what it is about, and is noted. A deliberate deviation: segments with
EXT-X-GAP do not exist (their numbers stay free).
"""

from collections.abc import Callable

from msgspec import Struct, field, structs

from streamlimit.delivery.hls.growth import Growth, growth
from streamlimit.delivery.hls.tags import (
    NO_TEXT,
    Line,
    Unreadable,
    Variables,
    attributes,
    inside,
    is_text,
    key_of,
    lines_of,
    number,
    span_of,
    start_of,
    whole,
)
from streamlimit.delivery.paths import kind_by_suffix, media_type
from streamlimit.delivery.segment import Edge, Segment, Track, counted, segment_of
from streamlimit.errors import CatalogError

NOTES_KEPT = 100
MOST_SKIPPED = 1_000_000


class Media(Struct):
    """A media playlist. `inits` are whole files, `headers` ranges of files.

    `following`: the number of the segment after the last one, as the playlist counts; a segment's own number is less by
    `base`, 0 unless it would be too large. `variables`: those defined for later lines.
    """

    track: Track
    parts: list[Segment] = field(default_factory=list)
    inits: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    headers: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    is_torn: bool = False
    text: str = ""
    following: int = 0
    base: int = 0
    variables: Variables = field(default_factory=Variables)


def grow(path: str, before: Media, text: str) -> Media | None:
    """The playlist *text*, if it is *before* with segments appended or removed at its beginning; else None."""
    grown = growth(before.text, text)
    return _grow(path, before, grown, text) if grown and grown.following == before.following else None


def read_media(path: str, lines: list[Line], kind: str, text: str, variables: Variables) -> Media:
    """The rendition that the *lines* of *text* describe. Raises CatalogError where nothing of it can be issued."""
    is_over = any(line.tag == "#EXT-X-ENDLIST" for line in lines)
    track = Track(path, kind or _kind_of(lines), [], 0.0, live=not is_over)
    is_torn = not is_over and not text.endswith("\n")
    media = Media(track, is_torn=is_torn, text="" if is_over else text, variables=variables)
    reading = _Reading(media, path, variables)
    reading.number_from(lines, is_over)
    reading.take(lines)
    if not track.segments and (is_over or reading.has_lost):
        raise CatalogError(f"{path} has no segments" + (": " + media.notes[0] if media.notes else ""))
    if not track.target_seconds:
        track.target_seconds = max((s.duration_ms for s in track.segments), default=0) / 1000
    return media


def _grow(path: str, before: Media, grown: Growth, text: str) -> Media:
    """The playlist *before*, without segments that slid out of its window, and with the new ones."""
    old, oldest = before.track, grown.oldest - before.base
    segments = [segment for segment in old.segments if segment.sequence >= oldest]
    gaps_ms = {sequence: gap_ms for sequence, gap_ms in old.gaps_ms.items() if sequence >= oldest}
    track = structs.replace(old, segments=segments, gaps_ms=gaps_ms)
    media = structs.replace(before, track=track, text=text, is_torn=False)
    media.keys, media.inits, media.notes = [*before.keys], [*before.inits], [*before.notes]
    media.variables = before.variables.copied()
    _Reading(media, path, media.variables).take(lines_of(grown.text))
    return media


def _kind_of(lines: list[Line]) -> str:
    """The kind of media, by the first segment's name."""
    uri = next((line.value for line in lines if not line.tag), None)
    return "video" if uri is None else kind_by_suffix(uri.split("?")[0])


class _Reading:
    """Parses the lines of one playlist into *media*."""

    def __init__(self, media: Media, path: str, variables: Variables) -> None:
        self._media, self._path, self._variables = media, path, variables
        self._ends, self._part_ends = dict[str, int | None](), dict[str, int | None]()
        self._described: dict[str, Line] = {}
        """The lines that describe the next segment, by tag."""
        self._can_block = False
        self._part, self._last_parts, self._hint = 0, 0, ""
        self.has_lost = False
        """Was there a segment that could not be parsed?"""

    def number_from(self, lines: list[Line], is_over: bool) -> None:
        """Sets the first segment's number: 0 where the whole stream is listed, else by EXT-X-MEDIA-SEQUENCE.

        An ended live stream keeps counting as it did; one that is over and starts at 1 is a whole VOD.
        """
        first, is_vod = 0, False
        for line in lines:
            if line.tag == "#EXT-X-MEDIA-SEQUENCE":
                found = whole(line.value)
                if found is None and not is_over:
                    raise CatalogError(f"{line.at(self._path)}: is no number")
                first = found or 0
            elif line.tag == "#EXT-X-PLAYLIST-TYPE":
                is_vod = line.value.upper() == "VOD"
        self._media.following = 0 if is_over and (is_vod or first <= 1) else first
        self._media.base = self._media.following - counted(self._media.following)

    def take(self, lines: list[Line]) -> None:
        """Parses all *lines*."""
        media = self._media
        for line in lines:
            read = _READS.get(line.tag)
            if read is not None:
                try:
                    read(self, line)
                except Unreadable as reason:
                    self._note(line, str(reason))
        media.track.hint = self._hint
        if self._can_block and media.track.live:
            media.track.edge = Edge(
                media.following, self._part, media.track.target_seconds, self._hint, self._last_parts
            )
        media.keys, media.inits = [*dict.fromkeys(media.keys)], [*dict.fromkeys(media.inits)]
        media.notes = [*dict.fromkeys(media.notes)][-NOTES_KEPT:]

    def _note(self, line: Line, reason: str) -> None:
        self._media.notes.append(f"{line.at(self._path)}: {reason}")

    def _target(self, line: Line) -> None:
        seconds = number(line.value)
        if seconds is None or seconds < 0:
            raise Unreadable("is no duration")
        self._media.track.target_seconds = seconds

    def _define(self, line: Line) -> None:
        self._variables.define(line.value)

    def _start(self, line: Line) -> None:
        self._media.track.start_seconds = start_of(line)

    def _control(self, line: Line) -> None:
        self._can_block = attributes(line.value).get("CAN-BLOCK-RELOAD", "").upper() == "YES"

    def _describe(self, line: Line) -> None:
        self._described[line.tag] = line

    def _skip(self, line: Line) -> None:
        skipped = whole(attributes(line.value).get("SKIPPED-SEGMENTS", "")) or 0
        if skipped > MOST_SKIPPED:
            raise Unreadable("skips more segments than any playlist lists")
        self._media.following += skipped

    def _key(self, line: Line) -> None:
        self._media.keys += key_of(self._path, line, self._variables)

    def _init(self, line: Line) -> None:
        found = attributes(line.value)
        path = self._inside(self._variables.uri(found.get("URI", "")))
        self._media.inits.append(path)
        span = span_of(found.get("BYTERANGE"), path, {})
        if span is not None:
            self._media.headers.setdefault(path, []).append(span)

    def _segment(self, line: Line) -> None:
        """Parses a URI, which ends the description of its segment."""
        if "#EXTINF" not in self._described:
            self.has_lost = True
            raise Unreadable("a URI without EXTINF is passed over" if is_text(line.value) else NO_TEXT)
        described, self._described = self._described, {}
        self._part, self._last_parts = 0, self._part
        self._part_ends.clear()
        sequence = self._media.following - self._media.base
        self._media.following += 1
        milliseconds = self._milliseconds(described["#EXTINF"])
        track = self._media.track
        if "#EXT-X-GAP" in described:
            track.gaps_ms[sequence] = milliseconds
            return
        try:
            path = self._inside(self._variables.uri(line.value))
            byterange = described.get("#EXT-X-BYTERANGE")
            span = span_of(byterange.value if byterange else None, path, self._ends)
        except Unreadable:
            track.gaps_ms[sequence], self.has_lost = milliseconds, True
            raise
        track.segments.append(segment_of(track, path, span, sequence, milliseconds, media_type(path)))

    def _milliseconds(self, line: Line) -> int:
        seconds = number(line.value)
        if seconds is None:
            self._note(line, "is no duration; it is taken for the longest that a segment plays")
            seconds = self._media.track.target_seconds
        return max(0, round(seconds * 1000))

    def _read_part(self, line: Line) -> None:
        found, place = attributes(line.value), self._part
        self._part += 1
        if "GAP" in found and found["GAP"].upper() == "YES":
            return
        path = self._inside(self._variables.uri(found.get("URI", "")))
        # A part's range continues that of the part before it, not a segment's.
        span = span_of(found.get("BYTERANGE"), path, self._part_ends)
        self._add_part(path, span, place, max(0, round((number(found.get("DURATION", "")) or 0.0) * 1000)))

    def _read_hint(self, line: Line) -> None:
        """Parses a hint at the next part, which may be requested before a playlist lists it."""
        found = attributes(line.value)
        if found.get("TYPE", "").upper() != "PART":
            return
        path = self._inside(self._variables.uri(found.get("URI", "")))
        length, first = whole(found.get("BYTERANGE-LENGTH", "")), whole(found.get("BYTERANGE-START", "")) or 0
        if first and not length:
            return  # without an end: it gets its name when it is listed
        parts = self._media.parts
        self._hint = "" if first else path
        self._add_part(
            path, (first, first + length - 1) if length else None, self._part, parts[-1].duration_ms if parts else 0
        )

    def _add_part(self, path: str, span: tuple[int, int] | None, place: int, milliseconds: int) -> None:
        media = self._media
        sequence = media.following - media.base
        part = segment_of(media.track, path, span, sequence, milliseconds, media_type(path), place)
        media.parts.append(part)

    def _inside(self, uri: str) -> str:
        return inside(self._path, uri)


_READS: dict[str, Callable[[_Reading, Line], None]] = {
    "": _Reading._segment,
    "#EXTINF": _Reading._describe,
    "#EXT-X-TARGETDURATION": _Reading._target,
    "#EXT-X-DEFINE": _Reading._define,
    "#EXT-X-START": _Reading._start,
    "#EXT-X-SERVER-CONTROL": _Reading._control,
    "#EXT-X-BYTERANGE": _Reading._describe,
    "#EXT-X-GAP": _Reading._describe,
    "#EXT-X-SKIP": _Reading._skip,
    "#EXT-X-KEY": _Reading._key,
    "#EXT-X-MAP": _Reading._init,
    "#EXT-X-PART": _Reading._read_part,
    "#EXT-X-PRELOAD-HINT": _Reading._read_hint,
}
