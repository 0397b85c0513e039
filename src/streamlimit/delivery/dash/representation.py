"""The segments of one DASH representation in one period, by any of the four ways of describing them."""

from msgspec import Struct

from streamlimit.delivery.dash import timeline
from streamlimit.delivery.dash.mpd import Element, Number
from streamlimit.delivery.dash.sidx import spans
from streamlimit.delivery.dash.template import Piece, Template, piece_of
from streamlimit.delivery.dash.timeline import Rules, Span
from streamlimit.delivery.paths import behind, media_type
from streamlimit.delivery.reader import Reader
from streamlimit.delivery.segment import Listing, Track, counted, segment_of

WAYS = ("SegmentTemplate", "SegmentList", "SegmentBase")


class Place(Struct, frozen=True):
    """One representation in one period: its levels from the most to the least specific, and their combined values."""

    levels: tuple[Element, Element, Element]
    base: str
    kind: str
    slot: str
    span: Span

    @property
    def names(self) -> dict[str, Number | str]:
        """Values of the identifiers in the representation's templates."""
        representation = self.levels[0]
        bandwidth = representation.get("bandwidth") or ""
        whole, _, rest = bandwidth.partition(".")
        is_whole = whole.isdecimal() and not rest.strip("0")
        return {"RepresentationID": representation.get("id") or "", "Bandwidth": int(whole) if is_whole else bandwidth}

    def rules(self) -> tuple[str, Rules]:
        """The way of describing segments on the most specific level, and its values on all levels."""
        for level in self.levels:
            for way in WAYS:
                if level.all(way):
                    return way, Rules(tuple(found for each in self.levels for found in each.all(way)))
        return "SegmentBase", Rules(())


def add_segments(reader: Reader, listing: Listing, place: Place) -> None:
    """Appends the representation's segments to the track of the same position in the period before."""
    pieces = _pieces(reader, listing, place)
    track = next((track for track in listing.tracks if track.rendition == place.slot), None)
    if track is None:
        track = Track(place.slot, place.kind, [], 0.0, place.span.live)
        listing.tracks.append(track)
    after = track.segments[-1].sequence + 1 if track.segments else 0
    base = _first_number(place, pieces, after)
    for index, piece in enumerate(pieces):
        sequence = base + index if not place.span.live or piece.number is None else piece.number + base
        _append(track, listing, piece, sequence)


def _first_number(place: Place, pieces: list[Piece], after: int) -> int:
    """The offset of a live segment's number: 0, unless it is too large, or a new period counts from its start."""
    if not place.span.live or not pieces or pieces[0].number is None:
        return after
    return max(counted(pieces[0].number), after) - pieces[0].number


def _append(track: Track, listing: Listing, piece: Piece, sequence: int) -> None:
    if piece.path is None:
        listing.notes.append(f"{listing.entry}: a segment of {track.rendition}, {piece.why}, and is ignored")
        return
    served_as, milliseconds = _media_type(piece.path, track.kind), round(piece.seconds * 1000)
    track.segments.append(segment_of(track, piece.path, piece.span, sequence, milliseconds, served_as))


def _media_type(path: str, kind: str) -> str:
    found = media_type(path)
    return "audio/mp4" if kind == "audio" and found == "video/mp4" else found


def _pieces(reader: Reader, listing: Listing, place: Place) -> list[Piece]:
    """The segments, by the way in which the manifest describes them."""
    way, rules = place.rules()
    if way == "SegmentTemplate":
        made = Template(place.base, place.names, rules, place.span)
        for name in ("initialization", "bitstreamSwitching"):
            _add_init(listing, made.path(rules.text(name) or ""), None)
        _add_initialization(listing, place, rules)
        return made.pieces(reader)
    if way == "SegmentList":
        _add_initialization(listing, place, rules)
        return _listed(place, rules)
    return _single(reader, listing, place, rules)


def _listed(place: Place, rules: Rules) -> list[Piece]:
    """The segments of a SegmentList: a URL, a range, or both for each that plays in the period."""
    urls, start = rules.all("SegmentURL"), rules.start
    played = timeline.listed(rules, place.span, len(urls))
    return [
        _listed_one(place.base, urls[index], seconds, start + index if place.span.live else None)
        for index, seconds in played
    ]


def _listed_one(base: str, url: Element, seconds: float, number: int | None) -> Piece:
    try:
        span = url.span("mediaRange")
    except ValueError as problem:
        return Piece(None, None, seconds, number, str(problem))
    return piece_of(base, url.get("media") or "", span, seconds, number)


def _single(reader: Reader, listing: Listing, place: Place, rules: Rules) -> list[Piece]:
    """The segments of a SegmentBase, or a BaseURL alone: one file, split by its index if it has one."""
    path = behind(place.base, "")
    if path is None or path == listing.entry:
        return []
    length = place.span.seconds or 0.0
    _add_initialization(listing, place, rules)
    index = _range(rules, "indexRange", listing)
    if index is None:
        return [Piece(path, None, length)]
    cut = spans(lambda first, last: reader.read(path, first, last), *index)
    if not cut:  # WebM has cues instead: all of it is one segment
        listing.notes.append(f"{path}: bytes {index[0]}-{index[1]} hold no sidx box; it is one segment")
        size = reader.size(path)
        if index[1] + 1 >= size:
            return [Piece(path, None, length)]  # an index behind the end of the file is none
        listing.headers.setdefault(path, []).append((0, index[1]))
        return [Piece(path, (index[1] + 1, size - 1), length)]
    listing.headers.setdefault(path, []).append((0, cut[0].first - 1))
    return [Piece(path, (span.first, span.last), span.seconds) for span in cut]


def _add_initialization(listing: Listing, place: Place, rules: Rules) -> None:
    for element in (*rules.all("Initialization"), *rules.all("RepresentationIndex")):
        path = behind(place.base, element.get("sourceURL") or "")
        _add_init(listing, path, _range(element, "range", listing))


def _range(of: Element | Rules, name: str, listing: Listing) -> tuple[int, int] | None:
    """A byte range; an invalid one is noted, and None."""
    try:
        return of.span(name)
    except ValueError as problem:
        listing.notes.append(f"{listing.entry}: {problem}, and is ignored")
        return None


def _add_init(listing: Listing, path: str | None, span: tuple[int, int] | None) -> None:
    if path is None or path == listing.entry:
        return
    listing.files.setdefault(path, "init")
    if span is not None:
        listing.headers.setdefault(path, []).append(span)
