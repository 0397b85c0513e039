"""Load by wrk: one thread, 32 connections, requests made by a small Lua script."""

import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from random import randrange
from typing import Protocol

from bench.programs import OTHER_CORE, Program

SCRIPT = """
local salt = {salt}
local n = 0
math.randomseed(salt)
function request()
  n = n + 1
  {request}
end
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("RESULT %d %d %d %d %d %d %d %d\\n", summary.requests, summary.duration, summary.bytes,
    e.status, e.connect + e.read + e.write + e.timeout,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
"""


@dataclass(frozen=True)
class Load:
    """What one run found. Latencies in milliseconds; CPU of the server, and of the store where it is another program.

    *errors*: answers of another kind than was meant, and none.
    """

    requests: int
    per_second: float
    bytes_per_second: float
    errors: int
    p50_ms: float
    p99_ms: float
    p999_ms: float
    cpu_us: float
    bytes_per_cpu_second: float
    store_us: float = 0.0


class Uses(Protocol):
    """What uses CPU time."""

    def cpu_seconds(self) -> float: ...


def load(
    server: Program,
    request: str,
    seconds: int = 4,
    connections: int = 32,
    store: Uses | None = None,
    refuses: bool = False,
) -> Load:
    """Drives *server*. *request*: Lua that returns the request's text; `n` counts from 1, `salt` is new each time.

    With *refuses* the answer that is meant is a refusal.
    """
    if shutil.which("wrk") is None:
        raise RuntimeError("no wrk here (Debian: apt-get install wrk)")
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(SCRIPT.format(salt=randrange(10**9), request=request))
        script.flush()
        command = ["taskset", "-c", str(OTHER_CORE), "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency"]
        both = [server, store] if store is not None else [server]
        before = [each.cpu_seconds() for each in both]
        done = subprocess.run([*command, "-s", script.name, server.url], capture_output=True, text=True, check=False)
        cpu = [each.cpu_seconds() - at for each, at in zip(both, before, strict=True)]
    found = re.search(r"RESULT (.*)", done.stdout)
    if found is None:
        raise RuntimeError(f"wrk ended with {done.returncode}: {done.stdout[-200:]}{done.stderr[-200:]}")
    return _load(list(map(int, found[1].split())), cpu, refuses)


def post(path: str, body: str) -> str:
    """Lua for a POST of JSON; both are Lua expressions."""
    return f'return wrk.format("POST", {path}, {{["Content-Type"]="application/json"}}, {body})'


def _load(counted: list[int], cpu: list[float], refuses: bool) -> Load:
    requests, micros, size, refused, broken, *latencies = counted
    seconds, most = micros / 1e6, max(requests, 1)
    p50, p99, p999 = (latency / 1e3 for latency in latencies)
    return Load(
        requests,
        requests / seconds,
        size / seconds,
        broken + (requests - refused if refuses else refused),
        p50,
        p99,
        p999,
        cpu[0] / most * 1e6,
        size / cpu[0] if cpu[0] else 0.0,
        sum(cpu[1:]) / most * 1e6,
    )
