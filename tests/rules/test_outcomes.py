"""What holds for every rule at once, on long random walks of one ledger: states move as the model says
they may, and a rule says whether it changed anything (what it says it did not, a store does not write)."""

import random
from collections.abc import Callable
from itertools import pairwise

import msgspec
import pytest

from streamlimit import rules
from streamlimit.model import Admitted, Ask, Confirmed, Event, Lease, Purpose, Receipt, Refusal, State
from streamlimit.policy import DRY_RUN_SEATS, OverLimit, Policy
from streamlimit.rules.grants import Grants, revoke
from streamlimit.rules.ledger import Ledger, Outcome

X, START_MS = 1_000, 1_750_000_000_000
LEGAL_MOVES: dict[State, frozenset[State]] = {
    State.STARTING: frozenset({State.ACTIVE, State.ENDED, State.TERMINATED, State.ABANDONED}),
    State.ACTIVE: frozenset({State.IDLE, State.EXPIRED, State.ENDED, State.TERMINATED}),
    State.IDLE: frozenset({State.ACTIVE, State.EXPIRED, State.ENDED, State.TERMINATED}),
    State.EXPIRED: frozenset(),
    State.ENDED: frozenset(),
    State.TERMINATED: frozenset(),
    State.ABANDONED: frozenset(),
}

POLICIES = [
    Policy(
        segment_ms=X,
        missed_segments=3,
        start_ms=1_500,
        over_limit=over,
        max_returns=returns,
        buffer_ms=ahead,
        visit_burst=1,
    )
    for over, returns, ahead in [
        (OverLimit.REFUSE, 0, 0),
        (OverLimit.REPLACE_IDLE, 2, 2 * X),
        (OverLimit.REPLACE_OLDEST, 1, 0),
    ]
]
LIVE = frozenset({State.STARTING, State.ACTIVE, State.IDLE})


class Walk:
    """One user's life by dice: each step is one rule on one ledger."""

    def __init__(self, policy: Policy, seed: int) -> None:
        self.policy, self.dice, self.now = policy, random.Random(seed), START_MS
        self.ledger, self.leases = Ledger(), list[Lease]()
        self.states: dict[tuple[str, int], list[State]] = {}

    def step(self) -> Outcome[object]:
        self.now += self.dice.choice([0, 1, 1, 10, X // 2, X, 3 * X])
        before = msgspec.json.encode(self.ledger)
        outcome = self.dice.choices(
            [self.admit, self.with_lease(self.confirm), self.with_lease(self.abandon), self.with_lease(self.prolong),
             self.leave, self.sweep],
            [6, 8, 3, 2, 1, 1],
        )[0]()  # fmt: skip
        is_as_before = msgspec.json.encode(self.ledger) == before
        if not outcome.changed:
            assert is_as_before, "changed, and said it was not"
            assert outcome.events == ()
        elif not isinstance(outcome.answer, Confirmed):  # a receipt twice in a millisecond is written twice
            assert not is_as_before, "said that it changed, and did not"
        self.observe(outcome.events)
        return outcome

    def admit(self) -> Outcome[object]:
        ask = Ask(
            "user",
            self.dice.choice(["tv", "phone", "pad", "box", "pc"]),
            self.dice.choice(["news", "film"]),
            purpose=self.dice.choice([Purpose.LEASE, Purpose.LEASE, Purpose.SEAT, Purpose.CHECK]),
            lease_id=f"lease-{len(self.leases)}",
            client=self.dice.choice(["home", "office"]),
            sequence=self.dice.randrange(5),
            play=self.dice.choice([0, 1, 2]),
            replace=self.dice.choice([None, None, "tv"]),
        )
        outcome = rules.admit(self.ledger, ask, self.policy, self.now)
        if isinstance(outcome.answer, Admitted) and outcome.answer.lease is not None:
            self.leases.append(outcome.answer.lease)
        return outcome

    def with_lease(self, rule: Callable[[Lease], Outcome[object]]) -> Callable[[], Outcome[object]]:
        return lambda: rule(self.dice.choice(self.leases[-8:])) if self.leases else self.admit()

    def confirm(self, lease: Lease) -> Outcome[object]:
        sequence = lease.ask.sequence
        return rules.confirm(self.ledger, Receipt(lease, f"{sequence}.m4s", sequence, play_ms=X), self.policy, self.now)

    def abandon(self, lease: Lease) -> Outcome[object]:
        return rules.abandon(self.ledger, lease, self.policy, self.now)

    def prolong(self, lease: Lease) -> Outcome[object]:
        return rules.prolong(self.ledger, lease, self.policy, self.now)

    def leave(self) -> Outcome[object]:
        if self.dice.random() < 0.5:
            return rules.end(self.ledger, "user", "tv", self.policy, self.now)
        return rules.terminate(self.ledger, "user", "phone", "operator", "", self.policy, self.now)

    def sweep(self) -> Outcome[object]:
        return rules.expire(self.ledger, "user", self.policy, self.now)

    def observe(self, events: tuple[Event, ...]) -> None:
        """The states that others saw, of each generation, one after the other."""
        for event in events:
            session = event.session
            self.saw(session.session_id, session.generation, session.state)
        for seat in self.ledger.live(self.now):
            self.saw(seat.session_id, seat.generation, self.policy.state(seat.last_activity_ms, self.now))

    def saw(self, session_id: str, generation: int, state: State) -> None:
        states = self.states.setdefault((session_id, generation), [])
        if not states or states[-1] is not state:
            states.append(state)


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: str(policy.over_limit))
def test_states_move_only_as_the_model_says_they_may(policy: Policy) -> None:
    seen = set()
    for seed in range(20):
        walk = Walk(policy, seed)
        for _ in range(500):
            walk.step()
        for states in walk.states.values():
            seen |= set(pairwise(states))
    assert {(a, b) for a, b in seen if b not in LEGAL_MOVES[a]} == set()
    assert {b for _, b in seen} >= {State.ACTIVE, State.IDLE, State.EXPIRED, State.TERMINATED, State.ABANDONED}


def test_who_is_gone_stays_gone() -> None:
    for state in State:
        assert (not LEGAL_MOVES[state]) == (state not in LIVE)


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: str(policy.over_limit))
def test_a_walk_never_holds_more_seats_than_the_limit(policy: Policy) -> None:
    walk = Walk(policy, seed=99)
    for _ in range(3_000):
        walk.step()
        assert len(walk.ledger.live(walk.now)) <= policy.max_sessions
        assert len({seat.session_id for seat in walk.ledger.seats}) == len(walk.ledger.seats)


def test_a_refusal_in_the_very_millisecond_of_the_termination_is_written_nowhere() -> None:
    ledger, policy, ask = Ledger(), Policy(), Ask("user", "tv", "news", lease_id="lease")
    rules.admit(ledger, ask, policy, START_MS)
    rules.terminate(ledger, "user", "tv", "operator", "", policy, START_MS)
    assert not rules.admit(ledger, ask, policy, START_MS).changed
    assert rules.admit(ledger, ask, policy, START_MS + 1).changed


def test_who_comes_beyond_what_a_dry_run_records_is_written_nowhere() -> None:
    ledger, policy = Ledger(), Policy(enforce=False)
    for number in range(DRY_RUN_SEATS + 1):
        outcome = rules.admit(ledger, Ask("user", f"s{number}", "news", lease_id="lease"), policy, START_MS)
        assert outcome.changed == (number < DRY_RUN_SEATS)


def test_a_refusal_of_the_grant_is_written_nowhere() -> None:
    grants, policy = Grants(), Policy()
    revoke(grants, START_MS, policy, START_MS)
    for ask, code in (
        (Ask("user", "tv", "news", may_start=False), "grant-expired"),
        (Ask("user", "tv", "news", grant_generation=START_MS), "grant-ended"),
    ):
        outcome = rules.admit(Ledger(), ask, policy, START_MS, grants)
        assert isinstance(outcome.answer, Refusal)
        assert (outcome.answer.code, outcome.changed) == (code, False)
