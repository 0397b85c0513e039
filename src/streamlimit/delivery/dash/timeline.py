"""The times of DASH segments: those of a SegmentTimeline, or of equal durations, in a period. Knows no names.

Times are ticks of the media's clock, which shows `presentationTimeOffset` (pto) at the beginning of the period, so a
period of s seconds ends at pto + s · timescale. Segments outside the period are left out.
"""

from msgspec import Struct

from streamlimit.delivery.dash.mpd import Element, Number

MAX_SEGMENTS = 500_000
"""Most segments of one representation in one period; a manifest with more is a mistake, or an attack."""

ROUNDING_SECONDS = 0.001
"""The tolerance for rounded durations: no segment begins for so short a rest."""


class Rules(Struct, frozen=True):
    """One way of describing segments (such as SegmentTemplate) on all levels, the most specific first."""

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
        """The children named *name* on the first level that has any."""
        return next((found for level in self.levels if (found := level.all(name))), [])

    @property
    def timescale(self) -> Number:
        """The ticks of a second. Raises ValueError."""
        for level in self.levels:
            found = level.number("timescale")
            if found is not None and found < 0:
                level.reject("timescale", "is negative")
            if found:
                return found
        return 1

    @property
    def start(self) -> int:
        """The number of the first segment."""
        found = self.whole("startNumber")
        return 1 if found is None else found

    def rows(self) -> list[Element]:
        """The rows of the SegmentTimeline, unless a more specific level has a duration."""
        for level in self.levels:
            tables = level.all("SegmentTimeline")
            if tables or level.get("duration"):
                return [row for table in tables for row in table.all("S")]
        return []


class Span(Struct, frozen=True):
    """A period: start and length in seconds (None: not known), and whether it is the only one, and live."""

    start: float | None
    seconds: float | None
    is_only: bool
    live: bool


class Slot(Struct, frozen=True):
    """The start and duration of a segment in ticks, and its number."""

    time: Number
    ticks: Number
    number: int


def slots(rules: Rules, span: Span) -> list[Slot]:
    """The segments of the SegmentTimeline in the period; empty: it has none. Raises ValueError."""
    rows = rules.rows()
    if not rows:
        return []
    made = _rolled_out(rows, rules.start, _end(rules, span, rows))
    last = rules.whole("endNumber")
    return [slot for slot in _within(made, rules, span) if last is None or slot.number <= last]


def listed(rules: Rules, span: Span, files: int) -> list[tuple[int, float]]:
    """The entries of a list of *files* that play in the period: index and seconds of each."""
    ticks, scale = rules.number("duration") or 0, rules.timescale
    rows = rules.rows()
    if rows:
        made = _rolled_out(rows, 0, _end(rules, span, rows))[:files]
        made = [Slot(slot.time, slot.ticks, index) for index, slot in enumerate(made)]
        played = {slot.number: slot.ticks / scale for slot in _within(made, rules, span)}
        return [(index, played.get(index, 0.0)) for index in range(files) if index in played or index >= len(made)]
    return [(index, ticks / scale) for index in range(files)]


def is_open(rules: Rules) -> bool:
    """Does the timeline end with an open repetition?"""
    rows = rules.rows()
    return bool(rows) and (rows[-1].number("r") or 0) < 0


def count(rules: Rules, ticks: Number, span: Span) -> int | None:
    """The number of segments of *ticks* each in the period; None: not known. Raises ValueError."""
    last = rules.whole("endNumber")
    found = None if last is None else last - rules.start + 1
    if found is None and ticks > 0 and span.seconds is not None:
        early = rules.number("eptDelta") or 0  # the first one starts so much after the period; before, where negative
        found = _parts(span.seconds * rules.timescale - early, ticks)
    if found is not None and not 0 <= found <= MAX_SEGMENTS:
        raise ValueError(f"line {rules.levels[0].line}: {rules.levels[0].name} makes {found} segments")
    return found


def presented_ms(rules: Rules, span: Span, time: Number) -> int:
    """The presentation time in ms, if known, of the segment at media time *time*."""
    since = time - (_offset(rules) or 0)
    if span.start is None or since + span.start * rules.timescale < 0:
        return int(time * 1000 // rules.timescale)
    return round(span.start * 1000) + int(since * 1000 // rules.timescale)


def _offset(rules: Rules) -> Number | None:
    return rules.number("presentationTimeOffset")


def _end(rules: Rules, span: Span, rows: list[Element]) -> Number | None:
    """The end of the period in ticks; None: not known yet."""
    if span.seconds is None:
        return None
    offset = _offset(rules)
    # Without an offset, a first time other than 0 is taken for the beginning of the period.
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
    """The number of segments of one row; a negative `r` means: until the next row, or the end."""
    repeat = row.number("r") or 0
    if repeat >= 0:
        return int(repeat) + 1
    return max(1, _parts(end - at, ticks)) if end is not None and ticks > 0 else 1


def _parts(whole: Number, part: Number) -> int:
    """How many parts cover the whole; a rest of a millionth is rounding."""
    return -int(-round(whole / part, 6) // 1)


def _within(made: list[Slot], rules: Rules, span: Span) -> list[Slot]:
    """The segments in the period, where the manifest cuts periods out of longer media."""
    offset, seconds = _offset(rules), span.seconds
    if span.is_only and not offset:
        return made
    slack = rules.timescale * ROUNDING_SECONDS
    begin = offset or 0
    end = None if seconds is None else begin + seconds * rules.timescale
    found = [s for s in made if s.time + s.ticks > begin + slack and (end is None or s.time < end - slack)]
    # Where none would be left the offset is wrong: no player would show anything.
    return made if not found and (span.is_only or offset is None) else found
