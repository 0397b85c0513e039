"""Time series of the last hour and the last day, for charts: samples of this machine's counters, kept in memory.

Each worker keeps the same series: it samples the counters of all workers of its machine (metrics.py), which begin with
the service's start. The number of sessions comes from the census, which walks the store only while a page shows it:
else it is None.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from operator import attrgetter
from typing import Any, Literal

from msgspec import Struct

from streamlimit.census import Counted
from streamlimit.web.metrics import Metrics, total

SAMPLE_SECONDS = 10.0
SUMMED = ("admissions", "confirmations", "store_seconds", "store_calls")
"""Counters of which a sample keeps the sum of all labels."""
DAY_EVERY = 12
"""One sample in so many is kept for the day."""

KEPT = {"hour": 361, "day": 721}
FRESH_SECONDS = 60.0
"""The greatest age of a census that a sample uses."""

Span = Literal["hour", "day"]


class Sample(Struct, frozen=True):
    """The counters at one moment (`at`: seconds of the epoch), all of them since the start."""

    at: float
    numbers: Mapping[str, float]
    refusals: Mapping[str, float]
    live: int | None = None
    at_limit: int | None = None


class Series:
    """The samples of one worker. *clock*: seconds of the epoch; *monotonic*: the clock that dates a census."""

    def __init__(
        self,
        metrics: Metrics,
        counted: Counted,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._metrics, self._counted, self._clock, self._monotonic = metrics, counted, clock, monotonic
        self._kept = {span: deque[Sample](maxlen=kept) for span, kept in KEPT.items()}
        self._taken = 0

    def take(self) -> None:
        """Takes one more sample."""
        sample = self._sample()
        self._kept["hour"].append(sample)
        if self._taken % DAY_EVERY == 0:
            self._kept["day"].append(sample)
        self._taken += 1

    async def take_forever(self) -> None:
        """Takes samples for ever."""
        while True:
            self.take()
            await asyncio.sleep(SAMPLE_SECONDS)

    def columns(self, span: Span) -> dict[str, Any]:
        """The columns of the samples in *span* and one of this moment."""
        return columns([*self._kept[span], self._sample()])

    def _sample(self) -> Sample:
        counters, census = self._metrics.numbers(), self._counted.newest
        is_fresh = census is not None and self._monotonic() - census.taken_at <= FRESH_SECONDS
        return Sample(
            self._clock(),
            {name: total(counters, name) for name in SUMMED} | _webhooks(counters),
            dict(counters.get("refusals", {})),
            census.sessions if census is not None and is_fresh else None,
            census.at_limit if census is not None and is_fresh else None,
        )


NUMBERS, REFUSALS = attrgetter("numbers"), attrgetter("refusals")
Pairs = Sequence[tuple[Sample, Sample]]


def columns(samples: Sequence[Sample]) -> dict[str, Any]:
    """The columns by name: counts at each sample, and rates per second since the one before."""
    pairs = [(old, new) for old, new in pairwise(samples) if new.at > old.at]
    codes = sorted({code for sample in samples for code in sample.refusals})
    return {
        "since": samples[0].at if samples else None,
        "at": [round(new.at, 1) for _, new in pairs],
        "live_sessions": [new.live for _, new in pairs],
        "users_at_limit": [new.at_limit for _, new in pairs],
        "admissions": _rates(pairs, NUMBERS, "admissions"),
        "segments": _rates(pairs, NUMBERS, "confirmations"),
        "refusals": {code: _rates(pairs, REFUSALS, code) for code in codes},
        "store_latency_ms": [_latency(old, new) for old, new in pairs],
        "webhooks_sent": _rates(pairs, NUMBERS, "sent"),
        "webhooks_failed": _rates(pairs, NUMBERS, "failed"),
    }


def _rates(pairs: Pairs, counts: Callable[[Sample], Mapping[str, float]], name: str) -> list[float]:
    """How much one of the *counts* of samples grew, per second."""
    grown = [(new.at - old.at, counts(new).get(name, 0) - counts(old).get(name, 0)) for old, new in pairs]
    return [round(max(count, 0) / seconds, 3) for seconds, count in grown]


def _latency(old: Sample, new: Sample) -> float | None:
    """The mean latency of the store between two samples, in ms; None: it was not asked."""
    calls = new.numbers["store_calls"] - old.numbers["store_calls"]
    seconds = new.numbers["store_seconds"] - old.numbers["store_seconds"]
    return round(1_000 * seconds / calls, 3) if calls > 0 else None


def _webhooks(counters: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Attempts by their outcome, of all endpoints."""
    attempts = counters.get("callbacks", {}).items()
    return {
        outcome: float(sum(count for label, count in attempts if label.endswith("/" + outcome)))
        for outcome in ("sent", "failed")
    }
