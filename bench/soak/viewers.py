"""Players: of each user one more than there are seats. Who finds one watches, zaps, and leaves in one of many ways."""

import asyncio
import json
import random
import time
from collections import Counter, defaultdict
from collections.abc import Sequence

from bench.soak.judge import Judge
from tests.e2e.clients import Head, Line, endpoint
from tests.service import OPERATOR_KEY

STREAMS = [f"film-{number}" for number in range(40)]
PATIENCE_SECONDS = 2.5
"""After so long a player asks another worker, and stays away from that one for `AWAY_SECONDS`."""

AWAY_SECONDS = 3.0
LIVES = (15.0, 90.0)
"""How long one session watches, in seconds: between."""

ZAP_SECONDS = 15.0


class Crowd:
    """All of them, at one house. *ports*: its workers; *every*: how often each player asks."""

    def __init__(self, ports: Sequence[int], judge: Judge, dice: random.Random, every: float, limit: int) -> None:
        self.ports, self._judge, self._dice, self._every, self._limit = ports, judge, dice, every, limit
        self._away: dict[int, float] = {}
        self._stopped = asyncio.Event()
        self.waits: dict[str, list[float]] = defaultdict(list)
        self.unanswered = Counter[str]()
        self.told = Counter[str]()
        self.users: list[str] = []

    async def play(self, users: int, seconds: float) -> None:
        """So long; then all of them fall silent."""
        self.users = [f"user-{number}" for number in range(users)]
        players = [self._sit_down(user, place) for user in self.users for place in range(self._limit + 1)]
        tasks = [asyncio.create_task(work) for work in (*players, self._look())]
        await asyncio.sleep(seconds)
        self._stopped.set()
        await asyncio.gather(*tasks)

    async def ask(self, line: "Walking", what: bytes) -> tuple[Head, bytes, int] | None:
        """The answer and who gave it; None when none came from anybody."""
        for port in self._in_order(line.home):
            try:
                head, body = await asyncio.wait_for(line.to(port).ask(what), PATIENCE_SECONDS)
                return head, body, port
            except (OSError, EOFError, TimeoutError) as error:
                self.unanswered[self._judge.broken] += 1
                line.close(port)
                if not isinstance(error, EOFError):
                    self._away[port] = time.monotonic() + AWAY_SECONDS
        return None

    def _in_order(self, home: int) -> list[int]:
        """The worker that knows the player first, those that did not answer lately last; twice around."""
        now, turned = time.monotonic(), [*self.ports[home:], *self.ports[:home]]
        return sorted(turned, key=lambda port: self._away.get(port, 0.0) > now) * 2

    async def _sit_down(self, user: str, place: int) -> None:
        """One player after the other at the same screen."""
        line, number = Walking(self._dice.randrange(len(self.ports))), 0
        await self._rest(self._dice.uniform(0, 2 * self._every))
        while not self._stopped.is_set():
            number += 1
            session = f"tv-{place}-{number}"
            if await self._find_seat(user, session, line):
                await self._watch(user, session, line)
            line.close()
            await self._rest(self._every)
        line.close()

    async def _find_seat(self, user: str, session: str, line: "Walking") -> bool:
        while not self._stopped.is_set():
            if await self._segment(user, session, STREAMS[0], line) is True:
                return True
            await self._rest(self._dice.uniform(self._every, 3 * self._every))
        return False

    async def _watch(self, user: str, session: str, line: "Walking") -> None:
        now = time.monotonic()
        over, zap, due, channel = now + self._dice.uniform(*LIVES), now + self._dice.uniform(5, ZAP_SECONDS), now, 0
        while not self._stopped.is_set() and now < over:
            due += self._every
            await self._rest(max(due - time.monotonic(), 0))
            if self._stopped.is_set():
                return
            now = time.monotonic()
            if now > zap:
                zap, channel = now + self._dice.uniform(5, ZAP_SECONDS), channel + 1
            if await self._segment(user, session, STREAMS[channel % len(STREAMS)], line) is False:
                return
        await self._leave(user, session, line)

    async def _segment(self, user: str, session: str, stream: str, line: "Walking") -> bool | None:
        """Endpoint 1 or a heartbeat. False: refused; None: nobody knows."""
        asked = time.monotonic()
        what = endpoint(user, session, stream) if self._dice.random() < 0.4 else _beat(user, session, stream)
        got = await self.ask(line, what)
        if got is None:
            self._judge.counts["nobody answered"] += 1
            return None
        head, body, port = got
        at = time.monotonic()
        if head.status in (200, 204):
            self._judge.fed(user, session, port, asked, at, head.headers.get("streamlimit-degraded") == "true")
            self.waits[self._judge.broken].append(at - asked)
            return True
        code = str(json.loads(body).get("code", head.status)) if body else str(head.status)
        self._judge.refused(user, session, port, code, at)
        return None if code == "store-unavailable" else False

    async def _leave(self, user: str, session: str, line: "Walking") -> None:
        how = self._dice.choice(("ends", "ends", "is sent away", "falls silent"))
        self.told[how] += 1
        if how == "falls silent":
            return
        self._judge.leaves(user, session)
        path = f"/v1/users/{user}/sessions/{session}"
        asked = f"POST {path}/end HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n"
        if how == "is sent away":
            asked = f"DELETE {path}?reason=soak HTTP/1.1\r\nHost: t\r\nAuthorization: Bearer {OPERATOR_KEY}\r\n\r\n"
        await self.ask(line, asked.encode())

    async def _look(self) -> None:
        """Asks any worker, again and again, who is watching."""
        line = Walking(0)
        while not self._stopped.is_set():
            await self._rest(0.2)
            line.home = self._dice.randrange(len(self.ports))
            user = self._dice.choice(self.users)
            sitting = await self.sitting(user, line)
            if sitting is not None:
                self._judge.roster(user, sitting, time.monotonic())
        line.close()

    async def sitting(self, user: str, line: "Walking") -> list[str] | None:
        """Who holds a seat; None where the store does not say."""
        got = await self.ask(line, f"GET /v1/users/{user}/sessions HTTP/1.1\r\nHost: t\r\n\r\n".encode())
        if got is None or got[0].status != 200:
            return None
        return [session["session_id"] for session in json.loads(got[1])["sessions"]]

    async def _rest(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stopped.wait(), seconds)
        except TimeoutError:
            return


class Walking:
    """One player's connections: one to each worker that it ever came to."""

    def __init__(self, home: int) -> None:
        self.home = home
        self._lines: dict[int, Line] = {}

    def to(self, port: int) -> Line:
        if port not in self._lines:
            self._lines[port] = Line(port)
        return self._lines[port]

    def close(self, port: int | None = None) -> None:
        """That one, or all."""
        for each in [port] if port is not None else list(self._lines):
            self._lines.pop(each).close()


def _beat(user: str, session: str, stream: str) -> bytes:
    body = json.dumps({"stream_id": stream}).encode()
    head = f"POST /v1/users/{user}/sessions/{session}/heartbeat HTTP/1.1\r\nHost: t\r\n"
    return head.encode() + f"Content-Length: {len(body)}\r\n\r\n".encode() + body


async def calibrated(ports: Sequence[int], seconds: float, players: int = 32) -> float:
    """How many heartbeats a second there are when each player asks again at once."""
    until, answers = time.monotonic() + seconds, 0

    async def press(number: int) -> None:
        nonlocal answers
        line = Line(ports[number % len(ports)])
        while time.monotonic() < until:
            await line.ask(_beat(f"pressing-{number}", "tv", STREAMS[0]))
            answers += 1
        line.close()

    await asyncio.gather(*(press(number) for number in range(players)))
    return answers / seconds
