"""Metrics count each event once, over all workers and however often they are scraped."""

from pathlib import Path
from types import SimpleNamespace

from prometheus_client.parser import text_string_to_metric_families

from streamlimit.cache import CachingStore, OutagePolicy
from streamlimit.policy import Policy
from streamlimit.store.sqlite import SqliteStore
from streamlimit.tally import Tally
from streamlimit.web.metrics import Metrics
from streamlimit.webhooks.worker import Counts


def test_attempts_to_call_back_are_told_by_endpoint_and_outcome(tmp_path: Path) -> None:
    store = SqliteStore(str(tmp_path / "metrics.db"), Policy())
    worker = SimpleNamespace(endpoint="hook", counts=Counts(sent=3, failed=2))
    metrics = Metrics(Tally(), CachingStore(store, Policy(), OutagePolicy()), [worker])  # type: ignore[list-item]
    metrics.flush()
    worker.counts.sent += 1
    assert metrics.numbers()["callbacks"] == {"hook/sent": 4, "hook/failed": 2}
    families = text_string_to_metric_families(metrics.text(None, 0.0).decode())
    samples = [s for f in families for s in f.samples if s.name == "streamlimit_callbacks_total"]
    assert {sample.labels["outcome"]: sample.value for sample in samples} == {"sent": 4, "failed": 2}
    store.close()
