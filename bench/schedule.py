"""Sends scheduled requests to several servers, and reports the answer and the delay of each.

As bench/paced.py, but each request is given with its moment and its server: `python -m bench.schedule FILE` plays what
the file holds and writes the answers over it.
"""

import gc
import os
import pickle
import resource
import select
import socket
import subprocess
import sys
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from bench.paced import LENGTH
from bench.programs import HERE, OTHER_CORE

CONNECTIONS = 48
"""To each server, at most; one more where all are busy, as pools do."""

GRACE_SECONDS = 5.0


class Due(NamedTuple):
    """One request: seconds from the start, the server's port, its bytes."""

    at: float
    port: int
    text: bytes


class Answered(NamedTuple):
    """Its status (0: none came), and how long it took from its moment, in seconds."""

    status: int
    took: float


class Played(NamedTuple):
    """Answers in the order of the requests; the driver's own CPU time."""

    answers: list[Answered]
    cpu_seconds: float


START_SECONDS = 3.0
"""What a process takes to start and to connect, and more."""


def played(requests: list[Due], at: float = 0.0, then: Callable[[], None] = lambda: None) -> Played:
    """In a process of its own on the core of the load. *then* is called *at* so many seconds from the start."""
    begin = time.perf_counter() + START_SECONDS  # one clock for all processes
    with TemporaryDirectory(prefix="bench-") as folder:
        path = Path(folder) / "requests"
        path.write_bytes(pickle.dumps((begin, [tuple(each) for each in requests])))
        command = ["taskset", "-c", str(OTHER_CORE), sys.executable, "-m", "bench.schedule", str(path)]
        with subprocess.Popen(command, cwd=HERE.parent) as process:
            time.sleep(begin + at - time.perf_counter())
            then()
        if process.returncode:
            raise RuntimeError(f"the driver ended with {process.returncode}")
        answers, cpu = pickle.loads(path.read_bytes())
    return Played([Answered(*each) for each in answers], cpu)


class Player:
    """Connections to all servers, and what is under way on each."""

    def __init__(self, requests: list[Due]) -> None:
        self._requests = requests
        self._lines: dict[int, socket.socket] = {}
        self._ports: dict[int, int] = {}
        self._under_way: dict[int, int] = {}
        self._read: dict[int, bytes] = {}
        self._idle: dict[int, list[int]] = defaultdict(list)
        self._waiting: dict[int, deque[int]] = defaultdict(deque)
        self._ready = select.epoll()
        self.answers = [(0, 0.0)] * len(requests)
        self._open: Counter[int] = Counter()

    def run(self, begin: float) -> None:
        """All of them, from *begin*; what is not answered in the end has no status."""
        clock = time.perf_counter
        number, end = 0, len(self._requests)
        while number < end:
            now = clock() - begin
            while number < end and self._requests[number].at <= now:
                self._ask(number)
                number += 1
            self._hear(begin, self._requests[number].at - clock() + begin if number < end else 0)
        over = clock() + GRACE_SECONDS
        while (self._under_way or any(self._waiting.values())) and clock() < over:
            self._hear(begin, 0.05)

    def _connect(self, port: int) -> None:
        line = socket.create_connection(("127.0.0.1", port))
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._lines[line.fileno()], self._ports[line.fileno()] = line, port
        self._idle[port].append(line.fileno())
        self._open[port] += 1
        self._ready.register(line.fileno(), select.EPOLLIN)

    def _drop(self, fd: int) -> None:
        port = self._ports.pop(fd)
        self._ready.unregister(fd)
        self._lines.pop(fd).close()
        self._idle[port].remove(fd)
        self._open[port] -= 1

    def _ask(self, number: int) -> None:
        port = self._requests[number].port
        if not self._idle[port] and self._open[port] < CONNECTIONS:
            self._connect(port)
        if not self._idle[port]:
            self._waiting[port].append(number)
            return
        fd = self._idle[port].pop()
        self._under_way[fd], self._read[fd] = number, b""
        self._lines[fd].send(self._requests[number].text)

    def _hear(self, begin: float, wait: float) -> None:
        if wait > 0:  # epoll's own waiting is in milliseconds
            select.select([self._ready], [], [], wait)
        for fd, _ in self._ready.poll(0):
            text = self._read.get(fd, b"") + self._lines[fd].recv(65_536)
            if not text and fd not in self._under_way:  # it rested for too long
                self._drop(fd)
                continue
            head, rest, body = text.partition(b"\r\n\r\n")
            length = LENGTH.search(head)
            if not rest or len(body) < (int(length[1]) if length else 0):
                if not text:
                    raise ConnectionError("it hung up")
                self._read[fd] = text
                continue
            number, port, self._read[fd] = self._under_way.pop(fd), self._ports[fd], b""
            self.answers[number] = int(head[9:12]), time.perf_counter() - begin - self._requests[number].at
            self._idle[port].append(fd)
            if self._waiting[port]:
                self._ask(self._waiting[port].popleft())


def main(path: Path) -> None:
    """Writes answers and CPU time."""
    begin, requests = pickle.loads(path.read_bytes())
    player = Player([Due(*each) for each in requests])
    gc.collect()
    gc.disable()  # its pauses would be the server's
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))  # the store shares its core, and goes first
    before = _cpu()
    player.run(begin)
    path.write_bytes(pickle.dumps((player.answers, _cpu() - before)))


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main(Path(sys.argv[1]))
