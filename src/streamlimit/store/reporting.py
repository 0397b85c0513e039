"""What every store promises of reports: numbers by hour, day and month, for all users and by plan, stream, device type.

Workers count in memory and add what they counted in batches. A user is known here by a digest alone (`DIGEST_BYTES`),
and only until the bucket is closed: then the number of different users stays, and the digests go.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Protocol

from msgspec import Struct, field

from streamlimit.store.contract import Answer

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
CLOSED_AFTER_MS = DAY_MS
"""How long after its end a bucket still takes users it has not seen: batches that an outage held back."""

GROUPS_KEPT = 100
"""Different plans, streams or types of device in one bucket; those that come later are `OTHER` together."""

OTHER, NONE = "other", ""
"""Values of a group: what came beyond `GROUPS_KEPT`; no plan, or no type of device."""

DIGEST_BYTES = 8


class Period(StrEnum):
    """How long a bucket lasts. `CLOCK`: one hour of the day, over all days of a month. All by UTC."""

    HOUR = "hour"
    DAY = "day"
    MONTH = "month"
    CLOCK = "hour-of-day"


class Group(StrEnum):
    """What a bucket is divided by; `ALL`: by nothing."""

    ALL = "all"
    PLAN = "plan"
    STREAM = "stream"
    DEVICE_TYPE = "device_type"


Key = tuple[Group, str]
"""A group and one value of it."""


class Count(Struct):
    """What was counted of one value of a group. `users`, `refused_users`: different ones, as digests.

    `peak`: the most sessions at once. `at_limit_ms`: how long users had all their seats taken, added up.
    """

    admissions: int = 0
    refusals: int = 0
    at_limit_ms: int = 0
    peak: int = 0
    users: set[bytes] = field(default_factory=set)
    refused_users: set[bytes] = field(default_factory=set)

    def with_more(self, other: "Count") -> "Count":
        """Both together, of the same value and, at least in part, the same time."""
        return Count(
            self.admissions + other.admissions,
            self.refusals + other.refusals,
            self.at_limit_ms + other.at_limit_ms,
            max(self.peak, other.peak),
            self.users | other.users,
            self.refused_users | other.refused_users,
        )


class Batch(Struct):
    """What a worker counted, by hour. `number` grows from one batch of the worker to the next."""

    worker: str
    number: int
    hours: dict[int, dict[Key, Count]]


class Row(Struct, frozen=True):
    """One bucket of a report. `value`: of the group that was asked for; `NONE` where there is none."""

    at_ms: int
    value: str
    admissions: int
    refusals: int
    refused_users: int
    users: int
    peak: int
    at_limit_ms: int


class ReportStore(Protocol):
    """The place where a report's numbers are kept."""

    def add(self, batch: Batch) -> Answer[None]:
        """Adds to the buckets of each hour, its day, its month, and its hour of the day. The same batch twice is once,
        as long as no later one of its worker came between.
        """
        ...

    def claim_sample(self, now_ms: int, every_ms: int) -> Answer[int | None]:
        """May the caller count live sessions now? None where a worker did less than *every_ms* ago; else when that was
        last (0: never). In a race one may.
        """
        ...

    def rows(self, period: Period, group: Group, from_ms: int, to_ms: int, at_most: int) -> Answer[tuple[Row, ...]]:
        """The rows that lie at least in part in this time and hold anything: the first *at_most*, by time and value."""
        ...

    def tidy(self, now_ms: int, keep_days: int) -> Answer[bool]:
        """Closes buckets whose time is long over, deletes those older than *keep_days*: in small steps. True: go on."""
        ...

    def close(self) -> Answer[None]:
        """Lets go of files and connections. Twice is once."""
        ...


def starts_of(hour_ms: int, group: Group) -> Iterator[tuple[Period, int]]:
    """The buckets that an hour lies in, each by its period and its name in ms: its beginning, or (`CLOCK`) that hour of
    the month's first day. Only all users and plans have hours of the day.
    """
    month_ms = floor_of(Period.MONTH, hour_ms)
    yield Period.HOUR, hour_ms
    yield Period.DAY, hour_ms - hour_ms % DAY_MS
    yield Period.MONTH, month_ms
    if group in (Group.ALL, Group.PLAN):
        yield Period.CLOCK, month_ms + hour_ms % DAY_MS


def ends_at(period: Period, at_ms: int) -> int:
    """When the bucket of that name is over."""
    if period is Period.HOUR:
        return at_ms + HOUR_MS
    if period is Period.DAY:
        return at_ms + DAY_MS
    return floor_of(Period.MONTH, floor_of(Period.MONTH, at_ms) + 32 * DAY_MS)


def floor_of(period: Period, at_ms: int) -> int:
    """Where the hour, the day or (also of `CLOCK`) the month begins in which this moment lies."""
    if period is Period.HOUR:
        return at_ms - at_ms % HOUR_MS
    if period is Period.DAY:
        return at_ms - at_ms % DAY_MS
    moment = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=at_ms)
    return int(moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0).timestamp()) * 1_000


def buckets(period: Period, from_ms: int, to_ms: int) -> Iterator[int]:
    """The names of all buckets that lie at least in part between these moments."""
    at_ms = floor_of(period, from_ms)
    while at_ms < to_ms:
        end_ms = ends_at(period, at_ms)
        if period is Period.CLOCK:
            yield from range(at_ms, at_ms + DAY_MS, HOUR_MS)
        else:
            yield at_ms
        at_ms = end_ms
