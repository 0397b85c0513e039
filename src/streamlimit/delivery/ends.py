"""The ends of finished streams: their last segments carry the stream's length (rule 13). Pure."""

from msgspec import structs

from streamlimit.delivery.segment import Listing, Track


def mark_ends(listings: list[Listing]) -> None:
    """Marks the last segment of each finished rendition with the length of the longest rendition.

    The longest, since subtitles may end long before the picture does.
    """
    ending = [track for listing in listings for track in listing.tracks if track.segments and not track.live]
    ends_ms = max(map(_length_ms, ending), default=0)
    for track in ending:
        track.segments[-1] = structs.replace(track.segments[-1], ends_ms=max(ends_ms, 1))


def _length_ms(track: Track) -> int:
    """The length of a track in ms, with its gaps."""
    return sum(segment.duration_ms for segment in track.segments) + sum(track.gaps_ms.values())
