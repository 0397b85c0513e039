"""Prometheus metrics of all workers of a service: `/metrics`, and the numbers of `/v1/stats`.

The hot path counts plain numbers (tally.py); here they become metrics, once a second and at each scrape. With several
workers the library's multiprocess mode adds them up: server.py names its folder before they start.
"""

import asyncio
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from streamlimit.cache import CachingStore
from streamlimit.census import Census
from streamlimit.tally import Tally

if TYPE_CHECKING:
    from streamlimit.webhooks.worker import WebhookWorker

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
FLUSH_SECONDS = 1.0
STREAMS_SHOWN = 100
"""Streams with a metric of their own: those with the most sessions."""


class CounterRow(NamedTuple):
    """A counter: its text, the label of its values (or none), and what reads them, by label."""

    name: str
    text: str
    label: str | None
    read: Callable[[Tally, CachingStore], Mapping[str, float] | float]


class GaugeRow(NamedTuple):
    """A gauge: its text, how those of several workers are joined, and what reads it."""

    name: str
    text: str
    mode: Literal["livesum", "livemax"]
    read: Callable[[Tally, CachingStore], float]


COUNTERS = (
    CounterRow("admissions", "Requests admitted", None, lambda tally, store: tally.admissions),
    CounterRow("confirmations", "Segments confirmed", None, lambda tally, store: tally.confirmations),
    CounterRow("not_received", "Segments not received", None, lambda tally, store: tally.not_received),
    CounterRow("events", "State changes of sessions", "type", lambda tally, store: tally.events),
    CounterRow("refusals", "Requests refused", "code", lambda tally, store: tally.refusals),
    CounterRow(
        "refused_users",
        "Users refused by the limit: each once within n·X and worker",
        "plan",
        lambda tally, store: tally.refused_users,
    ),
    CounterRow("would_refuse", "Refusals left out by a dry run", "code", lambda tally, store: tally.would_refuse),
    CounterRow("problems", "Error answers", "code", lambda tally, store: tally.problems),
    CounterRow(
        "connections_turned_away",
        "Connections turned away: too many of one address",
        None,
        lambda tally, store: tally.turned_away,
    ),
    CounterRow(
        "edge_lines_dropped",
        "Lines of an edge's access log that could not be counted",
        None,
        lambda tally, store: tally.edge_lines_dropped,
    ),
    CounterRow(
        "connections_given_up",
        "Connections given up, by what did not come in time: request, head, body, reading",
        "awaited",
        lambda tally, store: tally.given_up,
    ),
    CounterRow("degraded", "Answers given without the store", None, lambda tally, store: store.counts.degraded),
    CounterRow("store_outages", "Outages of the store", None, lambda tally, store: store.counts.outages),
    CounterRow("store_failures", "Calls the store did not answer", None, lambda tally, store: store.counts.failures),
    CounterRow("kept_dropped", "Kept confirmations dropped", None, lambda tally, store: store.kept.dropped),
    CounterRow("store_seconds", "Time spent waiting for the store", None, lambda tally, store: store.counts.seconds),
    CounterRow("store_calls", "Calls of the store that were timed", None, lambda tally, store: store.counts.calls),
    CounterRow(
        "store_checkpoint_failures",
        "Checkpoints of SQLite's log that failed",
        None,
        lambda tally, store: tally.checkpoints_failed,
    ),
)

GAUGES = (
    GaugeRow(
        "last_sweep_timestamp_seconds",
        "When a sweep (built-in, or Endpoint 2) last came to its end, in seconds of the epoch; 0: none yet",
        "livemax",
        lambda tally, store: tally.swept_at,
    ),
    GaugeRow("store_away", "Workers that see the store away", "livesum", lambda tally, store: store.is_away),
    GaugeRow(
        "store_log_bytes",
        "Length of SQLite's log, which is carried over into the database, as the last checkpoint left it",
        "livemax",
        lambda tally, store: tally.log_bytes,
    ),
    GaugeRow("kept", "Confirmations that wait for the store", "livesum", lambda tally, store: len(store.kept)),
    GaugeRow("known", "Sessions the workers know", "livesum", lambda tally, store: len(store.cache)),
)

STARTS_AT_ZERO = (("refusals", "session-limit"), ("problems", "internal"))
"""Labels that are there from the start: of a counter that appears as 1, Prometheus sees no increase."""


class Metrics:
    """One worker's metrics. `flush` brings them up to date; `text` is what Prometheus reads."""

    def __init__(self, tally: Tally, store: CachingStore, workers: "Sequence[WebhookWorker]" = ()) -> None:
        self._tally, self._store, self._workers = tally, store, workers
        self._seen: dict[tuple[str, str], float] = {}
        self.registry = registry = CollectorRegistry()
        self._counters = {row.name: _counter(row.name, row.text, registry, row.label) for row in COUNTERS}
        for name, label in STARTS_AT_ZERO:
            self._counters[name].labels(label)
        text = "Attempts to deliver webhooks"
        self._deliveries = _counter("callbacks", text, registry, "endpoint", "outcome")
        self._gauges = [(row, _gauge(row.name, row.text, registry, row.mode)) for row in GAUGES]

    def flush(self) -> None:
        """The plain numbers into the metrics."""
        for counter in COUNTERS:
            values = counter.read(self._tally, self._store)
            by_label = values if isinstance(values, Mapping) else {"": values}
            self._add(self._counters[counter.name], counter.name, by_label)
        for worker in self._workers:
            self._add_deliveries(worker)
        for row, gauge in self._gauges:
            gauge.set(row.read(self._tally, self._store))

    async def flush_forever(self) -> None:
        """Other workers' scrapes see this one's numbers, too."""
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            self.flush()

    def text(
        self,
        census: Census | None,
        now: float,
        dropped: Mapping[str, int] | None = None,
        pending: int | None = None,
    ) -> bytes:
        """What Prometheus reads: all workers, the newest census, of each endpoint what was *dropped*, and how many call
        backs are *pending*; None: there are no endpoints, or the store is unavailable.
        """
        self.flush()
        scraped = CollectorRegistry()
        if FOLDER_VARIABLE in os.environ:
            MultiProcessCollector(scraped)  # type: ignore[no-untyped-call]
        own = b"" if FOLDER_VARIABLE in os.environ else generate_latest(self.registry)
        scraped.register(_SharedMetric(dropped_callbacks(dropped or {})))
        scraped.register(_SharedMetric(pending_callbacks(pending)))
        scraped.register(_SharedMetric(running_workers(self.workers())))
        if census is not None:
            add_census_gauges(scraped, census, now)
        return own + generate_latest(scraped)

    def numbers(self) -> dict[str, dict[str, float]]:
        """The counters of all workers by name and label, for `/v1/stats`."""
        self.flush()
        registry = self.registry
        if FOLDER_VARIABLE in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        found: dict[str, dict[str, float]] = {}
        for metric in registry.collect():
            samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
            labelled = found.setdefault(metric.name.removeprefix("streamlimit_"), {})
            for sample in samples:
                label = "/".join(value for name, value in sample.labels.items() if name != "pid")
                labelled[label] = labelled.get(label, 0) + sample.value
        return found

    def workers(self) -> int:
        """How many workers of this service there are on this machine."""
        folder = os.environ.get(FOLDER_VARIABLE)
        if folder is None:
            return 1
        files = [name for name in os.listdir(folder) if name.startswith("counter_")]
        pids = {name.removesuffix(".db").rpartition("_")[2] for name in files}
        return sum(_runs(int(pid)) for pid in pids if pid.isdigit())

    def _add(self, metric: Counter, name: str, values: Mapping[str, float]) -> None:
        for label, value in values.items():
            grown = value - self._seen.get((name, label), 0)
            if grown > 0:
                self._seen[name, label] = value
                (metric.labels(label) if label else metric).inc(grown)

    def _add_deliveries(self, worker: "WebhookWorker") -> None:
        for outcome in ("sent", "failed", "unwanted", "given_up"):
            total = getattr(worker.counts, outcome)
            grown = total - self._seen.get((worker.endpoint, outcome), 0)
            if grown > 0:
                self._seen[worker.endpoint, outcome] = total
                self._deliveries.labels(worker.endpoint, outcome).inc(grown)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


class _SharedMetric(Collector):
    """A metric that counts for all workers already, so that it needs no adding up."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def collect(self) -> Iterable[Metric]:
        return [self._metric]


def dropped_callbacks(dropped: Mapping[str, int]) -> CounterMetricFamily:
    """The metric of dropped events, by endpoint."""
    text = "Events that no webhook was sent for: the outbox was full, or the endpoint disabled"
    family = CounterMetricFamily("streamlimit_callbacks_dropped", text, labels=["endpoint"])
    for endpoint, count in dropped.items():
        family.add_metric([endpoint], count)
    return family


def pending_callbacks(pending: int | None) -> GaugeMetricFamily:
    """Webhooks that wait, of all endpoints together."""
    return GaugeMetricFamily("streamlimit_callbacks_pending", "Webhooks that wait", value=pending)


def running_workers(count: int | None) -> GaugeMetricFamily:
    """Running workers of this service, on this machine."""
    return GaugeMetricFamily("streamlimit_workers", "Workers that run", value=count)


def _counter(name: str, text: str, registry: CollectorRegistry, *labels: str | None) -> Counter:
    return Counter(f"streamlimit_{name}", text, [each for each in labels if each is not None], registry=registry)


def _gauge(name: str, text: str, registry: CollectorRegistry, mode: Literal["livesum", "livemax"]) -> Gauge:
    return Gauge(f"streamlimit_{name}", text, registry=registry, multiprocess_mode=mode)


def add_census_gauges(registry: CollectorRegistry, census: Census, now: float) -> None:
    """Registers the gauges of a *census* in *registry*. *now*: seconds of the clock that the census is dated by."""
    sessions = Gauge("streamlimit_sessions", "Live sessions by state", ["state"], registry=registry)
    for state in ("starting", "active", "idle"):
        sessions.labels(state).set(census.states[state])
    Gauge("streamlimit_users", "Users with a live session", registry=registry).set(census.users)
    streams = Gauge("streamlimit_stream_sessions", "Live sessions by stream", ["stream"], registry=registry)
    for stream_id, count in most(census):
        streams.labels(stream_id).set(count)
    age = Gauge("streamlimit_census_age_seconds", "Age of these counts", registry=registry)
    age.set(now - census.taken_at)


def most(census: Census) -> Iterable[tuple[str, int]]:
    """The streams with the most sessions."""
    return census.streams.most_common(STREAMS_SHOWN)
