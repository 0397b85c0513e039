"""HLS playlists (RFC 8216bis) as a Listing.

A deliberate deviation: an I-frame playlist's segments have the number of the main segment that plays at their time.
"""

from bisect import bisect_right
from itertools import accumulate

from msgspec import Struct, field, structs

from streamlimit.delivery.hls.media import Media, grow, read_media
from streamlimit.delivery.hls.tags import Line, Unreadable, Variables, attributes, inside, key_of, lines_of, start_of
from streamlimit.delivery.reader import Reader, broken
from streamlimit.delivery.segment import Listing, Track
from streamlimit.errors import CatalogError

VIDEO_CODECS = ("avc", "hvc", "hev", "vp0", "vp8", "vp9", "av01", "dvh", "dva", "dav", "mp4v", "vvc")
MEDIA_KINDS = {"AUDIO": "audio", "VIDEO": "video", "SUBTITLES": "text"}


class Rendition(Struct, frozen=True):
    """A playlist that a master names. `kind` is empty where it is known only from the segments."""

    path: str
    kind: str
    counts: bool = True


class Master(Struct):
    """A master playlist."""

    renditions: list[Rendition] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    start_seconds: float | None = None
    variables: Variables = field(default_factory=Variables)


def read(reader: Reader, path: str) -> Listing:
    """The playlist at *path* with all that it names. Raises CatalogError where it cannot be parsed.

    For a live stream the last good version replaces a playlist that cannot be parsed at the moment.
    """
    listing = Listing(entry=path, files={path: "playlist"})
    playlist = _parsed(reader, listing, path, "", Variables())
    if isinstance(playlist, Media):
        _add_media(listing, playlist)
    else:
        _add_master(reader, listing, playlist)
    return listing


def _parsed(reader: Reader, listing: Listing, path: str, kind: str, variables: Variables) -> Master | Media:
    how = kind + repr(variables.imported) if variables.imported else kind
    try:
        return reader.parsed(
            path, how, lambda text, before: parse(path, text, kind, before, variables), errors="surrogateescape"
        )
    except CatalogError as problem:
        last_good = reader.last_good(path, how)
        if not isinstance(last_good, Master | Media):
            raise
        listing.failures[path] = str(problem)
        return last_good


def _add_master(reader: Reader, listing: Listing, master: Master) -> None:
    listing.is_master, listing.start_seconds = True, master.start_seconds
    listing.notes += master.notes
    listing.files |= dict.fromkeys(master.keys, "key")
    for rendition in master.renditions:
        if rendition.path in listing.files:
            continue
        if not reader.has(rendition.path):
            listing.missing.append(rendition.path)
            continue
        listing.files[rendition.path] = "playlist"
        try:
            media = _read_rendition(reader, listing, rendition, Variables(imported=master.variables.values))
        except CatalogError as problem:
            listing.failures[rendition.path] = str(problem)  # the other renditions are served
        else:
            _add_media(listing, media, rendition.counts)
    if not listing.tracks:
        reasons = [*listing.failures.values(), *listing.missing] or [*listing.notes]
        raise CatalogError(f"{listing.entry}: none of its playlists is there ({', '.join(reasons)})")


def _read_rendition(reader: Reader, listing: Listing, rendition: Rendition, variables: Variables) -> Media:
    playlist = _parsed(reader, listing, rendition.path, rendition.kind, variables)
    if isinstance(playlist, Master):
        raise CatalogError(f"{rendition.path} is a master playlist within a master playlist")
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
    """An I-frame rendition with segments numbered by their time, without those inside other renditions' files."""
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


def parse(
    path: str,
    text: str,
    kind: str = "",
    before: Master | Media | None = None,
    variables: Variables | None = None,
) -> Master | Media:
    """The parsed playlist, with URIs as paths.

    *kind*: by the master; *before*: the result for an earlier text of the same file; *variables*: of the master.
    """
    if not text.lstrip().startswith("#EXTM3U"):
        raise CatalogError(f"{path} is empty" if not text.strip() else f"{path} does not begin with #EXTM3U")
    try:
        if isinstance(before, Media) and (grown := grow(path, before, text)):
            return grown
        lines, known = lines_of(text), variables or Variables()
        return _master(path, lines) if _is_master(lines) else read_media(path, lines, kind, text, known)
    except CatalogError:
        raise
    except Exception as problem:  # a defect of the parser costs this playlist, and no other
        raise broken(path, problem) from None


def _is_master(lines: list[Line]) -> bool:
    tags = {line.tag for line in lines}
    return "#EXT-X-STREAM-INF" in tags and "#EXTINF" not in tags


def _master(path: str, lines: list[Line]) -> Master:
    master, variant = Master(), None
    for line in lines:
        try:
            if line.tag == "#EXT-X-STREAM-INF":
                variant = line
            elif line.tag:
                _read_tag(master, path, line)
            elif variant is not None:
                kind, variant = _variant_kind(attributes(variant.value)), None
                _name(master, path, line.value, kind)
        except Unreadable as reason:
            master.notes.append(f"{line.at(path)}: {reason}")
    # The first variant with video leads, and with it the stream.
    master.renditions.sort(key=lambda rendition: rendition.kind != "video" or not rendition.counts)
    return master


def _read_tag(master: Master, path: str, line: Line) -> None:
    """Parses a tag of a master playlist other than EXT-X-STREAM-INF. Raises Unreadable."""
    found = attributes(line.value)
    if line.tag == "#EXT-X-DEFINE":
        master.variables.define(line.value)
    elif line.tag == "#EXT-X-START":
        master.start_seconds = start_of(line)
    elif line.tag == "#EXT-X-SESSION-KEY":
        master.keys += key_of(path, line, master.variables)
    elif line.tag == "#EXT-X-MEDIA":
        kind = MEDIA_KINDS.get(found.get("TYPE", "").upper())
        if kind and found.get("URI"):
            _name(master, path, found["URI"], kind)
    elif line.tag == "#EXT-X-I-FRAME-STREAM-INF":
        _name(master, path, found.get("URI", ""), "video", counts=False)
    elif line.tag == "#EXT-X-IMAGE-STREAM-INF":
        raise Unreadable("an image playlist is not read")


def _name(master: Master, path: str, uri: str, kind: str, counts: bool = True) -> None:
    master.renditions.append(Rendition(inside(path, master.variables.uri(uri)), kind, counts))


def _variant_kind(info: dict[str, str]) -> str:
    codecs = info.get("CODECS", "").lower()
    if "RESOLUTION" in info or any(codec in codecs for codec in VIDEO_CODECS):
        return "video"
    return "audio" if codecs else ""
