"""Viewers who fetch every second through several workers, and newcomers; notes of every answer they got."""

import asyncio
import json
import random
import time
from collections import Counter
from contextlib import suppress
from typing import Any, NamedTuple

from tests.e2e.clients import Head, Line, endpoint

EVERY_SECONDS = 1.0
NEWCOMER_EVERY = 0.04
"""Seconds between two newcomers: some come at each moment, to each of the cluster's shards."""

START_SECONDS = 20.0
"""Until everyone has a seat, before the first fault."""

STREAM, SEGMENTS = "film", 400


class Answer(NamedTuple):
    """One answer: asked at, how long it took (seconds), what for, and what it was."""

    at: float
    waited: float
    what: str
    status: int
    degraded: bool
    retry_after: str


class Notes:
    """All answers that some kind of client got. *asked* but not answered in order: `broken`."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.broken: list[str] = []

    async def ask(self, line: Line, what: str, request: bytes) -> Head | None:
        """One request; None where the connection broke."""
        started = time.monotonic()
        try:
            head, _ = await line.ask(request)
        except (OSError, EOFError) as error:
            self.broken.append(f"{what}: {error!r}")
            return None
        degraded = head.headers.get("streamlimit-degraded") == "true"
        waited = time.monotonic() - started
        self.answers.append(Answer(started, waited, what, head.status, degraded, head.headers.get("retry-after", "")))
        return head

    @property
    def statuses(self) -> Counter[int]:
        return Counter(answer.status for answer in self.answers)

    @property
    def longest(self) -> float:
        return max((answer.waited for answer in self.answers), default=0.0)

    def since(self, moment: float) -> "Notes":
        """Those asked since."""
        found = Notes()
        found.answers = [answer for answer in self.answers if answer.at >= moment]
        return found


class Audience:
    """*users* with three sessions each, spread over the workers at *ports*: nobody more has room there."""

    def __init__(self, ports: list[int], users: int, seats: int = 3) -> None:
        self.ports, self.seats = ports, seats
        self.users = [f"user-{number}" for number in range(users)]
        self.sitting, self.newcomers, self.fourth = Notes(), Notes(), Notes()
        self.offline: list[str] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def take_seats(self) -> None:
        """Everyone receives a first segment; then they fetch on, each at a moment of its own within the second."""
        lines = [
            (user, f"tv-{seat}", Line(self._port(n, seat)))
            for n, user in enumerate(self.users)
            for seat in range(self.seats)
        ]
        answers = await asyncio.gather(*(self._begin(*each) for each in lines))
        assert set(answers) == {200}, Counter(answers)
        self._tasks = [asyncio.create_task(self._watch(*each)) for each in lines]
        self._tasks += [asyncio.create_task(self._bring_newcomers()), asyncio.create_task(self._try_a_fourth())]

    async def leave(self) -> None:
        """They stop asking."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    async def seats_of(self, user: str, port: int) -> list[str]:
        """Who sits, from outside."""
        line = Line(port)
        head, body = await line.ask(f"GET /v1/users/{user}/sessions HTTP/1.1\r\nHost: t\r\n\r\n".encode())
        line.close()
        assert head.status == 200, body
        found: dict[str, Any] = json.loads(body)
        return [session["session_id"] for session in found["sessions"]]

    def _port(self, number: int, seat: int) -> int:
        """One user's sessions are not all on one worker."""
        return self.ports[(number + seat) % len(self.ports)]

    async def _begin(self, user: str, session: str, line: Line) -> int:
        """A first segment, asked for again while the store is unavailable: a new cluster on a busy machine may be."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            head, _ = await line.ask(endpoint(user, session, STREAM, "0.ts"))
            if head.status != 503 or time.monotonic() > deadline:
                return head.status
            await asyncio.sleep(EVERY_SECONDS)

    async def _watch(self, user: str, session: str, line: Line) -> None:
        """Mostly heartbeats; every fifth is a segment, some by their name, some the one that comes next."""
        await asyncio.sleep(random.uniform(0, EVERY_SECONDS))
        due, turn = time.monotonic(), random.randrange(10)
        while True:
            turn += 1
            await self.sitting.ask(line, *_request(user, session, turn))
            due += EVERY_SECONDS
            await asyncio.sleep(max(due - time.monotonic(), 0))

    async def _bring_newcomers(self) -> None:
        """Each is another user; all of them stay silent after their first segment."""
        tasks: set[asyncio.Task[Head | None]] = set()
        number = 0
        with suppress(asyncio.CancelledError):
            while True:
                number += 1
                user, line = f"guest-{number}", Line(self.ports[number % len(self.ports)])
                self.offline.append(user)
                asking = asyncio.create_task(self.newcomers.ask(line, user, endpoint(user, "tv", STREAM, "0.ts")))
                tasks.add(asking)
                asking.add_done_callback(tasks.discard)
                asking.add_done_callback(lambda _, line=line: line.close())
                await asyncio.sleep(NEWCOMER_EVERY)
        await asyncio.gather(*tasks)

    async def _try_a_fourth(self) -> None:
        """A fourth session of users whose seats are all taken, again and again."""
        lines = [Line(port) for port in self.ports]
        while True:
            for number, line in enumerate(lines):
                user = random.choice(self.users)
                await self.fourth.ask(line, user, endpoint(user, f"fourth-{number}", STREAM, "0.ts"))
            await asyncio.sleep(NEWCOMER_EVERY)


def _request(user: str, session: str, turn: int) -> tuple[str, bytes]:
    if turn % 5:
        body = json.dumps({"stream_id": STREAM}).encode()
        path = f"/v1/users/{user}/sessions/{session}/heartbeat"
        head = f"POST {path} HTTP/1.1\r\nHost: t\r\nContent-Length: {len(body)}\r\n\r\n"
        return "heartbeat", head.encode() + body
    if turn % 10:
        return "segment", endpoint(user, session, STREAM, f"{turn % SEGMENTS}.ts")
    return "next segment", endpoint(user, session, STREAM)
