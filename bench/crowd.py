"""A worker's CPU time and memory by the number of sessions: one worker on Valkey, three sessions a user, over HTTP.

Ids are of 36 characters. Memory: of the worker what it grew by (resident), of the store its `used_memory`, both per
session more than at the size before. Heartbeats come from sessions at random.
"""

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from valkey import Valkey

from bench.load import Load, load, post
from bench.programs import Program, streamlimit, valkey

SIZES = (1_000, 10_000, 100_000)
MILLION = (*SIZES, 1_000_000)
HOUR = 3_600
FILL_SECONDS = 2

BEAT = post(
    'string.format("/v1/users/%08x-7c1e-4b3a-9d2f-0123456789ab/sessions/%08x-5a6f-4e2d-8b1c-ba9876543210/heartbeat", '
    "math.floor(k / 3), k)",
    '\'{"stream_id":"aurora"}\'',
)


def measure(sizes: Sequence[int] = SIZES, rounds: int = 3, seconds: int = 3) -> dict[str, Any]:
    """A line for each of *sizes*, in ascending order, in one worker that is filled further and further."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        store = stack.enter_context(valkey())
        url = f"valkey://127.0.0.1:{store.port}/0"
        worker = stack.enter_context(streamlimit(folder, store=url, segment_seconds=HOUR))
        client = stack.enter_context(Valkey(port=store.port))
        lines, before = [], 0
        for size in sizes:
            _fill(worker, before, size)
            before = size
            loads = [load(worker, _at_random(size), seconds=seconds) for _ in range(rounds)]
            lines.append(_line(size, loads, worker, client))
    return {"rounds": rounds, "seconds": seconds, "lines": _per_session(lines)}


def _fill(worker: Program, first: int, size: int) -> None:
    """Seats the sessions from *first* to *size*, in steps: wrk counts seconds, not requests."""
    while first < size:
        request = f"local k = math.min({first} + n - 1, {size - 1})\n{BEAT}"
        found = load(worker, request, seconds=FILL_SECONDS)
        if found.errors * 100 > found.requests or not found.requests:  # a few time-outs spoil nothing
            raise RuntimeError(f"{found.errors} errors and {found.requests} answers while it was filled")
        first += found.requests


def _at_random(size: int) -> str:
    return f"local k = math.random(0, {size - 1})\n{BEAT}"


def _line(size: int, loads: list[Load], worker: Program, client: "Valkey[Any]") -> dict[str, Any]:
    figures = {name: median(getattr(each, name) for each in loads) for name in ("per_second", "cpu_us", "p99_ms")}
    memory = {"worker": worker.rss_bytes(), "store": client.info("memory")["used_memory"]}
    return {"sessions": size, "errors": sum(each.errors for each in loads)} | figures | memory


def _per_session(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for less, line in pairwise(lines):
        more = line["sessions"] - less["sessions"]
        for who in ("worker", "store"):
            line[f"{who} bytes a session"] = (line[who] - less[who]) / more
    return lines
