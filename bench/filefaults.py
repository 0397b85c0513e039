"""Faults of SQLite's file and of workers: a full disk, a lock that is held, a backup under load."""

import asyncio
import os
import signal
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from tests.e2e.killing import workers_of
from tests.service import Service, started
from tests.tmpfs import filled, mounted

VIEWERS = 60
"""Who sit; each asks five times a second, each time on a connection of its own, so that any worker answers."""

EVERY_SECONDS = 0.2
FAULT_SECONDS = 4.0
READ_SECONDS = 20.0


class Viewers:
    """Sessions that sit and ask on. `answers`: when, status, seconds waited. `newcomers` likewise, new each time."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.answers: list[tuple[float, int, float]] = []
        self.newcomers: list[tuple[float, int, float]] = []

    async def watch(self, seconds: float) -> None:
        """All of them, for so long."""
        until = time.monotonic() + seconds
        await asyncio.gather(*(self._watch(number, until) for number in range(VIEWERS)), self._come(until))

    async def _watch(self, number: int, until: float) -> None:
        await asyncio.sleep(EVERY_SECONDS * number / VIEWERS)
        while time.monotonic() < until:
            began = time.monotonic()
            what = "heartbeat" if number % 2 else "segment"
            self.answers.append((began, *await self._ask(what, f"user-{number}", "tv")))
            await asyncio.sleep(max(EVERY_SECONDS - time.monotonic() + began, 0))

    async def _come(self, until: float) -> None:
        while time.monotonic() < until:
            began = time.monotonic()
            self.newcomers.append((began, *await self._ask("segment", f"new-{began}", "tv")))
            await asyncio.sleep(EVERY_SECONDS)

    async def _ask(self, what: str, user: str, session: str) -> tuple[int, float]:
        """Status (0: none came) and seconds."""
        began = time.monotonic()
        try:
            status = await asyncio.wait_for(self._exchange(what, user, session), 15)
        except (OSError, EOFError, TimeoutError, ValueError, IndexError):
            status = 0
        return status, time.monotonic() - began

    async def _exchange(self, what: str, user: str, session: str) -> int:
        path = "/v1/segments" if what == "segment" else f"/v1/users/{user}/sessions/{session}/heartbeat"
        named = f'"user_id":"{user}","session_id":"{session}",' if what == "segment" else ""
        body = f'{{{named}"stream_id":"orchard"}}'
        head = f"POST {path} HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nConnection: close\r\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
            answer = await reader.read()
            return int(answer.split(b" ", 2)[1])
        finally:
            writer.close()

    def figures(self, since: float, until: float) -> dict[str, Any]:
        """Of what was asked between the two."""
        found = [(status, seconds) for at, status, seconds in self.answers if since <= at < until]
        waits = sorted(seconds for _, seconds in found)
        refused = sum(status not in (200, 204) for status, _ in found)
        new = [status for at, status, _ in self.newcomers if since <= at < until]
        return {
            "answers to sitting viewers": len(found),
            "of them no 200": f"{refused} ({100 * refused / max(len(found), 1):.0f} %)",
            "longest wait (ms)": round(1_000 * waits[-1]),
            "99 % waited at most (ms)": round(1_000 * waits[int(len(waits) * 0.99)]),
            "middle wait (ms)": round(1_000 * statistics.median(waits), 1),
            "new sessions that had to come again": f"{sum(status != 200 for status in new)} of {len(new)}",
        }


def full_disk(folder: Path) -> dict[str, Any]:
    """The disk fills up, then a worker gets SIGKILL; after `FAULT_SECONDS` there is room again."""
    with mounted(folder / "disk", 8) as disk, _service(folder, disk / "streamlimit.db", 3) as service:
        viewers, figures = Viewers(service.port), dict[str, Any]()

        async def fault() -> None:
            await asyncio.sleep(2)
            with filled(disk):
                began = time.monotonic()
                os.kill(min(workers_of(service)), signal.SIGKILL)
                await asyncio.sleep(FAULT_SECONDS)
                figures["service after it"] = _alive(service)
                figures.update(viewers.figures(began, time.monotonic()))
            freed = time.monotonic()
            await asyncio.sleep(3)
            back = next((at for at, status, _ in viewers.newcomers if at > freed and status == 200), None)
            figures["new sessions again after (s)"] = "never" if back is None else round(back - freed, 1)

        _at_once(viewers.watch(2 + FAULT_SECONDS + 3), fault())
        return figures


def backup(folder: Path) -> dict[str, Any]:
    """A big file is backed up as the documentation of the measured commit says, while viewers make the log grow."""
    path = folder / "streamlimit.db"
    with _service(folder, path, 3) as service:
        _grow(path, 400_000)
        viewers, figures = Viewers(service.port), dict[str, Any]()

        async def fault() -> None:
            await asyncio.sleep(1)
            began = time.monotonic()
            figures["how"] = await asyncio.to_thread(_back_up, path, folder / "backup.db")
            took = time.monotonic() - began
            figures["seconds"] = round(took, 1)
            figures.update(viewers.figures(began, began + took))
            figures["outages of a worker"] = service.log().count('"store_away"')

        _at_once(viewers.watch(30), _until(fault(), _press(service.port)))
        return figures


def long_reader(folder: Path) -> dict[str, Any]:
    """Somebody reads the file for `READ_SECONDS`, as a backup to a slow disk does, while the log grows."""
    path = folder / "streamlimit.db"
    with _service(folder, path, 3) as service:
        viewers, figures = Viewers(service.port), dict[str, Any]()

        async def fault() -> None:
            await asyncio.sleep(1)
            began = time.monotonic()
            with closing(sqlite3.connect(path, timeout=5, isolation_level=None)) as reader:
                reader.execute("BEGIN")
                reader.execute("SELECT count(*) FROM ledgers").fetchone()
                await asyncio.sleep(READ_SECONDS)
                figures.update(viewers.figures(began, time.monotonic()))
                figures["outages of a worker"] = service.log().count('"store_away"')
                figures["the log (MB)"] = round(Path(f"{path}-wal").stat().st_size / 1e6, 1)

        _at_once(viewers.watch(READ_SECONDS + 3), _until(fault(), _press(service.port)))
        return figures


def locked_for_several(folder: Path) -> dict[str, Any]:
    """Another process holds the write lock; viewers come to any of three workers."""
    return _locked(folder, 3)


def locked_for_one(folder: Path) -> dict[str, Any]:
    """The same with one worker, which must not stand still."""
    return _locked(folder, 1)


def _locked(folder: Path, workers: int) -> dict[str, Any]:
    path = folder / "streamlimit.db"
    with _service(folder, path, workers) as service:
        viewers, figures = Viewers(service.port), dict[str, Any]()

        async def fault() -> None:
            await asyncio.sleep(2)
            began = time.monotonic()
            with closing(sqlite3.connect(path, timeout=5, isolation_level=None)) as holder:
                holder.execute("BEGIN IMMEDIATE")
                await asyncio.sleep(FAULT_SECONDS)
                figures.update(viewers.figures(began, time.monotonic()))
                holder.execute("ROLLBACK")

        _at_once(viewers.watch(2 + FAULT_SECONDS + 1), fault())
        return figures


@contextmanager
def _service(folder: Path, path: Path, workers: int) -> Iterator[Service]:
    with started(folder, store=f"sqlite:///{path}", workers=workers) as service:
        yield service


def _at_once(*work: Any) -> None:
    async def run() -> None:
        await asyncio.gather(*work)

    asyncio.run(run())


async def _until(work: Any, beside: Any) -> None:
    other = asyncio.create_task(beside)
    try:
        await work
    finally:
        other.cancel()


async def _press(port: int) -> None:
    """Heartbeats without a pause, so that the log grows as it does with thousands of viewers."""
    await asyncio.gather(*(_press_one(port, number) for number in range(6)))


async def _press_one(port: int, number: int) -> None:
    body = b'{"stream_id":"orchard"}'
    head = f"POST /v1/users/press-{number}/sessions/tv/heartbeat HTTP/1.1\r\nHost: t\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while True:
        writer.write(head.encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in answer.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(int(length.split(b":")[1]))


def _grow(path: Path, users: int) -> None:
    """So many users who only have a limit of their own."""
    with closing(sqlite3.connect(path, timeout=5)) as db:
        body = db.execute("SELECT body FROM ledgers LIMIT 1").fetchone()
        rows = ((f"silent-{number}", body[0] if body else b"") for number in range(users))
        db.executemany("INSERT INTO ledgers (user_id, due_at_ms, body) VALUES (?, NULL, ?)", rows)
        db.commit()


def _back_up(path: Path, into: Path) -> str:
    """With the measured commit's own command, or as its documentation said before there was one."""
    command = [sys.executable, "-m", "streamlimit.cli", "backup", str(into), "--store", f"sqlite:///{path}"]
    if subprocess.run(command, capture_output=True, check=False).returncode == 0:
        return "streamlimit backup"
    with closing(sqlite3.connect(path, timeout=5)) as db:
        db.execute(f"VACUUM INTO '{into}'")
    return "VACUUM INTO"


def _alive(service: Service) -> str:
    code = service.process.poll()
    return f"{len(workers_of(service))} workers" if code is None else f"ended, exit code {code}"
