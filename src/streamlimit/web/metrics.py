"""Prometheus metrics of all workers of a service: `/metrics`, and the numbers of `/v1/stats`.

The hot path counts plain numbers (tally.py); here they become metrics, once a second and at each scrape. With several
workers the library's multiprocess mode adds them up, in a folder that server.py sets before they start.
"""

import asyncio
import os
from collections.abc import Iterable, Mapping, Sequence, Sized
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple, cast

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


class Row(NamedTuple):
    """A metric: its text, what it is read from (of a `Metrics`), and *kind*: the label of a counter's values, or none;
    of a gauge how those of several workers are joined.
    """

    name: str
    text: str
    source: str
    kind: str = ""


COUNTERS = (
    Row("admissions", "Requests admitted", "tally.admissions"),
    Row("confirmations", "Segments confirmed", "tally.confirmations"),
    Row("not_received", "Segments not received", "tally.not_received"),
    Row("events", "State changes of sessions", "tally.events", "type"),
    Row("refusals", "Requests refused", "tally.refusals", "code"),
    Row("refused_users", "Users refused by the limit: each once within n·X and worker", "tally.refused_users", "plan"),
    Row("would_refuse", "Refusals left out by a dry run", "tally.would_refuse", "code"),
    Row("problems", "Error answers", "tally.problems", "code"),
    Row("connections_turned_away", "Connections turned away: too many of one address", "tally.turned_away"),
    Row("edge_lines_dropped", "Lines of an edge's access log that could not be counted", "tally.edge_lines_dropped"),
    Row(
        "connections_given_up",
        "Connections given up, by what did not come in time: request, head, body, reading",
        "tally.given_up",
        "awaited",
    ),
    Row("degraded", "Answers given without the store", "store.counts.degraded"),
    Row("store_outages", "Outages of the store", "store.counts.outages"),
    Row("store_failures", "Calls the store did not answer", "store.counts.failures"),
    Row("kept_dropped", "Kept confirmations dropped", "store.kept.dropped"),
    Row("store_seconds", "Time spent waiting for the store", "store.counts.seconds"),
    Row("store_calls", "Calls of the store that were timed", "store.counts.calls"),
    Row("store_checkpoint_failures", "Checkpoints of SQLite's log that failed", "tally.checkpoints_failed"),
)

GAUGES = (
    Row(
        "last_sweep_timestamp_seconds",
        "When a sweep (built-in, or Endpoint 2) last came to its end, in seconds of the epoch; 0: none yet",
        "tally.swept_at",
        "livemax",
    ),
    Row("store_away", "Workers that see the store away", "store.is_away", "livesum"),
    Row(
        "store_log_bytes",
        "Length of SQLite's log, which is carried over into the database, as the last checkpoint left it",
        "tally.log_bytes",
        "livemax",
    ),
    Row("kept", "Confirmations that wait for the store", "store.kept", "livesum"),
    Row("known", "Sessions the workers know", "store.cache", "livesum"),
)
"""The gauges; a value with a length counts by it."""

STARTS_AT_ZERO = (("refusals", "session-limit"), ("problems", "internal"))
"""Labels that are there from the start: of a counter that appears as 1, Prometheus sees no increase."""


class Metrics:
    """The metrics of one worker. `flush` updates them; `text` is the exposition for Prometheus."""

    def __init__(self, tally: Tally, store: CachingStore, workers: "Sequence[WebhookWorker]" = ()) -> None:
        self.tally, self.store, self._workers = tally, store, workers
        self._seen: dict[tuple[str, ...], float] = {}
        self.registry = registry = CollectorRegistry()
        self._counters = {row.name: _counter(row, registry) for row in COUNTERS}
        for name, label in STARTS_AT_ZERO:
            self._counters[name].labels(label)
        text, labels = "Attempts to deliver webhooks", ("endpoint", "outcome")
        self._counters["callbacks"] = Counter("streamlimit_callbacks", text, labels, registry=registry)
        self._gauges = [(row, _gauge(row, registry)) for row in GAUGES]

    def flush(self) -> None:
        """Copies the plain numbers into the metrics."""
        for row in COUNTERS:
            value = attrgetter(row.source)(self)
            for labels, count in _by_label(value):
                self._grow(row.name, labels, count)
        for worker in self._workers:
            for outcome in ("sent", "failed", "unwanted", "given_up"):
                self._grow("callbacks", (worker.endpoint, outcome), getattr(worker.counts, outcome))
        for row, gauge in self._gauges:
            value = attrgetter(row.source)(self)
            gauge.set(len(value) if isinstance(value, Sized) else value)

    async def flush_forever(self) -> None:
        """Flushes once a second, until cancelled: a scrape of another worker includes this one's numbers."""
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
        """The text for Prometheus: all workers, the newest census, *dropped* events by endpoint, *pending* webhooks.

        *pending* None: there are no endpoints, or the store is unavailable.
        """
        self.flush()
        shared = CollectorRegistry()
        shared.register(_Shared([*service_metrics(dropped or {}, pending, self.workers())]))
        if census is not None:
            shared.register(_Shared([*census_metrics(census, now)]))
        return generate_latest(self._of_all_workers()) + generate_latest(shared)

    def numbers(self) -> dict[str, dict[str, float]]:
        """The counters of all workers by name and label, for `/v1/stats`."""
        self.flush()
        found: dict[str, dict[str, float]] = {}
        for metric in self._of_all_workers().collect():
            samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
            labelled = found.setdefault(metric.name.removeprefix("streamlimit_"), {})
            for sample in samples:
                label = "/".join(value for name, value in sample.labels.items() if name != "pid")
                labelled[label] = labelled.get(label, 0) + sample.value
        return found

    def workers(self) -> int:
        """The number of running workers of this service on this machine."""
        folder = os.environ.get(FOLDER_VARIABLE)
        if folder is None:
            return 1
        files = [name for name in os.listdir(folder) if name.startswith("counter_")]
        pids = {name.removesuffix(".db").rpartition("_")[2] for name in files}
        return sum(_runs(int(pid)) for pid in pids if pid.isdigit())

    def _of_all_workers(self) -> CollectorRegistry:
        if FOLDER_VARIABLE not in os.environ:
            return self.registry
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return registry

    def _grow(self, name: str, labels: tuple[str, ...], value: float) -> None:
        grown = value - self._seen.get((name, *labels), 0)
        if grown > 0:
            self._seen[name, *labels] = value
            counter = self._counters[name]
            (counter.labels(*labels) if labels else counter).inc(grown)


def total(numbers: Mapping[str, Mapping[str, float]], name: str) -> float:
    """A counter of `Metrics.numbers`, whatever its labels."""
    return float(sum(numbers.get(name, {}).values()))


def _by_label(value: Mapping[str, float] | float) -> Iterable[tuple[tuple[str, ...], float]]:
    if isinstance(value, Mapping):
        return [((label,), count) for label, count in value.items()]
    return [((), value)]


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


class _Shared(Collector):
    """Metrics that count for all workers already, so that they need no adding up."""

    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def service_metrics(dropped: Mapping[str, int], pending: int | None, workers: int | None) -> Iterable[Metric]:
    """Events that were dropped, by endpoint, and webhooks that wait, of all of them; the workers of this machine."""
    text = "Events that no webhook was sent for: the outbox was full, or the endpoint disabled"
    yield _family(CounterMetricFamily("streamlimit_callbacks_dropped", text, labels=["endpoint"]), dropped)
    yield GaugeMetricFamily("streamlimit_callbacks_pending", "Webhooks that wait", value=pending)
    yield GaugeMetricFamily("streamlimit_workers", "Workers that run", value=workers)


def census_metrics(census: Census, now: float) -> Iterable[Metric]:
    """Live sessions and their users, as they were counted last."""
    states = {state: census.states[state] for state in ("starting", "active", "idle")}
    yield _family(GaugeMetricFamily("streamlimit_sessions", "Live sessions by state", labels=["state"]), states)
    yield GaugeMetricFamily("streamlimit_users", "Users with a live session", value=census.users)
    by_stream = GaugeMetricFamily("streamlimit_stream_sessions", "Live sessions by stream", labels=["stream"])
    yield _family(by_stream, dict(most(census)))
    age = now - census.taken_at
    yield GaugeMetricFamily("streamlimit_census_age_seconds", "Age of these counts", value=age)


def _family(family: CounterMetricFamily | GaugeMetricFamily, values: Mapping[str, float]) -> Metric:
    for label, value in values.items():
        family.add_metric([label], value)
    return family


def _counter(row: Row, registry: CollectorRegistry) -> Counter:
    return Counter(f"streamlimit_{row.name}", row.text, [row.kind] if row.kind else [], registry=registry)


def _gauge(row: Row, registry: CollectorRegistry) -> Gauge:
    return Gauge(f"streamlimit_{row.name}", row.text, registry=registry, multiprocess_mode=cast("Any", row.kind))


def most(census: Census) -> Iterable[tuple[str, int]]:
    """The streams with the most sessions."""
    return census.streams.most_common(STREAMS_SHOWN)
