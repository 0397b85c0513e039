"""deploy/helm and deploy/kubernetes: Helm takes the chart, Kubernetes what it makes, streamlimit its settings."""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from streamlimit import __version__
from streamlimit.settings import load_settings, notes_on_variables

ROOT = Path(__file__).parent.parent
CHART, FOLDER = ROOT / "deploy/helm/streamlimit", ROOT / "deploy/kubernetes"
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


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_kubernetes_takes_the_manifest(path: Path) -> None:
    validator = pytest.importorskip("kubernetes_validate", reason="make setup")
    for document in yaml.safe_load_all(path.read_text()):
        if document["kind"] == "ServiceMonitor":
            assert document["apiVersion"] == "monitoring.coreos.com/v1"  # not Kubernetes' own
        else:
            validator.validate(document, "1.31", strict=True)


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
