"""The `sidx` box of an MP4 file (ISO 14496-12, 8.16.3), the index of its segments. Reads no file itself."""

import struct
from collections.abc import Callable

from msgspec import Struct

MAX_DEPTH = 3
"""Most levels of indexes: an index of indexes is common in long files."""


class Span(Struct, frozen=True):
    """A segment's bytes in the file (inclusive), and its duration."""

    first: int
    last: int
    seconds: float


def spans(
    read: Callable[[int, int], bytes], first: int, last: int, depth: int = 0, seen: set[int] | None = None
) -> list[Span]:
    """The segments that the index at bytes *first*–*last* names. Empty: there is no `sidx` box.

    *read(first, last)* returns bytes of the file; *seen*: offsets of boxes that were read already. Raises ValueError
    for an invalid box, or one that is named twice, since few boxes could so name a huge number of segments.
    """
    seen = set() if seen is None else seen
    found = _find(read(first, last))
    if found is None:
        return []
    start, box = found
    if first + start in seen:
        raise ValueError("a sidx box that is named twice")
    seen.add(first + start)
    timescale, offset, references = _parse(box)
    at = first + start + len(box) + offset  # counted from the end of this box
    result: list[Span] = []
    for is_index, size, duration in references:
        if is_index:
            if depth == MAX_DEPTH:
                raise ValueError("sidx boxes nested too deeply")
            result += spans(read, at, at + size - 1, depth + 1, seen)
        elif size:
            result.append(Span(at, at + size - 1, duration / timescale))
        at += size
    return result


def _find(content: bytes) -> tuple[int, bytes] | None:
    """The first sidx box in *content*: its offset there, and the box with its header."""
    at = 0
    while at + 8 <= len(content):
        size, name = struct.unpack_from(">I4s", content, at)
        if name == b"sidx" and 32 <= size <= len(content) - at:
            return at, content[at : at + size]
        if size < 8:
            return None
        at += size
    return None


def _parse(box: bytes) -> tuple[int, int, list[tuple[bool, int, int]]]:
    """The timescale, the first offset, and (is an index, bytes, duration) of each reference."""
    is_long = box[8] > 0
    timescale = struct.unpack_from(">I", box, 16)[0]
    offset = struct.unpack_from(">Q" if is_long else ">I", box, 28 if is_long else 24)[0]
    head = 40 if is_long else 32
    if len(box) < head or not timescale:
        raise ValueError("a sidx box that is too short")
    count = struct.unpack_from(">H", box, head - 2)[0]
    if len(box) < head + 12 * count:
        raise ValueError("a sidx box shorter than its references")
    references = struct.iter_unpack(">III", box[head : head + 12 * count])
    return timescale, offset, [(bool(a >> 31), a & 0x7FFFFFFF, duration) for a, duration, _ in references]
