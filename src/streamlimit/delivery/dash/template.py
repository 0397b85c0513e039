"""Names made by a DASH SegmentTemplate, and the files on disk that match it. Knows no manifest."""

import re

from msgspec import Struct

from streamlimit.delivery.dash import timeline
from streamlimit.delivery.dash.mpd import Number
from streamlimit.delivery.dash.timeline import Rules, Slot, Span
from streamlimit.delivery.paths import MAX_PATH, behind, one_slash, why_not_from
from streamlimit.delivery.reader import Reader

MAX_SURPLUS = 2
MAX_VARIABLES = 16
"""Most identifiers in a template, which is expanded for each of very many segments."""

_VARIABLE = re.compile(r"\$(?:(RepresentationID|Number|Time|Bandwidth|SubNumber)(?:%0?(\d{0,2})([diuxXo]))?)?\$")


class Piece(Struct, frozen=True):
    """One segment. `path` None: outside the folder, and `why`. `span`: bytes, inclusive. `number`: its own, if any."""

    path: str | None
    span: tuple[int, int] | None
    seconds: float
    number: int | None = None
    why: str = ""


def piece_of(base: str, uri: str, span: tuple[int, int] | None, seconds: float, number: int | None) -> Piece:
    """The segment that *uri* (empty: *base* itself) names relative to *base*, both encoded."""
    path = behind(base, uri)
    why = "" if path is not None else f"{uri[:80]!a}, {why_not_from(base, uri)}"
    return Piece(path, span, seconds, number, why)


class Template(Struct, frozen=True):
    """A SegmentTemplate of one representation in one period; URIs start at *base*; *names*: its identifiers' values."""

    base: str
    names: dict[str, Number | str]
    rules: Rules
    span: Span

    def path(self, text: str, number: int = 0, time: Number = 0) -> str | None:
        """The file that the template *text* names for a number and a time; None: it is outside the folder."""
        return behind(self.base, self._uri(text, number, time)) if text else None

    def pieces(self, reader: Reader) -> list[Piece]:
        """All segments of the period, in order."""
        media, live = self.rules.text("media") or "", self.span.live
        self._require_short(media)
        if live and self.span.seconds is None and timeline.is_open(self.rules):
            return self._on_disk(reader, media, 0)
        slots = timeline.slots(self.rules, self.span)
        if slots or self.rules.rows():
            return self._made(media, slots)
        ticks = self.rules.number("duration") or 0
        count = None if live else timeline.count(self.rules, ticks, self.span)
        if count is None:
            return self._on_disk(reader, media, ticks)
        count = 1 if "$" not in media else count + self._surplus(reader, media, count)
        first = self._first_time(reader, media)
        return self._made(media, [Slot(first + i * ticks, ticks, self.rules.start + i) for i in range(count)])

    def _require_short(self, media: str) -> None:
        """Raises ValueError for templates with names too long for files: each would be made in vain."""
        variables = len(_VARIABLE.findall(media))
        if variables > MAX_VARIABLES or len(self._uri(media, 0, 0)) > 3 * MAX_PATH:  # a byte, percent-encoded, is three
            self.rules.levels[0].reject("media", "makes names that are too long")

    def _made(self, media: str, slots: list[Slot]) -> list[Piece]:
        """The segments made of a template: their own number is `$Number$`, or the time in ms."""
        by_time, scale = "$Time" in media, self.rules.timescale
        return [
            piece_of(
                self.base,
                self._uri(media, slot.number, slot.time),
                None,
                slot.ticks / scale,
                timeline.presented_ms(self.rules, self.span, slot.time) if by_time else slot.number,
            )
            for slot in slots
        ]

    def _first_time(self, reader: Reader, media: str) -> Number:
        """The first `$Time$` with a duration: 0, or the offset, whichever file exists."""
        offset = self.rules.number("presentationTimeOffset") or 0 if "$Time" in media else 0
        return (
            offset if offset and not self._is_there(reader, media, 0) and self._is_there(reader, media, offset) else 0
        )

    def _is_there(self, reader: Reader, media: str, time: Number) -> bool:
        path = self.path(media, self.rules.start, time)
        return path is not None and reader.has(path)

    def _surplus(self, reader: Reader, media: str, count: int) -> int:
        """The number of existing segments beyond *count*: audio is often a little longer than the presentation."""
        if self.rules.whole("endNumber") is not None or "$Number" not in media or not self.span.is_only:
            return 0
        paths = [self.path(media, self.rules.start + count + i) for i in range(MAX_SURPLUS)]
        found = [path is not None and reader.has(path) for path in paths]
        return (*found, False).index(False)

    def _on_disk(self, reader: Reader, media: str, ticks: Number) -> list[Piece]:
        """The files that match the template, by their numbers (or times)."""
        example = self.path(media.replace("$$", ""), 0, 0)
        if example is None:
            return []
        folder = example.rpartition("/")[0]
        pattern = re.compile(self._pattern(one_slash(media).rpartition("/")[2]))
        if not pattern.groups:  # one file, without a number
            return [Piece(example, None, ticks / self.rules.timescale)] if reader.has(example) else []
        numbers = {int(match["n"]): name for name in reader.names(folder) if (match := pattern.fullmatch(name))}
        prefix, seconds, by_time = f"{folder}/" if folder else "", ticks / self.rules.timescale, "$Time" in media
        return [
            Piece(prefix + name, None, seconds, timeline.presented_ms(self.rules, self.span, n) if by_time else n)
            for n, name in sorted(numbers.items())
            if by_time or self._has_number(n)
        ]

    def _has_number(self, number: int) -> bool:
        """Has this period a segment of that number? With only one period, every number counts."""
        if self.span.is_only:
            return True
        ticks = self.rules.number("duration") or 0
        count = timeline.count(self.rules, ticks, self.span)
        return self.rules.start <= number and (count is None or number < self.rules.start + count)

    def _pattern(self, name: str) -> str:
        """The regular expression of file names, with the number (or time) as group `n`."""
        text, at = "", 0
        for match in _VARIABLE.finditer(name):
            text += re.escape(name[at : match.start()])
            is_number = match[1] in ("Number", "Time")
            if is_number:
                text += "[0-9]+" if "(?P<n>" in text else "(?P<n>[0-9]+)"
            else:
                text += re.escape(_value(match, self.names))
            at = match.end()
        return text + re.escape(name[at:])

    def _uri(self, text: str, number: int, time: Number) -> str:
        values = self.names | {"Number": number, "Time": time}
        return _VARIABLE.sub(lambda match: _value(match, values), text)


def _value(match: re.Match[str], values: dict[str, Number | str]) -> str:
    if match[1] is None:
        return "$"
    value = values.get(match[1], 0)
    if not match[3] or not isinstance(value, int):
        return str(value)
    return f"{value:0{int(match[2] or 1)}{match[3] if match[3] in 'xXo' else 'd'}}"
