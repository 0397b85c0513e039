"""deploy/helm and deploy/kubernetes: Helm takes the chart, Kubernetes what it makes, streamlimit its settings."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from streamlimit import __version__
from streamlimit.settings import load_settings, notes_on_variables

ROOT = Path(__file__).parent.parent
CHART, FOLDER = ROOT / "deploy/helm/streamlimit", ROOT / "deploy/kubernetes"
MONITOR = ROOT / "tests/monitoring/vendor/servicemonitor.schema.json"
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    pytest.importorskip("helm_python", reason="make setup, on Linux and x86_64")
    spec = importlib.util.spec_from_file_location("make_manifests", ROOT / "tools/make_manifests.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def documents(texts: dict[str, str]) -> dict[str, dict[str, Any]]:
    """By kind; the first of each."""
    found: dict[str, dict[str, Any]] = {}
    for text in texts.values():
        for document in yaml.safe_load_all(text):
            found.setdefault(document["kind"], document)
    return found


def committed() -> dict[str, dict[str, Any]]:
    return documents({path.name: path.read_text() for path in FOLDER.glob("*.yaml")})


def test_helm_finds_nothing_wrong_with_the_chart(maker: ModuleType) -> None:
    from helm_python import lint

    report = lint(CHART, strict=True)
    assert (report["messages"], report["errors"]) == ([], [])
    assert yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"] == VALUES["image"]["tag"] == __version__


def test_the_manifests_are_what_the_chart_makes(maker: ModuleType) -> None:
    made = maker.manifests(maker.ALL_PARTS)
    assert {path.name: path.read_text() for path in FOLDER.iterdir()} == made, "run python tools/make_manifests.py"


class Kubernetes:
    """What a cluster with the Prometheus operator takes: by the schemas of both, and nothing that they do not know."""

    def __init__(self) -> None:
        self._own = pytest.importorskip("kubernetes_validate", reason="make setup")
        self._monitor = Draft202012Validator(closed(json.loads(MONITOR.read_text())))

    def require(self, text: str) -> None:
        for document in yaml.safe_load_all(text):
            if document["kind"] == "ServiceMonitor":
                assert document["apiVersion"] == "monitoring.coreos.com/v1"
                assert [error.message for error in self._monitor.iter_errors(document)] == []
            else:
                self._own.validate(document, "1.31", strict=True)


def closed(schema: Any) -> Any:
    """The schema, by which an object has no other fields than those that are named."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: closed(each) for name, each in schema.items()}
    is_open = "additionalProperties" in schema or not isinstance(schema.get("properties"), dict)
    return found if is_open or "type" not in schema else found | {"additionalProperties": False}


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_kubernetes_takes_the_manifest(path: Path) -> None:
    Kubernetes().require(path.read_text())


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"existingSecret": "mine", "serviceMonitor": {"enabled": True}, "expire": {"enabled": True}},
        {"streams": {"hostPath": {"path": "/srv/streams"}}, "settings": {"plans": {"family": 4}, "workers": 2}},
        {"podDisruptionBudget": {"maxUnavailable": "25%"}, "nodeSelector": {"disk": "ssd"}},
        {"tolerations": [{"key": "video", "operator": "Exists"}], "replicas": 1, "secret": {"metricsKey": "k"}},
    ],
    ids=["defaults", "a secret of theirs", "a folder of the node", "a budget", "where it runs"],
)
def test_kubernetes_takes_what_helm_makes_of_other_values(maker: ModuleType, values: dict[str, Any]) -> None:
    made = maker.manifests(values)
    assert {"deployment.yaml", "service.yaml", "configmap.yaml"} <= made.keys()
    for text in made.values():
        Kubernetes().require(text)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("port: http", "port: [http]"),
        ("interval: 15s", "interval: soon"),
        ("path: /metrics", "paht: /metrics"),
        ("type: Bearer", "kind: Bearer"),
        ("  selector:\n", "  selektor:\n"),
    ],
)
def test_a_wrong_monitor_is_noticed(old: str, new: str) -> None:
    text = (FOLDER / "servicemonitor.yaml").read_text()
    assert old in text
    with pytest.raises(AssertionError):
        Kubernetes().require(text.replace(old, new))


def test_parts_that_are_off_make_nothing(maker: ModuleType) -> None:
    made = documents(maker.manifests({"existingSecret": "mine"}))
    assert made.keys() == {"ConfigMap", "Deployment", "Service", "PodDisruptionBudget"}
    (container,) = made["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert {"secretRef": {"name": "mine"}} in container["envFrom"]


def test_what_the_pods_are_given_are_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = committed()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "streams").mkdir()
    for name, value in (found["ConfigMap"]["data"] | found["Secret"]["stringData"]).items():
        monkeypatch.setenv(name, str(tmp_path / "streams") if value == "/streams" else value)
    settings = load_settings()
    assert notes_on_variables() == []
    assert (settings.listen, settings.auth) == ("0.0.0.0:8080", "jwt")
    assert settings.jwt is not None
    assert [key.name for key in settings.operator_keys] == ["operator"]


def test_a_pod_ends_after_its_segments_have() -> None:
    pod = committed()["Deployment"]["spec"]["template"]["spec"]
    pause = int(pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pause >= 5
    assert pod["terminationGracePeriodSeconds"] > pause + VALUES["settings"]["drain_seconds"]
    assert pod["enableServiceLinks"] is False, "STREAMLIMIT_PORT is no setting"


def test_probes_ask_what_an_outage_of_the_store_does_not_change() -> None:
    (container,) = committed()["Deployment"]["spec"]["template"]["spec"]["containers"]
    probes = [container[name]["httpGet"]["path"] for name in ("startupProbe", "readinessProbe", "livenessProbe")]
    assert set(probes) == {"/healthz"}
