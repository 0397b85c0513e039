"""DASH's times: which segments a SegmentTimeline, or a count of equal durations, makes of a period. Knows no names.

All times here are ticks of the media's own clock. It shows `presentationTimeOffset` (pto) when the period begins, so
that a period of s seconds ends at pto + s · timescale. A segment that plays no moment of the period is none of it.
"""

from msgspec import Struct

from streamlimit.delivery.mpd import Element, Number

MAX_SEGMENTS = 500_000
"""Segments of one representation in one period; a manifest that says more is a mistake (or an attack)."""

ROUNDING_SECONDS = 0.001
"""Rounding of a duration in decimals: a segment does not begin for so little."""


class Rules(Struct, frozen=True):
    """One way to describe segments (say SegmentTemplate) on all levels, the most particular first."""

    levels: tuple[Element, ...]

    def text(self, name: str) -> str | None:
        return next((value for level in self.levels if (value := level.get(name)) is not None), None)

    def number(self, name: str) -> Number | None:
        return next((value for level in self.levels if (value := level.number(name)) is not None), None)

    def whole(self, name: str) -> int | None:
        found = self.number(name)
        return None if found is None else int(found)

    def span(self, name: str) -> tuple[int, int] | None:
        return next((value for level in self.levels if (value := level.span(name)) is not None), None)

    def all(self, name: str) -> list[Element]:
        """The children of that name on the first level that has any."""
        return next((found for level in self.levels if (found := level.all(name))), [])

    @property
    def timescale(self) -> Number:
        """Ticks a second. Raises ValueError."""
        for level in self.levels:
            found = level.number("timescale")
            if found is not None and found < 0:
                level.reject("timescale", "is negative")
            if found:
                return found
        return 1

    @property
    def start(self) -> int:
        """The first segment's number."""
        found = self.whole("startNumber")
        return 1 if found is None else found

    def rows(self) -> list[Element]:
        """Rows of the SegmentTimeline, unless a more particular level counts by a duration."""
        for level in self.levels:
            tables = level.all("SegmentTimeline")
            if tables or level.get("duration"):
                return [row for table in tables for row in table.all("S")]
        return []


class Span(Struct, frozen=True):
    """A period: its start and length in seconds (None: not known), whether it is the only one, and of a live stream."""

    start: float | None
    seconds: float | None
    is_only: bool
    live: bool


class Slot(Struct, frozen=True):
    """When one segment starts and how long it plays, in ticks; and its number."""

    time: Number
    ticks: Number
    number: int


def slots(rules: Rules, span: Span) -> list[Slot]:
    """The segments of the SegmentTimeline that play in the period; empty: it has none. Raises ValueError."""
    rows = rules.rows()
    if not rows:
        return []
    made = _rolled_out(rows, rules.start, _end(rules, span, rows))
    last = rules.whole("endNumber")
    return [slot for slot in _within(made, rules, span) if last is None or slot.number <= last]


def listed(rules: Rules, span: Span, files: int) -> list[tuple[int, float]]:
    """The files of a list of so many that play in the period: their places, and how many seconds each plays."""
    ticks, scale = rules.number("duration") or 0, rules.timescale
    rows = rules.rows()
    if rows:
        made = _rolled_out(rows, 0, _end(rules, span, rows))[:files]
        made = [Slot(slot.time, slot.ticks, index) for index, slot in enumerate(made)]
        played = {slot.number: slot.ticks / scale for slot in _within(made, rules, span)}
        return [(index, played.get(index, 0.0)) for index in range(files) if index in played or index >= len(made)]
    return [(index, ticks / scale) for index in range(files)]


def is_open(rules: Rules) -> bool:
    """Does the timeline end with "and so on"?"""
    rows = rules.rows()
    return bool(rows) and (rows[-1].number("r") or 0) < 0


def count(rules: Rules, ticks: Number, span: Span) -> int | None:
    """How many segments of so many ticks a period has; None: nothing says it. Raises ValueError."""
    last = rules.whole("endNumber")
    found = None if last is None else last - rules.start + 1
    if found is None and ticks > 0 and span.seconds is not None:
        early = rules.number("eptDelta") or 0  # the first one starts so much after the period; before, where negative
        found = _parts(span.seconds * rules.timescale - early, ticks)
    if found is not None and not 0 <= found <= MAX_SEGMENTS:
        raise ValueError(f"line {rules.levels[0].line}: {rules.levels[0].name} makes {found} segments")
    return found


def presented_ms(rules: Rules, span: Span, time: Number) -> int:
    """When, on the presentation's own clock where that is known, the segment at that time of the media's plays."""
    since = time - (_offset(rules) or 0)
    if span.start is None or since + span.start * rules.timescale < 0:
        return int(time * 1000 // rules.timescale)
    return round(span.start * 1000) + int(since * 1000 // rules.timescale)


def _offset(rules: Rules) -> Number | None:
    return rules.number("presentationTimeOffset")


def _end(rules: Rules, span: Span, rows: list[Element]) -> Number | None:
    """When the period is over; None: not known yet."""
    if span.seconds is None:
        return None
    offset = _offset(rules)
    # Whoever leaves the offset out, and begins with another time than 0, means that the period begins there.
    begin = rows[0].number("t") or 0 if offset is None else offset
    return begin + span.seconds * rules.timescale


def _rolled_out(rows: list[Element], number: int, end: Number | None) -> list[Slot]:
    made: list[Slot] = []
    at: Number = 0
    for index, row in enumerate(rows):
        stated, numbered, ticks = row.number("t"), row.number("n"), row.number("d") or 0
        at, number = at if stated is None else stated, number if numbered is None else int(numbered)
        following = rows[index + 1].number("t") if index + 1 < len(rows) else None
        times = _times(row, at, ticks, end if following is None else following)
        if ticks <= 0 or len(made) + times > MAX_SEGMENTS:
            raise ValueError(f"line {row.line}: S makes {times} segments of {ticks} ticks")
        made += [Slot(at + i * ticks, ticks, number + i) for i in range(times)]
        at, number = at + times * ticks, number + times
    return made


def _times(row: Element, at: Number, ticks: Number, end: Number | None) -> int:
    """How many segments one row stands for; a negative `r` means: until the next row, or the end."""
    repeat = row.number("r") or 0
    if repeat >= 0:
        return int(repeat) + 1
    return max(1, _parts(end - at, ticks)) if end is not None and ticks > 0 else 1


def _parts(whole: Number, part: Number) -> int:
    """How many parts cover the whole; a millionth of one more is rounding."""
    return -int(-round(whole / part, 6) // 1)


def _within(made: list[Slot], rules: Rules, span: Span) -> list[Slot]:
    """The segments that play in the period, where the manifest cuts periods out of longer media."""
    offset, seconds = _offset(rules), span.seconds
    if span.is_only and not offset:
        return made
    slack = rules.timescale * ROUNDING_SECONDS
    begin = offset or 0
    end = None if seconds is None else begin + seconds * rules.timescale
    found = [s for s in made if s.time + s.ticks > begin + slack and (end is None or s.time < end - slack)]
    # Where none would be left the offset is what is wrong: every player would see nothing at all.
    return made if not found and (span.is_only or offset is None) else found
