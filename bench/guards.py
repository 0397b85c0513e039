"""A viewer's p99 without attackers, and under slow clients, idle connections and a storm of refusals.

`python -m bench.guards` prints the latencies, their ratios to calm, and what the storm cost the store. Rounds are
interleaved, and the viewer's turns are short, so that a busy machine disturbs all of them alike.
"""

import asyncio
import json
import multiprocessing
import os
import resource
import socket
import statistics
import tempfile
import time
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from multiprocessing.synchronize import Event
from pathlib import Path

from bench.programs import OTHER_CORE, Program, streamlimit

VIEWERS, VIEWER_HZ = 20, 25
SLOW, IDLE, STORM_HZ = 500, 10_000, 5_000
ROUNDS, SECONDS = 3, 8.0  # from 5 s after the first idle connection: those are given up after 10 s, and come back
JSON = b"Host: x\r\nContent-Type: application/json\r\n"


def post(path: str, form: object) -> bytes:
    """A request as bytes."""
    body = json.dumps(form).encode()
    return b"POST %b HTTP/1.1\r\n%bContent-Length: %d\r\n\r\n%b" % (path.encode(), JSON, len(body), body)


class Line:
    """One connection, kept open; made again when the server closed it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None

    def ask(self, request: bytes) -> int:
        """The status of the answer; 0: the connection was over."""
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=10)
        answer = b""
        try:
            self._socket.sendall(request)
            while not is_whole(answer):
                part = self._socket.recv(65_536)
                if not part:
                    raise ConnectionError
                answer += part
        except ConnectionError:
            self._socket = None
            return 0
        return int(answer[9:12])


def is_whole(answer: bytes) -> bool:
    """Head, and as much of a body as it says."""
    head, end, body = answer.partition(b"\r\n\r\n")
    if not end:
        return False
    return b" 204 " in head or len(body) == int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])


def watch(port: int, seconds: float) -> list[float]:
    """Latencies in milliseconds of viewers who sit, each asking as it would once a segment, only more often.

    From when a request was due: what waits for an answer that is late is late as well.
    """
    lines = [Line(port) for _ in range(VIEWERS)]
    beats = [
        post(f"/v1/users/calm-{number}/sessions/tv/heartbeat", {"stream_id": "aurora"}) for number in range(VIEWERS)
    ]
    found: list[float] = []
    began = time.perf_counter()
    for turn in range(int(seconds * VIEWERS * VIEWER_HZ)):
        due = began + turn / (VIEWERS * VIEWER_HZ)
        time.sleep(max(due - time.perf_counter(), 0))
        assert lines[turn % VIEWERS].ask(beats[turn % VIEWERS]) in (200, 0)
        found.append((time.perf_counter() - due) * 1_000)
    return found


async def slow(port: int, stop: Event) -> None:
    """Heads and bodies that trickle; whoever is shown out comes back."""

    async def one(number: int) -> None:
        while not stop.is_set():
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                if number % 2:
                    writer.write(b"POST /v1/segments HTTP/1.1\r\n%bContent-Length: 900\r\n\r\n" % JSON)
                else:
                    writer.write(b"GET /healthz HTTP/1.1\r\n")
                while not stop.is_set() and not writer.is_closing():
                    await asyncio.sleep(0.5)
                    writer.write(b"x" if number % 2 else b"X: y\r\n")
                writer.close()
            except OSError:
                await asyncio.sleep(0.1)

    await asyncio.gather(*(one(number) for number in range(SLOW)))


async def idle(port: int, stop: Event) -> None:
    """Connections that never ask; whoever is shown out comes back."""

    async def one() -> None:
        while not stop.is_set():
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                while not stop.is_set() and not reader.at_eof():
                    await asyncio.sleep(1)
                writer.close()
            except OSError:
                await asyncio.sleep(1)

    room = resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 200
    lines = [asyncio.ensure_future(one()) for _ in range(min(IDLE, room))]
    await asyncio.gather(*lines)


STORM_SCRIPT = """
local salt, n = math.random(1, 1000000000), 0
function init(args) math.randomseed(os.time()) end
function delay() return math.random(0, {delay_ms}) end  -- not all at the same moment
function request()
  n = n + 1
  local body = '{{"user_id":"storm","session_id":"x' .. n .. '","stream_id":"aurora"}}'
  return wrk.format("POST", "/v1/segments", {{["Content-Type"]="application/json"}}, body)
end
"""


async def storm(port: int, stop: Event) -> None:
    """One user, refused, with ever new sessions. By wrk, paced: a client in Python would take the viewers' core."""
    lines = 100
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(STORM_SCRIPT.format(delay_ms=2 * lines * 1_000 // STORM_HZ))
        script.flush()
        words = ["wrk", "-t1", f"-c{lines}", "-d3600s", "-s", script.name, f"http://127.0.0.1:{port}"]
        wrk = await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.DEVNULL)
        while not stop.is_set():
            await asyncio.sleep(0.1)
        wrk.kill()
        await wrk.wait()


ATTACKS: dict[str, Callable[[int, Event], object]] = {"slow clients": slow, "idle connections": idle, "storm": storm}


def attack(name: str, port: int, stop: Event) -> None:
    """A process of its own."""
    os.sched_setaffinity(0, {OTHER_CORE})
    # It shares its core with the viewers: what they wait for is to be the server, never the attacker's turn.
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asyncio.run(ATTACKS[name](port, stop))  # type: ignore[arg-type]


@dataclass
class Row:
    """What was found under one attack."""

    latencies: list[float] = field(default_factory=list)
    store_calls: list[int] = field(default_factory=list)
    refusals: list[int] = field(default_factory=list)
    connections: list[int] = field(default_factory=list)
    """Open at the server when the viewers began, and when they ended."""
    given_up: int = 0

    def percentile(self, percent: float) -> float:
        return statistics.quantiles(self.latencies, n=1_000)[round(percent * 10) - 1]


def counters(url: str) -> tuple[int, int, int]:
    """Calls of the store, refusals, and connections given up, so far."""
    text = urllib.request.urlopen(url + "/metrics", timeout=10).read().decode()
    lines = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
    calls = sum(float(value) for name, value in lines if name == "streamlimit_store_calls_total")
    refused, given_up = (
        sum(float(value) for name, value in lines if name.startswith(f"streamlimit_{what}_total"))
        for what in ("refusals", "connections_given_up")
    )
    return int(calls), int(refused), int(given_up)


def measure(rounds: int = ROUNDS, seconds: float = SECONDS) -> dict[str, Row]:
    """Calm and each attack in turn, several times over."""
    rows = {name: Row() for name in ("calm", *ATTACKS)}
    os.sched_setaffinity(0, {OTHER_CORE})
    spawn = multiprocessing.get_context("spawn")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        server = stack.enter_context(streamlimit(folder))
        fill(server.port)
        for _ in range(rounds):
            for name, row in rows.items():
                stop = spawn.Event()
                attacker = None
                if name != "calm":
                    attacker = spawn.Process(target=attack, args=(name, server.port, stop))
                    attacker.start()
                    time.sleep(5 if name == "idle connections" else 2)
                row.connections.append(descriptors(server))
                before = counters(server.url)
                row.latencies += watch(server.port, seconds)
                after = counters(server.url)
                row.connections.append(descriptors(server))
                row.store_calls.append(after[0] - before[0])
                row.refusals.append(after[1] - before[1])
                row.given_up += after[2] - before[2]
                stop.set()
                if attacker is not None:
                    attacker.join(20)
                    attacker.kill()
    return rows


def descriptors(server: Program) -> int:
    """How many files and sockets it has open: a connection that never asked is one."""
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))


def fill(port: int) -> None:
    """The storm's user has no seat left."""
    line = Line(port)
    for session in "abc":
        assert line.ask(post(f"/v1/users/storm/sessions/{session}/heartbeat", {"stream_id": "aurora"})) == 200


def report(rows: dict[str, Row]) -> str:
    """The table."""
    calm, lines = rows["calm"], []
    for name, row in rows.items():
        ratio = row.percentile(99) / calm.percentile(99)
        extra = (sum(row.store_calls) - sum(calm.store_calls)) / len(row.store_calls) / SECONDS
        refused = sum(row.refusals) / len(row.refusals) / SECONDS
        lines.append(
            f"{name:17} p50 {row.percentile(50):6.2f} ms  p99 {row.percentile(99):6.2f} ms  ×{ratio:4.2f} calm  "
            f"{refused:7.0f} refusals/s  {max(extra, 0):6.1f} store calls/s more than in calm  "
            f"{min(row.connections):6} to {max(row.connections)} descriptors open  {row.given_up:6} given up"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    print(report(measure()))
