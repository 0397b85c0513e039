"""The smoothness of the console with ten thousand sessions to page through, and two hundred events a second.

`python -m bench.pages` writes results/pages.md. A real service on SQLite, a real Chromium. What is told of each page is
what its main thread's longest task took of the processor (waiting for one does not count: the service and whatever
else runs share this machine), and how much memory its JavaScript holds after a garbage collection, before and after
each round: five minutes of events are five rounds. The events come from a stand-in for `fetch` in the page: viewers who
make so many would take the processors that it is measured on.
"""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from playwright.sync_api import Browser, CDPSession, Page

from bench.machine import described
from streamlimit.model import Admitted, Ask, Device, Receipt
from streamlimit.settings import load_settings
from streamlimit.store.sqlite import SqliteStore
from tests.e2e.browser import chromium
from tests.service import OPERATOR_KEY, Service, started

SESSIONS, EVENTS_A_SECOND = 10_000, 200
ROUNDS, ROUND_SECONDS, TURNS = 5, 60, 20
LONG_MS = 50
"""A task that takes longer is felt."""
SETTINGS: dict[str, Any] = {"ledger_streams": "any", "segment_seconds": 600, "streams": None}
RESULT = Path(__file__).parent / "results/pages.md"
CATEGORIES = ["toplevel", "disabled-by-default-devtools.timeline"]
HEAD = (
    "| page | longest task, ms of the processor | tasks over 50 ms | memory before and after each round, MB "
    "| elements |\n"
    "|---|---|---|---|---|\n"
)
EVENTS = """
const real = window.fetch;
const rate = %d, types = ["started", "moved", "refused", "expired", "ended", "terminated"];
const event = (n) => {
    const type = "session." + types[n %% types.length];
    const device = {id: "d" + n, name: "Living-room TV " + n, type: "tv"};
    const session = {session_id: "s" + n, user_id: "user-" + (n %% 5000), stream_id: "stream-" + (n %% 40), device};
    const data = {session, reason: "session-limit", by: "support-anna", limit: 3, live_sessions: 3};
    const body = JSON.stringify({type, timestamp: new Date().toISOString(), data});
    return "id: " + n + "\\nevent: " + type + "\\ndata: " + body + "\\n\\n";
};
window.fetch = (path, ...more) => {
    if (!String(path).startsWith("/v1/events")) return real(path, ...more);
    let sent = 0;
    const begun = performance.now(), encoder = new TextEncoder();
    const start = (out) => setInterval(() => {
        let text = "";
        for (; sent < (performance.now() - begun) / 1000 * rate; sent++) text += event(sent);
        if (text) out.enqueue(encoder.encode(text));
    }, 50);
    return Promise.resolve(new Response(new ReadableStream({start})));
};
"""


class Look(NamedTuple):
    """What a section of the console came to: *told* in words; megabytes and elements before and after each round."""

    section: str
    told: str
    tasks: list[float]
    memory: list[float]
    elements: list[int]

    @property
    def row(self) -> str:
        """Of the report."""
        over = sum(task > LONG_MS for task in self.tasks)
        memory, elements = (" → ".join(map(str, each)) for each in (self.memory, self.elements))
        longest = f"{max(self.tasks):.1f} | {over} of {len(self.tasks):,}"
        return f"| {self.section}: {self.told} | {longest} | {memory} | {elements} |\n"


def main() -> None:
    """Measures, and writes the report."""
    RESULT.write_text(_report([look.row for look in looks()]))
    print(RESULT.read_text())


def looks() -> list[Look]:
    """Both sections, over all rounds."""
    with tempfile.TemporaryDirectory() as folder:
        _seat(Path(folder))
        with started(Path(folder), **SETTINGS) as service, chromium() as browser:
            return [
                _look(browser, service, "sessions", _turn_pages),
                _look(browser, service, "events", _watch_events),
            ]


def _seat(folder: Path) -> None:
    """All sessions, two of each user, into the file that the service will open."""
    store = SqliteStore(str(folder / "streamlimit.db"), load_settings(**SETTINGS).policy())
    device = Device(name="Living-room TV", type="tv")
    for number in range(SESSIONS):
        ask = Ask(f"user-{number // 2:05}", f"s{number % 2}", "news", lease_id=f"l{number}", device=device)
        answer = store.admit(ask)
        assert isinstance(answer, Admitted)
        assert answer.lease is not None
        store.confirm(Receipt(answer.lease, "1.ts", 1))
    store.close()


def _look(browser: Browser, service: Service, section: str, work: Callable[[Page], str]) -> Look:
    """*work* on a section of the console."""
    page = browser.new_page()
    page.add_init_script(EVENTS % EVENTS_A_SECOND)
    page.goto(f"{service.url}/console#key={OPERATOR_KEY}")
    page.get_by_role("navigation", name="Sections").wait_for()
    page.evaluate(f"location.hash = '{section}'")
    page.locator(f"#{section} tbody tr").first.wait_for()
    page.wait_for_timeout(5_000)
    cdp = page.context.new_cdp_session(page)
    held, tasks = [_held(cdp)], list[float]()
    for _ in range(ROUNDS):  # each with a trace of its own: of all five minutes it would be larger than its buffer
        browser.start_tracing(page=page, categories=CATEGORIES)
        told = work(page)
        tasks += _tasks(browser.stop_tracing())
        held.append(_held(cdp))
    page.close()
    memory, elements = zip(*held, strict=True)
    return Look(section, told, tasks, list(memory), list(elements))


def _turn_pages(page: Page) -> str:
    for _ in range(TURNS):
        page.get_by_role("button", name="Next page").click()
        page.wait_for_timeout(500)
    return f"{ROUNDS} rounds of {TURNS} pages of 25, of {SESSIONS:,} sessions"


def _watch_events(page: Page) -> str:
    page.wait_for_timeout(ROUND_SECONDS * 1_000)
    return f"{ROUNDS} rounds of {ROUND_SECONDS} s, {page.locator('#rate').inner_text()}"


def _held(cdp: CDPSession) -> tuple[float, int]:
    """Megabytes of JavaScript, and elements."""
    cdp.send("Performance.enable")
    cdp.send("HeapProfiler.collectGarbage")
    told = {each["name"]: each["value"] for each in cdp.send("Performance.getMetrics")["metrics"]}
    return round(told["JSHeapUsedSize"] / 1_000_000, 1), int(told["Nodes"])


def _tasks(trace: bytes) -> list[float]:
    """What each task of the pages' main threads took of the processor, in ms."""
    events = json.loads(trace)["traceEvents"]
    mains = {
        (each["pid"], each["tid"])
        for each in events
        if each["name"] == "thread_name" and each["args"]["name"] == "CrRendererMain"
    }
    return [
        each["tdur"] / 1_000
        for each in events
        if each["name"].endswith("RunTask") and "tdur" in each and (each["pid"], each["tid"]) in mains
    ]


def _report(rows: list[str]) -> str:
    return (
        "# Does the console stay smooth?\n\n"
        f"`python -m bench.pages`: {SESSIONS:,} sessions on SQLite, {EVENTS_A_SECOND} events a second, Debian's "
        "Chromium. A task is one of the page's main thread, and what it took of the processor: waiting for one does "
        "not count. The events come from a stand-in for `fetch` in the page, so its tasks make them, too. Memory is "
        "what JavaScript holds after a garbage collection.\n\n"
        f"{HEAD}{''.join(rows)}\n{'; '.join(described().values())}.\n"
    )


if __name__ == "__main__":
    main()
