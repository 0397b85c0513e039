"""Starts the real `streamlimit serve` for a test: a free loopback port, readiness awaited, stopped after it."""

import json
import os
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests import launcher, servers
from tests.launcher import Process
from tests.ports import free_port

SAMPLES = Path(__file__).parent.parent / "src/streamlimit/samples"
OPERATOR_KEY = "operator-key-of-the-tests"


class Answer:
    """Status, headers (lower case) and body of one HTTP answer."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Service:
    """A running service, as its callers see it. *start*: runs the same once more."""

    def __init__(self, process: Process, port: int, log: Path, start: Callable[[], Process] | None = None) -> None:
        self.process, self.port, self.log_path, self._start = process, port, log, start
        self.url = f"http://127.0.0.1:{port}"

    def kill(self) -> None:
        """`kill -9` to all of it."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def start_again(self) -> None:
        """After `kill`: with the same settings and folder, at the same port. Returns when it is ready."""
        assert self._start is not None
        self.process = self._start()
        await_readiness(self)

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
        key: str | None = None,
    ) -> Answer:
        """One request on a connection of its own. *body*: bytes as they are, anything else as JSON."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers or {}, method=method)
        if data is not None and not request.has_header("Content-type"):
            request.add_header("Content-Type", "application/json")
        if key is not None:
            request.add_header("Authorization", f"Bearer {key}")
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return _answer(response)
        except urllib.error.HTTPError as error:
            return _answer(error)

    def get(self, path: str, **more: Any) -> Answer:
        return self.call("GET", path, **more)

    def post(self, path: str, body: Any = None, **more: Any) -> Answer:
        return self.call("POST", path, body, **more)

    def segment(self, user: str, session: str, stream: str, **more: Any) -> Answer:
        """Endpoint 1."""
        form = {"user_id": user, "session_id": session, "stream_id": stream} | more
        return self.post("/v1/segments", form)

    def watching(self, user: str) -> dict[str, Any]:
        """Who is watching."""
        found: dict[str, Any] = self.get(f"/v1/users/{user}/sessions").json
        return found

    def sweep(self) -> dict[str, Any]:
        """Endpoint 2."""
        found: dict[str, Any] = self.post("/v1/expirations", key=OPERATOR_KEY).json
        return found

    def log(self) -> str:
        """All that it has written so far. Lines leave at the end of a turn, just after the answer at times: read until
        no more come.
        """
        found, before = self.log_path.read_text(), ""
        deadline = time.monotonic() + 1
        while len(found) > len(before) and time.monotonic() < deadline:
            time.sleep(0.02)
            found, before = self.log_path.read_text(), found
        return found


@contextmanager
def started(
    folder: Path, command: str = "serve", wrapper: Sequence[str] = (), awaited: str = "/readyz", **settings: Any
) -> Iterator[Service]:
    """`streamlimit <command>` with *settings* in its environment; *folder* keeps its database and log.

    *wrapper* comes before it on the command line; it has started when *awaited* is answered with 200.
    """
    port = int(settings["listen"].rsplit(":", 1)[1]) if "listen" in settings else free_port()
    chosen = {
        "listen": f"127.0.0.1:{port}",
        "streams": str(SAMPLES),
        "store": f"sqlite:///{folder}/streamlimit.db",
        "operator_keys": [OPERATOR_KEY],
    } | settings
    log = folder / "service.log"

    def start() -> Process:
        with log.open("ab") as out:
            return launcher.start([command], folder, environment(chosen), out, out, wrapper)

    service = Service(start(), port, log, start)
    try:
        await_readiness(service, path=awaited)
        yield service
    finally:
        stop(service.process)


@contextmanager
def started_on(store: str, folder: Path, **settings: Any) -> Iterator[Service]:
    """As `started`, on *store*: `sqlite`, or a `redis` or `valkey` server of its own."""
    with ExitStack() as stack:
        if store != "sqlite":
            settings["store"] = stack.enter_context(servers.single(store)).url
        yield stack.enter_context(started(folder, **settings))


def service_of_file(command: str = "serve", **settings: Any) -> Any:
    """A fixture, for a module to give a name: a service that the module's tests share. As `started`."""

    @pytest.fixture(scope="module")
    def service() -> Iterator[Service]:
        with temporary_folder() as folder, started(folder, command, **settings) as running:
            yield running

    return service


def await_readiness(service: Service, seconds: float = 60, path: str = "/readyz") -> None:
    """Returns when *path* says so; fails with the log when the process ends or time runs out."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if service.process.poll() is not None:
            break
        try:
            if service.get(path).status == 200:
                return
        except OSError:
            time.sleep(0.02)
    raise AssertionError(f"the service did not start:\n{service.log()}")


def wait_until(condition: Any, seconds: float, what: str = "the condition") -> None:
    """Polls *condition* until it is true; fails after *seconds*."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain for {what}"
        time.sleep(0.01)


def stop(process: Process) -> None:
    """SIGTERM to all of it, SIGKILL if that does not help."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """For fixtures of a wider scope than a test's."""
    with tempfile.TemporaryDirectory(prefix="streamlimit-test-") as name:
        yield Path(name)


def environment(settings: Mapping[str, Any]) -> dict[str, str]:
    """Ours, with these settings and no others."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("STREAMLIMIT_")}
    texts = {
        f"STREAMLIMIT_{name.upper()}": value if isinstance(value, str) else json.dumps(value)
        for name, value in settings.items()
        if value is not None
    }
    return own | texts


def _answer(response: Any) -> Answer:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(response.status, headers, response.read())
