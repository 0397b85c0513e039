"""One user's ledger: the sessions that hold seats, and the marks of those that are gone. Knows no rule.

A store reads a `Ledger`, lets rules work on it, and writes it back in the same atomic step. The rule owns the ledger
that it is handed and may change it; it says in its `Outcome` whether it did. Where it says no, the ledger is as it was.
`gc=False` as in model.py.
"""

from typing import Any, Generic, TypeVar

from msgspec import Struct, field

from streamlimit.model import Ask, Device, Event, Mark, OwnLimit, Purpose, Session, State, Terms
from streamlimit.policy import Policy

T = TypeVar("T")

LOOK_AGAIN_MS = 60_000
"""The latest due time for a limit that ends later: one further ahead would be taken for an old clock's."""

NOBODYS = ""
"""The session id of the mark that stands for all marks that found no room."""


class Position(Struct, array_like=True):
    """The position of one kind of media (sharing.py defines places), and a digest of the client that fetched it."""

    place: int
    client: str


class Left(Struct, array_like=True):
    """A stream that the session left for another, and when."""

    stream_id: str
    at_ms: int


class Paid(Struct, array_like=True):
    """The visit that a session paid last, after it had started: for which stream, when, and by which play asked for.

    `at_ms` 0: the visit was given back, since the stream was watched to its end.
    """

    stream_id: str
    at_ms: int
    play: int = 0


class Seat(Struct, array_like=True, gc=False):
    """A seat: one session as the store keeps it. `last_activity_ms` None: reserved, nothing received yet.

    It is kept as an array, in this order: a new field goes to the end, with a default.

    `placed_ms`: when the request was admitted whose receipt set the position (segment, sequence).

    `revives` is the generation whose late receipt seated this one again (0: none). `given`: it has a grant.
    `plan`, `limit`: those under which it was last admitted; `is_own`: it was the user's own limit.
    `play`: the one that received last, `is_locked` to it, for plays changed too often (plays.py); `returns`, `repeats`,
    `changes`: when (sharing.py).
    """

    session_id: str
    stream_id: str
    generation: int
    started_at_ms: int
    expires_at_ms: int
    last_activity_ms: int | None = None
    move: int = 0
    revives: int = 0
    segment: str | None = None
    sequence: int | None = None
    placed_ms: int = 0
    device: str | Device | None = None
    ahead_until_ms: int = 0
    leases: list[str] = field(default_factory=list)
    positions: dict[str, Position] = field(default_factory=dict)
    left: list[Left] = field(default_factory=list)
    returns: list[int] = field(default_factory=list)
    given: bool = True  # where a row of an older version does not say
    plan: str | None = None
    limit: int | None = None
    is_own: bool = False
    play: int = 0
    is_locked: bool = False
    changes: list[int] = field(default_factory=list)
    repeats: list[int] = field(default_factory=list)
    paid: Paid | None = None


class Ledger(Struct, array_like=True, gc=False):
    """The ledger of one user. `max_sessions`: the user's own limit, None where the policy's holds.

    `spent_until_ms`: when the user's budget of visits is whole again (visits.py); 0: it is.
    `limit_until_ms`: when the own limit ends (0: never); `limit_said_ms`: the end as it was set, by the wall clock.
    """

    seats: list[Seat] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    max_sessions: int | None = None
    spent_until_ms: int = 0
    limit_until_ms: int = 0
    limit_said_ms: int = 0
    limit_note: str = ""

    def find(self, session_id: str) -> Seat | None:
        """The session's seat, also past its time; None: it has none."""
        for seat in self.seats:
            if seat.session_id == session_id:
                return seat
        return None

    def live(self, now_ms: int) -> list[Seat]:
        """The live seats: a session past its time does not count, swept or not (rule 7)."""
        return [seat for seat in self.seats if seat.expires_at_ms > now_ms]

    def mark_of(self, session_id: str, state: State, now_ms: int) -> Mark | None:
        """The session's newest mark of that state that still holds; None: there is none."""
        for mark in reversed(self.marks):
            if mark.session_id == session_id and mark.state is state and mark.until_ms > now_ms:
                return mark
        return None

    def limit(self, asked: int | None, policy: Policy) -> int:
        """The limit that holds: the user's own, else the asker's (token or plan), else the policy's."""
        if self.max_sessions is not None:
            return self.max_sessions
        return policy.max_sessions if asked is None else asked

    def shown_limit(self, policy: Policy, now_ms: int) -> int:
        """The limit to be shown for the user: their own, else that of the session admitted last."""
        self.mend(policy, now_ms)
        latest = max(self.live(now_ms), key=lambda seat: seat.last_activity_ms or seat.started_at_ms, default=None)
        return self.limit(None if latest is None or latest.is_own else latest.limit, policy)

    def set_limit(self, max_sessions: int | None, terms: Terms, now_ms: int) -> None:
        """Sets the user's own limit, or (None) removes it."""
        if max_sessions is None:
            terms = Terms()
        self.max_sessions, self.limit_note, self.limit_said_ms = max_sessions, terms.note, terms.until_ms or 0
        self.limit_until_ms = 0 if terms.lasts_ms is None else now_ms + terms.lasts_ms

    def own_limit(self, user_id: str, policy: Policy, now_ms: int) -> OwnLimit | None:
        """The user's own limit that holds now; None: there is none."""
        self.mend(policy, now_ms)
        if self.max_sessions is None:
            return None
        left_ms = self.limit_until_ms - now_ms if self.limit_until_ms else None
        return OwnLimit(user_id, self.max_sessions, Terms(left_ms, self.limit_said_ms or None, self.limit_note))

    def due_at_ms(self, now_ms: int) -> int | None:
        """The earliest time (ms) at which anything here lapses, or is to be checked again; None: never."""
        earliest = None
        for seat in self.seats:
            if earliest is None or seat.expires_at_ms < earliest:
                earliest = seat.expires_at_ms
        for mark in self.marks:
            if earliest is None or mark.until_ms < earliest:
                earliest = mark.until_ms
        if earliest is None and self.spent_until_ms:
            return self.spent_until_ms
        if earliest is None and self.limit_until_ms:
            return min(self.limit_until_ms, now_ms + LOOK_AGAIN_MS)
        return earliest

    def mend(self, policy: Policy, now_ms: int) -> None:
        """Lets all lapse that was written before the store's clock went back, since it would never expire.

        An own limit past its end is removed.
        """
        if self.limit_until_ms and self.limit_until_ms <= now_ms:
            self.set_limit(None, Terms(), now_ms)
        if self.spent_until_ms > now_ms + policy.spent_far_ms:
            self.spent_until_ms = 0
        far_ms = now_ms + policy.far_ms
        for seat in self.seats:
            if seat.expires_at_ms > far_ms:
                seat.expires_at_ms = now_ms
        for mark in self.marks:
            if mark.until_ms > far_ms:
                mark.until_ms = now_ms

    def is_blank(self) -> bool:
        """Is the ledger empty, so that no row need be kept?"""
        return not self.seats and not self.marks and self.max_sessions is None and not self.spent_until_ms


class Outcome(Struct, Generic[T], gc=False):
    """The outcome of a rule: its answer, whether the ledger changed, and the events.

    `ended_grants`: the user's ended grants changed. `wants_grants`: nothing is decided yet, since they are needed.
    """

    answer: T
    changed: bool
    events: tuple[Event, ...] = ()
    ended_grants: bool = False
    wants_grants: bool = False


def grants_wanted() -> Outcome[Any]:
    """The outcome of a rule that is to be called again with the ended grants."""
    return Outcome(None, changed=False, wants_grants=True)


def gives_grant(ask: Ask) -> bool:
    """Has the asking session a grant, or is it given one?"""
    return ask.purpose is not Purpose.CHECK and (ask.grant_generation is not None or ask.purpose is Purpose.SEAT)


def admit_under(ledger: Ledger, seat: Seat, ask: Ask, limit: int) -> bool:
    """Admits a session with a seat under the *limit* and the plan of *ask*. Did that change the seat?

    A question that names neither leaves the plan unchanged.
    """
    plan = ask.plan
    if plan is None and ask.limit is None:
        plan = seat.plan
        if plan is not None and ledger.max_sessions is None and not seat.is_own and seat.limit is not None:
            limit = seat.limit
    terms = plan, limit, ledger.max_sessions is not None
    if terms == (seat.plan, seat.limit, seat.is_own):
        return False
    seat.plan, seat.limit, seat.is_own = terms
    return True


def show(user_id: str, seat: Seat, state: State) -> Session:
    """The seat as a `Session`."""
    return Session(  # in its order: names would take as long again
        seat.session_id,
        user_id,
        seat.stream_id,
        state,
        seat.device,
        seat.segment,
        seat.sequence,
        seat.started_at_ms,
        seat.last_activity_ms,
        seat.expires_at_ms,
        seat.generation,
        seat.move,
        seat.plan,
        seat.limit,
        seat.play,
    )


def show_live(user_id: str, ledger: Ledger, policy: Policy, now_ms: int) -> tuple[Session, ...]:
    """All live sessions, oldest first."""
    ledger.mend(policy, now_ms)
    return tuple(show(user_id, seat, policy.state(seat.last_activity_ms, now_ms)) for seat in ledger.live(now_ms))
