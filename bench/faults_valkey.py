"""Faults of the way to Valkey: a server that hangs, a worker that is cut off; each of two workers serves 30 users.

What was asked of a server meanwhile lies in its buffers, or in the network. Who left meanwhile must not be there when
it is read, and who was told that there is no seat must not hold one. A worker is cut off by iptables: it reaches the
server by another address than the other worker does.
"""

import asyncio
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests import servers
from tests.ports import free_port
from tests.service import Service, started, wait_until

X, N = 2, 3
USERS = [f"user-{number}" for number in range(30)]
EVERY_SECONDS = 0.5
CUT_ADDRESS = "127.0.0.2"
LATE_SECONDS, LOOK_SECONDS = 14.0, 0.5
"""So long after the fault it is looked who is there: packets that were lost are sent again with growing pauses."""

Break = Callable[[servers.Server], Any]


def hang(folder: Path) -> dict[str, Any]:
    """The server gets SIGSTOP for 8 s."""
    return _play(folder, 8, _hung)


def cut_off_for_3(folder: Path) -> dict[str, Any]:
    """Less than n·X: nobody expires meanwhile."""
    return _play(folder, 3, _cut_off)


def cut_off_for_14(folder: Path) -> dict[str, Any]:
    """More than n·X: the other worker gives the seats away."""
    return _play(folder, 14, _cut_off)


@contextmanager
def _hung(server: servers.Server) -> Iterator[None]:
    server.hang()
    try:
        yield
    finally:
        server.resume()


@contextmanager
def _cut_off(server: servers.Server) -> Iterator[None]:
    """Packets between the first worker and the server are dropped, in both directions."""
    ways = (["-d", CUT_ADDRESS, "--dport"], ["-s", CUT_ADDRESS, "--sport"])
    rules = [["OUTPUT", "-p", "tcp", *way, str(server.port), "-j", "DROP"] for way in ways]
    with ExitStack() as stack:
        for rule in rules:
            subprocess.run([servers.needed("iptables"), "-A", *rule], check=True)
            stack.callback(subprocess.run, ["iptables", "-D", *rule], check=True)
        yield


def _play(folder: Path, seconds: float, broken: Break) -> dict[str, Any]:
    with ExitStack() as stack:
        server = servers.Server(servers.binary("redis"), free_port(), str(folder), "--bind", "127.0.0.1", CUT_ADDRESS)
        stack.callback(server.stop)
        workers = [
            _worker(stack, folder / host, f"valkey://{host}:{server.port}") for host in (CUT_ADDRESS, "127.0.0.1")
        ]
        return asyncio.run(_Play(workers, server).figures(seconds, broken))


def _worker(stack: ExitStack, folder: Path, store: str) -> Service:
    folder.mkdir()
    rules = {"segment_seconds": X, "missed_segments": N, "max_sessions": 1, "start_seconds": 30, "max_returns": 0}
    return stack.enter_context(started(folder, store=store, **rules))


class _Play:
    """The first worker is the one that is cut off. Each user has one seat."""

    def __init__(self, workers: list[Service], server: servers.Server) -> None:
        self._workers, self._server = workers, server
        self._got: dict[tuple[str, str], list[float]] = {}  # when a session was issued a segment

    async def figures(self, seconds: float, broken: Break) -> dict[str, Any]:
        """Of each user one viewer leaves as the fault begins; others stay, and are competed for."""
        leaving = [f"leaves-{user}" for user in USERS]
        await self._all(0, leaving, "tv")
        await self._all(0, USERS, "tv")
        with broken(self._server):
            await self._all(0, leaving, "tv")  # the last that they receive
            told = await self._all(0, [f"new-{user}" for user in USERS], "phone")
            over = time.monotonic() + seconds
            rivals = [self._go_on(1, user, "rival", over) for user in USERS]
            await asyncio.gather(*(self._go_on(0, user, "tv", over) for user in USERS), *rivals)
        await asyncio.to_thread(wait_until, self._server.answers, 10, "the server")
        over = time.monotonic() + LATE_SECONDS
        on = (self._go_on(w, user, s, over) for user in USERS for w, s in ((0, "tv"), (1, "rival")))
        active, seated, *_ = await asyncio.gather(self._ever_active(over), self._ever_seated(over), *on)
        both = sum(self._overlaps(user) for user in USERS)
        return {
            "newcomers that were told 503": f"{sum(status == 503 for status in told)} of {len(told)}",
            "of them holding a seat afterwards": len(seated),
            "viewers that left, active afterwards": len(active),
            "users whose two sessions were issued segments in turns": both,
        }

    async def _ever_active(self, until: float) -> set[str]:
        return await self._ever(until, "leaves-", lambda states: states.get("tv") == "active")

    async def _ever_seated(self, until: float) -> set[str]:
        return await self._ever(until, "new-", lambda states: "phone" in states)

    async def _ever(self, until: float, prefix: str, is_so: Callable[[dict[str, str]], bool]) -> set[str]:
        """The users of whom it was so at any time."""
        found = set[str]()
        while time.monotonic() < until:
            found |= {user for user in USERS if is_so(await self._states(prefix + user))}
            await asyncio.sleep(LOOK_SECONDS)
        return found

    def _overlaps(self, user: str) -> bool:
        """One seat: when the rival got it, the other session is to get nothing any more, and the other way round."""
        sessions = sorted((self._got.get((user, name), []) for name in ("tv", "rival")), key=lambda times: times[:1])
        return bool(sessions[0] and sessions[1] and sessions[0][-1] > sessions[1][0])

    async def _all(self, worker: int, users: list[str], session: str) -> list[int]:
        return await asyncio.gather(*(self._segment(worker, user, session) for user in users))

    async def _go_on(self, worker: int, user: str, session: str, until: float) -> None:
        while time.monotonic() < until:
            if await self._segment(worker, user, session) == 200:
                self._got.setdefault((user, session), []).append(time.monotonic())
            await asyncio.sleep(EVERY_SECONDS)

    async def _segment(self, worker: int, user: str, session: str) -> int:
        form = {"user_id": user, "session_id": session, "stream_id": "clock", "segment": "video-180p/seg-00001.m4s"}
        return (await self._exchange(worker, "POST", "/v1/segments", json.dumps(form).encode()))[0]

    async def _states(self, user: str) -> dict[str, str]:
        status, body = await self._exchange(1, "GET", f"/v1/users/{user}/sessions")
        sessions = json.loads(body)["sessions"] if status == 200 else []  # the worker is not back yet
        return {session["session_id"]: session["state"] for session in sessions}

    async def _exchange(self, worker: int, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._workers[worker].port)
        try:
            head = f"{method} {path} HTTP/1.1\r\nHost: t\r\nConnection: close\r\nContent-Type: application/json\r\n"
            writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            answer = await reader.read()
        finally:
            writer.close()
        return int(answer.split(b" ", 2)[1]), answer.partition(b"\r\n\r\n")[2]
