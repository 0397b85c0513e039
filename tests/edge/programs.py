"""Edges as the tests start them: each with its configuration in deploy/ as it is, but for addresses and folders."""

import http.client
import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

import streamlimit
from tests.answering import Quiet, serving
from tests.needs import needs
from tests.ports import free_port
from tests.service import Answer, Service, stop, wait_until

DEPLOY = Path(streamlimit.__file__).parents[2] / "deploy"
"""Beside the src that is tested, which may be a broken copy (tests/mutants)."""


class Edge:
    """A running edge in front of *service*; *folder*: where it keeps what it writes."""

    def __init__(self, port: int, service: Service, folder: Path | None = None) -> None:
        self.port, self.service, self.folder = port, service, folder

    def call(self, method: str, path: str, seconds: float = 20, **headers: str) -> Answer:
        """One request on a connection of its own."""
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=seconds)
        try:
            line.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
            answer = line.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            line.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.call("GET", path, **headers)

    def hang_up(self, path: str, after: int = 100_000) -> None:
        """Reads some of the answer, by a small window, and resets the connection."""
        with socket.socket() as line:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8_192)
            line.settimeout(20)
            line.connect(("127.0.0.1", self.port))
            line.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n\r\n".encode())
            read = 0
            while read < after:
                read += len(line.recv(8_192))
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    def open(self, user: str, session: str, stream: str = "film") -> dict[str, Any]:
        """A session's grant and playback URL; or the refusal."""
        form = {"user_id": user, "session_id": session, "stream_id": stream}
        told: dict[str, Any] = self.service.post("/v1/sessions", form).json
        return told

    def state(self, user: str, session: str) -> str | None:
        sessions = self.service.watching(user)["sessions"]
        return next((each["state"] for each in sessions if each["session_id"] == session), None)

    def await_state(self, user: str, session: str, state: str | None) -> None:
        wait_until(lambda: self.state(user, session) == state, 10, f"{session} to be {state}")


@contextmanager
def paused(service: Service) -> Iterator[None]:
    """streamlimit stopped: it keeps its port and answers nothing."""
    os.killpg(service.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.killpg(service.process.pid, signal.SIGCONT)


@contextmanager
def running(command: Sequence[str], port: int, log: Path) -> Iterator[None]:
    """A program that listens at *port*, until the end."""
    with log.open("ab") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        wait_until(lambda: process.poll() is not None or _listens(port), 20, command[0])
        assert process.poll() is None, log.read_text()
        yield
    finally:
        stop(process)


@contextmanager
def nginx(recipe: str, folder: Path, streams: Path, service: Service, program: str = "nginx") -> Iterator[Edge]:
    """deploy/<recipe> by Debian's nginx."""
    needs(program)
    port = free_port()
    text = placed((DEPLOY / recipe).read_text(), folder, streams, service, port)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in kinds)
    config = folder / recipe
    head = f"daemon off;\npid {folder}/nginx.pid;\n" + ("user root;\n" if os.geteuid() == 0 else "")
    config.write_text(head + text.replace("http {", f"http {{\n{paths}", 1))
    with running([program, "-e", f"{folder}/nginx-error.log", "-c", str(config)], port, folder / "nginx.out"):
        yield Edge(port, service, folder)


@contextmanager
def origin(streams: Path) -> Iterator[int]:
    """Whose files an edge hands out: a plain file server. Its port."""

    class Files(Quiet, SimpleHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(streams))

        def copyfile(self, source: Any, outputfile: Any) -> None:
            with suppress(ConnectionError):
                super().copyfile(source, outputfile)

    with serving(Files) as port:
        yield port


def varnishd(config: Path, folder: Path, port: int) -> list[str]:
    """Varnish with that configuration, in the foreground."""
    where = ["-n", str(folder / "varnish"), "-a", f"127.0.0.1:{port}", "-f", str(config)]
    return ["varnishd", "-F", "-j", "none", *where, "-s", "malloc,32m"]


def placed(text: str, folder: Path, streams: Path, service: Service, port: int) -> str:
    """The configuration with this test's addresses and folders in it, and nothing else changed."""
    for old, new in {
        "listen 80 ": f"listen 127.0.0.1:{port} ",
        "127.0.0.1:8080": f"127.0.0.1:{service.port}",
        "/srv/streams": str(streams),
        "/run/streamlimit": str(folder),
        "/var/log/nginx": str(folder),
        "/etc/nginx/streamlimit": str(scripts(folder, service)),
        "/var/cache/nginx/streamlimit": f"{folder}/cache",
    }.items():
        text = text.replace(old, new)
    return text


def scripts(folder: Path, service: Service) -> Path:
    """A folder with what recipes import from deploy/, with the address of *service* in it."""
    found = folder / "scripts"
    found.mkdir(exist_ok=True)
    for name in ("nginx-njs.js", "nginx-lua.lua"):
        text = (DEPLOY / name).read_text().replace("127.0.0.1:8080", f"127.0.0.1:{service.port}")
        (found / name).write_text(text.replace('"127.0.0.1", 8080', f'"127.0.0.1", {service.port}'))
    return found


def problem(answer: Answer) -> dict[str, Any]:
    """The refusal, as the viewer reads it."""
    assert answer.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = json.loads(answer.body)
    return found


def _listens(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1):
            return True
    except OSError:
        return False
