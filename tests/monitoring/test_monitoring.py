"""The alerts, the scrape and the dashboard of deploy/ against the service as it is, and a real Prometheus."""

import json
import re
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.needs import needs
from tests.ports import free_port
from tests.service import Service, started, temporary_folder, wait_until

ROOT = Path(__file__).parent.parent.parent
RULES, SCRAPE = ROOT / "deploy/prometheus/rules.yml", ROOT / "deploy/prometheus/prometheus.yml"
DASHBOARD = json.loads((ROOT / "deploy/grafana/streamlimit.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
READ_KEY = "read-key-of-the-tests"
QUIET = {"Refusals", "Error answers", "Attempts", "Connections", "Dropped", "Time to an answer", "Waiting"}
"""Panels of which a line may be empty where nothing of the kind has happened, or nobody is called back."""


def queries() -> list[tuple[str, str]]:
    """Each of the dashboard's, as Grafana would ask it."""
    written = [(panel["title"], target["expr"]) for panel in PANELS for target in panel["targets"]]
    return [(title, expr.replace("$__rate_interval", "1m").replace("$job", ".*")) for title, expr in written]


def alerts() -> list[str]:
    """The expressions of the alerts, as promtool reads them."""
    text = RULES.read_text()
    found = re.findall(r"expr: (?:>\n((?: {10}.*\n)+)|(.*))", text)
    return [" ".join((folded or plain).split()) for folded, plain in found]


def names_in(expr: str) -> set[str]:
    return set(re.findall(r"\bstreamlimit_\w+", expr))


def test_the_alerts_are_rules_and_do_what_they_say() -> None:
    needs("promtool")
    with temporary_folder() as folder:
        for file in (RULES, Path(__file__).parent / "rules_test.yml"):
            shutil.copy(file, folder)
        command = ["promtool", "test", "rules", f"{folder}/rules_test.yml"]
        tested = subprocess.run(command, capture_output=True, text=True, timeout=60)
        checked = subprocess.run(["promtool", "check", "rules", RULES], capture_output=True, text=True, timeout=60)
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert checked.returncode == 0, checked.stdout


def test_alerts_and_dashboard_name_only_metrics_that_there_are_and_the_dashboard_nearly_all() -> None:
    table = (ROOT / "docs/reference/metrics.md").read_text()
    known = set(re.findall(r"^\| `(streamlimit_\w+)`", table, re.MULTILINE))
    of_alerts = set().union(*map(names_in, alerts()))
    of_dashboard = set().union(*(names_in(expr) for _, expr in queries()))
    assert of_alerts - known == set()
    assert of_dashboard - known == set()
    assert len(known - of_dashboard) <= 5


def test_the_dashboard_is_one_that_grafana_takes() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)
    assert all(panel["title"] and panel["description"] for panel in PANELS)
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in PANELS]
    assert len(set(places)) == len(places)
    variables = {each["name"] for each in DASHBOARD["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", json.dumps(DASHBOARD["panels"]))) - {"__rate_interval"}
    assert used == variables


def test_every_query_runs_in_a_prometheus_that_scrapes_a_service() -> None:
    needs("prometheus")
    settings = {"segment_seconds": 60, "sweep_seconds": 0.5, "operator_read_keys": [READ_KEY]}
    with temporary_folder() as folder, started(folder, **settings) as service:
        for session in range(4):
            service.segment("ann", f"s{session}", "aurora")
        with _scraping(service, folder) as url:
            empty = {title for title, expr in queries() if not _ask(url, expr)}
            assert empty <= QUIET, empty - QUIET
            for expr in alerts():
                _ask(url, expr)
            [seats] = _ask(url, 'sum(increase(streamlimit_refusals_total{code="session-limit"}[1h])) or vector(0)')
            assert float(seats["value"][1]) >= 0
            rules = _json(f"{url}/api/v1/rules")["data"]["groups"][0]["rules"]
            assert len(rules) == len(alerts()) == len({rule["name"] for rule in rules})


@contextmanager
def _scraping(service: Service, folder: Path) -> Iterator[str]:
    """Debian's Prometheus with the configuration of deploy/, which has seen three scrapes of the service."""
    port = free_port()
    shutil.copy(RULES, folder)
    (folder / "streamlimit.key").write_text(READ_KEY)
    text = SCRAPE.read_text().replace("15s", "250ms").replace("127.0.0.1:8080", f"127.0.0.1:{service.port}")
    (folder / "prometheus.yml").write_text(text)
    command = ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
    command += [f"--web.listen-address=127.0.0.1:{port}"]
    with (folder / "prometheus.log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        url = f"http://127.0.0.1:{port}"
        try:
            wait_until(lambda: _has_scraped(process, url), 90, "three scrapes")
            yield url
        finally:
            process.terminate()


def _has_scraped(process: "subprocess.Popen[bytes]", url: str) -> bool:
    assert process.poll() is None, "prometheus ended"
    try:
        found = _ask(url, "min(count_over_time(streamlimit_sessions[1m]))")
    except OSError:
        return False
    return bool(found) and float(found[0]["value"][1]) >= 3


def _ask(url: str, expr: str) -> list[Any]:
    """The result of a query; a wrong one is an HTTP error."""
    answer = _json(f"{url}/api/v1/query?query={urllib.parse.quote(expr)}")
    assert answer["status"] == "success"
    found: list[Any] = answer["data"]["result"]
    return found


def _json(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as response:
        return json.load(response)
