"""Makes the pictures of docs/pictures/ anew: the console and the wall of four, as they are now, in Debian's Chromium.

    make screenshots

Starts the demo with a crowd, plays with real players, and stops it all.
"""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from tests.e2e.browser import chromium  # noqa: E402
from tests.service import Service, started  # noqa: E402

PICTURES = ROOT / "docs" / "pictures"
SIZE = {"width": 1280, "height": 800}
SECTIONS = ("sessions", "events", "charts", "health")
CROWD = 40
KEY = "the-key-of-the-pictures"


def main() -> None:
    """All of them."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, chromium() as browser:
        settings = {"operator_keys": [KEY], "segment_seconds": 8}
        with started(Path(folder), "demo", **settings) as service:
            _crowd(service)
            _wall(browser, service)
            _console(browser, service)


def _crowd(service: Service, kind: str = "user") -> None:
    streams = ("aurora", "clock", "harbour", "orchard")
    for number in range(CROWD):
        for device in ("TV", "Phone", "Tablet")[: 1 + number % 3]:
            form = {"name": device, "type": device.lower()}
            service.segment(f"{kind}-{number:02}", device, streams[number % 4], device=form)


def _wall(browser: Browser, service: Service) -> None:
    with _opened(browser, f"{service.url}/watch?user=ada&autostart=1&wall=1") as page:
        page.locator('.player[data-state="playing"]').nth(2).wait_for()
        page.locator('.player[data-state="waiting"]').wait_for()
        page.wait_for_timeout(2_500)  # no test: a picture of pictures that move
        _shoot(page, "wall")
        _console_of(browser, service, "users/ada", "users")


def _console(browser: Browser, service: Service) -> None:
    for section in SECTIONS:
        _crowd(service)
        _console_of(browser, service, section, section)


def _console_of(browser: Browser, service: Service, where: str, name: str) -> None:
    with _opened(browser, f"{service.url}/console#key={KEY}") as page:
        page.get_by_role("navigation", name="Sections").wait_for()
        page.evaluate(f"location.hash = {where!r}")
        if name == "events":
            page.wait_for_timeout(1_000)
            _crowd(service, "guest")  # new ones: who sits already makes no event
        page.wait_for_timeout(12_000 if name == "charts" else 2_500)
        _shoot(page, f"console-{name}")


@contextmanager
def _opened(browser: Browser, url: str) -> Iterator[Page]:
    page = browser.new_page(viewport=SIZE, color_scheme="light")  # type: ignore[arg-type]
    try:
        page.goto(url)
        yield page
    finally:
        page.close()


def _shoot(page: Page, name: str) -> None:
    page.screenshot(path=PICTURES / f"{name}.png")
    print(f"wrote {PICTURES / name}.png")


if __name__ == "__main__":
    main()
