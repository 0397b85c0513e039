"""Latency at a given rate, not at the most: requests come by chance (Poisson), whether or not the last is answered.

`python -m bench.paced PORT RATE SECONDS [KIND [first]]` with the requests on standard input, as a JSON list of texts.
KIND is the first digit of the answers that are meant.

wrk asks again only when it was answered, so it never asks for less than all that a server can do, and a server that
stops is asked nothing meanwhile. Here each request has its moment; its latency counts from there, also while it waits
for one of the connections. One that is not answered in time counts until the end.
"""

import gc
import json
import os
import random
import re
import select
import socket
import subprocess
import sys
import time
from collections import deque
from dataclasses import dataclass

from bench.programs import HERE, OTHER_CORE

CONNECTIONS = 64
LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)
GRACE_SECONDS = 2.0


@dataclass(frozen=True)
class Paced:
    """*asked*: requests a second that were meant; *answered*: that were. Latencies in milliseconds; *late_p99_ms* of
    them is the driver's own, which sent its requests so late.
    """

    asked: float
    answered: float
    errors: int
    p50_ms: float
    p99_ms: float
    p999_ms: float
    late_p99_ms: float


def paced(
    port: int, rate: float, seconds: float, requests: list[bytes], meant: str = "2", first: bool = False
) -> Paced:
    """In a process of its own on the core of the load. *meant*: the first digit of the answers.

    *first*: the driver goes before whatever shares its core, else behind it. What is behind runs a little later; but
    of what is before, all work is in the latencies, as if the server had been slow.
    """
    command = [
        "taskset",
        "-c",
        str(OTHER_CORE),
        sys.executable,
        "-m",
        "bench.paced",
        str(port),
        str(rate),
        str(seconds),
        meant,
        *(["first"] if first else []),
    ]
    texts = json.dumps([request.decode() for request in requests])
    done = subprocess.run(command, input=texts, stdout=subprocess.PIPE, text=True, check=True, cwd=HERE.parent)
    return Paced(**json.loads(done.stdout))


class Driver:
    """Connections to one server, and what is under way on each."""

    def __init__(self, port: int, requests: list[bytes], meant: bytes = b"2") -> None:
        self._requests, self._meant = requests, meant
        self._lines: dict[int, socket.socket] = {}
        self._due: dict[int, float] = {}  # when what is under way was to be asked
        self._read: dict[int, bytes] = {}
        self._idle: deque[int] = deque()  # the one that rested longest first: nginx ends one after a thousand requests
        self._waiting: deque[float] = deque()
        self._ready = select.epoll()
        self._asked = 0
        self.took: list[float] = []
        self.late: list[float] = []
        self.errors = 0
        for _ in range(CONNECTIONS):
            line = socket.create_connection(("127.0.0.1", port))
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._lines[line.fileno()] = line
            self._idle.append(line.fileno())
            self._ready.register(line.fileno(), select.EPOLLIN)

    def run(self, rate: float, seconds: float) -> None:
        """Asks for so long, and waits a moment for the last answers."""
        clock, chance = time.perf_counter, random.Random(1).expovariate
        due = clock()
        end = due + seconds
        while (now := clock()) < end:
            while due <= now:
                self.late.append(clock() - due)
                self._ask(due)
                due += chance(rate)
            self._hear(min(due, end) - clock())
        while (self._due or self._waiting) and clock() < end + GRACE_SECONDS:
            self._hear(0.1)
        for due in (*self._due.values(), *self._waiting):
            self.took.append(clock() - due)
            self.errors += 1

    def _ask(self, due: float) -> None:
        if not self._idle:
            self._waiting.append(due)
            return
        fd = self._idle.popleft()
        self._due[fd], self._read[fd] = due, b""
        self._lines[fd].send(self._requests[self._asked % len(self._requests)])
        self._asked += 1

    def _hear(self, wait: float) -> None:
        if wait > 0:  # epoll's own waiting is in milliseconds
            select.select([self._ready], [], [], wait)
        for fd, _ in self._ready.poll(0):
            text = self._read[fd] + self._lines[fd].recv(65_536)
            head, rest, body = text.partition(b"\r\n\r\n")
            length = LENGTH.search(head)
            if not rest or length is None or len(body) < int(length[1]):
                if not text:
                    raise ConnectionError("it hung up")
                self._read[fd] = text
                continue
            self.took.append(time.perf_counter() - self._due.pop(fd))
            self.errors += head[9:10] != self._meant
            self._idle.append(fd)
            if self._waiting:
                self._ask(self._waiting.popleft())


def main(port: int, rate: float, seconds: float, meant: str, order: str = "") -> None:
    """Prints what was found as JSON."""
    driver = Driver(port, [text.encode() for text in json.load(sys.stdin)], meant.encode())
    gc.disable()  # its pauses would be the server's
    if order == "first":
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
    else:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))  # the store shares its core, and goes first
    driver.run(rate, seconds)
    found = {name: percentile_ms(driver.took, part) for name, part in PARTS.items()}
    found |= {"late_p99_ms": percentile_ms(driver.late, 0.99), "asked": rate, "answered": len(driver.took) / seconds}
    print(json.dumps(found | {"errors": driver.errors}))


def percentile_ms(seconds: list[float], part: float) -> float:
    """Of any number of them, in milliseconds."""
    return sorted(seconds)[int(len(seconds) * part)] * 1e3


PARTS = {"p50_ms": 0.5, "p99_ms": 0.99, "p999_ms": 0.999}

if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]), *(sys.argv[4:] or ["2"]))
