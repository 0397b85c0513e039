"""A run: looks up the service's streams and limit, runs viewers, and ends all their sessions."""

import asyncio
import random
import resource
import secrets
import signal
import ssl
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import httpx

from streamlimit.bench.calls import Calls
from streamlimit.bench.figures import Figures
from streamlimit.bench.proof import Proof, Verdict, judge
from streamlimit.bench.screen import Screen
from streamlimit.bench.stage import NotReady, Stage, find_stage
from streamlimit.bench.viewer_group import Run, ViewerGroup

CROWDED = 0.3
"""Share of users with one screen more than they have seats; the first user is one in any case."""

ARRIVING_USERS_A_SECOND = 50.0
"""Users begin within X, or at this rate if that is slower: a connection costs more than a request."""

IDLE_OF_LIFETIME = 0.8
"""Idle time of connections as a share of n·X, for which the service keeps them: they are closed by this side."""

LAST_CALL_SECONDS = 10.0
"""How long pending calls may take at the end of a run before they are cancelled."""

ENDING_AT_ONCE, ENDING_SECONDS = 32, 30.0
STOPPING = (signal.SIGINT, signal.SIGTERM)
TICK_SECONDS = 0.2

Tick = Callable[[float, Figures], None]


@dataclass(frozen=True)
class Plan:
    """The parameters of a run."""

    url: str
    users: int
    seconds: float
    speed: float
    seed: int
    key: str | None = None


@dataclass(frozen=True)
class Result:
    """The result of a run. *seconds* is how long it really ran; *left*: sessions that did not end."""

    plan: Plan
    stage: Stage
    screens: int
    seconds: float
    figures: Figures
    verdict: Verdict
    left: int


async def run(plan: Plan, on_tick: Tick) -> Result:
    """Makes a run; Ctrl-C ends it early. Raises `NotReady`."""
    _raise_descriptors()
    tls, prefix = ssl.create_default_context(), f"bench-{secrets.token_hex(4)}"
    stage, figures = await _stage(plan, prefix, tls), Figures()
    shared = Run(stage, figures, stage.pace / plan.speed)
    groups = [_viewer_group(shared, plan, prefix, number, tls) for number in range(plan.users)]
    with _stopped_by_signals(shared.over):
        begun = time.monotonic()
        try:
            await _play(shared, groups, plan, on_tick)
            seconds = time.monotonic() - begun
        finally:  # in any case, no session of the run stays
            left = await _end(groups)
    verdict = judge((group.proof for group in groups), stage.limit)
    return Result(plan, stage, sum(group.screens for group in groups), seconds, figures, verdict, left)


def _raise_descriptors() -> None:
    """Raises the soft limit of open files to the hard one: each screen has a connection."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # a system whose hard limit is no number
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@contextmanager
def _stopped_by_signals(over: asyncio.Event) -> Iterator[None]:
    """Has Ctrl-C and SIGTERM end the run early. Repeated signals change nothing: the rest has its own time-out."""
    loop = asyncio.get_running_loop()
    for number in STOPPING:
        loop.add_signal_handler(number, over.set)
    try:
        yield
    finally:
        for number in STOPPING:
            loop.remove_signal_handler(number)


async def _stage(plan: Plan, prefix: str, tls: ssl.SSLContext) -> Stage:
    try:
        calls = Calls(plan.url, plan.key, Figures(), tls)
    except (httpx.InvalidURL, UnicodeError) as error:
        raise NotReady(f"is no URL: {error}") from error
    try:
        return await find_stage(calls, f"{prefix}-probe")
    finally:
        await calls.close()


def _viewer_group(shared: Run, plan: Plan, prefix: str, number: int, tls: ssl.SSLContext) -> ViewerGroup:
    rng, limit = random.Random(f"{plan.seed}-{number}"), shared.stage.limit
    is_crowded = rng.random() < CROWDED or number == 0
    screens = limit + 1 if is_crowded else rng.randint(1, limit)
    user_id = f"{prefix}-{number}"
    calls = Calls(plan.url, plan.key, shared.figures, tls, shared.stage.lifetime * IDLE_OF_LIFETIME)
    proof = Proof(user_id, limit, shared.stage.lifetime)
    return ViewerGroup(user_id, screens, shared, calls, proof, rng)


async def _play(shared: Run, groups: list[ViewerGroup], plan: Plan, on_tick: Tick) -> None:
    begun = time.monotonic()
    arrival = max(shared.pace, min(plan.users / ARRIVING_USERS_A_SECOND, plan.seconds / 3))
    tasks = [asyncio.create_task(work) for group in groups for work in _work(group, begun, arrival)]
    try:
        while (elapsed := time.monotonic() - begun) < plan.seconds and not shared.over.is_set():
            on_tick(elapsed, shared.figures)
            await shared.pause(min(TICK_SECONDS, plan.seconds - elapsed))
    finally:
        shared.over.set()
        _, late = await asyncio.wait(tasks, timeout=LAST_CALL_SECONDS)
        for task in late:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=bool(late))


def _work(group: ViewerGroup, begun: float, arrival: float) -> Iterator[Coroutine[Any, Any, None]]:
    """The work of the group's screens, which begin at different times, or, if there are too many, all at once."""
    rng, together = group.rng, begun + group.rng.uniform(0, arrival)
    is_crowded = group.screens > group.run.stage.limit
    for number in range(1, group.screens + 1):
        due = together if is_crowded else begun + rng.uniform(0, arrival)
        yield Screen(group, number, random.Random(rng.random()), due).watch()
    yield group.look_on()


async def _end(groups: list[ViewerGroup]) -> int:
    """Ends all sessions; returns how many are left by the service's lists."""
    turns = asyncio.Semaphore(ENDING_AT_ONCE)

    async def end(group: ViewerGroup) -> int:
        async with turns:
            return await group.end()

    tasks = {asyncio.create_task(end(group)): group for group in groups}
    done, late = await asyncio.wait(tasks, timeout=ENDING_SECONDS)
    for task in late:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=bool(late))
    await asyncio.gather(*(group.calls.close() for group in groups))
    return sum(task.result() for task in done) + sum(tasks[task].screens for task in late)
