"""The XML of a DASH manifest as a tree of the elements that an origin needs; manifest.py interprets them.

All other elements (events, DRM, other namespaces) are skipped, and attributes are parsed when they are needed, so
irrelevant ones may have any form. No entity is expanded and no other file is opened: a document type is rejected.
"""

import re
from typing import Never
from xml.parsers import expat

from msgspec import Struct, field

from streamlimit.errors import CatalogError

NEEDED = frozenset(
    [
        "MPD",
        "Period",
        "BaseURL",
        "AdaptationSet",
        "Representation",
        "SegmentBase",
        "SegmentList",
        "SegmentTemplate",
        "SegmentTimeline",
        "S",
        "SegmentURL",
        "Initialization",
        "RepresentationIndex",
    ]
)
OURS = "urn:mpeg:dash:schema:mpd"
LINK, TO_ZERO = "xlink:href", "urn:mpeg:dash:resolve-to-zero:2013"

_NUMBER = re.compile(r"[+-]?[0-9]{1,30}(\.[0-9]{0,30})?")
_AMOUNT = r"(\d+(?:[.,]\d*)?|[.,]\d+)"
_DURATION = re.compile(
    rf"P(?:{_AMOUNT}Y)?(?:{_AMOUNT}M)?(?:{_AMOUNT}D)?(?:T(?:{_AMOUNT}H)?(?:{_AMOUNT}M)?(?:{_AMOUNT}S)?)?",
    re.ASCII | re.IGNORECASE,
)
_SECONDS = (31_536_000, 2_592_000, 86_400, 3_600, 60, 1)

Number = int | float


class Element(Struct):
    """One element; `text`: its own text, without comments."""

    name: str
    line: int
    attributes: dict[str, str] = field(default_factory=dict)
    children: list["Element"] = field(default_factory=list)
    text: str = ""

    def all(self, name: str) -> list["Element"]:
        """The children named *name*."""
        return [child for child in self.children if child.name == name]

    def get(self, name: str) -> str | None:
        """An attribute without surrounding spaces; None where it is missing or empty."""
        return self.attributes.get(name, "").strip() or None

    def number(self, name: str) -> Number | None:
        """An attribute as a number; integers (also `2000.0`) are `int`. Raises ValueError."""
        value = self.get(name)
        if value is None:
            return None
        if not _NUMBER.fullmatch(value):
            self.reject(name, "is no number")
        whole, _, rest = value.partition(".")
        return float(value) if rest.strip("0") else int(whole)

    def duration(self, name: str) -> float | None:
        """An attribute like `PT1H2M3.5S` in seconds. Raises ValueError."""
        value = self.get(name)
        if value is None:
            return None
        match = _DURATION.fullmatch(value)
        if match is None or not any(match.groups()):
            self.reject(name, "is no duration")
        amounts = [float(amount.replace(",", ".")) if amount else 0.0 for amount in match.groups()]
        return sum(amount * unit for amount, unit in zip(amounts, _SECONDS, strict=True))

    def span(self, name: str) -> tuple[int, int] | None:
        """An attribute `first-last` as both bytes, inclusive. Raises ValueError."""
        value = self.get(name)
        if value is None:
            return None
        first, _, last = (part.strip() for part in value.partition("-"))
        if not (first.isdecimal() and last.isdecimal() and int(first) <= int(last)):
            self.reject(name, "is no byte range")
        return int(first), int(last)

    def reject(self, name: str, why: str) -> Never:
        """Raises a ValueError with the attribute's position and *why* it is wrong."""
        shown = ascii(self.attributes.get(name, "")[:40])
        raise ValueError(f"line {self.line}: the {name} of {self.name}, {shown}, {why}")


def parse(path: str, text: str) -> Element:
    """The MPD element of the manifest at *path*. Raises CatalogError that names the line and the element."""
    document = text.lstrip()  # nothing may stand before an XML declaration, and sometimes a blank line does
    skipped = text.count("\n", 0, len(text) - len(document))
    return _Builder(path, skipped).build(document)


class _Builder:
    """The handler of expat's callbacks. `_open`: the open elements; below a skipped one nothing is kept."""

    def __init__(self, path: str, lines_before: int) -> None:
        self._path, self._before = path, lines_before
        self._root: Element | None = None
        self._kept: list[Element] = []
        self._open: list[str] = []
        self._prefixes: list[dict[str, str]] = [{}]
        self._namespace = ""
        self._parser = expat.ParserCreate("utf-8")  # the text is decoded already: the declared encoding does not count
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters
        self._parser.StartDoctypeDeclHandler = self._doctype

    def build(self, document: str) -> Element:
        try:
            self._parser.Parse(document.encode(), True)
        except expat.ExpatError as problem:
            self._fail(expat.ErrorString(problem.code), problem.lineno)
        if self._root is None or not self._root.all("Period"):
            raise CatalogError(f"{self._path} has no MPD with a period")
        return self._root

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        is_kept = len(self._kept) == len(self._open)
        name, namespace = self._named(tag, attributes)
        self._open.append(name)
        if self._root is None:
            if name != "MPD":
                self._fail("this is no MPD")
            self._namespace = namespace
        elif not is_kept or name not in NEEDED or not self._is_ours(namespace):
            return
        element = Element(name, self._parser.CurrentLineNumber + self._before, attributes)
        if self._root is None:
            self._root = element
        else:
            self._kept[-1].children.append(element)
        self._kept.append(element)

    def _end(self, _tag: str) -> None:
        if len(self._kept) == len(self._open):
            self._kept.pop()
        self._open.pop()
        self._prefixes.pop()

    def _characters(self, text: str) -> None:
        if len(self._kept) == len(self._open):
            self._kept[-1].text += text

    def _doctype(self, *_what: object) -> None:
        self._fail("a document type (DOCTYPE), which no manifest needs, is refused")

    def _named(self, tag: str, attributes: dict[str, str]) -> tuple[str, str]:
        """The local name and the namespace of a tag; the namespace is empty where the prefix is not declared."""
        declared = {key[6:]: value for key, value in attributes.items() if key == "xmlns" or key.startswith("xmlns:")}
        known = self._prefixes[-1] | declared if declared else self._prefixes[-1]
        self._prefixes.append(known)
        prefix, _, name = tag.rpartition(":")
        return name, known.get(prefix, "")

    def _is_ours(self, namespace: str) -> bool:
        return namespace in ("", self._namespace) or namespace.lower().startswith(OURS)

    def _fail(self, why: str, line: int | None = None) -> Never:
        at = (self._parser.CurrentLineNumber if line is None else line) + self._before
        where = f", in {ascii(self._open[-1][:40])[1:-1]}" if self._open else ""
        raise CatalogError(f"{self._path}: line {at}{where}: {why}")
