"""DASH manifests (ISO 23009-1) -> a Listing. The mpegdash library reads the XML; what it means is said here.

Every segment of every representation is listed: by its timeline, by counting, by its index (`sidx`), or,
where a manifest only says how names are made and not how many there are, by the files that are there. Of
a multi-period manifest the numbers go on from period to period, renditions being matched by their place.
"""

from typing import Any
from xml.dom import minidom

from mpegdash.nodes import MPEGDASH
from mpegdash.utils import parse_child_nodes
from msgspec import Struct

from streamlimit.delivery import template
from streamlimit.delivery.paths import join, media_type, target
from streamlimit.delivery.reader import Reader, broken
from streamlimit.delivery.segment import Listing, Segment, Track
from streamlimit.delivery.sidx import spans
from streamlimit.delivery.template import Piece, Template
from streamlimit.errors import CatalogError

AUDIO_CODECS = ("mp4a", "ac-3", "ec-3", "opus", "flac", "vorb")


class Place(Struct, frozen=True):
    """One representation in one period, with what it inherits; `seconds` is the period's (None: open)."""

    period: Any
    adaptation: Any
    representation: Any
    base: str
    kind: str
    slot: str
    seconds: float | None
    live: bool

    def levels(self) -> tuple[Any, Any, Any]:
        """From the most to the least particular: the first that says something is right."""
        return self.representation, self.adaptation, self.period

    def way(self) -> str:
        """Which of the ways to describe segments the most particular level uses."""
        for level in self.levels():
            for name in ("segment_templates", "segment_lists", "segment_bases"):
                if getattr(level, name):
                    return name
        return "segment_bases"

    def merged(self, name: str) -> dict[str, Any]:
        """The elements of that name (`segment_templates` …) on all levels as one; empty: there is none."""
        found: dict[str, Any] = {}
        for level in self.levels():
            for element in getattr(level, name) or ():
                for key, value in vars(element).items():
                    if value is not None:
                        found.setdefault(key, value)
        return found


def read(reader: Reader, path: str) -> Listing:
    """The manifest at *path*. Raises CatalogError where it cannot be understood."""
    mpd = reader.parsed(path, "", lambda text, _: _parse(path, text))
    listing = Listing(entry=path, is_master=True, files={path: "playlist"})
    try:
        for place in _places(mpd, path, listing):
            _add(reader, listing, place)
        _set_targets(listing, template.seconds(mpd.max_segment_duration))
    except CatalogError:
        raise
    except Exception as problem:  # numbers and attributes that make no sense, wherever they turn up
        raise broken(path, problem) from None
    if not listing.tracks or not (any(track.segments for track in listing.tracks) or mpd.type == "dynamic"):
        raise CatalogError(f"{path} has no segments" + (": " + listing.notes[0] if listing.notes else ""))
    return listing


def _parse(path: str, text: str) -> Any:
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise CatalogError(f"{path} has a document type, which no manifest needs")
    try:
        found = parse_child_nodes(minidom.parseString(text.encode()), "MPD", MPEGDASH)
    except Exception as problem:  # XML that is none, attributes that are no numbers
        raise broken(path, problem) from None
    if not found or not found[0].periods:
        raise CatalogError(f"{path} has no MPD with a period")
    return found[0]


def _places(mpd: Any, path: str, listing: Listing) -> list[Place]:
    """Every representation in order, with what is in the folder; the others are noted."""
    places, live = list[Place](), mpd.type == "dynamic"
    for period, length in zip(mpd.periods, _lengths(mpd), strict=True):
        seen: dict[str, int] = {}
        for adaptation in period.adaptation_sets or ():
            for index, representation in enumerate(adaptation.representations or ()):
                kind = _kind(adaptation, representation)
                base = _base(path, mpd, period, adaptation, representation)
                if index == 0:
                    seen[kind] = seen.get(kind, -1) + 1
                if base is None:
                    listing.notes.append(f"{path}: {representation.id} lies outside and is ignored")
                elif kind:
                    slot = f"{path}#{kind}-{seen.setdefault(kind, 0)}-{index}"
                    places.append(Place(period, adaptation, representation, base, kind, slot, length, live))
    return places


def _lengths(mpd: Any) -> list[float | None]:
    """How long each period is in seconds, where that is said or follows from the next one's start."""
    total, at = template.seconds(mpd.media_presentation_duration), 0.0
    starts = [template.seconds(period.start) for period in mpd.periods]
    lengths: list[float | None] = []
    for index, period in enumerate(mpd.periods):
        start = at if starts[index] is None else starts[index] or 0.0
        length = template.seconds(period.duration)
        end = starts[index + 1] if index + 1 < len(starts) else total
        if length is None and end is not None:
            length = max(0.0, end - start)
        lengths.append(length)
        at = start + (length or 0.0)
    return lengths


def _kind(adaptation: Any, representation: Any) -> str:
    """`video`, `audio`, `text`, or empty for what is none of them (thumbnails, metadata)."""
    mime = (representation.mime_type or adaptation.mime_type or "").lower()
    codecs = (representation.codecs or adaptation.codecs or "").lower()
    if codecs[:4] in ("stpp", "wvtt") or mime.startswith("application/ttml"):
        return "text"
    for word in (adaptation.content_type or "", mime.partition("/")[0]):
        if word in ("video", "audio", "text"):
            return word
    if adaptation.content_type or mime.startswith("image/"):
        return ""
    return "audio" if codecs.startswith(AUDIO_CODECS) else "video"


def _base(path: str, *levels: Any) -> str | None:
    """Where the representation's URIs start from (still encoded); None: at another server, or outside."""
    base: str | None = path
    for level in levels:
        urls = [url.base_url_value.strip() for url in level.base_urls or () if url.base_url_value]
        if urls and base is not None:
            # Several are alternatives: the first that is ours.
            base = next((found for url in urls if (found := join(base, url)) is not None), None)
    return base


def _add(reader: Reader, listing: Listing, place: Place) -> None:
    """The representation's segments join the track that has its place in the period before."""
    track = next((track for track in listing.tracks if track.rendition == place.slot), None)
    if track is None:
        track = Track(place.slot, place.kind, [], 0.0, place.live)
        listing.tracks.append(track)
    pieces = _pieces(reader, listing, place)
    after = track.segments[-1].sequence + 1 if track.segments else 0
    base = _first_number(place, pieces, after)
    for index, piece in enumerate(pieces):
        sequence = base + index if not place.live or piece.number is None else piece.number + base
        _append(track, listing, piece, sequence)


def _first_number(place: Place, pieces: list[Piece], after: int) -> int:
    """What is added to a live segment's own number: nothing, unless a new period counts from the start."""
    if not place.live or not pieces or pieces[0].number is None:
        return after
    return 0 if pieces[0].number >= after else after - pieces[0].number


def _append(track: Track, listing: Listing, piece: Piece, sequence: int) -> None:
    if piece.path is None:
        listing.notes.append(f"{listing.entry}: a segment of {track.rendition} lies outside and is ignored")
        return
    span = piece.span
    track.segments.append(
        Segment(
            name=f"{piece.path}@{span[0]}-{span[1]}" if span else piece.path,
            path=piece.path,
            first=span[0] if span else None,
            last=span[1] if span else None,
            sequence=sequence,
            kind=track.kind,
            duration_ms=round(piece.seconds * 1000),
            is_main=track.kind == "video",
            media_type=_media_type(piece.path, track.kind),
            rendition=track.rendition,
        )
    )


def _media_type(path: str, kind: str) -> str:
    found = media_type(path)
    return "audio/mp4" if kind == "audio" and found == "video/mp4" else found


def _pieces(reader: Reader, listing: Listing, place: Place) -> list[Piece]:
    """The segments, by whichever of the four ways the manifest describes them."""
    way = place.way()
    found = place.merged(way)
    if way == "segment_templates":
        made = Template(place.base, place.representation.id, place.representation.bandwidth, found)
        _add_init(listing, made.path(found.get("initialization") or ""), None)
        return made.pieces(reader, place.seconds, place.live)
    if way == "segment_lists":
        _add_initialization(listing, place, found)
        return _listed(place, found)
    return _single(reader, listing, place, found)


def _listed(place: Place, found: dict[str, Any]) -> list[Piece]:
    """SegmentList: one URL, range, or both for each segment."""
    urls, scale = found.get("segment_urls") or [], found.get("timescale") or 1
    timeline = template.timeline(found, scale, place.seconds)
    seconds = [span for _, span in timeline] or [(found.get("duration") or 0) / scale] * len(urls)
    start = found.get("start_number") or 1
    return [
        Piece(
            path=target("", (join(place.base, url.media) or "/") if url.media else place.base),
            span=template.byte_range(url.media_range),
            seconds=seconds[index] if index < len(seconds) else 0.0,
            number=start + index if place.live else None,
        )
        for index, url in enumerate(urls)
    ]


def _single(reader: Reader, listing: Listing, place: Place, found: dict[str, Any]) -> list[Piece]:
    """SegmentBase, or a bare BaseURL: one file, cut into segments where it has an index."""
    path = target("", place.base)
    if path is None or path == listing.entry:
        return []
    length = place.seconds or 0.0
    _add_initialization(listing, place, found)
    index = template.byte_range(found.get("index_range"))
    if index is None:
        return [Piece(path, None, length)]
    cut = spans(lambda first, last: reader.read(path, first, last), *index)
    if not cut:  # WebM has cues instead: all of it is one segment
        listing.notes.append(f"{path}: bytes {index[0]}-{index[1]} hold no sidx box; it is one segment")
        listing.headers.setdefault(path, []).append((0, index[1]))
        return [Piece(path, (index[1] + 1, reader.size(path) - 1), length)]
    listing.headers.setdefault(path, []).append((0, cut[0].first - 1))
    return [Piece(path, (span.first, span.last), span.seconds) for span in cut]


def _add_initialization(listing: Listing, place: Place, found: dict[str, Any]) -> None:
    for url in (*(found.get("initializations") or ()), *(found.get("representation_indexes") or ())):
        uri = join(place.base, url.source_url) if url.source_url else place.base
        _add_init(listing, target("", uri or "/"), template.byte_range(url.range))


def _add_init(listing: Listing, path: str | None, span: tuple[int, int] | None) -> None:
    if path is None:
        return
    listing.files.setdefault(path, "init")
    if span is not None:
        listing.headers.setdefault(path, []).append(span)


def _set_targets(listing: Listing, longest: float | None) -> None:
    """How long a segment plays: the average of all but the last; where none is there, as it says."""
    for track in listing.tracks:
        played = [segment.duration_ms for segment in track.segments]
        whole = played[:-1] or played
        average = sum(whole) / len(whole) / 1000 if whole else longest or 0.0
        track.target_seconds = round(average, 3)
