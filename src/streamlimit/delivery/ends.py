"""Where a finished stream ends: its last segments say how long it plays (rule 13). Values in, values out."""

from msgspec import structs

from streamlimit.delivery.segment import Listing, Track


def mark_ends(listings: list[Listing]) -> None:
    """The last segment of each finished rendition is marked with how long the longest of them plays.

    The longest: subtitles may end long before the picture does, and their last segment ends nothing.
    """
    ending = [track for listing in listings for track in listing.tracks if track.segments and not track.live]
    ends_ms = max(map(_length_ms, ending), default=0)
    for track in ending:
        track.segments[-1] = structs.replace(track.segments[-1], ends_ms=max(ends_ms, 1))


def _length_ms(track: Track) -> int:
    """Segments that are not there (gaps) would have played, too."""
    return sum(segment.duration_ms for segment in track.segments) + sum(track.gaps_ms.values())
