"""What does it take to sweep 100,000 sessions that are all due at once, by two callers, beside a bare delete?

    python -m bench.sweep [valkey|redis|sqlite] [SESSIONS]

Two processes sweep together; each session must be told to exactly one of them. Then as many keys, with values as
large as a ledger, are deleted by two processes in pipelines of 100 (on SQLite: rows, in transactions of 100). Another
process admits and confirms one after another: the p99 of its decisions before the sweep, and during it.
"""

import asyncio
import multiprocessing
import sqlite3
import sys
import tempfile
import time
from contextlib import ExitStack
from itertools import count
from multiprocessing.connection import Connection
from typing import Any

from valkey import Valkey

from bench.machine import described
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
    """Sweeps all that is due when told to; which sessions it was told of, and how long it took."""

    async def run() -> tuple[list[str], float]:
        store, told = open_store(place), list[str]()
        limiter = Limiter(store, lambda event: told.append(event.session.user_id))
        await resolved(store.ping())
        pipe.send("ready")
        pipe.recv()
        began = time.perf_counter()
        await expire_once(limiter)
        return told, time.perf_counter() - began

    pipe.send(asyncio.run(run()))


def delete(place: str, pipe: Connection, number: int, sessions: int) -> None:
    """Every second key or row, a hundred at a time."""
    names = [f"bare-{k}" for k in range(number, sessions, CALLERS)]
    hundreds = [names[first : first + 100] for first in range(0, len(names), 100)]
    client = None if not place.startswith("valkey") else Valkey(port=int(place.rsplit(":", 1)[1]))
    db = sqlite3.connect(place, isolation_level=None, timeout=30) if client is None else None
    pipe.send("ready")
    pipe.recv()
    began = time.perf_counter()
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
    pipe.send(time.perf_counter() - began)


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


def main(kind: str, sessions: int) -> None:
    with ExitStack() as stack:
        if kind == "sqlite":
            place = stack.enter_context(tempfile.TemporaryDirectory()) + "/streamlimit.db"
        else:
            place = stack.enter_context(servers.single(kind)).url
        asyncio.run(fill(place, sessions))
        time.sleep(3.1)
        [(watcher, pipe)] = crew(watch, (place,))
        sweepers = crew(sweep, *[(place,)] * CALLERS)
        time.sleep(2)
        pipe.send("times")
        pipe.recv()  # warming up
        time.sleep(5)
        pipe.send("times")
        idle = p99(pipe.recv())
        answers, swept = together(sweepers)
        pipe.send("times")
        busy = p99(pipe.recv())
        told = [user for users, _ in answers for user in users if user.startswith("user-")]
        assert len(told) == len(set(told)) == sessions, (len(told), len(set(told)))
        fill_bare(place, sessions)
        deleters = crew(delete, *[(place, number, sessions) for number in range(CALLERS)])
        pipe.send("times")
        pipe.recv()
        _, bare = together(deleters)
        pipe.send("times")
        beside_bare = p99(pipe.recv())
        pipe.send("stop")
        watcher.join(5)
        shares = " + ".join(str(len(users)) for users, _ in answers)
        print("\n".join(f"{name}: {value}" for name, value in described().items()))
        print(f"{kind}: {sessions} sessions swept by {CALLERS} callers ({shares}), each once")
        print(f"  sweep       {swept:6.2f} s  {swept / sessions * 1e6:6.1f} µs a session")
        print(f"  bare delete {bare:6.2f} s  {bare / sessions * 1e6:6.1f} µs a key   -> {swept / bare:.1f} times")
        print(f"  viewer p99  {idle:6.2f} ms idle, {busy:.2f} ms during the sweep -> {busy / idle:.1f} times; {beside_bare:.2f} ms during the bare delete")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "valkey", int(sys.argv[2]) if len(sys.argv) > 2 else 100_000)
