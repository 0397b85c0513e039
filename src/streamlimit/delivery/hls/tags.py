"""The lines, tags, attributes and variables of an HLS playlist (RFC 8216bis, 4.1 to 4.3), read leniently.

Only tags that an origin needs are returned; others may have any form. Values in single lines (files, keys,
byte ranges, starts) are read here, too.
"""

import re
from collections.abc import Callable, Iterator

from msgspec import Struct, field

from streamlimit.delivery.paths import target, why_not

TAGS = {"#EXTINF"} | {
    f"#EXT-X-{name}"
    for name in (
        *("STREAM-INF", "MEDIA", "I-FRAME-STREAM-INF", "IMAGE-STREAM-INF", "SESSION-KEY", "DEFINE", "START"),
        *("TARGETDURATION", "MEDIA-SEQUENCE", "PLAYLIST-TYPE", "ENDLIST", "SERVER-CONTROL", "KEY", "MAP"),
        *("BYTERANGE", "GAP", "SKIP", "PART", "PRELOAD-HINT"),
    )
}

_BLANKS, _QUOTES = " \t\r", '" \t'
_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_WHOLE = re.compile(r"\+?([0-9]{1,19})(?:\.[0-9]*)?")
# A quoted string in the place of a name is skipped: text in it that looks like an attribute is none.
_ATTRIBUTE = re.compile(r""""[^"]*"|([A-Za-z0-9_.-]+)\s*(?:=\s*(?:"([^"]*)"|'([^']*)'(?=\s*(?:,|$))|([^,]*)))?""")
_REFERENCE = re.compile(r"\{\$([A-Za-z0-9_-]+)\}")
OTHERS_KEYS = ("data:", "skd:")
NO_TEXT = "is not UTF-8 text and is ignored"
MOST_SECONDS = 10_000_000.0
MOST_SHOWN = 120
MOST_VALUE = 8_192
"""Most characters of a variable's value: a value made of others could double with each line."""
MOST_FILLED = 16 * MOST_VALUE
"""Most characters of a text with its variables substituted."""


class Line(Struct, frozen=True, gc=False):
    """A relevant line: its number from 1, its tag with the `#` (empty: the line is a URI), its value."""

    number: int
    tag: str
    value: str

    def at(self, path: str) -> str:
        """The position of the line in words, for the author of the playlist."""
        cut = self.value if len(self.value) <= MOST_SHOWN else self.value[:MOST_SHOWN] + "…"
        shown = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in cut)
        said = f"{self.tag}:{shown}" if self.tag else shown
        return f"{path}, line {self.number} ({said})"


def lines_of(text: str) -> list[Line]:
    """The relevant lines of *text*. Lines end with LF or CRLF; with CR alone only where there is no LF."""
    return list(_lines(text.split("\n" if "\n" in text else "\r")))


def _lines(raw: list[str]) -> Iterator[Line]:
    for number, line in enumerate(raw, 1):
        line = line.strip(_BLANKS)
        if not line.startswith("#"):
            if line:
                yield Line(number, "", line)
        elif line.startswith("#EXT"):
            tag, _, value = line.partition(":")
            tag = tag.rstrip(_BLANKS)
            if tag in TAGS:
                yield Line(number, tag, value.strip(_BLANKS))


def number(text: str) -> float | None:
    """The number at the beginning of *text*; None: there is none, or it is out of range."""
    found = _NUMBER.match(text.strip(_QUOTES))
    value = float(found[0]) if found else None
    return value if value is not None and abs(value) <= MOST_SECONDS else None


def whole(text: str) -> int | None:
    """The integer *text*; None: it is none."""
    found = _WHOLE.fullmatch(text.strip(_QUOTES))
    return int(found[1]) if found else None


def attributes(text: str) -> dict[str, str]:
    """The attributes of a list, with names in capitals; of two with one name the last."""
    found: dict[str, str] = {}
    for name, quoted, single, bare in _ATTRIBUTE.findall(text):
        if name:
            found[name.upper()] = quoted or single or bare.strip().strip('"')
    return found


class Unreadable(Exception):
    """A line cannot be parsed; the text says why."""


class Variables(Struct):
    """The variables defined so far (EXT-X-DEFINE). `imported`: the master's, which a media playlist may import."""

    values: dict[str, str] = field(default_factory=dict)
    imported: dict[str, str] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)

    def define(self, text: str) -> None:
        """Adds the variable of one EXT-X-DEFINE; one without a value gets the reason in its place."""
        found = {name: self.put_in(value) for name, value in attributes(text).items()}
        if any(len(value) > MOST_VALUE for value in found.values()):
            raise Unreadable(f"a value of more than {MOST_VALUE} characters is none")
        if name := found.get("IMPORT"):
            if name in self.imported:
                self.values[name] = self.imported[name]
            else:
                self.reasons[name] = f"EXT-X-DEFINE imports {name}, which no master playlist defines"
        elif name := found.get("QUERYPARAM"):
            self.reasons[name] = f"EXT-X-DEFINE with QUERYPARAM (here {name}) is not supported"
        elif (name := found.get("NAME")) and "VALUE" in found:
            self.values[name] = found["VALUE"]

    def copied(self) -> "Variables":
        """A copy of the variables, for another playlist."""
        return Variables({**self.values}, self.imported, {**self.reasons})

    def put_in(self, text: str) -> str:
        """*text* with its variables substituted.

        Raises Unreadable where one has no value, or the result is too long.
        """
        return self._filled(text, self._value) if "{$" in text else text

    def uri(self, text: str) -> str:
        """As `put_in`, for a URI, whose query does not name the file: a variable there need not have a value."""
        if "{$" not in text:
            return text
        path, mark, query = text.partition("?")
        return self.put_in(path) + mark + self._filled(query, lambda found: self.values.get(found[1], ""))

    def _filled(self, text: str, value: Callable[[re.Match[str]], str]) -> str:
        """The substituted text; its length is checked before it is made: a short name may stand for a long value."""
        if len(text) + sum(len(value(found)) for found in _REFERENCE.finditer(text)) > MOST_FILLED:
            raise Unreadable(f"with its variables it has more than {MOST_FILLED} characters")
        return _REFERENCE.sub(value, text)

    def _value(self, found: re.Match[str]) -> str:
        value = self.values.get(found[1])
        if value is None:
            raise Unreadable(self.reasons.get(found[1], f"no EXT-X-DEFINE gives {found[0]} a value"))
        return value


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
