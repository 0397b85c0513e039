"""A real Chromium for the tests, driven over the DevTools protocol. Knows nothing of streamlimit.

    async with open_browser() as browser:
        page = await browser.new_page("http://127.0.0.1:8000/")
        await page.wait_for("document.querySelector('video').currentTime > 3", seconds=15)
        assert await page.evaluate("fetch('/healthz').then(answer => answer.status)") == 200
        await page.screenshot(Path("page.png"))

Needs the program `chromium` and the Python package websockets.
"""

import asyncio
import base64
import itertools
import json
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

START_SECONDS = 30
POLL_SECONDS = 0.05
SWITCHES = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
    "--mute-audio",
    "--hide-scrollbars",
    "--remote-debugging-port=0",  # a free one, told in DevToolsActivePort
)


class BrowserMissingError(RuntimeError):
    """There is no Chromium on this machine."""


class JavaScriptError(RuntimeError):
    """An expression threw, or its page went away under it."""


def find_chromium() -> str:
    """The path of the program, or an error that says what to install."""
    path = shutil.which("chromium")
    if path is None:
        raise BrowserMissingError("no program `chromium` on the PATH: apt-get install chromium")
    return path


@asynccontextmanager
async def open_browser(width: int = 1280, height: int = 800) -> AsyncIterator["Browser"]:
    """Start a browser with an empty profile; leaving stops it and forgets the profile."""
    program = find_chromium()
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as profile:
        size = f"--window-size={width},{height}"
        process = await asyncio.create_subprocess_exec(
            program, *SWITCHES, size, f"--user-data-dir={profile}", "about:blank",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            port, path = await _debugging_address(process, Path(profile) / "DevToolsActivePort")
            async with open_protocol(f"ws://127.0.0.1:{port}{path}") as protocol:
                yield Browser(protocol, port)
        finally:
            await _stop(process)


@asynccontextmanager
async def open_protocol(address: str) -> AsyncIterator["Protocol"]:
    """One DevTools connection, and the task that reads it."""
    async with connect(address, max_size=None) as connection:
        protocol = Protocol(connection)
        reading = asyncio.create_task(protocol.read_forever())
        try:
            yield protocol
        finally:
            reading.cancel()


class Protocol:
    """Numbered requests and their answers on one connection; events go to the page they are about."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.pages: dict[str, Page] = {}

    async def call(self, method: str, session_id: str | None = None, **params: Any) -> dict[str, Any]:
        """Send one command and wait for its result."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params}
        if session_id is not None:
            message["sessionId"] = session_id
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        await self._connection.send(json.dumps(message))
        return await answer

    async def read_forever(self) -> None:
        """Hand out all that arrives; when the connection ends, so does every wait."""
        try:
            async for text in self._connection:
                self._receive(json.loads(text))
        finally:
            for answer in self._waiting.values():
                if not answer.done():
                    answer.set_exception(ConnectionError("the browser is gone"))

    def _receive(self, message: dict[str, Any]) -> None:
        if "id" not in message:
            if page := self.pages.get(message.get("sessionId", "")):
                page.note(message["method"], message["params"])
            return
        answer = self._waiting.pop(message["id"])
        if answer.done():
            return
        if "error" in message:
            answer.set_exception(JavaScriptError(message["error"]["message"]))
        else:
            answer.set_result(message["result"])


class Browser:
    """A running browser; *port* is where its DevTools listen."""

    def __init__(self, protocol: Protocol, port: int) -> None:
        self._protocol = protocol
        self.port = port

    async def new_page(self, url: str) -> "Page":
        """Open a tab of its own and wait until *url* is loaded."""
        target = await self._protocol.call("Target.createTarget", url="about:blank")
        target_id = target["targetId"]
        attached = await self._protocol.call("Target.attachToTarget", targetId=target_id, flatten=True)
        page = Page(self._protocol, target_id, attached["sessionId"])
        await page.open(url)
        return page


class Page:
    """One tab. *messages* holds what it wrote to the console, and what it threw and nobody caught."""

    def __init__(self, protocol: Protocol, target_id: str, session_id: str) -> None:
        self._protocol = protocol
        self._target_id = target_id
        self._session_id = session_id
        self.messages: list[str] = []
        protocol.pages[session_id] = self

    async def open(self, url: str, seconds: float = 15) -> None:
        """Go to *url* and wait until it is loaded."""
        for domain in ("Runtime", "Page", "Log"):
            await self._call(f"{domain}.enable")
        gone = await self._call("Page.navigate", url=url)
        if "errorText" in gone:
            raise ConnectionError(f"{url}: {gone['errorText']}")
        await self.wait_for("document.readyState === 'complete'", seconds)

    async def evaluate(self, javascript: str) -> Any:
        """The value of one expression, awaited if it is a promise."""
        answer = await self._call(
            "Runtime.evaluate", expression=javascript, awaitPromise=True, returnByValue=True, userGesture=True
        )
        if thrown := answer.get("exceptionDetails"):
            raise JavaScriptError(_told(thrown))
        return answer["result"].get("value")

    async def wait_for(self, condition: str, seconds: float = 10) -> None:
        """Ask until *condition* is true or truthy, one that throws is not true yet."""
        try:
            async with asyncio.timeout(seconds):
                while not await self._holds(condition):
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError:
            told = "\n".join(self.messages[-10:])
            raise TimeoutError(f"not within {seconds} s: {condition}\n{told}") from None

    async def screenshot(self, path: Path) -> None:
        """Write what the tab shows as a PNG."""
        shot = await self._call("Page.captureScreenshot", format="png")
        path.write_bytes(base64.b64decode(shot["data"]))

    async def close(self) -> None:
        """Close the tab as a person does."""
        del self._protocol.pages[self._session_id]
        await self._protocol.call("Target.closeTarget", targetId=self._target_id)

    def note(self, event: str, params: dict[str, Any]) -> None:
        """Remember what the console would show."""
        if event == "Runtime.consoleAPICalled":
            words = (str(arg.get("value", arg.get("description", ""))) for arg in params["args"])
            self.messages.append(f"{params['type']}: {' '.join(words)}")
        elif event == "Runtime.exceptionThrown":
            self.messages.append(f"uncaught: {_told(params['exceptionDetails'])}")
        elif event == "Log.entryAdded":
            entry = params["entry"]
            self.messages.append(f"{entry['level']}: {entry['text']} {entry.get('url', '')}".rstrip())

    async def _holds(self, condition: str) -> bool:
        try:
            return bool(await self.evaluate(f"(async () => Boolean(await ({condition})))()"))
        except JavaScriptError:
            return False

    async def _call(self, method: str, **params: Any) -> dict[str, Any]:
        return await self._protocol.call(method, self._session_id, **params)


def _told(thrown: dict[str, Any]) -> str:
    """What an exception says, with its place."""
    exception = thrown.get("exception", {})
    return str(exception.get("description", exception.get("value", thrown["text"])))


async def _debugging_address(process: asyncio.subprocess.Process, file: Path) -> tuple[int, str]:
    """Port and path of DevTools, once the browser has written them down."""
    async with asyncio.timeout(START_SECONDS):
        while process.returncode is None:
            lines = file.read_text().split("\n") if file.exists() else []
            if len(lines) == 2:
                return int(lines[0]), lines[1]
            await asyncio.sleep(POLL_SECONDS)
    raise RuntimeError(f"chromium ended at once, with exit code {process.returncode}")


async def _stop(process: asyncio.subprocess.Process) -> None:
    """Ask the browser to leave, and make it if it does not."""
    if process.returncode is not None:
        return
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), 5)
    except TimeoutError:
        process.kill()
        await process.wait()
