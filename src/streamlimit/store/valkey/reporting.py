"""Reports on Valkey and Redis: a hash per bucket, in the shard of its name, and sketches of the counted users.

A sketch (HyperLogLog) is 12 KB at most and counts with a standard error of 0.81 %; small numbers are nearly exact. It
is kept until the bucket is closed. The hashes expire after `report_days`.
"""

from asyncio import gather
from collections import defaultdict
from collections.abc import Iterable
from struct import Struct as Packing

from msgspec import Struct, field

from streamlimit.store.deferred import Deferred
from streamlimit.store.reporting import (
    CLOSED_AFTER_MS,
    DAY_MS,
    GROUPS_KEPT,
    OTHER,
    Batch,
    Count,
    Group,
    Period,
    Row,
    buckets,
    ends_at,
    starts_of,
)
from streamlimit.store.valkey.keys import shard_of
from streamlimit.store.valkey.scripts import Script
from streamlimit.store.valkey.servers import ANSWER_SECONDS, Servers

USERS_AT_ONCE = 1_000
"""Users of one batch, in all groups: less than a tenth of a millisecond in each of a dozen scripts."""

STEP = 256
"""Buckets that are read together."""

CLOSED_AT_ONCE, VALUES_AT_ONCE = 16, 16
"""Buckets, and values of each, that one step closes: their sketches of 12 KB are counted then."""

NAMES = ("report", "close_report", "claim_sample")
SCRIPTS = {name: Script(name) for name in NAMES}

MOST = 0xFFFFFFFF
_HEAD, _NUMBERS = Packing("<6sH6s"), Packing("<III6s")

Name = tuple[Period, int, Group]
"""The name of a bucket."""


class Bucket(Struct):
    """The numbers of a bucket by value: of open ones by the letters of report.lua, of closed ones in their order."""

    open: dict[bytes, dict[str, int]] = field(default_factory=dict)
    closed: dict[bytes, tuple[int, ...]] = field(default_factory=dict)


class ValkeyReports:
    """A `ReportStore` on the servers at *url*, whose buckets expire after *keep_days*. The rest as in `ValkeyStore`."""

    def __init__(self, url: str, keep_days: int, prefix: str = "streamlimit", timeout: float = ANSWER_SECONDS) -> None:
        self._servers, self._keep_ms = Servers(url, prefix, timeout), keep_days * DAY_MS
        self._keys, self._ask = self._servers.keys, self._servers.ask
        self._filed: set[str] = set()

    async def add(self, batch: Batch) -> None:
        found = _by_bucket(batch)
        await self._file(found)
        await gather(*(self._add(bucket, batch, counts) for bucket, counts in found.items()))

    async def claim_sample(self, now_ms: int, every_ms: int) -> int | None:
        last: int | None = await self._servers.run(SCRIPTS["claim_sample"], 0, [self._keys.sampled], now_ms, every_ms)
        return last

    async def rows(self, period: Period, group: Group, from_ms: int, to_ms: int, at_most: int) -> tuple[Row, ...]:
        times, found = list(buckets(period, from_ms, to_ms)), list[Row]()
        for first in range(0, len(times), STEP):
            some = {at_ms: _name(period, at_ms, group) for at_ms in times[first : first + STEP]}
            replies = await gather(*map(self._fields, some.values()))
            for (at_ms, name), fields in zip(some.items(), replies, strict=True):
                if fields:
                    found += await self._rows(at_ms, name, _read(fields))
            if len(found) >= at_most:
                break
        return tuple(found[:at_most])

    async def tidy(self, now_ms: int, keep_days: int) -> bool:
        """As `ReportStore.tidy`; buckets older than *keep_days* expire by themselves."""
        due = ("-inf", now_ms - CLOSED_AFTER_MS, "LIMIT", 0, CLOSED_AT_ONCE)
        names = [name.decode() for name in await self._ask(0, "ZRANGEBYSCORE", self._keys.reports, *due)]
        for name in names:
            await self._close(name)
            await self._ask(0, "ZREM", self._keys.reports, name)
        self._filed.difference_update(names)
        return len(names) == CLOSED_AT_ONCE

    async def close(self) -> None:
        self._servers.close()

    async def _file(self, found: Iterable[Name]) -> None:
        """Registers buckets as open, before they are written."""
        new = {_name(*bucket): ends_at(*bucket[:2]) for bucket in found}
        filed: list[str | int] = []
        for name in new.keys() - self._filed:
            filed += [new[name], name]
        if filed:
            await self._ask(0, "ZADD", self._keys.reports, *filed)
            self._filed |= new.keys()

    async def _add(self, bucket: Name, batch: Batch, counts: dict[str, Count]) -> None:
        name, forgotten_at = _name(*bucket), ends_at(*bucket[:2]) + self._keep_ms + CLOSED_AFTER_MS
        sketches = [key for value in (*counts, OTHER) for key in self._sketches(name, value.encode())]
        arguments: list[bytes | str] = [batch.worker, _HEAD.pack(_six(batch.number), GROUPS_KEPT, _six(forgotten_at))]
        for value, count in counts.items():
            arguments += [value, _packed(count), b"".join(count.users), b"".join(count.refused_users)]
        await self._servers.run(SCRIPTS["report"], shard_of(name), [self._key(name), *sketches], *arguments)

    def _fields(self, name: str) -> Deferred[list[bytes]]:
        return self._ask(shard_of(name), "HGETALL", self._key(name))

    async def _rows(self, at_ms: int, name: str, bucket: Bucket) -> list[Row]:
        """The rows of a bucket by value; the users of open values are counted by their sketches."""
        still = [value for value in bucket.open if value not in bucket.closed]
        shard, sketches = shard_of(name), [sketch for value in still for sketch in self._sketches(name, value)]
        counts = await gather(*(self._ask(shard, "PFCOUNT", sketch) for sketch in sketches))
        users = dict(zip(still, zip(counts[::2], counts[1::2], strict=True), strict=True))
        return [_row(at_ms, value, bucket, users.get(value)) for value in sorted(bucket.open.keys() | bucket.closed)]

    async def _close(self, name: str) -> None:
        values = list(_read(await self._fields(name)).open)
        for first in range(0, len(values), VALUES_AT_ONCE):
            some = values[first : first + VALUES_AT_ONCE]
            sketches = [sketch for value in some for sketch in self._sketches(name, value)]
            await self._servers.run(SCRIPTS["close_report"], shard_of(name), [self._key(name), *sketches], *some)

    def _sketches(self, name: str, value: bytes) -> list[bytes]:
        """The keys of the sketches of users, and of refused users."""
        key = self._key(name)
        return [key + b":u:" + value, key + b":f:" + value]

    def _key(self, name: str) -> bytes:
        """The key of a bucket; those of its sketches begin with it."""
        return self._keys.of(shard_of(name), "report", name)


def _by_bucket(batch: Batch) -> dict[Name, dict[str, Count]]:
    """The counts to be added to each bucket; two hours of a batch may be of one day."""
    found: dict[Name, dict[str, Count]] = defaultdict(dict)
    for hour_ms, counts in batch.hours.items():
        for (group, value), count in counts.items():
            for period, at_ms in starts_of(hour_ms, group):
                there = found[period, at_ms, group]
                there[value] = there[value].with_more(count) if value in there else count
    return found


def _name(period: Period, at_ms: int, group: Group) -> str:
    return f"{period}:{at_ms}:{group}"


def _six(number: int) -> bytes:
    return number.to_bytes(6, "little")


def _packed(count: Count) -> bytes:
    numbers = (count.admissions, count.refusals, count.peak)
    return _NUMBERS.pack(*(min(number, MOST) for number in numbers), _six(count.at_limit_ms))


def _read(fields: list[bytes]) -> Bucket:
    found = Bucket()
    for name, number in zip(fields[::2], fields[1::2], strict=True):
        letter, value = chr(name[0]), name[1:]
        if letter == "c":
            found.closed[value] = tuple(map(int, number.split(b",")))
        elif letter in "arpl":
            found.open.setdefault(value, {})[letter] = int(number)
    return found


def _row(at_ms: int, value: bytes, bucket: Bucket, users: tuple[int, int] | None) -> Row:
    """The row of a value. *users*: of an open value, the distinct users and refused users."""
    new, old = bucket.open.get(value, {}), bucket.closed.get(value, (0,) * 6)
    admissions, refusals, refused_users, closed_users, peak, at_limit_ms = old
    counted, refused = (closed_users, refused_users) if users is None else users
    sums = admissions + new.get("a", 0), refusals + new.get("r", 0)
    peak, at_limit_ms = max(peak, new.get("p", 0)), at_limit_ms + new.get("l", 0)
    return Row(at_ms, value.decode(), *sums, refused, counted, peak, at_limit_ms)
