"""The reporter: flushes a worker's counts to the store, and has one worker at a time sample all live sessions.

A crash loses the counts since the last flush, some seconds. While the store is unavailable counts wait, bounded.
"""

import asyncio
import secrets
import time
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial

from msgspec import Struct

from streamlimit.census import all_live
from streamlimit.document import wall_ms
from streamlimit.errors import StoreUnavailable
from streamlimit.logs import EventLog
from streamlimit.policy import Policy
from streamlimit.reporting.counts import Counts, Part
from streamlimit.reporting.sample import Sample
from streamlimit.store.contract import Store, resolved
from streamlimit.store.reporting import Batch, Group, Period, ReportStore, Row

log = EventLog("streamlimit")

FLUSH_SECONDS, FLUSH_REST_FACTOR = 2.0, 3.0
TIDY_SECONDS = 600.0
REST_FACTOR = 100
"""Sampling takes at most one part in so many of a worker's time."""
LEAST_SAMPLE_MS, LONG_WALK_SECONDS = 1_000, 0.2
"""A report is preceded by a sample of live sessions, unless the last one is this recent, or took this long."""
FINISH_SECONDS = 1.0
FLUSHED_WHILE_SAMPLING = 10_000


class Sources(Struct, frozen=True):
    """The sources of a sample: the store, the policy; *activity*: a number that grows whenever a viewer watches."""

    store: Store
    policy: Policy
    activity: Callable[[], int]


class Reporter:
    """The reporter of one worker.

    *at_once*: users of a batch. *keep_days* 0: nothing is counted, old counts are deleted.
    """

    def __init__(self, counts: Counts, reports: ReportStore, sources: Sources, keep_days: int, at_once: int) -> None:
        self.counts, self.keep_days = counts, keep_days
        self._reports, self._sources, self._at_once = reports, sources, at_once
        self._name, self._number = secrets.token_hex(4), 0
        self._key: bytes | None = None
        self._waiting: deque[Batch] = deque()
        self._flushing = asyncio.Lock()
        self._seats = self._seen = self._live = 0
        self._dropped, self._walk_seconds = 0, 0.0

    @property
    def waiting(self) -> int:
        """The number of batches that the store has not taken yet."""
        return len(self._waiting)

    async def rows(self, period: Period, group: Group, from_ms: int, to_ms: int, at_most: int) -> tuple[Row, ...]:
        """The rows of a report, with this worker's counts up to now; others' may be `FLUSH_SECONDS` old."""
        if self.keep_days:
            await self.flush()
            if self._walk_seconds < LONG_WALK_SECONDS:
                await self.sample(LEAST_SAMPLE_MS)
        return await resolved(self._reports.rows(period, group, from_ms, to_ms, at_most))

    async def flush(self, rest_factor: float = 0.0) -> None:
        """Flushes all counts to the store. Batches that it does not take are sent first the next time.

        *rest_factor*: the pause before the next batch, as a multiple of the time that a batch took.
        """
        async with self._flushing:
            await self._add_waiting(rest_factor)
            parts = self.counts.take(await self._digest_key(), self._at_once)
            try:
                for part in parts:  # one after the other: to make all of thousands of users would keep viewers waiting
                    began = time.monotonic()
                    self._waiting.append(self._batch(part))
                    await self._add_waiting(rest_factor, began)
            finally:
                self._waiting.extend(map(self._batch, parts))

    async def sample(self, every_ms: int) -> None:
        """Samples all live sessions, unless some worker did within *every_ms*."""
        now_ms = wall_ms()
        last_ms = await resolved(self._reports.claim_sample(now_ms, every_ms))
        if last_ms is None:
            return
        began, sample = time.monotonic(), Sample(self.counts, self._sources.policy, last_ms, now_ms)
        async for page in all_live(self._sources.store):
            sample.add(page.sessions)
            if self.counts.users >= FLUSHED_WHILE_SAMPLING:
                await self.flush()
        sample.finish()
        self._live, self._walk_seconds = sample.sessions, time.monotonic() - began
        await self.flush()

    async def flush_forever(self) -> None:
        """Flushes periodically, until cancelled."""
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            await self._try(partial(self.flush, FLUSH_REST_FACTOR))
            self._tell_dropped()

    async def sample_forever(self) -> None:
        """Samples soon after a new seat, and every X while viewers watch (less often where it takes long), for ever."""
        while True:
            await asyncio.sleep(max(LEAST_SAMPLE_MS / 1_000, REST_FACTOR * self._walk_seconds))
            if (every_ms := self._sampled_every_ms()) is not None:
                await self._try(partial(self.sample, every_ms))

    def _sampled_every_ms(self) -> int | None:
        """The greatest age of the last sample before another one is due; None: there is nothing to sample."""
        seats, self._seats = self._seats, self.counts.seats
        seen, self._seen = self._seen, self._sources.activity()
        if self._seats != seats:
            return LEAST_SAMPLE_MS
        return self._sources.policy.segment_ms if self._seen != seen or self._live else None

    async def tidy_forever(self) -> None:
        """Runs `tidy` periodically, until cancelled."""
        while True:
            await asyncio.sleep(TIDY_SECONDS)
            await self._try(self.tidy)

    async def tidy(self) -> None:
        """Closes ended buckets, and deletes old ones."""
        while await resolved(self._reports.tidy(wall_ms(), self.keep_days)):
            await asyncio.sleep(0.01)

    async def finish(self) -> None:
        """Flushes the counts before the worker stops, if the store takes them."""
        try:
            await asyncio.wait_for(self._try(self.flush), FINISH_SECONDS)
        except TimeoutError:
            pass  # the store is unavailable: what waited is lost, as by a crash
        await resolved(self._reports.close())

    async def _add_waiting(self, rest_factor: float, began: float | None = None) -> None:
        while self._waiting:
            began = time.monotonic() if began is None else began
            await resolved(self._reports.add(self._waiting[0]))
            self._waiting.popleft()
            await asyncio.sleep(rest_factor * (time.monotonic() - began))  # viewers first
            began = None

    def _tell_dropped(self) -> None:
        """Logs that users were dropped, so that the numbers are too small."""
        dropped, self._dropped = self.counts.dropped - self._dropped, self.counts.dropped
        if dropped:
            log.warning("report_users_dropped", users=dropped)

    async def _try(self, step: Callable[[], Awaitable[None]]) -> None:
        """Runs *step*; in an outage, which is logged elsewhere, it is left to the next time."""
        try:
            await step()
        except StoreUnavailable:
            pass

    async def _digest_key(self) -> bytes:
        if self._key is None:
            made = secrets.token_hex(16)
            self._key = (await resolved(self._sources.store.secret("report-key", made))).encode()
        return self._key

    def _batch(self, part: Part) -> Batch:
        self._number += 1
        return Batch(self._name, self._number, part)
