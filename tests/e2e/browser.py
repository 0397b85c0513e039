"""Debian's Chromium for the tests, driven by Playwright, which downloads no browser here. Knows nothing of streamlimit.

    with chromium() as browser, opened(browser, "http://127.0.0.1:8000/") as tab:
        tab.wait_for("document.querySelector('video').currentTime > 3", seconds=15)
        assert tab.evaluate("fetch('/healthz').then(answer => answer.status)") == 200

One browser serves a module's tests; each tab has a profile of its own. The sync API keeps an event loop in its thread:
within `chromium()` no test of the module can use `asyncio.run`.
"""

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, BrowserType, ConsoleMessage, Error, Page, sync_playwright

from tests.needs import needs

POLL_MS = 50
SWITCHES = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
]


@contextmanager
def chromium() -> Iterator[Browser]:
    """A running browser; without the program the test skips, or fails in CI."""
    needs("chromium")
    with sync_playwright() as playwright:
        browser = _launch(playwright.chromium)
        try:
            yield browser
        finally:
            browser.close()


def another(browser: Browser) -> Browser:
    """A second one, for a test that kills it."""
    return _launch(browser.browser_type)


def kill(browser: Browser) -> None:
    """kill -9 to all of it."""
    told = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")
    for process in told["processInfo"]:
        try:
            os.kill(process["id"], signal.SIGKILL)
        except ProcessLookupError:
            pass  # it went with its parent


class Tab:
    """One page. *messages* holds what it wrote to the console, and what it threw and nobody caught; *requests* all URLs
    that it asked for.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        self.messages: list[str] = []
        self.requests: list[str] = []
        page.on("request", lambda asked: self.requests.append(asked.url))
        page.on("console", lambda told: self.messages.append(_line(told)))
        page.on("pageerror", lambda error: self.messages.append(f"uncaught: {error}"))

    def evaluate(self, javascript: str) -> Any:
        """The value of one expression, awaited if it is a promise."""
        return self.page.evaluate(javascript)

    def wait_for(self, condition: str, seconds: float = 10, meanwhile: Callable[[], object] = lambda: None) -> None:
        """Asks until *condition* is true or truthy; one that throws is not true yet. *meanwhile*: called each time.

        Not `page.wait_for_function`: that calls `eval` in the page, which our Content-Security-Policy forbids.
        """
        for _ in range(int(seconds * 1_000 / POLL_MS)):
            if self._holds(condition):
                return
            meanwhile()
            self.page.wait_for_timeout(POLL_MS)
        raise TimeoutError("\n".join([f"not within {seconds} s: {condition}", *self.messages[-10:]]))

    def close(self) -> None:
        """As a person does."""
        self.page.close()

    def _holds(self, condition: str) -> bool:
        try:
            return bool(self.page.evaluate(f"(async () => Boolean(await ({condition})))()"))
        except Error:
            return False


@contextmanager
def opened(browser: Browser, url: str) -> Iterator[Tab]:
    """A tab with an empty profile, once *url* is loaded; both are gone when the test has done with it."""
    tab = Tab(browser.new_page())
    try:
        tab.page.goto(url)
        yield tab
    finally:
        if browser.is_connected():  # a test may have killed it
            tab.page.close()  # and its context, which is this page's own


def _launch(kind: BrowserType) -> Browser:
    return kind.launch(executable_path=shutil.which("chromium"), args=SWITCHES)


def _line(told: ConsoleMessage) -> str:
    return f"{told.type}: {told.text} {told.location['url']}".rstrip()
