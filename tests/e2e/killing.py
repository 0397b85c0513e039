"""A service under load that is killed with SIGKILL; what its clients know for certain of each session by then."""

import asyncio
import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import uvloop

from streamlimit.model import Session
from streamlimit.policy import Policy
from streamlimit.store.sqlite import SqliteStore
from tests.e2e.clients import Client, Line, connected, endpoint
from tests.service import Service, started, wait_until
from tests.streams import make_stream

X, N, LIMIT = 1.5, 3, 3
USERS, SESSIONS = 24, 5
"""Of each user's sessions three find a seat; some of the rest leave in the middle of their first segment."""


def make_films(folder: Path) -> dict[str, Any]:
    """Settings for `started`, with a stream of small segments and one of big ones."""
    make_stream(folder / "streams", "film", 2_000, 5_000)
    make_stream(folder / "streams", "big", 4)
    return {"streams": str(folder / "streams"), "segment_seconds": X, "missed_segments": N, "workers": 3}


class Load:
    """Sessions that fetch one segment after the other. `confirmed`: the newest that each is known to have received,
    and when that became known: the session's next request was issued the following one.
    """

    def __init__(self, port: int, name: str) -> None:
        self.port, self.name = port, name
        self.confirmed: dict[tuple[str, str], tuple[int, float]] = {}
        self.statuses: list[int] = []
        self.sitting: dict[tuple[str, str], list[int]] = {}
        self.broken = 0
        self._stopped = False

    def users(self) -> list[str]:
        return [f"{self.name}-{u}" for u in range(USERS)]

    async def run(self, seconds: float) -> None:
        """Until `stop`, at most so many seconds; hang-ups of the server end nobody."""
        tasks = [self._fetch(user, f"tv-{s}") for user in self.users() for s in range(SESSIONS)]
        tasks += [self._leave(user) for user in self.users()[::4]]
        with suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*tasks), seconds)

    def stop(self) -> None:
        self._stopped = True

    async def _fetch(self, user: str, session: str) -> None:
        line, before = Line(self.port), None
        while not self._stopped:
            try:
                head, _ = await line.ask(endpoint(user, session, "film"))
            except (OSError, EOFError):
                self.broken, before = self.broken + 1, None
                line.close()
                await asyncio.sleep(0.02)
                continue
            self.statuses.append(head.status)
            before = self._note((user, session), head.status, head.sequence if head.status == 200 else None, before)
            await asyncio.sleep(0.01 if head.status == 200 else 0.1)
        self.broken += line.reopened
        line.close()

    def _note(self, who: tuple[str, str], status: int, sequence: int | None, before: int | None) -> int | None:
        if sequence is not None and before is not None and sequence == before + 1:
            self.confirmed[who] = before, time.monotonic()
        if before is not None:
            self.sitting.setdefault(who, []).append(status)
        return sequence

    async def _leave(self, user: str) -> None:
        """A new session again and again, which never reads more than the headers of its segment."""
        number = 0
        while not self._stopped:
            number += 1
            with suppress(OSError, EOFError):
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                writer.write(endpoint(user, f"zap-{number}", "big"))
                await reader.readuntil(b"\r\n\r\n")
                writer.transport.abort()
            await asyncio.sleep(0.03)


def kill_all(service: Service) -> float:
    """SIGKILL to the supervisor and every worker; returns when that was."""
    os.killpg(service.process.pid, signal.SIGKILL)
    service.process.wait()
    return time.monotonic()


def workers_of(service: Service) -> set[int]:
    """The worker processes' ids."""
    children = Path(f"/proc/{service.process.pid}/task/{service.process.pid}/children").read_text().split()
    return {int(pid) for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()}


def load_and_kill(service: Service, name: str, seconds: float) -> tuple[Load, dict[str, Any], float]:
    """Load for so long, then the kill in the middle of it; also what who-is-watching said just before."""
    load = Load(service.port, name)
    killed_at = 0.0
    seen: dict[str, Any] = {}

    def strike() -> float:
        with connected(service.port) as observer:
            seen.update({user: observer.watching(user) for user in load.users()[:6]})
        return kill_all(service)

    async def both() -> None:
        nonlocal killed_at
        running = asyncio.create_task(load.run(seconds + 20))
        await asyncio.sleep(seconds)
        killed_at = await asyncio.to_thread(strike)
        load.stop()
        await running

    uvloop.run(both())
    return load, seen, killed_at


def one_round(folder: Path, settings: dict[str, Any], name: str, seconds: float = 1.0) -> None:
    """Load, kill, start on the same file: all that was known is on record, nobody is too many, nobody stays."""
    with started(folder, **settings) as service:
        load, seen, killed_at = load_and_kill(service, name, seconds)
    found = on_record(folder / "streamlimit.db", load.users())
    assert max(map(len, found.values())) <= LIMIT
    assert_nothing_is_lost(load, seen, found, killed_at)
    with (
        started(folder, **settings | {"sweep_seconds": 0, "workers": 1}) as service,
        connected(service.port) as observer,
    ):
        assert max(len(observer.watching(user)) for user in load.users()) <= LIMIT
        wait_until(lambda: time.monotonic() > killed_at + N * X, N * X)
        assert_nobody_is_stuck(observer, load)


def on_record(file: Path, users: list[str]) -> dict[str, dict[str, Session]]:
    """What the next process finds in the file."""
    store = SqliteStore(str(file), Policy(segment_ms=int(X * 1_000), missed_segments=N))
    try:
        return {user: {session.session_id: session for session in store.sessions(user).sessions} for user in users}
    finally:
        store.close()


def assert_nothing_is_lost(
    load: Load, seen: dict[str, Any], found: dict[str, dict[str, Session]], killed_at: float
) -> None:
    """*found* is not behind what the clients knew lately, and not behind what was *seen*."""
    known = {who: n for who, (n, since) in load.confirmed.items() if since > killed_at - X}
    assert len(known) >= USERS, "too little was under way to prove anything"
    assert not {who: n for who, n in known.items() if received(found, *who) < n}
    for user, sessions in seen.items():
        for session_id, session in sessions.items():
            assert received(found, user, session_id) >= (-1 if session["sequence"] is None else session["sequence"])


def received(found: dict[str, dict[str, Session]], user: str, session_id: str) -> int:
    """The newest segment on record; -1: none, -2: not even the session."""
    session = found[user].get(session_id)
    if session is None:
        return -2
    return -1 if session.sequence is None else session.sequence


def assert_nobody_is_stuck(observer: Client, load: Load) -> None:
    """n·X after the kill, without a sweep: all seats are free, and newcomers get them."""
    assert all(not observer.watching(user) for user in load.users())
    for session in ("new-1", "new-2", "new-3"):
        assert observer.send(endpoint(load.users()[0], session, "film")).answer().status == 200
