"""Load by wrk: one thread, 32 connections, requests made by a small Lua script."""

import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from random import randrange

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
    e.status + e.connect + e.read + e.write + e.timeout,
    latency:percentile(50), latency:percentile(99), latency:percentile(99.9), latency.max))
end
"""


@dataclass(frozen=True)
class Load:
    """What one run found. Latencies in milliseconds; CPU of the server alone."""

    requests: int
    per_second: float
    bytes_per_second: float
    errors: int
    p50_ms: float
    p99_ms: float
    p999_ms: float
    cpu_us: float
    bytes_per_cpu_second: float


def load(server: Program, request: str, seconds: int = 4, connections: int = 32) -> Load:
    """Drives *server*. *request*: Lua that returns the request's text; `n` counts from 1, `salt` is new each time."""
    if shutil.which("wrk") is None:
        raise RuntimeError("no wrk here (Debian: apt-get install wrk)")
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(SCRIPT.format(salt=randrange(10**9), request=request))
        script.flush()
        command = ["taskset", "-c", str(OTHER_CORE), "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency"]
        before = server.cpu_seconds()
        done = subprocess.run([*command, "-s", script.name, server.url], capture_output=True, text=True, check=False)
        cpu = server.cpu_seconds() - before
    return _read(done.stdout, cpu, f"wrk ended with {done.returncode}: {done.stdout[-200:]}{done.stderr[-200:]}")


def post(path: str, body: str) -> str:
    """Lua for a POST of JSON; both are Lua expressions."""
    return f'return wrk.format("POST", {path}, {{["Content-Type"]="application/json"}}, {body})'


def _read(text: str, cpu: float, otherwise: str) -> Load:
    found = re.search(r"RESULT (.*)", text)
    if found is None:
        raise RuntimeError(otherwise)
    requests, micros, size, errors, p50, p99, p999, _ = map(int, found[1].split())
    seconds = micros / 1e6
    cpu_us = cpu / requests * 1e6 if requests else 0.0
    return Load(
        requests,
        requests / seconds,
        size / seconds,
        errors,
        p50 / 1e3,
        p99 / 1e3,
        p999 / 1e3,
        cpu_us,
        size / cpu if cpu else 0.0,
    )
