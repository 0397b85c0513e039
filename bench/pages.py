"""Does the console stay smooth? Ten thousand sessions to page through, and two hundred events a second to watch.

`python -m bench.pages` writes results/pages.md. A real service on SQLite and a real Chromium, both on this machine:
what is told is the longest task of the page's main thread, and how much memory its JavaScript holds after a garbage
collection.
"""

import asyncio
import multiprocessing
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Browser, CDPSession, Page

from bench.machine import described
from tests.e2e.browser import chromium
from tests.service import OPERATOR_KEY, Service, started

SESSIONS, EVENTS_A_SECOND = 10_000, 200
WATCHED_SECONDS = 60
RESULT = Path(__file__).parent / "results/pages.md"
WATCH_TASKS = """
window.tasks = [];
new PerformanceObserver((list) => tasks.push(...list.getEntries().map((task) => Math.round(task.duration))))
    .observe({type: 'longtask', buffered: true});
"""
HEAD = (
    "| page | tasks over 50 ms | the longest, ms | memory before → after, MB | elements before → after |\n"
    "|---|---|---|---|---|\n"
)


def main() -> None:
    """Measures, and writes the report."""
    settings: dict[str, Any] = {"ledger_streams": "any", "segment_seconds": 600, "streams": None}
    with tempfile.TemporaryDirectory() as folder, started(Path(folder), **settings) as service, chromium() as browser:
        _apart(_seat_all, service.url)
        print(f"{SESSIONS:,} sessions sit", flush=True)
        rows = [_look(browser, service, "sessions", _turn_pages)]
        with _events(service.url):
            rows.append(_look(browser, service, "events", _watch_events))
            rows.append(_look(browser, service, "sessions", _turn_pages, " while events come"))
    RESULT.write_text(_report(rows))
    print(RESULT.read_text())


def _look(browser: Browser, service: Service, section: str, work: Any, words: str = "") -> str:
    """One row: *work* on a section of the console."""
    page = browser.new_page()
    page.add_init_script(WATCH_TASKS)
    page.goto(f"{service.url}/console#key={OPERATOR_KEY}")
    page.get_by_role("navigation", name="Sections").wait_for()
    page.evaluate(f"location.hash = '{section}'")
    page.locator(f"#{section} tbody tr").first.wait_for()
    page.wait_for_timeout(3_000)
    page.evaluate("tasks.length = 0")
    cdp = page.context.new_cdp_session(page)
    before = _held(cdp)
    told = work(page)
    after = _held(cdp)
    tasks = page.evaluate("tasks")
    page.close()
    print(f"looked at {section}{words}", flush=True)
    held = " | ".join(f"{old} → {new}" for old, new in zip(before, after, strict=True))
    return f"| {section}{words}: {told} | {len(tasks)} | {max(tasks, default='–')} | {held} |\n"


def _turn_pages(page: Page) -> str:
    for _ in range(15):
        page.get_by_role("button", name="Next page").click()
        page.wait_for_timeout(1_000)
    return f"15 pages of 50, of {SESSIONS:,} sessions"


def _watch_events(page: Page) -> str:
    page.wait_for_timeout(WATCHED_SECONDS * 1_000)
    return f"{WATCHED_SECONDS} s of {page.locator('#rate').inner_text()}"


def _held(cdp: CDPSession) -> tuple[float, int]:
    """Megabytes of JavaScript, and elements."""
    cdp.send("Performance.enable")
    cdp.send("HeapProfiler.collectGarbage")
    told = {each["name"]: each["value"] for each in cdp.send("Performance.getMetrics")["metrics"]}
    return round(told["JSHeapUsedSize"] / 1_000_000, 1), int(told["Nodes"])


# Viewers, in a process of their own


def _apart(work: Any, *arguments: Any) -> None:
    process = multiprocessing.get_context("spawn").Process(target=work, args=arguments)
    process.start()
    process.join()
    assert process.exitcode == 0


@contextmanager
def _events(url: str) -> Iterator[None]:
    process = multiprocessing.get_context("spawn").Process(target=_come_and_go, args=(url,), daemon=True)
    process.start()
    try:
        yield
    finally:
        process.terminate()
        process.join()


def _seat_all(url: str) -> None:
    asyncio.run(_seat(url))


async def _seat(url: str) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        for first in range(0, SESSIONS, 50):
            await asyncio.gather(*(_beat(client, f"user-{n // 2:05}", f"s{n % 2}") for n in range(first, first + 50)))


def _come_and_go(url: str) -> None:
    asyncio.run(_coming_and_going(url))


async def _coming_and_going(url: str) -> None:
    """Half of the events are starts, half are ends."""
    turn = 0
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        began = time.monotonic()
        while True:
            names = [f"guest-{turn % 50}-{n}" for n in range(EVENTS_A_SECOND // 20)]
            await asyncio.gather(*(_beat(client, name, f"g{turn}") for name in names))
            await asyncio.gather(*(client.delete(f"/v1/users/{name}/sessions/g{turn}") for name in names))
            turn += 1
            await asyncio.sleep(max(began + turn / 10 - time.monotonic(), 0))


async def _beat(client: httpx.AsyncClient, user: str, session: str) -> None:
    form = {"stream_id": "news", "device": {"name": "Living-room TV", "type": "tv"}}
    answer = await client.post(f"/v1/users/{user}/sessions/{session}/heartbeat", json=form)
    answer.raise_for_status()


def _report(rows: list[str]) -> str:
    return (
        "# Does the console stay smooth?\n\n"
        f"`python -m bench.pages`: {SESSIONS:,} sessions on SQLite, {EVENTS_A_SECOND} events a second (half of them "
        "starts, half ends), Debian's Chromium, service, viewers and browser all on this machine. Tasks are those of "
        "the page's main thread that the browser itself calls long (over 50 ms); memory is what JavaScript holds after "
        "a garbage collection."
        "\n\n"
        f"{HEAD}{''.join(rows)}\n{'; '.join(described().values())}.\n"
    )


if __name__ == "__main__":
    main()
