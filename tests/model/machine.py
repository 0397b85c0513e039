"""Reserve, deliver, confirm, with everything between that a network and a failover can do to it.

Two workers, each with the product's own memory of what it saw last (`CachingStore`), over one primary that runs the
product's own rules. Invariants are named by the rules of the product they stand for.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass
from itertools import count
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from streamlimit import rules
from streamlimit.cache.caching_store import CachingStore
from streamlimit.cache.outage import OutagePolicy
from streamlimit.errors import StoreUnavailable
from streamlimit.model import Admitted, Ask, Confirmed, Lease, Receipt, Refusal
from streamlimit.policy import Policy
from streamlimit.store.contract import resolved
from tests.model.network import LOSSES, USER, Link, Primary

X, N = 1_000, 3
EXPIRY = N * X
POLICY = Policy(max_sessions=2, segment_ms=X, missed_segments=N, start_ms=X, max_returns=0, visit_burst=0)
ROUND_MS = 20
"""What a date may be off by: one worker's clock and the primary's are read a moment apart."""

WORKERS = st.sampled_from([0, 1])
SESSIONS = st.sampled_from(["tv", "phone", "pad", "box"])
STREAMS = st.sampled_from(["news", "news", "film"])
STEPS = st.sampled_from([1, 40, X // 2, X - 1, X, 2 * X, EXPIRY - 1, EXPIRY, EXPIRY + X])
WHICH = st.integers(0, 10_000)


@dataclass
class Fed:
    """A lease that a worker gave, while its segment is on the way to the client."""

    worker: int
    lease: Lease
    session_id: str


@dataclass
class Question:
    """A request that waits for a worker's decision."""

    worker: int
    ask: Ask
    task: "asyncio.Task[Any]"
    sat_for: bool
    """Did its session sit, by this worker's own knowledge, when it asked?"""
    left: int | None
    """How many ends and terminations there had been when it asked; None: one was still on its way."""


class NetworkMachine(RuleBasedStateMachine):
    """One user with two seats, four players, two workers."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.now_ms, self.skew_ms = 1_000_000, 0
        self.primary = Primary(POLICY)
        self.links = [Link(self.primary, POLICY) for _ in range(2)]
        self.workers = [self._worker(link) for link in self.links]
        self.replica = self.primary.copied()
        self.questions: list[Question] = []
        self.fed: list[Fed] = []
        self.pending: list[asyncio.Task[Any]] = []
        self.received: dict[str, tuple[int, int]] = {}  # session: when its client had a segment last, of which seat
        self.heard: dict[tuple[int, str], int] = {}  # worker, session: when a receipt was had that the store confirmed
        self.sent_away: dict[str, int] = {}  # session: when somebody last asked that it goes
        self.leaves: list[asyncio.Task[Any]] = []
        self.numbers = count()

    def _worker(self, link: Link) -> CachingStore:
        clock = lambda: self.now_ms / 1_000  # noqa: E731
        return CachingStore(
            link,  # type: ignore[arg-type]  # the promises that a memory asks for
            POLICY,
            OutagePolicy(spares=True),
            clock=clock,
            wall_ms=lambda: self.now_ms,
        )

    # --- viewers

    @rule(worker=WORKERS, name=SESSIONS, stream=STREAMS)
    def request(self, worker: int, name: str, stream: str) -> None:
        """A player asks for a segment."""
        ask = Ask(USER, name, stream, lease_id=f"l{next(self.numbers)}")
        task = self._begin(lambda: self.workers[worker].admit(ask))
        left = len(self.leaves) if self._all_left() else None
        self.questions.append(Question(worker, ask, task, self._sits(worker, name), left))
        self.pump()

    @rule(worker=WORKERS, name=SESSIONS, times=st.integers(1, 3))
    def watch_on(self, worker: int, name: str, times: int) -> None:
        """Some segments as they usually go: asked for, received, told, and the next one X later."""
        for _ in range(times):
            before = len(self.fed)
            self.request(worker, name, "news")
            self._settle(worker)
            if len(self.fed) > before:
                self.deliver(len(self.fed) - 1, is_received=True)
                self._settle(worker)
            self.tick(X // 2)

    @rule(worker=WORKERS, name=SESSIONS, step=STEPS, is_back=st.booleans())
    def watch_on_in_an_outage(self, worker: int, name: str, step: int, is_back: bool) -> None:
        """The store is away for a while, and the player goes on asking."""
        self.watch_on(worker, name, times=1)
        self.cut(worker, is_down=True)
        self.tick(step)
        before = len(self.fed)
        self.request(worker, name, "news")
        if len(self.fed) > before:
            self.deliver(len(self.fed) - 1, is_received=True)
        if is_back:
            self.mend(worker)

    @precondition(lambda self: self.fed)
    @rule(which=WHICH, is_received=st.sampled_from([True, True, False]))
    def deliver(self, which: int, is_received: bool) -> None:
        """A segment's bytes are over: the client has them, or has hung up."""
        fed = self.fed.pop(which % len(self.fed))
        worker = self.workers[fed.worker]
        if is_received:
            receipt = Receipt(fed.lease, "s1", 1)
            if fed.lease.generation:
                at_ms, generation = self.received.get(fed.session_id, (0, 0))
                if fed.lease.generation >= generation:
                    self.received[fed.session_id] = max(at_ms, self.now_ms), fed.lease.generation
            had_ms = self.now_ms
            self._note(fed, had_ms, self._begin(lambda: worker.confirm(receipt)))
        else:
            self._begin(lambda: worker.abandon(fed.lease))
        self.pump()

    @rule(worker=WORKERS, name=SESSIONS, by_operator=st.booleans())
    def leave(self, worker: int, name: str, by_operator: bool) -> None:
        """The viewer stops, or an operator stops it."""
        self.sent_away[name] = self.now_ms
        store = self.workers[worker]
        if by_operator:
            self.leaves.append(self._begin(lambda: store.terminate(USER, name, "operator", "because")))
        else:
            self.leaves.append(self._begin(lambda: store.end(USER, name)))
        self.pump()

    # --- the network

    @rule(worker=WORKERS, count=st.integers(1, 4))
    def arrive(self, worker: int, count: int) -> None:
        self.links[worker].arrive(count)
        self.pump()

    @rule(worker=WORKERS, count=st.integers(1, 4))
    def answer(self, worker: int, count: int) -> None:
        self.links[worker].answer(count)
        self.pump()

    @rule(worker=WORKERS)
    def settle(self, worker: int) -> None:
        self._settle(worker)

    @rule(worker=WORKERS, is_down=st.booleans())
    def cut(self, worker: int, is_down: bool) -> None:
        self.links[worker].cut(is_down)
        self.pump()

    @rule(worker=WORKERS)
    def haunt(self, worker: int) -> None:
        self.links[worker].haunt()

    @rule(worker=WORKERS)
    def mend(self, worker: int) -> None:
        self.links[worker].is_down = False

    @rule(worker=WORKERS)
    def watch(self, worker: int) -> None:
        """What a worker does between requests."""
        self._begin(self.workers[worker].watch_once)
        self.pump()

    # --- time and the primary

    @rule(step=STEPS)
    def tick(self, step: int) -> None:
        self.now_ms += step
        self.primary.now_ms = self.now_ms + self.skew_ms

    @rule()
    def sweep(self) -> None:
        self.primary.run(lambda ledger, grants, now: rules.expire(ledger, USER, POLICY, now))

    # --- what holds

    @invariant()
    def never_more_seats_than_the_limit(self) -> None:
        """Rules 2 and 3."""
        assert len(self.primary.live()) <= POLICY.max_sessions

    @invariant()
    def each_lost_seat_made_one_event(self) -> None:
        """Rule 7: by the outbox, which is written in the same step."""
        lost = Counter(
            (event.session.session_id, event.session.generation)
            for event in self.primary.outbox
            if event.type in LOSSES
        )
        assert self.primary.failed_over or all(times == 1 for times in lost.values()), lost

    def teardown(self) -> None:
        """The network heals: nothing that a client received is lost, and no decision is left open."""
        try:
            for _ in range(3):
                for number in range(2):
                    self.links[number].is_down = False
                    self._settle(number)
                    self._begin(self.workers[number].watch_once)
                    self.pump()
                    self._settle(number)
                self.tick(40)
            assert not self.questions, "a viewer still waits for a decision"
            for number in range(2):
                assert not self.workers[number].kept, "a receipt was never told"
            if not self.primary.failed_over:
                self._nothing_received_is_lost()
        finally:
            self.loop.run_until_complete(asyncio.sleep(0))
            self.loop.close()

    def _nothing_received_is_lost(self) -> None:
        """Rules 5 and 11: who received within n·X and was not sent away sits, or the seats went to others."""
        live = self.primary.live()
        for name, (at_ms, generation) in self.received.items():
            if self.now_ms - at_ms >= EXPIRY - ROUND_MS or name in self.sent_away:
                continue
            seat = live.get(name)
            if seat is None:
                assert len(live) == POLICY.max_sessions, f"{name} received and has no seat, though one is free"
            elif generation in (
                seat.generation,
                seat.revives,
            ):  # a younger seat knows nothing of the old one's receipts
                last_ms = seat.last_activity_ms
                assert (last_ms or 0) >= at_ms - ROUND_MS, (name, last_ms, at_ms)

    # --- how it is done

    def pump(self) -> None:
        """Lets the workers go on as far as they can without news from the network; looks at their decisions."""
        for _ in range(6):
            self.loop.run_until_complete(asyncio.sleep(0))
        waiting, done = [], []
        for question in self.questions:
            (done if question.task.done() else waiting).append(question)
        self.questions = waiting
        for question in done:
            self._decided(question)
        for task in [task for task in self.pending if task.done()]:
            self.pending.remove(task)
            error = task.exception()
            assert error is None or isinstance(error, StoreUnavailable), error

    def _settle(self, worker: int) -> None:
        for _ in range(8):
            self.links[worker].settle()
            self.pump()

    def _begin(self, promise: Any) -> "asyncio.Task[Any]":
        """Asks now, in this very turn, and waits in a task."""

        async def ask() -> Any:
            return await resolved(promise())

        task = self.loop.create_task(ask())
        self.pending.append(task)
        self.loop.run_until_complete(asyncio.sleep(0))
        return task

    def _note(self, fed: Fed, had_ms: int, task: "asyncio.Task[Any]") -> None:
        def answered(done: "asyncio.Task[Any]") -> None:
            verdict = None if done.exception() else done.result()
            who = fed.worker, fed.session_id
            if isinstance(verdict, Confirmed) and not verdict.degraded and is_first_hand(verdict):
                self.heard[who] = max(self.heard.get(who, 0), had_ms)

        def is_first_hand(verdict: Confirmed) -> bool:
            return verdict.session.last_activity_ms is not None

        task.add_done_callback(answered)

    def _sits(self, worker: int, name: str) -> bool:
        """Rule 11: was it confirmed to this worker within (n−1)·X, and nobody sent it away?"""
        heard_ms = self.heard.get((worker, name))
        return heard_ms is not None and self.now_ms - heard_ms < (N - 1) * X and name not in self.sent_away

    def _decided(self, question: Question) -> None:
        name = question.ask.session_id
        error = question.task.exception()
        if error is not None:
            assert isinstance(error, StoreUnavailable), error
            assert not question.sat_for, f"rule 11: {name} sat, and was let down in an outage"
            return
        decision = question.task.result()
        if isinstance(decision, Refusal):
            return
        assert isinstance(decision, Admitted)
        assert decision.lease is not None
        self._is_entitled(question, decision)
        self.fed.append(Fed(question.worker, decision.lease, name))

    def _is_entitled(self, question: Question, decision: Admitted) -> None:
        """Rules 2 and 11: who is fed holds a seat, unless it was just sent away and this worker cannot know yet."""
        name = question.ask.session_id
        if not decision.existing and question.left == len(self.leaves):
            self.sent_away.pop(name, None)  # it is back
        if self.primary.failed_over or name in self.sent_away:
            return
        if question.ask.lease_id not in self.links[question.worker].decided:  # by the worker alone
            assert name in self.primary.live(), f"{name} is fed without a seat: {decision}"

    def _all_left(self) -> bool:
        """Is nobody's end or termination still on its way?"""
        return all(task.done() for task in self.leaves) and not any(link.buried for link in self.links)


class FailoverMachine(NetworkMachine):
    """The same, where a replica takes over that lacks the last writes, on a machine with another clock."""

    @rule()
    def replicate(self) -> None:
        self.replica = self.primary.copied()

    @rule(skew_ms=st.integers(-10, 10))
    def fail_over(self, skew_ms: int) -> None:
        for link in self.links:
            link.cut(is_down=False)
            link.buried = []
        self.pump()
        self.primary.fail_over(self.replica)
        self.skew_ms = skew_ms
        self.primary.now_ms = self.now_ms + skew_ms
