"""Values in lines of HLS playlists: files, keys, byte ranges, starts.

All functions raise `Unreadable` with a reason.
"""

from streamlimit.delivery.hls_tags import Line, Unreadable, Variables, attributes, number, whole
from streamlimit.delivery.paths import target, why_not

OTHERS_KEYS = ("data:", "skd:")
NO_TEXT = "is not UTF-8 text and is ignored"


def inside(base: str, uri: str) -> str:
    """The file of the stream that *uri* names in the playlist *base*. Raises Unreadable."""
    found = target(base, uri) if uri else None
    if found is None:
        raise Unreadable(_why_not(base, uri))
    return found


def _why_not(base: str, uri: str) -> str:
    if not uri:
        return "names no URI and is ignored"
    return f"{why_not(base, uri)} and is ignored" if is_text(uri) else NO_TEXT


def is_text(uri: str) -> bool:
    """Was *uri* valid UTF-8? Invalid bytes are lone surrogates here."""
    return not any("\ud800" <= each <= "\udfff" for each in uri)


def start_of(line: Line) -> float:
    """The start in seconds from the beginning or, negative, from the end. Raises Unreadable."""
    seconds = number(attributes(line.value).get("TIME-OFFSET", ""))
    if seconds is None:
        raise Unreadable("has no TIME-OFFSET that is a number")
    return seconds


def key_of(path: str, line: Line, variables: Variables) -> list[str]:
    """The key files of the stream that the line names; keys of DRM systems (skd:, data:) are none.

    Raises Unreadable.
    """
    uri = variables.uri(attributes(line.value).get("URI", ""))
    return [] if not uri or uri.startswith(OTHERS_KEYS) else [inside(path, uri)]


def span_of(text: str | None, path: str, ends: dict[str, int | None]) -> tuple[int, int] | None:
    """First and last byte of a range `length[@offset]`; without an offset it follows the file's last range.

    Raises Unreadable, also where the end of that range is not known.
    """
    if not text:
        return None
    size, at, offset = text.strip('" ').partition("@")
    length, first = whole(size), whole(offset) if at else ends.get(path, 0)
    if not length or first is None:
        ends[path] = None
        raise Unreadable(f"no bytes of {path} are meant by {text}")
    ends[path] = first + length
    return first, first + length - 1
