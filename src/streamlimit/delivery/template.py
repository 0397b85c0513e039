"""DASH's ways to make many segments of one line: templates, timelines, durations. Knows no manifest."""

import re
from typing import Any

from msgspec import Struct

from streamlimit.delivery.paths import join, target
from streamlimit.delivery.reader import Reader

MAX_SEGMENTS = 500_000
"""Of one representation in one period; a manifest that says more is a mistake (or an attack)."""

MAX_SURPLUS = 2

_VARIABLE = re.compile(r"\$(?:(RepresentationID|Number|Time|Bandwidth|SubNumber)(?:%0?(\d{1,2})[dux])?)?\$")
_DURATION = re.compile(r"P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d*)?)S)?)?$")
_SECONDS = (31_536_000, 2_592_000, 86_400, 3_600, 60, 1)


class Piece(Struct, frozen=True):
    """One segment. `path` None: outside the stream. `span`: bytes, inclusive. `number`: its own, if any."""

    path: str | None
    span: tuple[int, int] | None
    seconds: float
    number: int | None = None


class Template(Struct, frozen=True):
    """A SegmentTemplate of one representation; `found` are its attributes with what it inherits."""

    base: str
    id: str
    bandwidth: int
    found: dict[str, Any]

    def path(self, text: str, number: int = 0, time: int = 0) -> str | None:
        """The file that the template *text* names for that number and time; None: it is none of ours."""
        values = {"RepresentationID": self.id, "Bandwidth": self.bandwidth, "Number": number, "Time": time}
        return self._target(_VARIABLE.sub(lambda m: _value(m, values), text))

    def pieces(self, reader: Reader, seconds: float | None, live: bool) -> list[Piece]:
        """All segments of a period of *seconds* (None: open), in order."""
        media, scale = self.found.get("media") or "", self.found.get("timescale") or 1
        if live and seconds is None and _is_open(self.found):
            return self._on_disk(reader, media, 0.0)
        entries = timeline(self.found, scale, seconds)
        if not entries:
            ticks = self.found.get("duration") or 0
            count = None if live else self._count(ticks / scale, seconds)
            if count is None:
                return self._on_disk(reader, media, ticks / scale)
            count = 1 if "$" not in media else count + self._surplus(reader, media, count)
            entries = [(i * ticks, ticks / scale) for i in range(count)]
        return self._made(media, scale, entries)

    def _made(self, media: str, scale: int, entries: list[tuple[int, float]]) -> list[Piece]:
        """One segment an entry. What it is called by is its own number: `$Number$`, or its time in ms."""
        start, by_time = self._start(), "$Time" in media
        return [
            Piece(self.path(media, start + i, t), None, length, t * 1000 // scale if by_time else start + i)
            for i, (t, length) in enumerate(entries)
        ]

    def _surplus(self, reader: Reader, media: str, count: int) -> int:
        """Segments beyond the count that are there: audio is often a little longer than the presentation."""
        if self.found.get("end_number") is not None or "$Number" not in media:
            return 0
        paths = [self.path(media, self._start() + count + i) for i in range(MAX_SURPLUS)]
        found = [path is not None and reader.has(path) for path in paths]
        return (*found, False).index(False)

    def _start(self) -> int:
        start = self.found.get("start_number")
        return 1 if start is None else int(start)

    def _count(self, length: float, seconds: float | None) -> int | None:
        """How many segments of equal length there are; None: only the disk knows."""
        end = self.found.get("end_number")
        if end is not None:
            count = int(end) - self._start() + 1
        elif length <= 0 or seconds is None:
            return None
        else:
            count = -int(-(round(seconds / length, 6)) // 1)  # rounded up, but not for a millionth
        if not 0 <= count <= MAX_SEGMENTS:
            raise ValueError(f"{count} segments of {self.id}")
        return count

    def _on_disk(self, reader: Reader, media: str, length: float) -> list[Piece]:
        """The files that look like the template, by their numbers (or times)."""
        example = self.path(media.replace("$$", ""), 0, 0)
        if example is None:
            return []
        folder = example.rpartition("/")[0]
        pattern = re.compile(self._pattern(media.rpartition("/")[2]))
        numbers = {int(match["n"]): name for name in reader.names(folder) if (match := pattern.fullmatch(name))}
        scale = 1000 / (self.found.get("timescale") or 1) if "$Time" in media else 1
        prefix = f"{folder}/" if folder else ""
        return [Piece(prefix + name, None, length, int(n * scale)) for n, name in sorted(numbers.items())]

    def _pattern(self, name: str) -> str:
        """A regular expression for file names, with the number (or time) as group `n`."""
        values = {"RepresentationID": self.id, "Bandwidth": self.bandwidth}
        text, at = "", 0
        for match in _VARIABLE.finditer(name):
            text += re.escape(name[at : match.start()])
            is_number = match[1] in ("Number", "Time")
            if is_number:
                text += r"\d+" if "(?P<n>" in text else r"(?P<n>\d+)"
            else:
                text += re.escape(_value(match, values))
            at = match.end()
        return text + re.escape(name[at:])

    def _target(self, uri: str) -> str | None:
        joined = join(self.base, uri) if uri else None
        return target("", joined) if joined else None


def timeline(found: dict[str, Any], scale: int, seconds: float | None) -> list[tuple[int, float]]:
    """(start in ticks, length in seconds) of each segment of the SegmentTimeline; empty: it has none."""
    rows = [row for table in found.get("segment_timelines") or () for row in table.Ss or ()]
    entries: list[tuple[int, float]] = []
    at = 0
    for index, row in enumerate(rows):
        at = at if row.t is None else row.t
        following = rows[index + 1].t if index + 1 < len(rows) else None
        first = rows[0].t or 0
        end = following if following is not None else None if seconds is None else first + seconds * scale
        count = _repeats(row, at, end)
        if row.d <= 0 or len(entries) + count > MAX_SEGMENTS:
            raise ValueError(f"a timeline of {count} segments of {row.d} ticks")
        entries += [(at + i * row.d, row.d / scale) for i in range(count)]
        at += count * row.d
    return entries


def _is_open(found: dict[str, Any]) -> bool:
    """Does the timeline end with "and so on"?"""
    rows = [row for table in found.get("segment_timelines") or () for row in table.Ss or ()]
    return bool(rows) and (rows[-1].r or 0) < 0


def _repeats(row: Any, at: int, end: float | None) -> int:
    """How many segments one row stands for; a negative `r` means: until the next row, or the end."""
    repeat = row.r or 0
    if repeat >= 0:
        return int(repeat) + 1
    return max(1, -int(-(end - at) // row.d)) if end is not None and row.d > 0 else 1


def byte_range(text: str | None) -> tuple[int, int] | None:
    """`first-last` -> both, inclusive. Raises ValueError."""
    if not text:
        return None
    first, dash, last = text.strip().partition("-")
    if not dash or not first.isdecimal() or not last.isdecimal() or int(first) > int(last):
        raise ValueError(f"a byte range is {text}")
    return int(first), int(last)


def seconds(text: str | None) -> float | None:
    """An XML duration (`PT1H2M3.5S`) in seconds; None where there is none."""
    if not text:
        return None
    match = _DURATION.match(text.strip())
    if match is None:
        raise ValueError(f"a duration is {text}")
    return sum(float(value) * unit for value, unit in zip(match.groups(), _SECONDS, strict=True) if value)


def _value(match: re.Match[str], values: dict[str, Any]) -> str:
    if match[1] is None:
        return "$"
    value = values.get(match[1], 0)
    return f"{value:0{int(match[2])}d}" if match[2] and isinstance(value, int) else str(value)
