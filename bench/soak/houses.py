"""The services of a soak: one of three workers on one file, and three on a cluster of six servers.

Each house has its own ways to break, by kind. A fault takes some seconds and is over when its function returns.
"""

import os
import random
import shutil
import signal
import sqlite3
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

from bench.soak.viewers import STREAMS
from tests import servers
from tests.e2e.killing import workers_of
from tests.e2e.partition import Cable, cable
from tests.ports import free_port
from tests.service import Service, started
from tests.streams import make_stream
from tests.tmpfs import filled, mounted
from tests.webhooks.receiver import SECRET, Receiver, Reply

X, N, LIMIT = 4, 3, 3
SEGMENTS = 60
WORKERS = 3
LOG = "log-{}"
"""Where a server of that number logs its writes."""

Fault = Callable[[], None]

CLOCK = """
import os, time
wall, wall_ns, file = time.time, time.time_ns, os.environ["SOAK_CLOCK"]
def offset():
    with open(file) as found:
        return int(found.read() or 0)
time.time = lambda: wall() + offset()
time.time_ns = lambda: wall_ns() + offset() * 1_000_000_000
"""
"""A `sitecustomize` by which a process' wall clock is as far off as a file says."""


class House(ABC):
    """What both have: viewers' streams, a receiver, clocks that can be shifted."""

    name = ""
    forgets = False
    """May a fault of the store lose its last writes?"""

    def __init__(self, folder: Path, stack: ExitStack, dice: random.Random) -> None:
        self.folder, self.dice, self._stack = folder, dice, stack
        self.receiver = stack.enter_context(Receiver())
        for stream in STREAMS:
            make_stream(folder / "streams", stream, SEGMENTS, 2_000, float(X))
        (folder / "python").mkdir()
        (folder / "python/sitecustomize.py").write_text(CLOCK)

    @property
    @abstractmethod
    def ports(self) -> list[int]:
        """Where its services listen."""

    @property
    @abstractmethod
    def services(self) -> list[Service]:
        """One for each port."""

    @abstractmethod
    def veterans(self) -> dict[str, int]:
        """Processes that no fault ends, by name."""

    @abstractmethod
    def faults(self) -> Mapping[str, Mapping[str, Fault]]:
        """By kind and name."""

    @abstractmethod
    def store_size(self) -> str:
        """How much the store keeps, in words."""

    def settings(self) -> dict[str, Any]:
        hook = {"url": self.receiver.url, "secret": SECRET, "name": "soak"}
        return {
            "streams": str(self.folder / "streams"),
            "segment_seconds": X,
            "missed_segments": N,
            "max_sessions": LIMIT,
            "callbacks": [hook],
            "allow_private_callbacks": True,
        }

    def clocked(self, name: str) -> tuple[list[str], Path]:
        """A wrapper for a service whose wall clock the file shifts."""
        file = self.folder / f"clock-{name}"
        file.write_text("0")
        return ["env", f"PYTHONPATH={self.folder / 'python'}", f"SOAK_CLOCK={file}"], file

    def receiver_faults(self) -> dict[str, Fault]:
        return {"down": self._down, "slow": self._slow, "answers 500": self._errs}

    def pause(self, least: float = 2.0, most: float = 6.0) -> None:
        time.sleep(self.dice.uniform(least, most))

    def step(self, file: Path) -> None:
        """A clock goes wrong by a minute or an hour, and right again."""
        fresh = file.with_suffix(".new")
        for offset in (self.dice.choice((-3_600, -60, 60, 3_600)), 0):
            fresh.write_text(str(offset))
            fresh.replace(file)
            if offset:
                self.pause()

    def _down(self) -> None:
        self.receiver.stop()
        self.pause()
        self.receiver.start()

    def _slow(self) -> None:
        with self._answering(Reply(after=2.0)):
            self.pause()

    def _errs(self) -> None:
        with self._answering(Reply(500)):
            self.pause()

    @contextmanager
    def _answering(self, reply: Reply) -> Iterator[None]:
        before = self.receiver.answer
        self.receiver.answer = lambda event: reply
        try:
            yield
        finally:
            self.receiver.answer = before


class FileHouse(House):
    """One service of three workers on SQLite, on a small disk of its own."""

    name = "SQLite, one service of 3 workers"

    def __init__(self, folder: Path, stack: ExitStack, dice: random.Random) -> None:
        super().__init__(folder, stack, dice)
        self.disk = stack.enter_context(mounted(folder / "disk", 96))
        wrapper, self._clock = self.clocked("service")
        self.path = self.disk / "streamlimit.db"
        store = f"sqlite:///{self.path}"
        self._service = stack.enter_context(
            started(folder, wrapper=wrapper, store=store, workers=WORKERS, **self.settings())
        )
        servers.wait_until(lambda: len(workers_of(self._service)) == WORKERS, "the workers")
        self._veteran = min(workers_of(self._service))

    @property
    def ports(self) -> list[int]:
        return [self._service.port]

    @property
    def services(self) -> list[Service]:
        return [self._service]

    def veterans(self) -> dict[str, int]:
        return {"a worker": self._veteran, "the supervisor": self._service.process.pid}

    def faults(self) -> Mapping[str, Mapping[str, Fault]]:
        return {
            "worker": {
                "kill -9": lambda: self._end(signal.SIGKILL),
                "SIGTERM": lambda: self._end(signal.SIGTERM),
                "SIGSTOP": self._hang,
            },
            "store": {"the file locked": self._lock, "somebody reads the file": self._read},
            "disk": {"full": self._fill},
            "clock": {"stepped, all workers": lambda: self.step(self._clock)},
            "receiver": self.receiver_faults(),
        }

    def store_size(self) -> str:
        wal = Path(f"{self.path}-wal")
        sizes = [path.stat().st_size / 1e6 for path in (self.path, wal) if path.exists()]
        return "file and log: " + ", ".join(f"{size:.1f} MB" for size in sizes)

    def _end(self, how: signal.Signals) -> None:
        os.kill(self.dice.choice(sorted(workers_of(self._service) - {self._veteran})), how)
        self.pause()

    def _hang(self) -> None:
        victim = self.dice.choice(sorted(workers_of(self._service)))
        os.kill(victim, signal.SIGSTOP)
        try:
            self.pause()
        finally:
            os.kill(victim, signal.SIGCONT)

    def _lock(self) -> None:
        with closing(sqlite3.connect(self.path, timeout=5, isolation_level=None)) as holder:
            holder.execute("BEGIN IMMEDIATE")
            self.pause()
            holder.execute("ROLLBACK")

    def _read(self) -> None:
        with closing(sqlite3.connect(self.path, timeout=5, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM ledgers").fetchone()
            self.pause()

    def _fill(self) -> None:
        with filled(self.disk):
            self.pause()


class Worker:
    """One service on the cluster, which comes back on its port."""

    def __init__(self, folder: Path, wrapper: list[str], clock: Path, wire: Cable, settings: dict[str, Any]) -> None:
        self._folder, self._wrapper, self.clock, self.wire = folder, wrapper, clock, wire
        self.port = free_port()
        self._settings = settings | {"listen": f"127.0.0.1:{self.port}"}
        folder.mkdir()

    def start(self) -> None:
        self._running = started(self._folder, wrapper=self._wrapper, **self._settings)
        self.service = self._running.__enter__()

    def stop(self) -> None:
        """SIGTERM, as a rollout does; nothing where it was killed already."""
        self._running.__exit__(None, None, None)

    def kill(self) -> None:
        os.killpg(self.service.process.pid, signal.SIGKILL)
        self.service.process.wait()

    def signal(self, number: signal.Signals) -> None:
        self.service.process.send_signal(number)


class ClusterHouse(House):
    """Three services on six servers, one of which has a small disk of its own; each worker has a line of its own."""

    name = "Redis Cluster (3 primaries, 3 replicas), 3 services"
    forgets = True

    def __init__(self, folder: Path, stack: ExitStack, dice: random.Random) -> None:
        super().__init__(folder, stack, dice)
        self._disk = stack.enter_context(mounted(folder / "disk", 48))
        self._cluster = stack.enter_context(servers.cluster("redis", 1_000, self._options))
        self._workers = [self._worker(stack, number) for number in range(WORKERS)]
        for worker in self._workers:
            worker.start()
            stack.callback(worker.stop)

    def _worker(self, stack: ExitStack, number: int) -> Worker:
        wire = stack.enter_context(cable([server.port for server in self._cluster.servers]))
        wrapper, clock = self.clocked(str(number))
        settings = self.settings() | {"store": self._cluster.url}
        return Worker(self.folder / f"worker-{number}", [*wire.wrapper, *wrapper], clock, wire, settings)

    def _options(self, number: int) -> list[str]:
        home = ["--dir", str(self._disk)] if not number else []
        log = ["--appendonly", "yes", "--appendfsync", "everysec", "--appenddirname", LOG.format(number)]
        # Redis compacts a log of 64 MB: more than the disk of the first one holds.
        return [*log, "--auto-aof-rewrite-min-size", "8mb", *home]

    @property
    def ports(self) -> list[int]:
        return [worker.port for worker in self._workers]

    @property
    def services(self) -> list[Service]:
        return [worker.service for worker in self._workers]

    def veterans(self) -> dict[str, int]:
        return {"a worker": self._workers[0].service.process.pid}

    def faults(self) -> Mapping[str, Mapping[str, Fault]]:
        return {
            "worker": {"kill -9": self._kill, "SIGTERM, a rollout": self._roll, "SIGSTOP": self._hang},
            "store": {
                "kill -9 of a primary": self._lose_primary,
                "SIGSTOP of a primary": self._hang_primary,
                "a planned failover": self._fail_over,
            },
            "partition": {"a worker cut off": self._cut},
            "disk": {"a server's full": self._fill},
            "clock": {"a worker's stepped": lambda: self.step(self.dice.choice(self._workers).clock)},
            "receiver": self.receiver_faults(),
        }

    def store_size(self) -> str:
        used = [server.info("used_memory") for server in self._cluster.primaries() if server.answers()]
        return "memory of the primaries: " + ", ".join(f"{int(each) / 1e6:.1f} MB" for each in used)

    def _kill(self) -> None:
        victim = self.dice.choice(self._workers[1:])
        victim.kill()
        self.pause(1, 3)
        victim.start()

    def _roll(self) -> None:
        victim = self.dice.choice(self._workers[1:])
        victim.stop()
        victim.start()

    def _hang(self) -> None:
        victim = self.dice.choice(self._workers)
        victim.signal(signal.SIGSTOP)
        try:
            self.pause()
        finally:
            victim.signal(signal.SIGCONT)

    def _cut(self) -> None:
        wire = self.dice.choice(self._workers).wire
        wire.cut()
        try:
            self.pause()
        finally:
            wire.mend()

    def _lose_primary(self) -> None:
        victim = self._primary()
        victim.kill()
        try:
            servers.wait_until(lambda: victim not in self._cluster.primaries(), "the failover")
        finally:
            victim.restart()
        self._cluster.wait_until_whole()

    def _hang_primary(self) -> None:
        victim = self._primary()
        victim.hang()
        try:
            self.pause()
        finally:
            victim.resume()
        self._cluster.wait_until_whole()

    def _fail_over(self) -> None:
        primaries = self._cluster.primaries()
        replica = self.dice.choice([server for server in self._cluster.servers if server not in primaries])
        replica.client.execute_command("CLUSTER FAILOVER")
        servers.wait_until(lambda: replica in self._cluster.primaries(), "the failover")
        self._cluster.wait_until_whole()

    def _fill(self) -> None:
        """A server without a disk ends itself: a replica, or one that must note a change of the cluster.

        What it left on the disk may be cut off in the middle, so it is started anew and empty, as a replica. As long as
        the cluster takes it for a primary it is not started, or it would hand its emptiness on to its replica.
        """
        server = self._cluster.servers[0]
        with filled(self._disk):
            self.pause()
        if not server.answers():
            servers.wait_until(lambda: server not in self._cluster.primaries(), "the failover")
            server.stop()
            shutil.rmtree(self._disk / LOG.format(0))
            server.restart()
        self._cluster.wait_until_whole()

    def _primary(self) -> servers.Server:
        return self.dice.choice(self._cluster.primaries())


HOUSES: dict[str, type[House]] = {"sqlite": FileHouse, "cluster": ClusterHouse}
