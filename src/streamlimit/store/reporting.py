"""The contract of report stores: numbers by hour, day and month, for all users and by plan, stream and device type.

Workers count in memory and add their counts in batches. Users are stored as digests (`DIGEST_BYTES`), and only until a
bucket is closed: then the number of distinct users stays, and the digests are removed.
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
"""How long after its end a bucket still counts new users, for batches delayed by an outage."""

GROUPS_KEPT = 100
"""Distinct plans, streams or types of device in one bucket; all later ones are counted together as `OTHER`."""

OTHER, NONE = "other", ""
"""Values of a group: the sum of those beyond `GROUPS_KEPT`; no plan, or no type of device."""

DIGEST_BYTES = 8


class Period(StrEnum):
    """The length of a bucket. `CLOCK`: one hour of the day, over all days of a month. In UTC."""

    HOUR = "hour"
    DAY = "day"
    MONTH = "month"
    CLOCK = "hour-of-day"


class Group(StrEnum):
    """The attribute that a bucket is divided by; `ALL`: none."""

    ALL = "all"
    PLAN = "plan"
    STREAM = "stream"
    DEVICE_TYPE = "device_type"


Key = tuple[Group, str]
"""A group and one value of it."""


class Count(Struct):
    """The counts of one value of a group. `users`, `refused_users`: distinct ones, as digests.

    `peak`: the most sessions at once. `at_limit_ms`: how long users had all their seats taken, added up.
    """

    admissions: int = 0
    refusals: int = 0
    at_limit_ms: int = 0
    peak: int = 0
    users: set[bytes] = field(default_factory=set)
    refused_users: set[bytes] = field(default_factory=set)

    def with_more(self, other: "Count") -> "Count":
        """The sum of two counts of the same value and, at least in part, the same time."""
        return Count(
            self.admissions + other.admissions,
            self.refusals + other.refusals,
            self.at_limit_ms + other.at_limit_ms,
            max(self.peak, other.peak),
            self.users | other.users,
            self.refused_users | other.refused_users,
        )


class Batch(Struct):
    """The counts of one worker, by hour. `number` grows from one batch of the worker to the next."""

    worker: str
    number: int
    hours: dict[int, dict[Key, Count]]


class Row(Struct, frozen=True):
    """One bucket of a report. `value`: of the report's group; `NONE` where there is none."""

    at_ms: int
    value: str
    admissions: int
    refusals: int
    refused_users: int
    users: int
    peak: int
    at_limit_ms: int


class ReportStore(Protocol):
    """A store of the numbers of reports."""

    def add(self, batch: Batch) -> Answer[None]:
        """Adds *batch* to the buckets of each hour, its day, its month, and its hour of the day.

        The same batch twice is once, as long as no later one of its worker came between.
        """
        ...

    def claim_sample(self, now_ms: int, every_ms: int) -> Answer[int | None]:
        """Claims the count of live sessions: when it was made last (ms, 0: never), or None where it is not due.

        It is due *every_ms* after the last one. In a race one caller gets it.
        """
        ...

    def rows(self, period: Period, group: Group, from_ms: int, to_ms: int, at_most: int) -> Answer[tuple[Row, ...]]:
        """The first *at_most* non-empty rows, by time and value, that overlap *from_ms* to *to_ms*."""
        ...

    def tidy(self, now_ms: int, keep_days: int) -> Answer[bool]:
        """Closes old buckets and deletes those older than *keep_days*, in small steps. True: more is left."""
        ...

    def close(self) -> Answer[None]:
        """Closes files and connections. Twice is once."""
        ...


def starts_of(hour_ms: int, group: Group) -> Iterator[tuple[Period, int]]:
    """The buckets of an hour, each by period and start in ms; for `CLOCK`, that hour of the month's first day.

    Only the groups of all users and of plans have `CLOCK` buckets.
    """
    month_ms = floor_of(Period.MONTH, hour_ms)
    yield Period.HOUR, hour_ms
    yield Period.DAY, hour_ms - hour_ms % DAY_MS
    yield Period.MONTH, month_ms
    if group in (Group.ALL, Group.PLAN):
        yield Period.CLOCK, month_ms + hour_ms % DAY_MS


def ends_at(period: Period, at_ms: int) -> int:
    """The end in ms of the bucket that starts at *at_ms*."""
    if period is Period.HOUR:
        return at_ms + HOUR_MS
    if period is Period.DAY:
        return at_ms + DAY_MS
    return floor_of(Period.MONTH, floor_of(Period.MONTH, at_ms) + 32 * DAY_MS)


def floor_of(period: Period, at_ms: int) -> int:
    """The start in ms of the hour, the day or (also for `CLOCK`) the month of *at_ms*."""
    if period is Period.HOUR:
        return at_ms - at_ms % HOUR_MS
    if period is Period.DAY:
        return at_ms - at_ms % DAY_MS
    moment = datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=at_ms)
    return int(moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0).timestamp()) * 1_000


def buckets(period: Period, from_ms: int, to_ms: int) -> Iterator[int]:
    """The starts in ms of all buckets that overlap *from_ms* to *to_ms*."""
    at_ms = floor_of(period, from_ms)
    while at_ms < to_ms:
        end_ms = ends_at(period, at_ms)
        if period is Period.CLOCK:
            yield from range(at_ms, at_ms + DAY_MS, HOUR_MS)
        else:
            yield at_ms
        at_ms = end_ms
