"""DASH manifests (ISO 23009-1) as a Listing. mpd.py parses the XML, timeline.py the times.

Every segment of every representation is listed: by its timeline, by counting, by its index (`sidx`), or, where a
manifest states only a template without a count, by the files on disk. In a multi-period manifest the numbers go on from
period to period; renditions are matched by their order.
"""

from collections.abc import Iterator

from streamlimit.delivery.dash import mpd
from streamlimit.delivery.dash.mpd import Element
from streamlimit.delivery.dash.representation import Place, add_segments
from streamlimit.delivery.dash.timeline import Span
from streamlimit.delivery.paths import join, why_not_from
from streamlimit.delivery.reader import Reader, broken
from streamlimit.delivery.segment import Listing
from streamlimit.errors import CatalogError

AUDIO_CODECS = ("mp4a", "ac-3", "ec-3", "opus", "flac", "vorb")
MAX_SEGMENTS = 1_000_000
"""Most segments of a manifest: a day in 2-second segments, in twenty renditions."""
MAX_REPRESENTATIONS = 5_000
"""Most representations of a manifest: 250 periods with twenty each."""

GOOD = "good"
"""The key under which the reader keeps the last complete version of a live manifest."""


def read(reader: Reader, path: str) -> Listing:
    """The manifest at *path*. Raises CatalogError where it cannot be parsed.

    For a live stream the last complete version replaces one that could be read in part only.
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
    """The listing of the manifest. An invalid representation becomes a failure, and does not affect others."""
    listing, live = Listing(entry=path, is_master=True, files={path: "playlist"}), _is_live(root)
    segments, tracks = 0, 0
    for number, place in enumerate(_places(root, live, listing)):
        segments += sum(len(track.segments) for track in listing.tracks[tracks:])
        tracks = len(listing.tracks)
        if segments + len(listing.notes) > MAX_SEGMENTS:
            raise CatalogError(f"{path} has more than {MAX_SEGMENTS} segments")
        if number == MAX_REPRESENTATIONS:
            raise CatalogError(f"{path} has more than {MAX_REPRESENTATIONS} representations")
        try:
            add_segments(reader, listing, place)
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
    """Every representation with files in the folder, in order; others are noted."""
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
    """The periods of this document. XLinks are not fetched; one that resolves to zero is left out."""
    for period in root.all("Period"):
        link = period.attributes.get(mpd.LINK)
        if link is not None and link != mpd.TO_ZERO:
            listing.notes.append(f"{listing.entry}: line {period.line}: the Period at {link!a} is not fetched")
    return [period for period in root.all("Period") if period.attributes.get(mpd.LINK) != mpd.TO_ZERO]


def _spans(root: Element, periods: list[Element], live: bool, listing: Listing) -> Iterator[Span]:
    """The span of each period; its length, where it is stated or follows from the next period's start."""
    starts = [_seconds(period, "start", listing) for period in periods]
    ends = [*starts[1:], _seconds(root, "mediaPresentationDuration", listing)]
    at: float | None = 0.0
    for period, stated, end in zip(periods, starts, ends, strict=True):
        start = at if stated is None else stated
        length = _seconds(period, "duration", listing)
        if length is None and end is not None and start is not None:
            length = max(0.0, end - start)
        yield Span(start, length, len(periods) == 1, live)
        at = None if start is None or length is None else start + length


def _seconds(element: Element, name: str, listing: Listing) -> float | None:
    """A duration in seconds; an invalid one is noted, and None."""
    try:
        return element.duration(name)
    except ValueError as problem:
        listing.notes.append(f"{listing.entry}: {problem}, and is ignored")
        return None


def _kind(adaptation: Element, representation: Element) -> str:
    """The kind of a representation: `video`, `audio`, `text`, or empty (thumbnails, metadata)."""
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
    """The base (still encoded) of the representation's URIs; None: at another server, or outside the folder."""
    base: str | None = path
    for level in levels:
        urls = _urls(level)
        if urls and base is not None:
            # Several are alternatives: the first one within the folder.
            base = next((found for url in urls if (found := join(base, url)) is not None), None)
    return base


def _urls(level: Element) -> list[str]:
    return [url for each in level.all("BaseURL") if (url := each.text.strip())]


def _elsewhere(representation: Element, *above: Element, listing: Listing) -> str:
    """The note on a representation whose BaseURLs all lead to other hosts."""
    urls = [url for level in (representation, *above) for url in _urls(level) if join(listing.entry, url) is None]
    name = ascii((representation.get("id") or "")[:40])
    return f"{listing.entry}: line {representation.line}: the Representation {name} is ignored: " + (
        f"its BaseURL {urls[0][:80]!a} {why_not_from(listing.entry, urls[0])}" if urls else "of its BaseURL"
    )


def _set_targets(listing: Listing, longest: float) -> None:
    """Sets the target duration of each track: the average of all segments but the last; without any, as stated."""
    for track in listing.tracks:
        played = [segment.duration_ms for segment in track.segments]
        whole = played[:-1] or played
        average = sum(whole) / len(whole) / 1000 if whole else longest
        track.target_seconds = round(average, 3)
