"""Renders the chart of deploy/helm into deploy/kubernetes/, for who applies manifests without Helm.

python tools/make_manifests.py
"""

import sys
from pathlib import Path
from typing import Any

DEPLOY = Path(__file__).parent.parent / "deploy"
CHART, FOLDER = DEPLOY / "helm/streamlimit", DEPLOY / "kubernetes"
ALL_PARTS: dict[str, Any] = {
    "secret": {"metricsKey": "change-me-to-a-key-that-may-only-look"},
    "serviceMonitor": {"enabled": True},
    "expire": {"enabled": True},
    "streams": {"persistentVolumeClaim": {"claimName": "streams"}},
}
HEADER = "# Made of deploy/helm/streamlimit by tools/make_manifests.py: change that. docs/how-to/kubernetes.md\n"


def manifests(values: dict[str, Any]) -> dict[str, str]:
    """What Helm makes of the chart, by file name."""
    from helm_python import Chart

    chart = Chart.load(CHART)
    try:
        made = chart.render(values, name="streamlimit", namespace="default")
    finally:
        chart.close()
    named = {path.rsplit("/", 1)[1]: text.strip() for path, text in made.items() if path.endswith(".yaml")}
    return {name: HEADER + text + "\n" for name, text in sorted(named.items()) if text}


def main() -> None:
    for name, text in manifests(ALL_PARTS).items():
        (FOLDER / name).write_text(text)
        print(f"wrote {FOLDER / name}")


if __name__ == "__main__":
    sys.exit(main())
