"""A state machine of several players of one session (rule 8), with what must hold whatever they do, in any order.

It keeps no model of the lock: only who received when. Visits are off. `plays_machine_of(open_store)` makes the test of
one engine.
"""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from streamlimit.model import Admitted, Ask, Confirmed, Lease, Receipt, Refusal
from streamlimit.policy import Policy
from streamlimit.store.contract import resolved
from tests.store.store_driver import ManualClock, new_user

T = TypeVar("T")

X, N = 1_000, 3
POLICY = Policy(max_sessions=3, segment_ms=X, missed_segments=N, start_ms=X, max_returns=2, visit_burst=0)

PLAYS = st.integers(1, 4)
STEPS = st.sampled_from([1, 7, X // 2, X - 1, X, 2 * X - 2, 2 * X, 2 * X + 1])


class PlaysMachine(RuleBasedStateMachine):
    """One session of one user, who gave its playback URL to four players."""

    open_store: Callable[..., Any]

    def __init__(self) -> None:
        super().__init__()
        self.loop, self.clock, self.user = asyncio.new_event_loop(), ManualClock(), new_user()
        self.store = self.call(lambda: type(self).open_store(policy=POLICY, subscribed=frozenset(), clock=self.clock))
        self.received: dict[int, int] = {}
        self.current: int | None = None
        self.taken_back: list[int] = []
        self.open: list[Lease] = []
        self._numbers = count()

    def call(self, promise: Callable[[], T | Awaitable[T]]) -> T:
        async def answer() -> T:
            return await resolved(promise())

        return self.loop.run_until_complete(answer())

    @rule(play=PLAYS)
    def watch(self, play: int) -> None:
        """A segment is asked for, and received at once."""
        lease = self._ask(play)
        if lease is not None and self._receive(lease):
            assert self.current == play, "who is locked out was given a segment"

    @rule(play=PLAYS)
    def ask(self, play: int) -> None:
        """One that is on its way for longer."""
        lease = self._ask(play)
        if lease is not None:
            self.open.append(lease)

    @precondition(lambda self: self.open)
    @rule(which=st.integers(0, 100))
    def receive(self, which: int) -> None:
        self._receive(self.open.pop(which % len(self.open)))

    @rule(ms=STEPS)
    def later(self, ms: int) -> None:
        self.clock.now_ms += ms

    def _ask(self, play: int) -> Lease | None:
        self.clock.now_ms += 1
        ask = Ask(self.user, "tv", "news", lease_id=f"lease-{next(self._numbers)}", sequence=5, kind="v", play=play)
        answer = self.call(lambda: self.store.admit(ask))
        if isinstance(answer, Refusal):
            assert answer.code == "session-shared"
            younger = [at for other, at in self.received.items() if other > play]
            assert younger, "the youngest of all is never refused: a reload, a hand-over"
            assert self.clock.now_ms - max(self.received.values()) < 2 * X, "refused, and nobody has received for 2·X"
            return None
        assert isinstance(answer, Admitted)
        return answer.lease

    def _receive(self, lease: Lease) -> bool:
        now, play = self.clock.now_ms, lease.ask.play
        verdict = self.call(lambda: self.store.confirm(Receipt(lease, "s5.ts", 5)))
        if not isinstance(verdict, Confirmed):
            return False
        before = self.current
        self.current = verdict.session.play
        assert self.current in {before, play}, "a play that received nothing has the session"
        if before is not None and self.current < before and now - self.received[before] < 2 * X:
            self.taken_back = [at for at in self.taken_back if now - at < N * X] + [now]
        assert len(self.taken_back) <= POLICY.max_returns, "older plays took the session back again and again"
        self.received[play] = now
        return True

    def teardown(self) -> None:
        self.call(self.store.close)
        self.loop.close()


def plays_machine_of(opener: Callable[..., Any]) -> type[PlaysMachine]:
    """The machine against the stores that *opener*(policy=…, subscribed=…, clock=…) opens."""

    class Machine(PlaysMachine):
        open_store = staticmethod(opener)

    return Machine
