"""HLS playlists (RFC 8216bis) -> a Listing. The m3u8 library reads the lines; what they mean is said here.

A deliberate deviation: an I-frame playlist's segments have the number of the main segment that plays at
their time.
"""

from bisect import bisect_right
from itertools import accumulate
from typing import Any

import m3u8
from msgspec import Struct, field, structs

from streamlimit.delivery.media_playlist import Media, grow, key_files, read_media
from streamlimit.delivery.paths import target
from streamlimit.delivery.reader import Reader, broken
from streamlimit.delivery.segment import Listing, Track
from streamlimit.errors import CatalogError

VIDEO_CODECS = ("avc", "hvc", "hev", "vp0", "vp8", "vp9", "av01", "dvh", "dva", "dav", "mp4v", "vvc")
MEDIA_KINDS = {"AUDIO": "audio", "VIDEO": "video", "SUBTITLES": "text"}


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


def read(reader: Reader, path: str) -> Listing:
    """The playlist at *path* with all that it names. Raises CatalogError where one cannot be understood."""
    listing = Listing(entry=path, files={path: "playlist"})
    playlist = reader.parsed(path, "", lambda text, before: parse(path, text, "", before))
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
    playlist = reader.parsed(path, kind, lambda text, before: parse(path, text, kind, before))
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


def parse(path: str, text: str, kind: str = "", before: Master | Media | None = None) -> Master | Media:
    """The playlist's text as values, URIs as paths.

    *kind* is what the master says that it holds; *before* is what this gave for an earlier text of it.
    """
    if not text.startswith("#EXTM3U"):
        raise CatalogError(f"{path} is empty" if not text.strip() else f"{path} does not begin with #EXTM3U")
    try:
        if isinstance(before, Media) and (grown := grow(path, before, text)):
            return grown
        data = m3u8.parse(text)
        return _master(path, data) if data["is_variant"] else read_media(path, data, kind, text)
    except CatalogError:
        raise
    except Exception as problem:  # the library raises whatever a line makes it stumble over
        raise broken(path, problem) from None


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
    master.keys = key_files(path, data["session_keys"], master.notes)
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
