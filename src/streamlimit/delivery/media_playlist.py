"""One HLS media playlist: its segments, parts, inits and keys. The m3u8 library reads the lines.

Deliberate deviations: segments with EXT-X-GAP do not exist (their numbers stay free); EXT-X-DEFINE is not
known.
"""

from typing import Any

import m3u8
from msgspec import Struct, field, structs

from streamlimit.delivery.growth import Growth, growth
from streamlimit.delivery.paths import kind_by_suffix, media_type, target
from streamlimit.delivery.segment import Segment, Track
from streamlimit.errors import CatalogError

OTHERS_KEYS = ("data:", "skd:")
NOTES_KEPT = 100
"""Of a playlist that grows."""


class Media(Struct):
    """A media playlist. `inits` are whole files, `headers` ranges of files."""

    track: Track
    parts: list[Segment] = field(default_factory=list)
    inits: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    headers: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    is_torn: bool = False
    text: str = ""


def grow(path: str, before: Media, text: str) -> Media | None:
    """The playlist, where *text* is what *before* was read from with a little more, or less, of it."""
    grown = growth(before.text, text)
    return _grow(path, before, grown, text) if grown else None


def read_media(path: str, data: dict[str, Any], kind: str, text: str) -> Media:
    is_over, duration = data["is_endlist"], float(data.get("targetduration") or 0)
    track = Track(path, kind or _kind_of(data), [], duration, live=not is_over)
    media = Media(track, is_torn=not is_over and not text.endswith("\n"), text="" if is_over else text)
    _read_segments(media, path, data, _base(data))
    media.keys = key_files(path, [key for key in data["keys"] if key], media.notes)
    for init in data["segment_map"]:
        _read_init(media, path, init)
    if is_over and not track.segments:
        raise CatalogError(f"{path} has no segments" + (": " + media.notes[0] if media.notes else ""))
    if not track.target_seconds:
        track.target_seconds = max((s.duration_ms for s in track.segments), default=0) / 1000
    return media


def _grow(path: str, before: Media, grown: Growth, text: str) -> Media:
    """What was there without what slid out, then what is new."""
    data, old = m3u8.parse(grown.text), before.track
    segments = [segment for segment in old.segments if segment.sequence >= grown.oldest]
    media = structs.replace(before, track=structs.replace(old, segments=segments), text=text, is_torn=False)
    media.keys, media.inits, media.notes = [*before.keys], [*before.inits], [*before.notes]
    _read_segments(media, path, data, grown.following)
    media.keys += key_files(path, [key for key in data["keys"] if key], media.notes)
    for init in data["segment_map"]:
        _read_init(media, path, init)
    media.keys, media.inits = [*dict.fromkeys(media.keys)], [*dict.fromkeys(media.inits)]
    media.notes = [*dict.fromkeys(media.notes)][-NOTES_KEPT:]
    return media


def _base(data: dict[str, Any]) -> int:
    """The number of the first segment: from 0 where all of it is there, else as the playlist counts.

    An ended live stream keeps counting as it did; one that is over and starts at 1 is a whole VOD.
    """
    number = int(data["media_sequence"] or 0)
    is_whole = data["is_endlist"] and (data["playlist_type"] == "vod" or number <= 1)
    return 0 if is_whole else number


def _kind_of(data: dict[str, Any]) -> str:
    uris = [segment["uri"] for segment in data["segments"] if "uri" in segment]
    return kind_by_suffix(uris[0].split("?")[0]) if uris else "video"


def _read_segments(media: Media, path: str, data: dict[str, Any], sequence: int) -> None:
    track, ends = media.track, dict[str, int]()
    for entry in data["segments"]:
        _read_parts(media, path, entry.get("parts", ()), sequence, ends)
        if "uri" not in entry:
            continue  # the segment whose first parts are there
        found = target(path, entry["uri"])
        if found is None:
            media.notes.append(f"{path}: {entry['uri']} lies outside the stream and is ignored")
        elif not entry.get("gap_tag"):
            span = _span(entry.get("byterange"), found, ends)
            track.segments.append(_segment(track, found, span, sequence, entry.get("duration", 0.0)))
        sequence += 1
    _read_hint(media, path, data.get("preload_hint"), sequence)


def _segment(track: Track, path: str, span: tuple[int, int] | None, sequence: int, seconds: float) -> Segment:
    first, last = span or (None, None)
    name = f"{path}@{first}-{last}" if span else path
    duration_ms, is_main = max(0, round(seconds * 1000)), track.kind == "video"
    return Segment(
        name, path, first, last, sequence, track.kind, duration_ms, is_main, media_type(path), track.rendition
    )


def _span(text: str | None, path: str, ends: dict[str, int]) -> tuple[int, int] | None:
    """`length[@offset]` -> first and last byte; without offset it goes on where the file's last one ended."""
    if not text:
        return None
    length, _, offset = text.strip().strip('"').partition("@")
    first = int(offset) if offset else ends.get(path, 0)
    last = first + int(length) - 1
    if not 0 <= first <= last:
        raise ValueError(f"a byte range of {path} is {text}")
    ends[path] = last + 1
    return first, last


def _read_parts(media: Media, path: str, parts: list[dict[str, Any]], sequence: int, ends: dict[str, int]) -> None:
    part_ends = dict[str, int]()  # a part's range goes on from the part before it, not from a segment
    for part in parts:
        found = target(path, part["uri"])
        if found is not None and part.get("gap") != "YES":
            span = _span(part.get("byterange"), found, part_ends)
            media.parts.append(_segment(media.track, found, span, sequence, part["duration"]))


def _read_hint(media: Media, path: str, hint: dict[str, Any] | None, sequence: int) -> None:
    """The part that comes next: it may be asked for before any playlist lists it."""
    if not hint or hint.get("type") != "PART" or not (found := target(path, hint["uri"])):
        return
    length, first = hint.get("byterange_length"), hint.get("byterange_start", 0)
    span = (first, first + length - 1) if length else None
    if first and span is None:
        return  # open at its end: it gets a name when it is listed
    seconds = media.parts[-1].duration_ms / 1000 if media.parts else 0.0
    part = _segment(media.track, found, span, sequence, seconds)
    if part.name not in {known.name for known in media.parts}:
        media.parts.append(part)


def _read_init(media: Media, path: str, init: dict[str, Any]) -> None:
    found = target(path, init.get("uri", ""))
    if found is None:
        media.notes.append(f"{path}: init {init.get('uri')} lies outside the stream and is ignored")
        return
    media.inits.append(found)
    span = _span(init.get("byterange"), found, {})
    if span is not None:
        media.headers.setdefault(found, []).append(span)


def key_files(path: str, keys: list[dict[str, Any]], notes: list[str]) -> list[str]:
    """The key files of the stream itself. Other systems' keys (skd:, data:) are theirs."""
    uris = dict.fromkeys(key["uri"] for key in keys if key.get("uri"))
    found = {uri: target(path, uri) for uri in uris if not uri.startswith(OTHERS_KEYS)}
    notes += [f"{path}: key {uri} lies outside the stream and is ignored" for uri in found if not found[uri]]
    return [key for key in found.values() if key]
