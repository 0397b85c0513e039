"""Processes that write into one SQLite file, some to be killed. Run by test_sqlite.py and the soak tests.

What such a process is told was done, it acknowledges through a pipe, at once.
"""

import asyncio
import os
import random
import resource
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from typing import Any

from streamlimit.errors import StoreUnavailable
from streamlimit.model import Admitted, Ask, Confirmed, Receipt
from streamlimit.policy import Policy
from streamlimit.store.contract import resolved
from streamlimit.store.sqlite import SqliteStore
from tests.processes import FORKED

SLOW = Policy(segment_ms=60_000, missed_segments=3, start_ms=60_000)
"""Nothing expires while a test runs."""
Crew = tuple[int, int, Any]
"""The number of this process, how many there are, and a barrier for them all."""


def start(job: Callable[..., None], path: str, *more: Any) -> tuple[Any, Connection]:
    """*job*(path, pipe, *more) in a fresh process; the process, and the pipe's reading end."""
    mine, theirs = FORKED.Pipe(duplex=False)
    process = FORKED.Process(target=job, args=(path, theirs, *more), daemon=True)
    process.start()
    theirs.close()
    return process, mine


def answers(running: list[tuple[Any, Connection]]) -> list[Any]:
    """What each of them sends, once; waits for their ends."""
    got = [pipe.recv() for _, pipe in running]
    for process, _ in running:
        process.join(60)
    return got


def seat_everyone(
    path: str, pipe: Connection, users: int, crew: Crew, sitting: bool, subscribed: frozenset[str]
) -> None:
    """Asks for two new sessions of every user, at the same time as the other processes; counts admissions.

    Where three sit already, process k < 3 fetches for the k-th of them in between; counts its refusals.
    """
    number, _, barrier = crew
    store = SqliteStore(path, SLOW, subscribed)
    admitted, refused = [0] * users, 0
    for user in range(users):
        barrier.wait(60)
        for k in range(2):
            ask = _ask(user, f"p{number}-{k}")
            answer = store.beat(ask) if subscribed else store.admit(ask)  # a beat tells at once that it started
            admitted[user] += isinstance(answer, Admitted)
            if sitting and number < 3:
                refused += not _fetch(store, user, f"sit-{number}", k)
    pipe.send((admitted, refused))


def take_seats(path: str, users: int, sessions: list[str]) -> None:
    store = SqliteStore(path, SLOW)
    for user in range(users):
        for session in sessions:
            assert _fetch(store, user, session, 0)
    store.close()


def write_for_ever(path: str, pipe: Connection, number: int, users: int) -> None:
    """Fetches segment after segment for a session of its own per user, and takes and gives back seats."""
    store, dice = SqliteStore(path, SLOW), random.Random(number)
    last: dict[tuple[int, str], int] = {}
    while True:
        user, session = dice.randrange(users), f"w{number}"
        sequence = last.get((user, session), -1) + 1
        if _fetch(store, user, session, sequence):
            last[user, session] = sequence
            pipe.send((f"user-{user}", session, sequence))
        answer = store.admit(_ask(user, f"w{number}-churn"))
        if isinstance(answer, Admitted) and answer.lease is not None:
            store.abandon(answer.lease)


def beat_everyone(path: str, pipe: Connection, users: int, crew: Crew) -> None:
    """As `seat_everyone`, by heartbeats: those of four users in one turn of the loop, two new sessions of each."""
    number, _, barrier = crew
    store = SqliteStore(path, SLOW, gathers=True)
    admitted = [0] * users

    async def run() -> None:
        for first in range(0, users, 4):
            some = [user for user in range(first, min(first + 4, users)) for _ in range(2)]
            barrier.wait(60)
            asks = [_ask(user, f"p{number}-{k % 2}") for k, user in enumerate(some)]
            for user, answer in zip(some, await _together(store, asks), strict=True):
                admitted[user] += isinstance(answer, Admitted)

    asyncio.run(run())
    pipe.send(admitted)


def beat_for_ever(path: str, pipe: Connection, number: int, users: int) -> None:
    """Heartbeat after heartbeat, those of all users in one turn, for a session of its own per user."""
    store = SqliteStore(path, SLOW, gathers=True)

    async def run() -> None:
        while True:
            for answer in await _together(store, [_ask(user, f"w{number}") for user in range(users)]):
                session = answer.session
                pipe.send((session.user_id, session.session_id, session.last_activity_ms))

    asyncio.run(run())


async def _together(store: SqliteStore, asks: list[Ask]) -> list[Any]:
    return await asyncio.gather(*(resolved(store.beat(ask)) for ask in asks))


def fill_the_disk(path: str, pipe: Connection, subscribed: frozenset[str]) -> None:
    """Writes until the file may not grow, then lets it grow again. Sends what happened at each."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    store = SqliteStore(path, SLOW, subscribed)
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (256 * 1024, hard))
    users, error = 0, ""
    try:
        while users < 10_000:
            _fetch(store, users, "tv", 0)
            users += 1
    except StoreUnavailable as full:
        error = str(full)
    sits = store.sessions("user-0").live
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    again = _fetch(store, 100_000, "tv", 0)
    other = SqliteStore(path, SLOW)
    kept = sum(other.sessions(f"user-{user}").live for user in range(users))
    pipe.send((error, users, sits, again, kept, _fetch(other, 100_001, "tv", 0)))


def acknowledged_until_killed(
    path: str, writers: int, users: int, receipts: int, job: Callable[..., None] = write_for_ever
) -> dict[tuple[str, str], int]:
    """Runs *writers* (as many as there are seats) and kills each with SIGKILL after about so many *receipts*.

    The last number that was acknowledged of each (user, session): what *job* sends, a sequence or a time.
    """
    running = dict(enumerate(start(job, path, number, users) for number in range(writers)))
    seen: dict[tuple[str, str], int] = {}
    counts = [0] * writers
    while running:
        ready = wait([pipe for _, pipe in running.values()], timeout=60)
        assert ready, "no writer writes any more"
        for number, (process, pipe) in list(running.items()):
            if pipe not in ready:
                continue
            try:
                user, session, seen_sequence = pipe.recv()
            except (EOFError, OSError):  # a killed process may leave half a message
                process.join(60)
                del running[number]
                continue
            seen[user, session] = seen_sequence
            counts[number] += 1
            if counts[number] == receipts + 17 * number:
                os.kill(process.pid, signal.SIGKILL)
    return seen


def _ask(user: int, session: str) -> Ask:
    return Ask(f"user-{user}", session, "news", lease_id=session)


def _fetch(store: SqliteStore, user: int, session: str, sequence: int) -> bool:
    """One segment, admitted and received."""
    answer = store.admit(_ask(user, session))
    if not isinstance(answer, Admitted) or answer.lease is None:
        return False
    return isinstance(store.confirm(Receipt(answer.lease, f"{sequence}.m4s", sequence)), Confirmed)
