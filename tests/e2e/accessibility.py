"""axe-core over a page as it stands: what would keep somebody from using it. Knows nothing of streamlimit."""

from pathlib import Path
from typing import Any

from playwright.sync_api import Page

AXE = (Path(__file__).parent / "vendor/axe.min.js").read_text()
GRAVE = ("serious", "critical")


def grave_findings(page: Page) -> list[str]:
    """What axe-core finds grave, in light and in dark: each with the elements it is about."""
    found = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.evaluate(AXE + ";undefined")
        told: dict[str, Any] = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        found += [f"{scheme}: {_line(each)}" for each in told["violations"] if each["impact"] in GRAVE]
    page.emulate_media(color_scheme=None)
    return found


def _line(violation: dict[str, Any]) -> str:
    places = [" ".join(map(str, node["target"])) for node in violation["nodes"][:5]]
    return f"{violation['id']} ({violation['help']}): {', '.join(places)}"
