"""A state machine of everything that can happen to one user, beside a small model written from the rules.

The model knows the rules' words and nothing of the code that keeps them. It has two answers where the
rules leave it open (the mark of who asked may hold a fiftieth of X longer) and takes the store's. Rule 8's
sharing guard is off here; the contract has it. Knows no engine: `machine_of(open_store)` makes the test of one.
"""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec.structs import replace

from streamlimit.model import Admitted, Ask, Confirmed, Decision, Event, Gone, Lease, Purpose, Receipt, Refusal, State
from streamlimit.policy import OverLimit, Policy
from streamlimit.store.contract import Store, resolved
from tests.store.budget_model import Budget
from tests.store.store_driver import ALL_TYPES, LOSSES, ManualClock, new_user

T = TypeVar("T")

X, N, START = 1_000, 3, 1_500
EXPIRY = N * X
POLICY = Policy(max_sessions=3, segment_ms=X, missed_segments=N, start_ms=START, max_returns=0, visit_burst=3)

SESSIONS = st.sampled_from(["tv", "phone", "pad", "box", "pc"])
STREAMS = st.sampled_from(["news", "film"])
STEPS = st.sampled_from([1, 7, X - 1, X, START, EXPIRY - X, EXPIRY - 1, EXPIRY, EXPIRY + X // 50, EXPIRY + X // 4])
WHICH = st.integers(0, 10_000)
ENDS = st.sampled_from([0, 0, 0, 1, 3 * X + 1, 4 * X, 9 * X])
"""How long the stream plays whose last segment is received; 0: it is not the last one."""
FATES = st.tuples(st.integers(0, 99), st.sampled_from(["received", "hung up", "hung up", "left open"]))
"""What becomes of a request, and when: the smaller number first."""


@dataclass
class Sitting:
    """One seat as the rules see it."""

    generation: int
    stream: str
    started: int
    expires: int
    order: int
    move: int = 0
    revives: int | None = None
    last: int | None = None
    paid: tuple[str, int] | None = None
    open_leases: set[str] = field(default_factory=set)

    def silent_since(self) -> int:
        return self.started if self.last is None else self.last

    def is_visit(self, stream: str, now: int) -> bool:
        """Rule 13: another stream is one, but for a second request within X for the one just paid."""
        if stream == self.stream:
            return False
        return self.paid is None or self.paid[0] != stream or now - self.paid[1] >= X


@dataclass
class Away:
    """A session that was sent away: what must, and what may, still be remembered."""

    state: State
    generation: int
    must_until: int
    may_until: int


class Model:
    """One user by the rules: seats, and who was sent away."""

    def __init__(self) -> None:
        self.seats: dict[str, Sitting] = {}
        self.away: dict[str, list[Away]] = {}
        self.limit = POLICY.max_sessions
        self.budget = Budget(2 * X, POLICY.visit_burst * 2 * X)
        self._order = count()

    def live(self, now: int) -> dict[str, Sitting]:
        """Rule 7: whoever is past their time counts for nothing."""
        return {name: seat for name, seat in self.seats.items() if seat.expires > now}

    def terminated(self, name: str, now: int) -> str:
        """Rule 12: "yes" until silent for n·X, then (where it asked, for a fiftieth of X) "perhaps", then "no"."""
        ways = [a for a in self.away.get(name, []) if a.state is State.TERMINATED]
        if any(now < a.must_until for a in ways):
            return "yes"
        return "perhaps" if any(now < a.may_until for a in ways) else "no"

    def sent_away_since(self, name: str, generation: int, now: int) -> bool:
        """Was this generation, or a later one, ended or terminated? As long as that is remembered."""
        return any(
            now < a.must_until and (a.state is State.TERMINATED or a.generation >= generation)
            for a in self.away.get(name, [])
        )

    def perhaps_sent_away(self, name: str, generation: int, now: int) -> bool:
        return any(
            now < a.may_until and (a.state is State.TERMINATED or a.generation >= generation)
            for a in self.away.get(name, [])
        )

    def send_away(self, name: str, state: State, now: int) -> None:
        seat = self.seats.pop(name)
        mark = Away(state, seat.generation, now + EXPIRY, now + EXPIRY)
        self.away.setdefault(name, []).append(mark)

    def asked_again(self, name: str, now: int) -> None:
        """A refused request of a terminated session is no silence."""
        for mark in self.away.get(name, []):
            if mark.state is State.TERMINATED and now < mark.may_until:
                mark.must_until = max(mark.must_until, now + EXPIRY)
                mark.may_until = max(mark.may_until, now + EXPIRY + X // 50)

    def victim(self, replace: str | None, over: OverLimit, now: int) -> set[str]:
        """Rule 12: who may be the one to give way; several where they are equally old or silent."""
        live = self.live(now)
        if replace in live:
            return {replace}
        if over is OverLimit.REPLACE_OLDEST:
            first = min(seat.started for seat in live.values())
            return {name for name, seat in live.items() if seat.started == first}
        if over is OverLimit.REPLACE_IDLE:
            first = min(seat.silent_since() for seat in live.values())
            if now - first >= EXPIRY - X:
                return {name for name, seat in live.items() if seat.silent_since() == first}
        return set()

    def sit(self, name: str, generation: int, stream: str, now: int) -> Sitting:
        seat = Sitting(generation, stream, now, now + START, next(self._order))
        self.seats[name] = seat
        return seat


class StoreMachine(RuleBasedStateMachine):
    """Two processes' views of one store, one user, and the model."""

    open_store: Callable[..., Any]

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock, self.user, self.model = ManualClock(), new_user(), Model()
        self.stores = {over: self.call(lambda over=over: self._opened(over)) for over in OverLimit}
        self.told_before = self.call(lambda: self.stores[OverLimit.REFUSE].pending())
        self.leases: list[Lease] = []
        self.generations: dict[tuple[str, int], str] = {}
        self.events: list[Event] = []
        self.seen_last: dict[tuple[str, int], int] = {}
        self._numbers = count()

    def _opened(self, over: OverLimit) -> Any:
        policy = dataclasses.replace(POLICY, over_limit=over)
        return type(self).open_store(policy=policy, subscribed=ALL_TYPES, clock=self.clock)

    def call(self, promise: Callable[[], T | Awaitable[T]]) -> T:
        async def answer() -> T:
            return await resolved(promise())

        return self.loop.run_until_complete(answer())

    @property
    def store(self) -> Store:
        return self.stores[OverLimit.REFUSE]

    @property
    def now(self) -> int:
        return self.clock.now_ms

    # --- what happens

    @rule(
        name=SESSIONS,
        stream=STREAMS,
        purpose=st.sampled_from([Purpose.LEASE, Purpose.LEASE, Purpose.LEASE, Purpose.SEAT, Purpose.CHECK]),
        over=st.sampled_from(OverLimit),
        replace=st.none() | SESSIONS,
        may_start=st.sampled_from([True, True, True, False]),
    )
    def admit(
        self, name: str, stream: str, purpose: Purpose, over: OverLimit, replace: str | None, may_start: bool
    ) -> None:
        self.clock.now_ms += 1  # a generation is the millisecond of its reservation
        ask = Ask(
            self.user,
            name,
            stream,
            purpose=purpose,
            lease_id=f"lease-{next(self._numbers)}",
            replace=replace,
            may_start=may_start,
        )
        self._admit(ask, over)

    def _admit(self, ask: Ask, over: OverLimit) -> None:
        self._judge(self.call(lambda: self.stores[over].admit(ask)), ask, over)

    def _judge(self, answer: Decision, ask: Ask, over: OverLimit) -> None:
        """Is the answer to *ask* right? The model does the same."""
        model, now, name = self.model, self.now, ask.session_id
        live, before = model.live(now), len(model.live(now))
        away = model.terminated(name, now)
        if isinstance(answer, Refusal):
            self._check_refusal(answer, ask, over, away)
            if answer.code == "session-terminated":
                model.asked_again(name, now)
            return
        assert away != "yes", "a terminated session was admitted"
        assert answer.limit == model.limit
        if name in live:
            self._pay_move(live[name], ask)
            self._check_sitting(answer, ask)
        else:
            assert not answer.existing
            assert ask.may_start
            if before >= model.limit:
                victims = model.victim(ask.replace, over, now)
                assert victims, "a new session was admitted at the limit"
                assert before == model.limit, "admitted above a lowered limit"
            assert not model.budget.wait(model.limit, now), "a visit was admitted without budget"
            if ask.purpose is Purpose.CHECK:
                assert (answer.session, answer.lease, answer.events) == (None, None, ())
                return
            model.budget.pay(model.limit, now)
            self._note_new(answer, ask, victims if before >= model.limit else set())
        if answer.lease is not None:
            self.leases.append(answer.lease)

    def _check_refusal(self, refusal: Refusal, ask: Ask, over: OverLimit, away: str) -> None:
        model, now = self.model, self.now
        live = model.live(now)
        assert (refusal.limit, refusal.live) == (model.limit, len(live))
        assert {s.session_id for s in refusal.sessions} == set(live)
        if refusal.code == "session-terminated":
            assert away != "no", "refused as terminated, and is not"
            return
        assert away != "yes"
        if refusal.code == "too-many-visits":
            self._check_no_budget(refusal, ask, over)
            return
        assert ask.session_id not in live, "a sitting session was refused"
        if refusal.code == "grant-expired":
            assert not ask.may_start
            return
        assert refusal.code == "session-limit"
        assert len(live) >= model.limit, "refused for the limit, and there was room"
        if len(live) == model.limit:
            assert not model.victim(ask.replace, over, now), "refused, though somebody should give way"
        wait = sorted(seat.expires for seat in live.values())
        assert refusal.retry_after_ms == wait[len(live) - max(model.limit, 1)] - now

    def _check_no_budget(self, refusal: Refusal, ask: Ask, over: OverLimit) -> None:
        model, now = self.model, self.now
        live = model.live(now)
        if ask.session_id in live:
            assert live[ask.session_id].is_visit(ask.stream_id, now), "who already watches was refused"
        else:
            assert ask.may_start
            assert len(live) < model.limit or (len(live) == model.limit and model.victim(ask.replace, over, now))
        wait = model.budget.wait(model.limit, now)
        assert wait, "refused for the budget, and there was some"
        assert refusal.retry_after_ms == wait

    def _pay_move(self, seat: Sitting, ask: Ask) -> None:
        if not seat.is_visit(ask.stream_id, self.now):
            return
        assert not self.model.budget.wait(self.model.limit, self.now), "a move was admitted without budget"
        if ask.purpose is not Purpose.CHECK:
            self.model.budget.pay(self.model.limit, self.now)
            seat.paid = (ask.stream_id, self.now)

    def _check_sitting(self, answer: Admitted, ask: Ask) -> None:
        seat = self.model.seats[ask.session_id]
        assert answer.existing
        assert answer.events == ()
        assert answer.lease is not None
        assert (answer.lease.generation, answer.lease.move) == (seat.generation, seat.move)
        is_retry = ask.lease_id in seat.open_leases
        if seat.last is None and ask.purpose is Purpose.LEASE and not is_retry:
            seat.open_leases.add(ask.lease_id)
            seat.expires = max(seat.expires, self.now + START)

    def _note_new(self, answer: Admitted, ask: Ask, victims: set[str]) -> None:
        model, now = self.model, self.now
        self._note(answer.events)
        replaced = [e.session.session_id for e in answer.events if e.type == "session.terminated"]
        self._lapse()
        assert len(replaced) == (1 if victims else 0)
        for name in replaced:
            assert name in victims, "the wrong session gave way"
            model.send_away(name, State.TERMINATED, now)
        assert answer.lease is not None
        seat = model.sit(ask.session_id, answer.lease.generation, ask.stream_id, now)
        self._new_generation(ask.session_id, seat.generation)
        if ask.purpose is Purpose.LEASE:
            seat.open_leases.add(ask.lease_id)
        assert answer.live == len(model.seats)

    @rule(name=SESSIONS, stream=STREAMS, over=st.sampled_from(OverLimit), replaced=st.none() | SESSIONS)
    def beat(self, name: str, stream: str, over: OverLimit, replaced: str | None) -> None:
        """A request and its receipt in one: what it tells of the second comes last."""
        self.clock.now_ms += 1
        ask, sitting = Ask(self.user, name, stream, replace=replaced), self.model.live(self.now).get(name)
        answer = self.call(lambda: self.stores[over].beat(ask))
        if isinstance(answer, Refusal):
            self._judge(answer, ask, over)
            return
        assert answer.session is not None
        lease = Lease(ask, answer.session.generation, 0 if sitting is None else sitting.move)
        told = [event for event in answer.events if event.type in ("session.started", "session.moved")]
        assert list(answer.events[len(answer.events) - len(told) :]) == told
        self._judge(replace(answer, lease=lease, events=answer.events[: len(answer.events) - len(told)]), ask, over)
        seat = self.model.seats[name]
        first, moves = seat.last is None, seat.stream != stream
        assert [event.type for event in told] == (["session.started"] if first else ["session.moved"] * moves)
        self._settle(seat, lease, self.now)
        self._note(tuple(told))

    @rule(name=SESSIONS, stream=STREAMS, fates=st.lists(FATES, min_size=2, max_size=4))
    def overlap(self, name: str, stream: str, fates: list[tuple[int, str]]) -> None:
        """Several requests of one session at once, that are received, hung up or left open in any order."""
        self.clock.now_ms += 1
        before = len(self.leases)
        for _ in fates:
            self._admit(Ask(self.user, name, stream, lease_id=f"lease-{next(self._numbers)}"), OverLimit.REFUSE)
            self.those_sit_who_should()
        opened = zip(fates, self.leases[before:], strict=False)  # none, where they were refused
        for (_, fate), lease in sorted(opened, key=lambda pair: pair[0][0]):
            if fate == "received":
                self._receive(lease, None)
            elif fate == "hung up":
                self._hang_up(lease)
            self.those_sit_who_should()

    @precondition(lambda self: self.leases)
    @rule(which=WHICH, over=st.sampled_from(OverLimit))
    def ask_again(self, which: int, over: OverLimit) -> None:
        """A retry: the very same request, while it is under way or long after."""
        ask = self._lease(which).ask
        if ask.session_id in self.model.live(self.now):
            self._admit(ask, over)

    @precondition(lambda self: self.leases)
    @rule(which=WHICH, twice=st.booleans(), sequence=st.none() | st.integers(0, 9), ends=ENDS)
    def receive(self, which: int, twice: bool, sequence: int | None, ends: int) -> None:
        lease = self._lease(which)
        if lease.ask.session_id not in self.model.live(self.now):
            self.clock.now_ms += 1
        for _ in range(1 + twice):
            self._receive(lease, sequence, ends)

    def _receive(self, lease: Lease, sequence: int | None, ends: int = 0) -> None:
        model, now, name = self.model, self.now, lease.ask.session_id
        live = model.live(now)
        segment = None if sequence is None else f"{sequence}.m4s"
        verdict = self.call(lambda: self.store.confirm(Receipt(lease, segment, sequence, ends_ms=ends)))
        seat = live.get(name)
        if seat is not None:
            if lease.generation in (seat.generation, seat.revives):
                assert isinstance(verdict, Confirmed)
                self._settle(seat, lease, now, ends)
                self._note(verdict.events)
            else:
                assert isinstance(verdict, Gone), "a receipt of another generation counted"
            return
        if isinstance(verdict, Gone):
            assert len(live) >= model.limit or model.perhaps_sent_away(name, lease.generation, now)
            return
        assert not model.sent_away_since(name, lease.generation, now), "a session sent away was revived"
        assert len(live) < model.limit, "a late receipt took a seat above the limit"
        self._note(verdict.events)
        self._lapse()
        seat = model.sit(name, verdict.session.generation, lease.ask.stream_id, now)
        seat.revives = lease.generation
        self._new_generation(name, seat.generation)
        seat.last, seat.expires = now, now + EXPIRY

    def _settle(self, seat: Sitting, lease: Lease, now: int, ends: int = 0) -> None:
        stream = lease.ask.stream_id
        is_current = (lease.generation, lease.move) == (seat.generation, seat.move)
        if is_current and stream != seat.stream:
            seat.stream, seat.move = stream, seat.move + 1
        if ends and is_current:
            self._give_back(seat, ends)
        until = now + EXPIRY
        seat.expires = until if seat.last is None else max(seat.expires, until)
        seat.last = max(seat.last or 0, now)
        seat.open_leases.clear()

    def _give_back(self, seat: Sitting, ends: int) -> None:
        """The last segment of a stream that plays for *ends* was received: was it watched?"""
        started = (seat.stream, seat.started) if not seat.move and seat.revives is None else None
        paid = seat.paid or started
        if paid is None or paid[0] != seat.stream or not paid[1] or self.now - paid[1] < ends - 3 * X:
            return
        self.model.budget.give_back(self.model.limit, self.now)
        seat.paid = (seat.stream, 0)

    @precondition(lambda self: self.leases)
    @rule(which=WHICH, twice=st.booleans())
    def hang_up(self, which: int, twice: bool) -> None:
        lease = self._lease(which)
        for _ in range(1 + twice):
            self._hang_up(lease)

    def _hang_up(self, lease: Lease) -> None:
        self._note(self.call(lambda: self.store.abandon(lease)))
        seat = self.model.seats.get(lease.ask.session_id)
        if seat is None or seat.generation != lease.generation:
            return
        if lease.ask.lease_id in seat.open_leases:
            seat.open_leases.remove(lease.ask.lease_id)
            if not seat.open_leases:
                del self.model.seats[lease.ask.session_id]

    @precondition(lambda self: self.leases)
    @rule(which=WHICH)
    def make_progress(self, which: int) -> None:
        lease = self._lease(which)
        answer = self.call(lambda: self.store.prolong(lease))
        seat = self.model.live(self.now).get(lease.ask.session_id)
        if seat is None or lease.generation not in (seat.generation, seat.revives):
            assert isinstance(answer, Gone)
            return
        is_old = (lease.generation, lease.move) != (seat.generation, seat.move)
        if is_old and lease.ask.stream_id != seat.stream:
            assert answer == Gone(State.ACTIVE), "a stream that its session has left was served on"
            return
        assert answer is None
        seat.expires = max(seat.expires, self.now + (START if seat.last is None else EXPIRY))

    @rule(name=SESSIONS)
    def end(self, name: str) -> None:
        self._note(self.call(lambda: self.store.end(self.user, name)))
        self._lapse()
        if name in self.model.seats:
            self.model.send_away(name, State.ENDED, self.now)

    @rule(name=st.none() | SESSIONS)
    def terminate(self, name: str | None) -> None:
        self._note(self.call(lambda: self.store.terminate(self.user, name, "operator", "test")))
        self._lapse()
        for gone in [name] if name is not None else list(self.model.seats):
            if gone in self.model.seats:
                self.model.send_away(gone, State.TERMINATED, self.now)

    @rule(max_sessions=st.none() | st.integers(1, 4))
    def set_limit(self, max_sessions: int | None) -> None:
        self.call(lambda: self.store.set_limit(self.user, max_sessions))
        self.model.limit = POLICY.max_sessions if max_sessions is None else max_sessions

    @rule()
    def sweep(self) -> None:
        self._note(self._swept())
        self._lapse()

    @rule(ms=STEPS)
    def wait(self, ms: int) -> None:
        self.clock.now_ms += ms

    @rule(which=WHICH)
    def wait_for_the_very_moment(self, which: int) -> None:
        """When one of the sessions expires, or a millisecond or two before."""
        times = sorted(seat.expires - which % 3 for seat in self.model.live(self.now).values())
        if times:
            self.clock.now_ms = max(self.now, times[which % len(times)])

    # --- what must hold

    @invariant()
    def those_sit_who_should(self) -> None:
        roster = self.call(lambda: self.store.sessions(self.user))
        live = self.model.live(self.now)
        assert roster.limit == self.model.limit
        assert [s.session_id for s in roster.sessions] == sorted(live, key=lambda name: live[name].order)
        for seen in roster.sessions:
            seat = live[seen.session_id]
            assert (seen.generation, seen.move, seen.stream_id) == (seat.generation, seat.move, seat.stream)
            assert (seen.last_activity_ms, seen.expires_at_ms) == (seat.last, seat.expires)
            assert seen.state is _state(seat, self.now)

    @invariant()
    def last_activity_never_goes_back(self) -> None:
        for name, seat in self.model.seats.items():
            if seat.last is not None:
                key = (name, seat.generation)
                assert seat.last >= self.seen_last.get(key, 0)
                self.seen_last[key] = seat.last

    @invariant()
    def each_lost_seat_made_one_event(self) -> None:
        lost = [(e.session.session_id, e.session.generation) for e in self.events if e.type in LOSSES]
        assert len(lost) == len(set(lost)), "a lost seat made two events"
        held = {(name, seat.generation) for name, seat in self.model.seats.items()}
        assert set(lost) | held == set(self.generations), "a seat was lost without an event"
        assert not set(lost) & held, "a seat that is held was told to be lost"

    def teardown(self) -> None:
        try:
            self.clock.now_ms += 10 * EXPIRY
            self.sweep()
            self.each_lost_seat_made_one_event()
            ids = [event.id for event in self.events]
            assert len(ids) == len(set(ids)), "two changes made one event id"
            pending = self.call(lambda: self.store.pending())
            assert pending - self.told_before == len(ids), "the outbox does not hold what was told"
        finally:
            for store in self.stores.values():
                with suppress(Exception):
                    self.call(store.close)
            self.loop.close()

    # --- help

    def _lease(self, which: int) -> Lease:
        """Mostly one of the newest, sometimes a very old one."""
        recent = self.leases[-6:] if which % 4 else self.leases
        return recent[which % len(recent)]

    def _new_generation(self, name: str, generation: int) -> None:
        assert (name, generation) not in self.generations, "two seats of one generation"
        self.generations[name, generation] = name

    def _lapse(self) -> None:
        """What is past its time has been taken out by the step that was just made."""
        for name in [name for name, seat in self.model.seats.items() if seat.expires <= self.now]:
            del self.model.seats[name]

    def _note(self, events: tuple[Event, ...]) -> None:
        self.events += [event for event in events if event.session.user_id == self.user]

    def _swept(self) -> tuple[Event, ...]:
        return tuple(event for events in self._sweeps() for event in events)

    def _sweeps(self) -> Iterator[tuple[Event, ...]]:
        while True:
            swept = self.call(lambda: self.store.expire(10))
            yield swept.events
            if not swept.more:
                return


def _state(seat: Sitting, now: int) -> State:
    if seat.last is None:
        return State.STARTING
    return State.ACTIVE if now - seat.last < X else State.IDLE


def machine_of(opener: Callable[..., Any]) -> type[StoreMachine]:
    """The machine against the stores that *opener*(policy=…, subscribed=…, clock=…) opens."""

    class Machine(StoreMachine):
        open_store = staticmethod(opener)

    return Machine
