"""The cost of sweeping 100,000 sessions that are all due at once, by two callers, beside a bare delete.

    python -m bench.sweep [KIND …] [--sessions N] [--rounds N]     KIND: sqlite, valkey, redis

Writes results/sweep.md when more than one kind is asked for.

Two processes sweep together; each session must be told to exactly one of them. Then as many keys, with values as
large as a ledger, are deleted by two processes in pipelines of 100 (on SQLite: rows, in transactions of 100). Another
process admits and confirms one after another: the p99 of its decisions before, during the sweep, and during the
deletes. Wall times are the machine's as much as ours where others use it; CPU times (of both callers) less so.
"""

import argparse
import asyncio
import multiprocessing
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from itertools import count
from multiprocessing.connection import Connection
from statistics import median
from typing import Any

from valkey import Valkey

from bench import report
from streamlimit.errors import StoreUnavailable
from streamlimit.limiter import Limiter
from streamlimit.model import Admitted, Ask, Receipt
from streamlimit.policy import Policy
from streamlimit.store.contract import Store, resolved
from streamlimit.store.sqlite import SqliteStore
from streamlimit.store.valkey import ValkeyStore
from streamlimit.sweeper import expire_once
from tests import servers

SPAWN = multiprocessing.get_context("spawn")
POLICY = Policy(segment_ms=1_000, missed_segments=3, start_ms=60_000)
LEDGER_BYTES = 180
CALLERS = 2


def open_store(place: str) -> Store:
    return ValkeyStore(place, POLICY, timeout=10) if place.startswith("valkey") else SqliteStore(place, POLICY)


async def fill(place: str, sessions: int) -> None:
    """So many users with a session each."""
    store = open_store(place)

    async def one(k: int) -> None:
        answer = await resolved(store.admit(Ask(f"user-{k}", "living-room-tv", "news", lease_id="lease")))
        assert isinstance(answer, Admitted)
        assert answer.lease is not None
        await resolved(store.confirm(Receipt(answer.lease, "video/segment-00042.m4s", 42)))

    for first in range(0, sessions, 500):
        await asyncio.gather(*(one(k) for k in range(first, min(first + 500, sessions))))
    await resolved(store.close())


def sweep(place: str, pipe: Connection) -> None:
    """Sweeps all that is due when told to; which sessions it was told of, and its CPU time."""

    async def run() -> tuple[list[str], float]:
        store, told = open_store(place), list[str]()
        limiter = Limiter(store, lambda event: told.append(event.session.user_id))
        await resolved(store.ping())
        pipe.send("ready")
        pipe.recv()
        began = time.process_time()
        await expire_once(limiter)
        return told, time.process_time() - began

    pipe.send(asyncio.run(run()))


def delete(place: str, pipe: Connection, number: int, sessions: int) -> None:
    """Every second key or row, a hundred at a time."""
    names = [f"bare-{k}" for k in range(number, sessions, CALLERS)]
    hundreds = [names[first : first + 100] for first in range(0, len(names), 100)]
    client = None if not place.startswith("valkey") else Valkey(port=int(place.rsplit(":", 1)[1]))
    db = sqlite3.connect(place, isolation_level=None, timeout=30) if client is None else None
    pipe.send("ready")
    pipe.recv()
    began = time.process_time()
    for hundred in hundreds:
        if client is not None:
            pipeline = client.pipeline(transaction=False)
            for name in hundred:
                pipeline.delete(name)
            pipeline.execute()
        elif db is not None:
            db.execute("BEGIN IMMEDIATE")
            db.executemany("DELETE FROM bare WHERE name = ?", [(name,) for name in hundred])
            db.execute("COMMIT")
    pipe.send(time.process_time() - began)


def fill_bare(place: str, sessions: int) -> None:
    value = b"x" * LEDGER_BYTES
    if place.startswith("valkey"):
        client = Valkey(port=int(place.rsplit(":", 1)[1]))
        for first in range(0, sessions, 1_000):
            client.mset({f"bare-{k}": value for k in range(first, min(first + 1_000, sessions))})
        return
    db = sqlite3.connect(place)
    db.execute("CREATE TABLE bare (name TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID")
    db.executemany("INSERT INTO bare VALUES (?, ?)", ((f"bare-{k}", value) for k in range(sessions)))
    db.commit()


def watch(place: str, pipe: Connection) -> None:
    """A viewer's decisions one after another, some 500 a second; on each message, the times (ms) since the last."""

    async def run() -> None:
        store, took = open_store(place), list[float]()
        for k in count():
            began = time.perf_counter()
            with suppress(StoreUnavailable):  # starved by the bare delete, say: then it took as long as that
                answer = await resolved(store.admit(Ask(f"viewer-{k % 50}", "tv", "film", lease_id="lease")))
                if isinstance(answer, Admitted) and answer.lease is not None:
                    await resolved(store.confirm(Receipt(answer.lease)))
            took.append((time.perf_counter() - began) * 1_000)
            await asyncio.sleep(0.002)
            if pipe.poll():
                if pipe.recv() == "stop":
                    return
                pipe.send(took)
                took = []

    asyncio.run(run())


def crew(job: Any, *arguments: tuple[Any, ...]) -> list[tuple[Any, Connection]]:
    """A process for each of *arguments*, all of them ready."""
    made = []
    for each in arguments:
        mine, theirs = SPAWN.Pipe()
        process = SPAWN.Process(target=job, args=(each[0], theirs, *each[1:]), daemon=True)
        process.start()
        made.append((process, mine))
    return made


def together(made: list[tuple[Any, Connection]]) -> tuple[list[Any], float]:
    """All set off at once; what they send, and the time until the last is done."""
    for _, pipe in made:
        pipe.recv()
    began = time.perf_counter()
    for _, pipe in made:
        pipe.send("go")
    answers = [pipe.recv() for _, pipe in made]
    return answers, time.perf_counter() - began


def p99(took: list[float]) -> float:
    return sorted(took)[int(len(took) * 0.99)]


def measure(kind: str, sessions: int) -> dict[str, float]:
    """One round: everything in µs a session (or key), latencies in ms."""
    with ExitStack() as stack:
        server = None
        if kind == "sqlite":
            place = stack.enter_context(tempfile.TemporaryDirectory()) + "/streamlimit.db"
        else:
            server = stack.enter_context(servers.single(kind))
            place = server.url
        asyncio.run(fill(place, sessions))
        time.sleep(3.1)
        [(watcher, pipe)] = crew(watch, (place,))
        sweepers = crew(sweep, *[(place,)] * CALLERS)
        time.sleep(2)
        times(pipe)  # warming up
        time.sleep(5)
        found = {"idle_p99": p99(times(pipe))}
        server_began = server_cpu(server)
        answers, seconds = together(sweepers)
        found |= {"sweep": seconds, "sweep_cpu": sum(cpu for _, cpu in answers)}
        found["sweep_server"] = server_cpu(server) - server_began
        found["sweep_p99"] = p99(times(pipe))
        told = [user for users, _ in answers for user in users if user.startswith("user-")]
        assert len(told) == len(set(told)) == sessions, (len(told), len(set(told)))
        fill_bare(place, sessions)
        deleters = crew(delete, *[(place, number, sessions) for number in range(CALLERS)])
        times(pipe)
        server_began = server_cpu(server)
        cpus, seconds = together(deleters)
        found |= {"bare": seconds, "bare_cpu": sum(cpus), "bare_server": server_cpu(server) - server_began}
        found["bare_p99"] = p99(times(pipe))
        pipe.send("stop")
        watcher.join(5)
    per_session = 1e6 / sessions
    return {name: value if name.endswith("p99") else value * per_session for name, value in found.items()}


def measure_all(rounds: int, sessions: int = 30_000, kinds: tuple[str, ...] = ("sqlite", "valkey")) -> dict[str, Any]:
    """For the report of `make bench`: fewer sessions than alone, for its time is short."""
    found: dict[str, list[dict[str, float]]] = {kind: [] for kind in kinds}
    for _ in range(rounds):
        for kind in kinds:
            found[kind].append(measure(kind, sessions))
    return {"rounds": rounds, "sessions": sessions, "kinds": found}


def times(pipe: Connection) -> list[float]:
    """The viewer's times since the last call."""
    pipe.send("times")
    answer: list[float] = pipe.recv()
    return answer


def server_cpu(server: servers.Server | None) -> float:
    """CPU seconds of the store's server so far; SQLite has none."""
    if server is None:
        return 0.0
    used = server.client.info("cpu")
    return float(used["used_cpu_user"] + used["used_cpu_sys"])


def rows(kind: str, rounds: list[dict[str, float]]) -> str:
    """One kind's lines: medians, and the ratios of each round's own two halves."""

    def middle(value: Callable[[dict[str, float]], float]) -> float:
        return median(map(value, rounds))

    def cells(which: str) -> str:
        cpu = middle(lambda each: each[f"{which}_cpu"]), middle(lambda each: each[f"{which}_server"])
        wall, late = middle(lambda each: each[which]), middle(lambda each: each[f"{which}_p99"])
        return f"{wall:.1f} | {cpu[0]:.1f} | {cpu[1]:.1f} | {late:.2f} |"

    wall = middle(lambda each: each["sweep"] / each["bare"])
    cpu = middle(lambda each: (each["sweep_cpu"] + each["sweep_server"]) / (each["bare_cpu"] + each["bare_server"]))
    late = middle(lambda each: each["sweep_p99"] / each["idle_p99"])
    beside = middle(lambda each: each["sweep_p99"] / each["bare_p99"])
    idle = middle(lambda each: each["idle_p99"])
    return "\n".join(
        [
            f"| {kind}: sweep | **{wall:.1f}** | {cpu:.1f} | **{late:.1f}** | {beside:.2f} | " + cells("sweep"),
            f"| {kind}: bare delete | 1 | 1 | | 1 | " + cells("bare"),
            f"| {kind}: nobody else | | | 1 | | | | | {idle:.2f} |",
        ]
    )


HEAD = """| what | × time of the bare delete | × its CPU | × p99 of idle | × p99 beside it | µs | callers' CPU µs \
| server's CPU µs | viewer's p99 ms |
|---|---|---|---|---|---|---|---|---|"""

HOW = """{sessions:,} sessions of as many users, all due at once, swept by {callers} callers together: each was told \
to exactly one. Beside it two processes that delete as many keys of {size} bytes in pipelines of 100 (SQLite: rows, in \
transactions of 100). A viewer is admitted and confirms some 400 times a second meanwhile. Median of {rounds} rounds; \
a ratio is taken within its round. Load average of the machine, which others use: {load:.1f} before. Aims: 5 times \
the bare delete, 2 times the viewer's p99 of idle."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.sweep")
    parser.add_argument("kinds", nargs="*", default=["sqlite", "valkey"], metavar="KIND")
    parser.add_argument("--sessions", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    load = os.getloadavg()[0]
    found: dict[str, list[dict[str, float]]] = {kind: [] for kind in asked.kinds}
    for _ in range(asked.rounds):
        for kind in asked.kinds:
            found[kind].append(measure(kind, asked.sessions))
            print(kind, {name: round(value, 2) for name, value in found[kind][-1].items()}, flush=True)
    how = HOW.format(sessions=asked.sessions, callers=CALLERS, size=LEDGER_BYTES, rounds=asked.rounds, load=load)
    table = "\n".join([HEAD, *(rows(kind, rounds) for kind, rounds in found.items())])
    print(table)
    if len(found) > 1:
        print(report.write("sweep", "The sweep beside a bare delete", [how, table, *kept_notes()]))


def kept_notes() -> list[str]:
    """What a person wrote below the table stays."""
    path = report.RESULTS / "sweep.md"
    text = path.read_text() if path.exists() else ""
    return [NOTES + text.partition(NOTES)[2].rstrip()] if NOTES in text else []


NOTES = "## Notes\n"

if __name__ == "__main__":
    main()
