"""Interpretation of files by their names alone, for streams whose files are at another server.

Free files are known by their suffix; every other file is a segment. Its *rendition* is the path without its last run of
digits, which is its number; digits of a suffix (`.m4s`, `.mp4`) do not count. Knows no request.
"""

import re
from urllib.parse import unquote

from msgspec import Struct

from streamlimit.delivery.free import by_name
from streamlimit.delivery.paths import kind_by_suffix, suffix_of
from streamlimit.delivery.segment import NUMBER_DIGITS, Segment

_LAST_DIGITS = re.compile(r"(?<![0-9])[0-9]+(?=[^0-9]*\Z)")  # tried once a run of digits, not at each digit
_never_in_a_path = re.compile(r"[\u0000-\u001f\u007f-\u009f\u2028\u2029\ud800-\udfff\\]").search
_ends = re.compile("[;?#]")
_IS_INIT = re.compile(r"(?:.*[^a-z])?init(?![a-z]).*|.*init", re.IGNORECASE).fullmatch
_INIT_SUFFIXES = frozenset({".mp4", ".m4s", ".m4v", ".m4a", ".cmfv", ".cmfa", ".m4f", ".mp4a", ".mp4v"})
_INITS_ONLY = frozenset({".m4i", ".cmfi"})


class Place(Struct, frozen=True, gc=False):
    """The place of a media file in its stream. `sequence` None: its name contains no number.

    `name`, `rendition`, `kind`, `part`, `ends_ms`: as in `Segment`. `play_ms`: its duration as buffered media, else 0.
    """

    name: str
    rendition: str
    kind: str
    sequence: int | None
    part: int = 0
    play_ms: int = 0
    ends_ms: int = 0

    def is_after(self, earlier: "Place") -> bool:
        """Is this place later than *earlier*, in the same rendition?"""
        if self.rendition != earlier.rendition or self.sequence is None or earlier.sequence is None:
            return False
        return (self.sequence, self.part) > (earlier.sequence, earlier.part)


def is_free(path: str) -> bool:
    """Is the file free of a seat: a playlist, a manifest, an init segment, a key, a text, an image?

    Servers differ in where a name ends (`a.ts;b.jpg`, `a.ts?b.jpg`), and in how often they decode it: the file has to
    be free in every interpretation.
    """
    return all(_is_free(name) and _is_free(_ends.split(name, 1)[0]) for name in {path, unquote(path)})


def _is_free(path: str) -> bool:
    return by_name(path) != "media" or _is_init(path)


def is_relative(path: str) -> bool:
    """Can *path* be a file within its stream, by its name?"""
    return not path.startswith("/") and ".." not in path.split("/") and not _never_in_a_path(path)


def place_of(path: str) -> Place:
    """The place of the segment *path*."""
    suffix = suffix_of(path)
    stem = path if suffix[1:].isdigit() else path[: len(path) - len(suffix)]
    digits = _LAST_DIGITS.search(stem)
    kind = kind_by_suffix(path)
    if digits is None:
        return Place(path, path, kind, None)
    rendition = path[: digits.start()] + path[digits.end() :]
    return Place(path, rendition, kind, int(digits[0][-NUMBER_DIGITS:]))


def place_in(segment: Segment) -> Place:
    """The place of a segment of the catalog."""
    play_ms = segment.duration_ms if segment.is_main else 0
    return Place(
        segment.name, segment.rendition, segment.kind, segment.sequence, segment.part, play_ms, segment.ends_ms
    )


def _is_init(path: str) -> bool:
    suffix, name = suffix_of(path), path.rpartition("/")[2]
    stem = name[: len(name) - len(suffix)]
    return suffix in _INITS_ONLY or (suffix in _INIT_SUFFIXES and _IS_INIT(stem) is not None)
