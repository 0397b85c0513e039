"""One run: viewers at one house, faults beside them, and the checks when all have gone."""

import asyncio
import random
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import uvloop

from bench.soak.gauges import Gauge
from bench.soak.houses import HOUSES, LIMIT, Fault, House, N, X
from bench.soak.judge import Judge, Told, lost_events
from bench.soak.viewers import Crowd, Walking, calibrated
from tests.service import OPERATOR_KEY

EVERY_SECONDS = X / 2
"""How often a player asks."""

CALIBRATION_SECONDS = 5.0
LOOK_SECONDS = 5.0
CALLS_SECONDS = 120.0
"""How long the last call backs are waited for."""


class Plan(NamedTuple):
    """What one run is: seconds, the share of the rate that calibration found, at most so many requests a second."""

    seconds: float
    share: float
    at_most: float
    every: float
    seed: int


class Outcome(NamedTuple):
    """All that the report tells of a run."""

    name: str
    plan: Plan
    calibrated: float
    users: int
    judge: Judge
    crowd: Crowd
    gauges: list[Gauge]
    faults: Counter[str]
    problems: list[str]
    facts: dict[str, Any]


def soak(kind: str, plan: Plan) -> Outcome:
    """At the house of that kind."""
    with tempfile.TemporaryDirectory(prefix="streamlimit-soak-") as folder, ExitStack() as stack:
        house = HOUSES[kind](Path(folder), stack, random.Random(plan.seed))
        return uvloop.run(Run(house, plan).outcome())


class Run:
    """Everything of one run that moves."""

    def __init__(self, house: House, plan: Plan) -> None:
        self._house, self._plan = house, plan
        self._judge = Judge(LIMIT, N * X, (N - 1) * X)
        self._crowd = Crowd(house.ports, self._judge, random.Random(plan.seed), EVERY_SECONDS, LIMIT)
        self._gauges = [Gauge(name, pid, house.ports) for name, pid in house.veterans().items()]
        self._faults, self._problems = Counter[str](), list[str]()
        self._over = threading.Event()

    async def outcome(self) -> Outcome:
        self._look()
        rate = await calibrated(self._house.ports, CALIBRATION_SECONDS)
        await asyncio.sleep(N * X)
        wanted = min(rate * self._plan.share, self._plan.at_most)
        users = max(round(wanted * EVERY_SECONDS / LIMIT), 2)
        began = time.monotonic()
        beside = [asyncio.to_thread(self._break), asyncio.to_thread(self._watch)]
        await asyncio.gather(self._play(users), *beside)
        seconds = time.monotonic() - began
        facts = {
            "seconds": round(seconds),
            "store at the end of the load": await asyncio.to_thread(self._house.store_size),
        }
        facts |= await self._afterwards()
        name, plan = self._house.name, self._plan
        return Outcome(
            name, plan, rate, users, self._judge, self._crowd, self._gauges, self._faults, self._problems, facts
        )

    async def _play(self, users: int) -> None:
        try:
            await self._crowd.play(users, self._plan.seconds)
        finally:
            self._over.set()

    def _break(self) -> None:
        """One fault after the other, each of another kind than the last; none in the last seconds."""
        dice, ends = random.Random(self._plan.seed + 1), time.monotonic() + self._plan.seconds - 2 * X
        for kind, name, fault in _in_turns(self._house.faults(), dice):
            if self._over.wait(self._plan.every * dice.uniform(0.6, 1.2)) or time.monotonic() > ends:
                return
            words = f"{kind}: {name}"
            self._judge.breaks(words, time.monotonic(), self._house.forgets and kind in ("store", "disk"))
            print(f"{time.strftime('%H:%M:%S')} {words}", flush=True)
            try:
                fault()
            except Exception as error:  # the run goes on; the report tells it
                self._problems.append(f"{words}: {type(error).__name__}: {error}")
            self._faults[words] += 1

    def _watch(self) -> None:
        while not self._over.wait(LOOK_SECONDS):
            self._look()

    def _look(self) -> None:
        for gauge in self._gauges:
            gauge.look()

    async def _afterwards(self) -> dict[str, Any]:
        """Everybody is silent: n·X later nobody sits, all call backs are there, and the seats are for others."""
        self._judge.broken = "the end"
        await asyncio.sleep((N + 1) * X)
        line = Walking(0)
        left = []
        for user in self._crowd.users:
            sitting = await self._crowd.sitting(user, line)
            left += [f"{user}: nobody says"] if sitting is None else [f"{user}/{session}" for session in sitting]
        self._judge.remains("seat left", left, time.monotonic())
        line.close()
        service = self._house.services[0]
        wait = time.monotonic()
        pending = await asyncio.to_thread(self._await_calls)
        self._judge.remains("event lost", self._lost(), time.monotonic())
        self._judge.remains("event lost", [f"{pending} call backs still waiting"] if pending else [], time.monotonic())
        listed = (await asyncio.to_thread(service.get, "/v1/sessions", key=OPERATOR_KEY)).json["sessions"]
        self._judge.remains("seat left", [f"listed: {each['session_id']}" for each in listed], time.monotonic())
        self._look()
        tracebacks = sum(each.log().count("Traceback") for each in self._house.services)
        self._judge.remains("traceback in a log", [f"{tracebacks} of them"] if tracebacks else [], time.monotonic())
        got = self._house.receiver.accepted
        return {
            "call backs accepted": f"{len(got)}, different ones {len({one.id for one in got})}",
            "waited for the last of them (s)": round(time.monotonic() - wait),
            "store afterwards": await asyncio.to_thread(self._house.store_size),
        }

    def _await_calls(self) -> int:
        """How many are pending when none is, or after `CALLS_SECONDS`. An answer without the number is a problem."""
        until, pending = time.monotonic() + CALLS_SECONDS, -1
        while pending and time.monotonic() < until:
            answer = self._house.services[0].sweep()
            pending = answer.get("callbacks_pending", -1)
            if pending < 0:
                self._problems.append(f"the sweep after the end: {answer}")
            time.sleep(0.5)
        return pending

    def _lost(self) -> list[str]:
        told = []
        for got in self._house.receiver.accepted:
            session = got.event["data"]["session"]
            told.append(Told(got.id, got.type, session["user_id"], session["session_id"], session["generation"]))
        return lost_events(self._judge.watched, told)


def _in_turns(kinds: Mapping[str, Mapping[str, Fault]], dice: random.Random) -> Iterator[tuple[str, str, Fault]]:
    """For ever: all kinds in an order by chance, then again in another; of each kind its faults likewise."""
    left: dict[str, list[str]] = {kind: [] for kind in kinds}
    last = ""
    while True:
        order = dice.sample(sorted(kinds), len(kinds))
        if order[0] == last:
            order.append(order.pop(0))
        for kind in order:
            left[kind] = left[kind] or dice.sample(sorted(kinds[kind]), len(kinds[kind]))
            name = left[kind].pop()
            yield kind, name, kinds[kind][name]
        last = order[-1]
