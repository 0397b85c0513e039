"""HLS playlists (RFC 8216bis) -> a Listing. The m3u8 library reads the lines; what they mean is said here.

Deliberate deviations: segments with EXT-X-GAP do not exist (their numbers stay free); EXT-X-DEFINE is not
known; an I-frame playlist's segments have the number of the main segment that plays at their time.
"""

from bisect import bisect_right
from itertools import accumulate
from typing import Any

import m3u8
from msgspec import Struct, field, structs

from streamlimit.delivery.paths import kind_by_suffix, media_type, target
from streamlimit.delivery.reader import Reader
from streamlimit.delivery.stream import Listing, Segment, Track
from streamlimit.errors import CatalogError

VIDEO_CODECS = ("avc", "hvc", "hev", "vp0", "vp8", "vp9", "av01", "dvh", "dva", "dav", "mp4v", "vvc")
MEDIA_KINDS = {"AUDIO": "audio", "VIDEO": "video", "SUBTITLES": "text"}
OTHERS_KEYS = ("data:", "skd:")


class Rendition(Struct, frozen=True):
    """A playlist that a master names. `kind` is empty where only its segments will tell."""

    path: str
    kind: str
    counts: bool = True


class Master(Struct):
    """A master playlist."""

    renditions: list[Rendition] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Media(Struct):
    """A media playlist. `inits` are whole files, `headers` ranges of files."""

    track: Track
    parts: list[Segment] = field(default_factory=list)
    inits: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    headers: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    is_torn: bool = False


def read(reader: Reader, path: str) -> Listing:
    """The playlist at *path* with all that it names. Raises CatalogError where one cannot be understood."""
    listing = Listing(entry=path, files={path: "playlist"})
    playlist = reader.parsed(path, "", lambda text: parse(path, text))
    if isinstance(playlist, Media):
        _add_media(listing, playlist)
    else:
        _add_master(reader, listing, playlist)
    return listing


def _add_master(reader: Reader, listing: Listing, master: Master) -> None:
    listing.is_master = True
    listing.notes += master.notes
    listing.files |= dict.fromkeys(master.keys, "key")
    for rendition in master.renditions:
        if rendition.path in listing.files:
            continue
        if not reader.has(rendition.path):
            listing.missing.append(rendition.path)
            continue
        listing.files[rendition.path] = "playlist"
        _add_media(listing, _read_rendition(reader, rendition), rendition.counts)
    if not listing.tracks:
        raise CatalogError(f"{listing.entry}: none of its playlists is there ({', '.join(listing.missing)})")


def _read_rendition(reader: Reader, rendition: Rendition) -> Media:
    path, kind = rendition.path, rendition.kind
    playlist = reader.parsed(path, kind, lambda text: parse(path, text, kind))
    if isinstance(playlist, Master):
        raise CatalogError(f"{path} is a master playlist within a master playlist")
    return playlist


def _add_media(listing: Listing, media: Media, counts: bool = True) -> None:
    track = media.track if counts else _aligned(media.track, listing)
    listing.tracks.append(track)
    listing.parts += media.parts
    listing.notes += media.notes
    listing.files |= dict.fromkeys(media.inits, "init") | dict.fromkeys(media.keys, "key")
    listing.is_torn |= media.is_torn
    for path, ranges in media.headers.items():
        listing.headers.setdefault(path, []).extend(ranges)


def _aligned(track: Track, listing: Listing) -> Track:
    """An I-frame rendition's own segments, numbered by their time; not those inside others' files."""
    main = listing.main()
    starts = list(accumulate((s.duration_ms for s in main.segments), initial=0)) if main else [0]
    paths = {segment.path for other in listing.tracks for segment in other.segments}
    base = main.segments[0].sequence if main and main.segments else 0
    segments, at_ms = [], 0
    for segment in track.segments:
        if segment.path not in paths:
            index = min(bisect_right(starts, at_ms), max(len(starts) - 1, 1)) - 1
            segments.append(structs.replace(segment, sequence=base + index, is_main=False))
        at_ms += segment.duration_ms
    return structs.replace(track, segments=segments, counts=False)


def parse(path: str, text: str, kind: str = "") -> Master | Media:
    """The playlist's text as values, URIs as paths. *kind* is what the master says that it holds."""
    if not text.startswith("#EXTM3U"):
        raise CatalogError(f"{path} is empty" if not text.strip() else f"{path} does not begin with #EXTM3U")
    try:
        data = m3u8.parse(text)
        return _master(path, data) if data["is_variant"] else _media(path, data, kind, text)
    except CatalogError:
        raise
    except Exception as problem:  # the library raises whatever a line makes it stumble over
        raise CatalogError(f"{path}: {type(problem).__name__}: {problem}") from None


def _master(path: str, data: dict[str, Any]) -> Master:
    master = Master()
    for variant in data["playlists"]:
        _name(master, path, variant["uri"], _variant_kind(variant["stream_info"]))
    for media in data["media"]:
        kind = MEDIA_KINDS.get(media.get("type", ""))
        if kind and media.get("uri"):
            _name(master, path, media["uri"], kind)
    for frames in data["iframe_playlists"]:
        _name(master, path, frames["uri"], "video", counts=False)
    for images in data["image_playlists"]:
        found = target(path, images["uri"])
        master.notes.append(f"{path}: image playlist {found or images['uri']} is not read")
    master.keys = _keys(path, data["session_keys"], master.notes)
    # The first variant with video leads, and with it the stream.
    master.renditions.sort(key=lambda rendition: rendition.kind != "video" or not rendition.counts)
    return master


def _name(master: Master, path: str, uri: str, kind: str, counts: bool = True) -> None:
    found = target(path, uri)
    if found is None:
        master.notes.append(f"{path}: {uri} lies outside the stream and is ignored")
    else:
        master.renditions.append(Rendition(found, kind, counts))


def _variant_kind(info: dict[str, Any]) -> str:
    codecs = info.get("codecs", "").lower()
    if "resolution" in info or any(codec in codecs for codec in VIDEO_CODECS):
        return "video"
    return "audio" if codecs else ""


def _media(path: str, data: dict[str, Any], kind: str, text: str) -> Media:
    is_over, duration = data["is_endlist"], float(data.get("targetduration") or 0)
    track = Track(path, kind or _kind_of(data), [], duration, live=not is_over)
    media = Media(track, is_torn=not is_over and not text.endswith("\n"))
    _read_segments(media, path, data, _base(data))
    media.keys = _keys(path, [key for key in data["keys"] if key], media.notes)
    for init in data["segment_map"]:
        _read_init(media, path, init)
    if is_over and not track.segments:
        raise CatalogError(f"{path} has no segments" + (": " + media.notes[0] if media.notes else ""))
    if not track.target_seconds:
        track.target_seconds = max((s.duration_ms for s in track.segments), default=0) / 1000
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
    duration_ms, is_main = round(seconds * 1000), track.kind == "video"
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
        raise CatalogError(f"a byte range of {path} is {text}")
    ends[path] = last + 1
    return first, last


def _read_parts(
    media: Media, path: str, parts: list[dict[str, Any]], sequence: int, ends: dict[str, int]
) -> None:
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


def _keys(path: str, keys: list[dict[str, Any]], notes: list[str]) -> list[str]:
    """The key files of the stream itself. Other systems' keys (skd:, data:) are theirs."""
    uris = dict.fromkeys(key["uri"] for key in keys if key.get("uri"))
    found = {uri: target(path, uri) for uri in uris if not uri.startswith(OTHERS_KEYS)}
    notes += [f"{path}: key {uri} lies outside the stream and is ignored" for uri in found if not found[uri]]
    return [key for key in found.values() if key]
