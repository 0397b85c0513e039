"""DASH manifests (ISO 23009-1) -> a Listing. mpd.py reads the XML, timeline.py the times; what they mean is said here.

Every segment of every representation is listed: by its timeline, by counting, by its index (`sidx`), or,
where a manifest only says how names are made and not how many there are, by the files that are there. Of
a multi-period manifest the numbers go on from period to period, renditions being matched by their place.
"""

from collections.abc import Iterator

from msgspec import Struct

from streamlimit.delivery import mpd, timeline
from streamlimit.delivery.mpd import Element
from streamlimit.delivery.paths import join, media_type, target, why_not_from
from streamlimit.delivery.reader import Reader, broken
from streamlimit.delivery.segment import Listing, Segment, Track
from streamlimit.delivery.sidx import spans
from streamlimit.delivery.template import Names, Piece, Template, piece_of
from streamlimit.delivery.timeline import Rules, Span
from streamlimit.errors import CatalogError

AUDIO_CODECS = ("mp4a", "ac-3", "ec-3", "opus", "flac", "vorb")
WAYS = ("SegmentTemplate", "SegmentList", "SegmentBase")
GOOD = "good"
"""Where the reader keeps the last version of a live manifest of which all could be read."""


class Place(Struct, frozen=True):
    """One representation in one period: its levels, from the most to the least particular, and what they come to."""

    levels: tuple[Element, Element, Element]
    base: str
    kind: str
    slot: str
    span: Span

    @property
    def names(self) -> Names:
        representation = self.levels[0]
        return Names(representation.get("id") or "", representation.get("bandwidth") or "")

    def rules(self) -> tuple[str, Rules]:
        """The way to describe segments that the most particular level uses, and all that is said that way."""
        for level in self.levels:
            for way in WAYS:
                if level.all(way):
                    return way, Rules(tuple(found for each in self.levels for found in each.all(way)))
        return "SegmentBase", Rules(())


def read(reader: Reader, path: str) -> Listing:
    """The manifest at *path*. Raises CatalogError where it cannot be understood.

    Of a live stream the last version of which all could be read stands in for one of which that is not so.
    """
    try:
        root = reader.parsed(path, "", lambda text, _: mpd.parse(path, text))
        listing = _listing(reader, path, root)
    except CatalogError as problem:
        last_good = _last_good(reader, path, str(problem))
        if last_good is None:
            raise
        return last_good
    if listing.failures:
        return _last_good(reader, path, next(iter(listing.failures.values()))) or listing
    if _is_live(root):
        reader.keep(path, GOOD, root)
    return listing


def _last_good(reader: Reader, path: str, problem: str) -> Listing | None:
    root = reader.last_good(path, GOOD)
    if not isinstance(root, Element):
        return None
    listing = _listing(reader, path, root)
    listing.failures[path] = problem
    return listing


def _is_live(root: Element) -> bool:
    return (root.get("type") or "").lower() == "dynamic"


def _listing(reader: Reader, path: str, root: Element) -> Listing:
    """All that the manifest says. A representation that makes no sense is a failure, and costs no other."""
    listing, live = Listing(entry=path, is_master=True, files={path: "playlist"}), _is_live(root)
    for place in _places(root, live, listing):
        try:
            _add(reader, listing, place)
        except CatalogError as problem:
            listing.failures[place.slot] = str(problem)
        except Exception as problem:  # numbers and attributes that make no sense, wherever they turn up
            listing.failures[place.slot] = str(broken(path, problem))
    _set_targets(listing, _seconds(root, "maxSegmentDuration", listing) or 0.0)
    if not any(track.segments for track in listing.tracks) and not (live and listing.tracks):
        reasons = [*listing.failures.values(), *(f"{path} has no segments: {note}" for note in listing.notes)]
        raise CatalogError(reasons[0] if reasons else f"{path} has no segments")
    return listing


def _places(root: Element, live: bool, listing: Listing) -> Iterator[Place]:
    """Every representation in order, with what is in the folder; the others are noted."""
    path, periods = listing.entry, _periods(root, listing)
    for period, span in zip(periods, _spans(root, periods, live, listing), strict=True):
        seen: dict[str, int] = {}
        for adaptation in period.all("AdaptationSet"):
            for index, representation in enumerate(adaptation.all("Representation")):
                kind = _kind(adaptation, representation)
                base = _base(path, root, period, adaptation, representation)
                if index == 0:
                    seen[kind] = seen.get(kind, -1) + 1
                if base is None:
                    listing.notes.append(_elsewhere(representation, adaptation, period, root, listing=listing))
                elif kind:
                    slot = f"{path}#{kind}-{seen.setdefault(kind, 0)}-{index}"
                    yield Place((representation, adaptation, period), base, kind, slot, span)


def _periods(root: Element, listing: Listing) -> list[Element]:
    """Those of this document. What an XLink names is not fetched; one that resolves to zero is not there."""
    for period in root.all("Period"):
        link = period.attributes.get(mpd.LINK)
        if link is not None and link != mpd.TO_ZERO:
            listing.notes.append(f"{listing.entry}: line {period.line}: the Period at {link!a} is not fetched")
    return [period for period in root.all("Period") if period.attributes.get(mpd.LINK) != mpd.TO_ZERO]


def _spans(root: Element, periods: list[Element], live: bool, listing: Listing) -> Iterator[Span]:
    """When each period begins, and how long it is where that is said or follows from the next one's start."""
    starts = [_seconds(period, "start", listing) for period in periods]
    ends = [*starts[1:], _seconds(root, "mediaPresentationDuration", listing)]
    at: float | None = 0.0
    for period, told, end in zip(periods, starts, ends, strict=True):
        start = at if told is None else told
        length = _seconds(period, "duration", listing)
        if length is None and end is not None and start is not None:
            length = max(0.0, end - start)
        yield Span(start, length, len(periods) == 1, live)
        at = None if start is None or length is None else start + length


def _seconds(element: Element, name: str, listing: Listing) -> float | None:
    """A duration; one that makes no sense is noted, and not known."""
    try:
        return element.duration(name)
    except ValueError as problem:
        listing.notes.append(f"{listing.entry}: {problem}, and is ignored")
        return None


def _kind(adaptation: Element, representation: Element) -> str:
    """`video`, `audio`, `text`, or empty for what is none of them (thumbnails, metadata)."""
    mime, codecs = ((representation.get(name) or adaptation.get(name) or "").lower() for name in ("mimeType", "codecs"))
    content = (adaptation.get("contentType") or "").lower()
    if codecs[:4] in ("stpp", "wvtt") or mime.startswith("application/ttml"):
        return "text"
    for word in (content, mime.partition("/")[0]):
        if word in ("video", "audio", "text"):
            return word
    if content or mime.startswith("image/"):
        return ""
    return "audio" if codecs.startswith(AUDIO_CODECS) else "video"


def _base(path: str, *levels: Element) -> str | None:
    """Where the representation's URIs start from (still encoded); None: at another server, or outside."""
    base: str | None = path
    for level in levels:
        urls = _urls(level)
        if urls and base is not None:
            # Several are alternatives: the first that is ours.
            base = next((found for url in urls if (found := join(base, url)) is not None), None)
    return base


def _urls(level: Element) -> list[str]:
    return [url for each in level.all("BaseURL") if (url := each.text.strip())]


def _elsewhere(representation: Element, *above: Element, listing: Listing) -> str:
    """The note on a representation whose BaseURLs all lead away."""
    urls = [url for level in (representation, *above) for url in _urls(level) if join(listing.entry, url) is None]
    name = ascii((representation.get("id") or "")[:40])
    return f"{listing.entry}: line {representation.line}: the Representation {name} is ignored: " + (
        f"its BaseURL {urls[0][:80]!a} {why_not_from(listing.entry, urls[0])}" if urls else "of its BaseURL"
    )


def _add(reader: Reader, listing: Listing, place: Place) -> None:
    """The representation's segments join the track that has its place in the period before."""
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
    """The number to add to a live segment's own: nothing, unless a new period counts from the start."""
    if not place.span.live or not pieces or pieces[0].number is None:
        return after
    return 0 if pieces[0].number >= after else after - pieces[0].number


def _append(track: Track, listing: Listing, piece: Piece, sequence: int) -> None:
    if piece.path is None:
        listing.notes.append(f"{listing.entry}: a segment of {track.rendition}, {piece.why}, and is ignored")
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
    """SegmentList: one URL, range, or both for each segment that plays in the period."""
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
    """SegmentBase, or a bare BaseURL: one file, cut into segments where it has an index."""
    path = target("", place.base)
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
        listing.headers.setdefault(path, []).append((0, index[1]))
        return [Piece(path, (index[1] + 1, reader.size(path) - 1), length)]
    listing.headers.setdefault(path, []).append((0, cut[0].first - 1))
    return [Piece(path, (span.first, span.last), span.seconds) for span in cut]


def _add_initialization(listing: Listing, place: Place, rules: Rules) -> None:
    for element in (*rules.all("Initialization"), *rules.all("RepresentationIndex")):
        source = element.get("sourceURL")
        uri = join(place.base, source) if source else place.base
        _add_init(listing, target("", uri or "/"), _range(element, "range", listing))


def _range(of: Element | Rules, name: str, listing: Listing) -> tuple[int, int] | None:
    """A byte range; one that makes no sense is noted, and none."""
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


def _set_targets(listing: Listing, longest: float) -> None:
    """How long a segment plays: the average of all but the last; where none is there, as it says."""
    for track in listing.tracks:
        played = [segment.duration_ms for segment in track.segments]
        whole = played[:-1] or played
        average = sum(whole) / len(whole) / 1000 if whole else longest
        track.target_seconds = round(average, 3)
