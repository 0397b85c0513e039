"""The stream that several playlists and manifests describe together. Values in, values out: reads no file."""

from collections.abc import Iterable
from operator import attrgetter

from msgspec import structs

from streamlimit.delivery.segment import Listing, Segment, Track
from streamlimit.delivery.stream import Stream

RETIRED_KEPT = 256
"""Segments of a live stream that are still found by name after they slid out of the window."""


_by_last = attrgetter("last")


def build(stream_id: str, title: str, listings: list[Listing], previous: Stream | None = None) -> Stream:
    """The stream that *listings* (at least one, the entry first) describe together.

    A file that is in two of them is one segment, the first one's. A live stream still finds segments of *previous* by
    name, so that a player a little behind is served.
    """
    leading = next((listing for listing in listings if listing.main()), listings[0])
    main = leading.main()
    if main is not None and main.kind == "audio":
        _count_audio(listings)
    live = main is not None and main.live
    if not live:
        _mark_ends(listings)
    names = _all_names(listings, live, previous)
    return Stream(
        stream_id=stream_id,
        title=title,
        entry=listings[0].entry,
        segment_seconds=main.target_seconds if main else 0.0,
        live=live,
        main=main.segments if main else [],
        notes=tuple(note for listing in listings for note in listing.notes),
        tracks={track.rendition: track.segments for item in listings for track in item.tracks},
        names=names,
        ranges=_ranges(names.values()),
        files=_files(listings, names.values()),
        headers=_headers(listings),
        start_seconds=_start_of(leading, main),
        gaps_ms=main.gaps_ms if main else {},
        hints=frozenset(track.hint for item in listings for track in item.tracks if track.hint),
        edges={track.rendition: track.edge for item in listings for track in item.tracks if track.edge},
    )


def _all_names(listings: list[Listing], live: bool, previous: Stream | None) -> dict[str, Segment]:
    """The segments by name, with those that a live stream listed lately; numbers go on from *previous*."""
    if previous is not None and previous.live and not live:
        _count_on(listings, previous)
    names = _names(listings)
    return {**_retired(previous, names), **names} if live and previous is not None else names


def _start_of(listing: Listing, main: Track | None) -> float | None:
    """The start in the playlists: the master's before a media playlist's (RFC 8216bis, 4.4.2)."""
    said = listing.start_seconds
    return said if said is not None or main is None else main.start_seconds


def _count_audio(listings: list[Listing]) -> None:
    """Makes the audio count as buffered media in a stream without video."""
    for track in [track for listing in listings for track in listing.tracks]:
        if track.kind == "audio" and track.counts:
            track.segments[:] = [structs.replace(segment, is_main=True) for segment in track.segments]
    for listing in listings:
        listing.parts[:] = [structs.replace(part, is_main=part.kind == "audio") for part in listing.parts]


def _count_on(listings: list[Listing], previous: Stream) -> None:
    """Keeps the numbers of a live stream that has ended, since its viewers' positions refer to them."""
    for track in [track for listing in listings for track in listing.tracks]:
        known = next((segment for segment in track.segments if segment.name in previous.names), None)
        shift = previous.names[known.name].sequence - known.sequence if known else 0
        if shift:
            track.segments[:] = [structs.replace(s, sequence=s.sequence + shift) for s in track.segments]


def _names(listings: list[Listing]) -> dict[str, Segment]:
    names: dict[str, Segment] = {}
    for listing in listings:
        for track in listing.tracks:
            for segment in track.segments:
                names.setdefault(segment.name, segment)
        for part in listing.parts:
            names.setdefault(part.name, part)
    return names


def _files(listings: list[Listing], segments: Iterable[Segment]) -> dict[str, str]:
    """The kind of each listed file. Text is `other`; media wins over text and over being an init, too."""
    files: dict[str, str] = {}
    for segment in segments:
        if segment.kind != "text":
            files[segment.path] = "media"
        else:
            files.setdefault(segment.path, "other")
    for listing in listings:
        for path, what in listing.files.items():
            if files.get(path) != "media":
                files[path] = what
    return files


def _ranges(segments: Iterable[Segment]) -> dict[str, list[Segment]]:
    ranges: dict[str, list[Segment]] = {}
    for segment in segments:
        if segment.last is not None:
            ranges.setdefault(segment.path, []).append(segment)
    for found in ranges.values():
        found.sort(key=_by_last)
    return ranges


def _headers(listings: list[Listing]) -> dict[str, list[tuple[int, int]]]:
    headers: dict[str, list[tuple[int, int]]] = {}
    for listing in listings:
        for path, found in listing.headers.items():
            headers[path] = sorted({*headers.get(path, []), *found})
    return headers


def _retired(previous: Stream, names: dict[str, Segment]) -> dict[str, Segment]:
    """The newest segments that slid out of the window, oldest first."""
    gone = [segment for name, segment in previous.names.items() if name not in names]
    return {segment.name: segment for segment in gone[-RETIRED_KEPT:]}


def _mark_ends(listings: list[Listing]) -> None:
    """Marks the last segment of each finished rendition with the length of the longest rendition (rule 13).

    The longest, since subtitles may end long before the picture does.
    """
    ending = [track for listing in listings for track in listing.tracks if track.segments and not track.live]
    ends_ms = max(map(_length_ms, ending), default=0)
    for track in ending:
        track.segments[-1] = structs.replace(track.segments[-1], ends_ms=max(ends_ms, 1))


def _length_ms(track: Track) -> int:
    """The length of a track in ms, with its gaps."""
    return sum(segment.duration_ms for segment in track.segments) + sum(track.gaps_ms.values())
