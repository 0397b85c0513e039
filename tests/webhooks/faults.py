"""A run under faults: workers killed, a receiver that is down, errs, hangs and dawdles. And what must hold after it."""

import asyncio
import json
import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from multiprocessing.connection import wait
from typing import Any

from streamlimit.store.outbox import Outbox
from tests.webhooks import crew
from tests.webhooks.receiver import Receiver, Reply

RANK = {"started": 0, "moved": 1, "expired": 2, "ended": 2, "terminated": 2, "abandoned": 2}


IDLE_SECONDS = 30.0
"""How long may nothing happen at all? While the receiver is away it is some seconds."""


class Moody:
    """Answers as real receivers do on their bad days; no event meets two of them: waits grow with each."""

    def __init__(self) -> None:
        self._dice, self.said = random.Random(7), Counter[str]()
        self._troubled: set[str] = set()

    def __call__(self, event: Any) -> Reply:
        mood, body = self._dice.random(), json.dumps(event)
        if mood >= 0.09 or body in self._troubled:
            return self._reply("204", Reply())
        self._troubled.add(body)
        if mood < 0.03:
            return self._reply("500", Reply(500))
        if mood < 0.04:
            return self._reply("slow", Reply(204, after=0.2))
        if mood < 0.05:
            return self._reply("hangs", Reply(204, after=crew.TIMEOUT_SECONDS * 2))
        if mood < 0.06:
            return self._reply("cut", Reply(0))
        if self.said["429"] + self.said["503"] < 6:
            code = self._dice.choice((429, 503))
            return self._reply(str(code), Reply(code, {"Retry-After": "1"}))
        return self._reply("204", Reply())

    def _reply(self, word: str, reply: Reply) -> Reply:
        self.said[word] += 1
        return reply


class Run:
    """Sessions of many users, driven by *crews* workers at a time; each user belongs to one of them."""

    def __init__(self, open_parts: Callable[[], crew.Opened], receiver: Receiver, users: int, crews: int = 2) -> None:
        self._open, self._receiver, self._crews = open_parts, receiver, crews
        self._left = [[f"user-{k}" for k in range(users) if k % crews == number] for number in range(crews)]
        self._workers: dict[int, tuple[Any, Any]] = {}
        self.acknowledged: list[crew.Acknowledged] = []
        self.kills = 0

    def go(self, kill_after: list[int]) -> None:
        """Runs all sessions; after so many arrived events one worker is killed and replaced, in turns."""
        for number in range(self._crews):
            self._start(number)
        plan, seen, deadline = sorted(kill_after), (0, 0), time.monotonic() + IDLE_SECONDS
        while any(self._left) or plan:
            wait([pipe for _, pipe in self._workers.values()], timeout=0.05)
            self._hear_all()
            self._check_workers()
            now = len(self.acknowledged), len(self._receiver.got)
            if now != seen:
                seen, deadline = now, time.monotonic() + IDLE_SECONDS
            assert time.monotonic() < deadline, f"no worker does anything any more: {now}, {self.kills} kills"
            if plan and len(self._receiver.got) >= plan[0]:
                plan.pop(0)
                self._kill(self.kills % self._crews)
                self._start((self.kills - 1) % self._crews)

    async def settle(self, outbox: Outbox, seconds: float = 120) -> None:
        """Waits until every session has gone and every call back has arrived."""
        deadline = time.monotonic() + seconds
        while True:
            self._hear_all()
            self._check_workers()
            accepted = self._receiver.accepted
            ids = {got.id for got in accepted}
            missing = [told for told in self.acknowledged if told[3] not in ids]
            pending = (await crew.answered(outbox.backlog))[0].pending
            began, over = _lives(accepted, 0), _lives(accepted, 2)
            if not missing and not pending and began <= over:
                return
            problem = f"{len(missing)} missing, {pending} pending, {len(began - over)} live: {missing[:5]}"
            assert time.monotonic() < deadline, problem
            await asyncio.sleep(0.1)

    def stop(self) -> None:
        for process, _ in self._workers.values():
            process.kill()
            process.join(10)

    def _start(self, number: int) -> None:
        self._workers[number] = crew.start(self._open, self._receiver.url, self._left[number], self.kills)

    def _kill(self, number: int) -> None:
        process, pipe = self._workers[number]
        process.kill()
        process.join(10)
        self._hear(number, pipe)
        self.kills += 1

    def _check_workers(self) -> None:
        """One that ended by itself has a defect; waiting in vain for what it left would only hide that."""
        for number, (process, _) in self._workers.items():
            assert process.exitcode is None, f"worker {number} broke (exit code {process.exitcode}): see its traceback"

    def _hear_all(self) -> None:
        for number, (_, pipe) in self._workers.items():
            self._hear(number, pipe)

    def _hear(self, number: int, pipe: Any) -> None:
        try:
            while pipe.poll():
                heard = pipe.recv()
                if isinstance(heard, str):
                    self._left[number].remove(heard)
                else:
                    self.acknowledged.append(heard)
        except (EOFError, OSError):  # a killed process may leave half a message
            return


def check(receiver: Receiver, acknowledged: list[crew.Acknowledged]) -> Counter[str]:
    """Nothing lost, everything verified, in order per user; how often each event was accepted."""
    assert not receiver.invalid, receiver.invalid
    accepted = receiver.accepted
    times = Counter(got.id for got in accepted)
    assert {told[3] for told in acknowledged} <= set(times)
    by_session: dict[tuple[str, str], list[Any]] = defaultdict(list)
    by_user: dict[str, list[str]] = defaultdict(list)
    seen: dict[str, Any] = {}
    for got in accepted:
        if got.id in seen:
            assert got.event == seen[got.id]  # a duplicate is the same in everything
            continue
        seen[got.id] = got.event
        by_session[got.session].append(got)
        by_user[got.session[0]].append(got.id)
    for gots in by_session.values():
        keys = [(got.event["data"]["session"]["generation"], RANK[got.type], _move(got)) for got in gots]
        assert keys == sorted(keys), keys
    for user, told in _by_user(acknowledged).items():  # as the user's worker was told, so it arrived
        arrived = [event_id for event_id in by_user[user] if event_id in set(told)]
        assert arrived == told
    return times


def _lives(accepted: list[Any], rank: int) -> set[Any]:
    """Sessions, by generation, that a call back of that rank told of."""
    return {(got.session, got.event["data"]["session"]["generation"]) for got in accepted if RANK[got.type] == rank}


def _move(got: Any) -> int:
    move: int = got.event["data"]["session"]["move"]
    return move


def _by_user(acknowledged: list[crew.Acknowledged]) -> dict[str, list[str]]:
    """Without what a sweep of the other worker may have told at the same moment."""
    told: dict[str, list[str]] = defaultdict(list)
    for user, _, kind, event_id in acknowledged:
        if kind not in ("expired", "abandoned"):
            told[user].append(event_id)
    return told


class Down:
    """The receiver is away for a while, once so many have arrived."""

    def __init__(self, receiver: Receiver, after: int, seconds: float) -> None:
        self._receiver, self._after, self._seconds = receiver, after, seconds
        self.happened = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while len(self._receiver.got) < self._after:
            time.sleep(0.01)
        self._receiver.stop()
        time.sleep(self._seconds)
        self._receiver.start()
        self.happened = True
