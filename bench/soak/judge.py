"""The judge of a soak: checks from the answers of viewers, and their times, what must hold. No I/O.

A seat counts as held for certain for n·X after a request that was answered with yes and followed by another yes, none
of them degraded: then the store has that receipt, whatever broke since.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

LOSSES = {"expired", "ended", "terminated", "abandoned"}


class Told(NamedTuple):
    """One event as a receiver got it, at least once."""

    id: str
    type: str
    user: str
    session: str
    generation: int


class Finding(NamedTuple):
    """Something that must not be, or that a rule allows (*allowed* says which)."""

    at: float
    what: str
    who: str
    after: str
    allowed: str = ""


@dataclass
class Seat:
    """One session as its player knows it; all are moments of requests."""

    last: float | None = None
    confirmed: float | None = None
    by_worker: dict[int, float] = field(default_factory=dict)


class Judge:
    """Of one run. *life*: n·X; *known*: (n-1)·X, for which a worker that knows a session goes on without the store."""

    def __init__(self, limit: int, life: float, known: float) -> None:
        self._limit, self._life, self._known = limit, life, known
        self._seats: dict[str, dict[str, Seat]] = defaultdict(dict)
        self.findings: list[Finding] = []
        self.watched: set[tuple[str, str]] = set()
        self.counts = Counter[str]()
        self.broken, self.forgetful = "the start", float("-inf")

    def breaks(self, what: str, at: float, forgets: bool = False) -> None:
        """From now on *what* is broken. *forgets*: a replica may take over without the last writes."""
        self.broken = what
        if forgets:
            self.forgetful = at

    def fed(self, user: str, session: str, worker: int, asked: float, at: float, degraded: bool = False) -> None:
        """The session was given what it asked for. Nobody may be fed while others hold all seats for certain."""
        seat = self._seats[user].setdefault(session, Seat())
        seat.by_worker[worker] = asked
        self.counts["degraded" if degraded else "fed"] += 1
        if not degraded:
            if seat.last is not None and asked - seat.last < self._life:
                seat.confirmed = seat.last
                self.watched.add((user, session))
            seat.last = asked
        others = [name for name in self._holding(user, at) if name != session]
        if len(others) >= self._limit:
            self._find(at, "oversold", f"{user}: {session} beside {', '.join(sorted(others))}", self._forgotten(at))

    def refused(self, user: str, session: str, worker: int, code: str, at: float) -> None:
        """It was not. Who holds a seat for certain is not refused."""
        self.counts[code] += 1
        seat = self._seats[user].get(session)
        if seat is not None and self._holds(seat, at):
            allowed = self._forgotten(at) if code == "session-limit" else ""
            if code == "store-unavailable" and at - seat.by_worker.get(worker, float("-inf")) > self._known:
                allowed = "rule 11: came to a worker that never met it, in an outage"
            self._find(at, "sitting refused", f"{user}/{session}: {code}", allowed)
        if code != "store-unavailable":
            self.leaves(user, session)

    def leaves(self, user: str, session: str) -> None:
        """From now on nothing is known of its seat: it ends, is sent away, or was told that it has none."""
        self._seats[user].pop(session, None)

    def roster(self, user: str, sitting: Collection[str], at: float) -> None:
        """Who holds a seat, as the store says."""
        self.counts["rosters"] += 1
        if len(sitting) > self._limit:
            self._find(at, "oversold", f"{user}: {', '.join(sorted(sitting))}", self._forgotten(at))

    def remains(self, what: str, who: Iterable[str], at: float) -> None:
        """What ought to be nobody."""
        for one in who:
            self._find(at, what, one, "")

    def violations(self, what: str) -> int:
        """How many that no rule allows."""
        return sum(found.what == what and not found.allowed for found in self.findings)

    def _find(self, at: float, what: str, who: str, allowed: str) -> None:
        self.findings.append(Finding(at, what, who, self.broken, allowed))

    def _forgotten(self, at: float) -> str:
        """Where a primary was lost lately, its replica may have missed a reservation."""
        return "a failover forgot a seat (many-machines.md)" if at - self.forgetful < self._life else ""

    def _holding(self, user: str, at: float) -> list[str]:
        return [name for name, seat in self._seats[user].items() if self._holds(seat, at)]

    def _holds(self, seat: Seat, at: float) -> bool:
        return seat.confirmed is not None and at - seat.confirmed < self._life


def lost_events(watched: Collection[tuple[str, str]], told: Iterable[Told]) -> list[str]:
    """Who watched and was not told of; who began and is not told to have gone; who went twice."""
    began, went = set[tuple[str, str, int]](), defaultdict[tuple[str, str, int], set[str]](set)
    for event in told:
        seat = event.user, event.session, event.generation
        if event.type == "started":
            began.add(seat)
        elif event.type in LOSSES:
            went[seat].add(event.id)
    names = {(user, session) for user, session, _ in began}
    lost = [f"{user}/{session}: no session.started" for user, session in sorted(set(watched) - names)]
    lost += [f"{user}/{session}: began, never gone" for user, session, g in sorted(began) if not went[user, session, g]]
    return lost + [f"{seat[0]}/{seat[1]}: gone twice" for seat, ids in sorted(went.items()) if len(ids) > 1]


def slope(samples: Collection[tuple[float, float]]) -> float:
    """Least squares: how much more a second."""
    count = len(samples)
    if count < 2:
        return 0.0
    mean_at, mean = (sum(pair[i] for pair in samples) / count for i in (0, 1))
    spread = sum((at - mean_at) ** 2 for at, _ in samples)
    return sum((at - mean_at) * (value - mean) for at, value in samples) / spread if spread else 0.0
