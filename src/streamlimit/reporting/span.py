"""The time span of a report, parsed from dates or times of RFC 3339 and checked. Reads no clock."""

import re
from datetime import UTC, datetime, timedelta
from itertools import islice

from msgspec import Struct

from streamlimit.store.reporting import DAY_MS, Period, buckets, floor_of

MOST_BUCKETS = 10_000
"""Most buckets of a report: 416 days of hours."""

USUAL_MS = {Period.HOUR: DAY_MS, Period.DAY: 31 * DAY_MS, Period.MONTH: 366 * DAY_MS, Period.CLOCK: 31 * DAY_MS}
"""The default span of a report, by its period."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_YEARS = 1971, 9000
_IS_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII).fullmatch
_IS_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII).fullmatch


NAMES = ("from", "to")


class BadSpan(Exception):
    """A wrong span: `field`, and what is wrong, in words that continue its name."""

    def __init__(self, field: str, wrong: str) -> None:
        super().__init__(f"{field}: {wrong}")
        self.field, self.wrong = field, wrong


class Span(Struct, frozen=True):
    """A span in ms as it was asked for. `looked_at`: the part of it that may have stored buckets."""

    from_ms: int
    to_ms: int
    looked_at: tuple[int, int]


class Now(Struct, frozen=True):
    """The present time, and how long reports are kept."""

    now_ms: int
    keep_days: int


def span_of(begin: str | None, end: str | None, period: Period, now: Now, names: tuple[str, str] = NAMES) -> Span:
    """The span from *begin* to *end*; a date as the *end* includes that day. *names*: of the two parameters.

    Raises `BadSpan`.
    """
    to_ms = now.now_ms + 1 if end is None else _moment_ms(end, names[1], whole_day=True)
    from_ms = max(to_ms - USUAL_MS[period], 0) if begin is None else _moment_ms(begin, names[0])
    if from_ms >= to_ms:
        if end is None:
            raise BadSpan(names[0], "is in the future")
        raise BadSpan(names[1], f"is not after {names[0]}")
    return kept(from_ms, to_ms, period, now, names[0])


def kept(from_ms: int, to_ms: int, period: Period, now: Now, name: str = NAMES[0]) -> Span:
    """The span *from_ms* to *to_ms*. *name*: of its beginning. Raises `BadSpan` where it has too many buckets."""
    oldest_ms = floor_of(period, max(now.now_ms - now.keep_days * DAY_MS, 0))
    looked_at = max(from_ms, oldest_ms), min(to_ms, now.now_ms + 1)
    if any(islice(buckets(period, *looked_at), MOST_BUCKETS, None)):
        raise BadSpan(name, f"by {period} that is too much: ask for less time, or a longer step")
    return Span(from_ms, to_ms, looked_at)


def month_of(text: str, name: str) -> tuple[int, int]:
    """The beginning and the end in ms of a month such as 2026-11. Raises `BadSpan`."""
    from_ms = _moment_ms(f"{text}-01", name) if re.fullmatch(r"\d{4}-(0[1-9]|1[0-2])", text, re.ASCII) else None
    if from_ms is None:
        raise BadSpan(name, "is no month, as 2026-11")
    return from_ms, floor_of(Period.MONTH, from_ms + 32 * DAY_MS)


def _moment_ms(text: str, name: str, whole_day: bool = False) -> int:
    written = re.sub(r" (\d\d:\d\d)$", r"+\1", text)  # a + that was not escaped in a query
    try:
        if _IS_DATE(written):
            return _ms(datetime.fromisoformat(written).replace(tzinfo=UTC), name) + DAY_MS * whole_day
        if _IS_MOMENT(written):
            return _ms(datetime.fromisoformat(written.upper()), name)
    except ValueError:
        pass
    raise BadSpan(name, "is no date (2026-11-30) and no time of RFC 3339 (2026-11-30T18:00:00Z)")


def _ms(moment: datetime, name: str) -> int:
    if not _YEARS[0] <= moment.year < _YEARS[1]:
        raise BadSpan(name, "is not of the years from {} to {}".format(*_YEARS))
    return (moment - _EPOCH) // timedelta(milliseconds=1)
