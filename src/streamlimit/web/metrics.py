"""Prometheus metrics of all workers of a service: `/metrics`, and the numbers of `/v1/stats`.

The hot path counts plain numbers (tally.py); here they become metrics, once a second and at each scrape. With several
workers the library's multiprocess mode adds them up: server.py names its folder before they start.
"""

import asyncio
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

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


class Metrics:
    """One worker's metrics. `flush` brings them up to date; `text` is what Prometheus reads."""

    def __init__(self, tally: Tally, store: CachingStore, workers: "Sequence[WebhookWorker]" = ()) -> None:
        self._tally, self._store, self._workers = tally, store, workers
        self._seen: dict[tuple[str, str], float] = {}
        self._registry = registry = CollectorRegistry()
        self._admissions = Counter("streamlimit_admissions", "Requests admitted", registry=registry)
        self._confirmations = Counter("streamlimit_confirmations", "Segments confirmed", registry=registry)
        self._not_received = Counter("streamlimit_not_received", "Segments not received", registry=registry)
        self._events = Counter("streamlimit_events", "State changes of sessions", ["type"], registry=registry)
        self._refusals = Counter("streamlimit_refusals", "Requests refused", ["code"], registry=registry)
        text = "Users refused by the limit: each once within n·X and worker"
        self._refused_users = Counter("streamlimit_refused_users", text, ["plan"], registry=registry)
        self._would = Counter("streamlimit_would_refuse", "Refusals left out by a dry run", ["code"], registry=registry)
        self._problems = Counter("streamlimit_problems", "Error answers", ["code"], registry=registry)
        for metric, code in ((self._refusals, "session-limit"), (self._problems, "internal")):
            metric.labels(code)  # there at 0: of one that appears as 1, Prometheus sees no increase
        text = "Connections turned away: too many of one address"
        self._turned = Counter("streamlimit_connections_turned_away", text, registry=registry)
        text = "Lines of an edge's access log that could not be counted"
        self._lines = Counter("streamlimit_edge_lines_dropped", text, registry=registry)
        text = "Connections given up, by what did not come in time: request, head, body, reading"
        self._given_up = Counter("streamlimit_connections_given_up", text, ["awaited"], registry=registry)
        self._degraded = Counter("streamlimit_degraded", "Answers given without the store", registry=registry)
        self._outages = Counter("streamlimit_store_outages", "Outages of the store", registry=registry)
        self._failures = Counter("streamlimit_store_failures", "Calls the store did not answer", registry=registry)
        self._dropped = Counter("streamlimit_kept_dropped", "Kept confirmations dropped", registry=registry)
        self._latency = Counter("streamlimit_store_seconds", "Time spent waiting for the store", registry=registry)
        self._calls = Counter("streamlimit_store_calls", "Calls of the store that were timed", registry=registry)
        text = "Checkpoints of SQLite's log that failed"
        self._checkpoints = Counter("streamlimit_store_checkpoint_failures", text, registry=registry)
        labels = ["endpoint", "outcome"]
        self._deliveries = Counter("streamlimit_callbacks", "Attempts to deliver webhooks", labels, registry=registry)
        text = "When a sweep (built-in, or Endpoint 2) last came to its end, in seconds of the epoch; 0: none yet"
        self._swept = _gauge("streamlimit_last_sweep_timestamp_seconds", text, registry, "livemax")
        self._away = _gauge("streamlimit_store_away", "Workers that see the store away", registry)
        text = "Length of SQLite's log, which is carried over into the database, as the last checkpoint left it"
        self._log_bytes = _gauge("streamlimit_store_log_bytes", text, registry, "livemax")
        self._kept = _gauge("streamlimit_kept", "Confirmations that wait for the store", registry)
        self._known = _gauge("streamlimit_known", "Sessions the workers know", registry)

    def flush(self) -> None:
        """The plain numbers into the metrics."""
        tally, counts = self._tally, self._store.counts
        self._add(self._admissions, "admissions", {"": tally.admissions})
        self._add(self._confirmations, "confirmations", {"": tally.confirmations})
        self._add(self._not_received, "not_received", {"": tally.not_received})
        self._add(self._events, "events", tally.events)
        self._add(self._refusals, "refusals", tally.refusals)
        self._add(self._refused_users, "refused_users", tally.refused_users)
        self._add(self._would, "would_refuse", tally.would_refuse)
        self._add(self._problems, "problems", tally.problems)
        self._add(self._turned, "turned_away", {"": tally.turned_away})
        self._add(self._lines, "edge_lines", {"": tally.edge_lines_dropped})
        self._add(self._given_up, "given_up", tally.given_up)
        self._add(self._degraded, "degraded", {"": counts.degraded})
        self._add(self._outages, "outages", {"": counts.outages})
        self._add(self._failures, "failures", {"": counts.failures})
        self._add(self._latency, "seconds", {"": counts.seconds})
        self._add(self._calls, "calls", {"": counts.calls})
        self._add(self._dropped, "dropped", {"": self._store.kept.dropped})
        self._add(self._checkpoints, "checkpoints", {"": tally.checkpoints_failed})
        self._log_bytes.set(tally.log_bytes)
        for worker in self._workers:
            self._add_deliveries(worker)
        self._swept.set(tally.swept_at)
        self._away.set(self._store.is_away)
        self._kept.set(len(self._store.kept))
        self._known.set(len(self._store.cache))

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
        backs are *pending*; None: nobody is called back, or the store is unavailable.
        """
        self.flush()
        scraped = CollectorRegistry()
        if FOLDER_VARIABLE in os.environ:
            MultiProcessCollector(scraped)  # type: ignore[no-untyped-call]
        own = b"" if FOLDER_VARIABLE in os.environ else generate_latest(self._registry)
        scraped.register(_Told(dropped_callbacks(dropped or {})))
        scraped.register(_Told(pending_callbacks(pending)))
        scraped.register(_Told(running_workers(self.workers())))
        if census is not None:
            _census_gauges(scraped, census, now)
        return own + generate_latest(scraped)

    def numbers(self) -> dict[str, dict[str, float]]:
        """The counters of all workers by name and label, for `/v1/stats`."""
        self.flush()
        registry = self._registry
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


class _Told(Collector):
    """A metric as the store tells it: it counts for all workers, so nobody adds anything up here."""

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


def _gauge(name: str, text: str, registry: CollectorRegistry, mode: Literal["livesum", "livemax"] = "livesum") -> Gauge:
    return Gauge(name, text, registry=registry, multiprocess_mode=mode)


def _census_gauges(registry: CollectorRegistry, census: Census, now: float) -> None:
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
