"""The driver of the contract tests: one user with a clock that only tests move, and races between stores.

Knows no engine. Whoever runs the contract gives an `open_store`: each call is another process's view of
the same data. Sweeps and browsing see every user, so no two tests may use one store at the same time.
"""

import asyncio
import sys
import threading
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any, TypeVar
from uuid import uuid4

import pytest

from streamlimit.model import (
    Admitted,
    Ask,
    Confirmed,
    Decision,
    Event,
    Gone,
    Lease,
    OwnLimit,
    Purpose,
    Receipt,
    Refusal,
    Roster,
    Session,
    State,
    Terms,
    Verdict,
)
from streamlimit.policy import Policy
from streamlimit.store.contract import Store, is_coming, resolved

T = TypeVar("T")
OpenStore = Callable[..., Any]
"""`open_store(policy=…, subscribed=…, clock=…)`: a fresh `Store` (or an awaitable of one)."""

X = 1_000
N = 3
SLACK = X // 50
"""How much longer than n·X the mark of one who was refused meanwhile may hold (admit.py)."""
QUICK = Policy(max_sessions=3, segment_ms=X, missed_segments=N, start_ms=X)

ALL_TYPES = frozenset(f"session.{word}" for word in ("started", "moved", "expired", "ended", "terminated", "abandoned"))
LOSSES = frozenset({"session.expired", "session.ended", "session.terminated", "session.abandoned"})


class ManualClock:
    """Stands still until told otherwise; several threads may read it."""

    def __init__(self, now_ms: int = 1_750_000_000_000) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        return self.now_ms


def new_user() -> str:
    return f"user-{uuid4().hex[:16]}"


class StoreDriver:
    """One user of one open store: asks, receives, leaves. All that it does is one call of the contract."""

    def __init__(self, open_store: OpenStore, policy: Policy = QUICK, subscribed: Iterable[str] = ()) -> None:
        self.user, self.clock, self.policy = new_user(), ManualClock(), policy
        self._open, self._subscribed = open_store, frozenset(subscribed)
        self._stores: list[Store] = []
        self._numbers = count(1)
        self.store: Store

    async def another_store(self, policy: Policy | None = None) -> Store:
        """The same data as another process sees it."""
        store = await resolved(self._open(policy=policy or self.policy, subscribed=self._subscribed, clock=self.clock))
        self._stores.append(store)
        return store

    async def __aenter__(self) -> "StoreDriver":
        self.store = await self.another_store()
        return self

    async def __aexit__(self, *_: object) -> None:
        for store in self._stores:
            await resolved(store.close())

    def later(self, ms: int) -> None:
        self.clock.now_ms += ms

    @property
    def now(self) -> int:
        return self.clock.now_ms

    def question(self, session: str, stream: str = "news", **more: Any) -> Ask:
        more.setdefault("lease_id", f"lease-{next(self._numbers)}")
        more.setdefault("user_id", self.user)
        return Ask(session_id=session, stream_id=stream, **more)

    async def ask(self, session: str, stream: str = "news", **more: Any) -> Decision:
        return await resolved(self.store.admit(self.question(session, stream, **more)))

    async def lease(self, session: str, stream: str = "news", **more: Any) -> Lease:
        """The lease of a request that must be admitted."""
        decision = await self.ask(session, stream, **more)
        assert isinstance(decision, Admitted)
        assert decision.lease is not None
        return decision.lease

    async def refused(self, session: str, stream: str = "news", **more: Any) -> Refusal:
        """The refusal of a request that must be refused."""
        decision = await self.ask(session, stream, **more)
        assert isinstance(decision, Refusal)
        return decision

    async def receive(
        self, lease: Lease, sequence: int | None = None, kind: str = "video", play_ms: int = 0
    ) -> Verdict:
        segment = None if sequence is None else f"{kind}-{sequence}.m4s"
        return await resolved(self.store.confirm(Receipt(lease, segment, sequence, kind, play_ms, part=lease.ask.part)))

    async def received(
        self, lease: Lease, sequence: int | None = None, kind: str = "video", play_ms: int = 0
    ) -> Confirmed:
        """A receipt that must count."""
        verdict = await self.receive(lease, sequence, kind, play_ms)
        assert isinstance(verdict, Confirmed)
        return verdict

    async def late(self, lease: Lease, sequence: int | None = None) -> Gone:
        """A receipt that must come too late."""
        verdict = await self.receive(lease, sequence)
        assert isinstance(verdict, Gone)
        return verdict

    async def watch(
        self, session: str, stream: str = "news", sequence: int | None = None, play_ms: int = 0, **more: Any
    ) -> Lease:
        """One whole segment: admitted and received. The lease, as it was admitted."""
        lease = await self.lease(session, stream, sequence=sequence, **more)
        await self.received(lease, sequence, more.get("kind", "video"), play_ms)
        return lease

    async def watch_all(self, *sessions: str) -> list[Lease]:
        return [await self.watch(session) for session in sessions]

    async def beat(self, session: str, stream: str = "news", **more: Any) -> Decision:
        """A heartbeat."""
        return await resolved(self.store.beat(self.question(session, stream, **more)))

    async def beaten(self, session: str, stream: str = "news", **more: Any) -> Admitted:
        """A heartbeat that must be admitted."""
        decision = await self.beat(session, stream, **more)
        assert isinstance(decision, Admitted)
        return decision

    async def prolong(self, lease: Lease) -> Gone | None:
        return await resolved(self.store.prolong(lease))

    async def abandon(self, lease: Lease) -> tuple[Event, ...]:
        return await resolved(self.store.abandon(lease))

    async def end(self, session: str, keep_grant: bool = False) -> tuple[Event, ...]:
        return await resolved(self.store.end(self.user, session, keep_grant))

    async def open(self, session: str, stream: str = "news", **more: Any) -> int:
        """The session sits, and is given a grant: its generation."""
        lease = await self.lease(session, stream, purpose=Purpose.SEAT, **more)
        return lease.generation

    async def is_dead(self, session: str, grant: int) -> bool:
        """Does this grant start nothing? Asked with a check, which takes no seat."""
        answer = await self.ask(session, purpose=Purpose.CHECK, grant_generation=grant)
        assert isinstance(answer, Admitted) or answer.code == "grant-ended", answer
        return isinstance(answer, Refusal)

    async def terminate(self, session: str | None, by: str = "operator", why: str = "") -> tuple[Event, ...]:
        return await resolved(self.store.terminate(self.user, session, by, why))

    async def limit_to(self, max_sessions: int | None, lasts_ms: int | None = None, note: str = "") -> None:
        await resolved(self.store.set_limit(self.user, max_sessions, Terms(lasts_ms, note=note)))

    async def own_limit(self) -> int | None:
        found = await resolved(self.store.own_limit(self.user))
        return None if found is None else found.max_sessions

    async def roster(self) -> Roster:
        return await resolved(self.store.sessions(self.user))

    async def sitting(self) -> list[str]:
        return [session.session_id for session in (await self.roster()).sessions]

    async def session(self, session_id: str) -> Session:
        """The session as it sits; it must."""
        found = [s for s in (await self.roster()).sessions if s.session_id == session_id]
        assert len(found) == 1, f"{session_id} does not sit exactly once"
        return found[0]

    async def state(self, session_id: str) -> State:
        return (await self.session(session_id)).state

    async def pending(self) -> int:
        return await resolved(self.store.pending())

    async def sweep(self, at_most: int = 100, prefix: str | None = None) -> list[Event]:
        """Everything that is due, to the last; the events of this user (or of users so called)."""
        events = await sweep_all(self.store, at_most)
        return [e for e in events if e.session.user_id.startswith(prefix or self.user)]


def limit_of(store: Store, user_id: str) -> int | None:
    """The user's own limit, of a store that answers at once."""
    found = store.own_limit(user_id)
    assert not is_coming(found)
    return None if found is None else found.max_sessions


async def all_limits(store: Store, at_most: int = 100) -> list[OwnLimit]:
    """All own limits, page by page."""
    found: list[OwnLimit] = []
    cursor, more = None, True
    while more:
        page = await resolved(store.limits(cursor, at_most))
        assert len(page.limits) <= at_most
        found += page.limits
        cursor, more = page.cursor, page.cursor is not None
    return found


async def sweep_all(store: Store, at_most: int = 100) -> list[Event]:
    events: list[Event] = []
    for _ in range(10_000):
        swept = await resolved(store.expire(at_most))
        events += swept.events
        if not swept.more:
            return events
    raise AssertionError("the sweep says for ever that more is due")


def types(events: Iterable[Event]) -> list[str]:
    return [event.type.removeprefix("session.") for event in events]


opened_with = pytest.mark.opened_with
"""Marks a test with what its driver is opened with: a policy, say."""


def opening(request: pytest.FixtureRequest, driver: Callable[..., T], *openers: OpenStore) -> T:
    """The driver of the test, made as its mark says."""
    mark = request.node.get_closest_marker("opened_with")
    return driver(*openers) if mark is None else driver(*openers, *mark.args, **mark.kwargs)


Step = Callable[[Store, int], Awaitable[T]]
"""What one of the racers does in the round of that number."""


def race(open_store: OpenStore, steps: Sequence[Step[T]], rounds: int, **how: Any) -> list[list[T]]:
    """Runs all *steps* at once, each on a store of its own, in *rounds*. Answers by round.

    Python's threads take turns some hundred times as often as usual meanwhile.
    """
    gate = threading.Barrier(len(steps), timeout=60)

    async def run(step: Step[T]) -> list[T]:
        answers: list[T] = []
        try:
            store = await resolved(open_store(**how))
            for number in range(rounds):
                gate.wait()
                answers.append(await step(store, number))
            await resolved(store.close())
        except BaseException:
            gate.abort()
            raise
        return answers

    async def open_once() -> None:  # what makes the file or learns the cluster is another promise
        await resolved((await resolved(open_store(**how))).close())

    asyncio.run(open_once())
    often, usual = 0.000_02, sys.getswitchinterval()
    sys.setswitchinterval(often)
    try:
        with ThreadPoolExecutor(len(steps)) as pool:
            by_step = list(pool.map(lambda step: asyncio.run(run(step)), steps))
    finally:
        sys.setswitchinterval(usual)
    return [list(answers) for answers in zip(*by_step, strict=True)]
