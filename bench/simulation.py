"""A service in small, as a simulation of discrete events: what viewers ask, whom it refuses, how long they wait.

Players of a seeded workload ask once a segment; workers remember whom they confirmed lately, and ask the store for
everybody else; users have seats. Processes share cores; the work of each queues in the order in which it comes. What
a piece of work costs is given; everything else follows. No clock, no I/O: moments are numbers, in seconds.
"""

import random
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from typing import NamedTuple

BEAT, SEGMENT, END = "heartbeat", "segment", "end"


@dataclass(frozen=True)
class Audience:
    """Who watches, and how. *fourth*: the share of users with one player more than there are seats."""

    users: int
    segment_seconds: float = 6.0
    missed_segments: int = 3
    limit: int = 3
    fourth: float = 0.25
    segments: float = 0.3
    """The share of requests that are segments; the others are heartbeats."""
    strays: float = 0.1
    """The share of requests that come to a worker by chance, not to the one that the user is sent to."""
    zap_seconds: float = 60.0
    life_seconds: tuple[float, float] = (40.0, 200.0)
    ends: float = 0.5
    """The share of sessions that say when they end; the others fall silent."""
    streams: int = 20
    workers: int = 2
    jitter: float = 0.05
    """How much sooner or later than X a player asks again, as a share of it."""

    @property
    def expiry(self) -> float:
        """n·X."""
        return self.segment_seconds * self.missed_segments

    @property
    def fresh(self) -> float:
        """(n-1)·X, for which a worker goes on from what it knows."""
        return self.segment_seconds * (self.missed_segments - 1)

    @property
    def players(self) -> int:
        return self.users * self.limit + round(self.users * self.fourth)


class Request(NamedTuple):
    """What one player asks at one moment, whatever it was answered before."""

    at: float
    worker: int
    user: int
    session: str
    what: str
    stream: int
    number: int
    """Of the segment, for each session anew."""


def workload(audience: Audience, seconds: float, seed: int) -> Iterator[Request]:
    """In the order of time. A player asks every X, seated or not; when its session ends it begins another one."""
    heap: list[tuple[float, int, _Player]] = []
    dice = random.Random(seed)
    for number in range(audience.players):
        player = _Player(audience, random.Random(dice.getrandbits(64)), number)
        heappush(heap, (player.due, number, player))
    while heap and heap[0][0] < seconds:
        _, number, player = heappop(heap)
        yield player.ask()
        heappush(heap, (player.due, number, player))


class _Player:
    def __init__(self, audience: Audience, dice: random.Random, number: int) -> None:
        self._audience, self._dice = audience, dice
        self._user, self._place = number % audience.users, number // audience.users
        self.due = dice.uniform(0, audience.segment_seconds)
        self._lives = 0
        self._begin(self.due - dice.uniform(0, audience.life_seconds[0]))

    def _begin(self, at: float) -> None:
        self._lives, self._number = self._lives + 1, 0
        self._over = at + self._dice.uniform(*self._audience.life_seconds)
        self._stream, self._zap = self._dice.randrange(self._audience.streams), self._next_zap(at)

    def ask(self) -> Request:
        """The request that is due; the next one is a segment later."""
        at, audience = self.due, self._audience
        self.due += audience.segment_seconds * self._dice.uniform(1 - audience.jitter, 1 + audience.jitter)
        session = f"tv-{self._place}-{self._lives}"
        stray = self._dice.random() < audience.strays
        worker = self._dice.randrange(audience.workers) if stray else self._user % audience.workers
        if at >= self._over:
            asked = Request(at, worker, self._user, session, END, self._stream, self._number)
            self._begin(self.due)
            if self._dice.random() < audience.ends:
                return asked
            session = f"tv-{self._place}-{self._lives}"
        elif at >= self._zap:
            self._stream, self._zap = (self._stream + 1) % audience.streams, self._next_zap(at)
        what = SEGMENT if self._dice.random() < audience.segments else BEAT
        self._number += 1
        return Request(at, worker, self._user, session, what, self._stream, self._number - 1)

    def _next_zap(self, at: float) -> float:
        return at + self._dice.uniform(0.5, 1.5) * self._audience.zap_seconds


class Handled(NamedTuple):
    """How a request is answered. *waits* for a call of the store, and makes so many *calls* of it in all."""

    kind: str
    refused: bool
    waits: int
    calls: int


@dataclass
class _Seat:
    last: float


@dataclass
class Service:
    """Seats of users, and what each worker remembers: enough to tell whom the store is asked for."""

    audience: Audience
    _seats: dict[int, dict[str, _Seat]] = field(default_factory=dict)
    _known: dict[tuple[int, int, str], tuple[float, int]] = field(default_factory=dict)

    def handle(self, request: Request) -> Handled:
        """At the moment of the request."""
        seats = self._seats.setdefault(request.user, {})
        me = request.worker, request.user, request.session
        if request.what == END:
            seats.pop(request.session, None)
            self._known.pop(me, None)
            return Handled("end", False, 1, 1)
        self._expire(seats, request.at)
        known_at, stream = self._known.get(me, (float("-inf"), -1))
        if request.at - known_at < self.audience.fresh and stream == request.stream:
            self._sit(seats, request, me)
            return Handled(f"{request.what}, known", False, 0, 1)
        if request.session not in seats and len(seats) >= self.audience.limit:
            self._known.pop(me, None)
            return Handled(f"{request.what}, refused", True, 1, 1)
        self._sit(seats, request, me)
        return Handled(f"{request.what}, asked", False, 1, 1 if request.what == BEAT else 2)

    def _sit(self, seats: dict[str, _Seat], request: Request, me: tuple[int, int, str]) -> None:
        seats[request.session] = _Seat(request.at)
        self._known[me] = request.at, request.stream

    def _expire(self, seats: dict[str, _Seat], at: float) -> None:
        for session in [name for name, seat in seats.items() if at - seat.last >= self.audience.expiry]:
            del seats[session]


class Work(NamedTuple):
    """A piece of a request: so long in that process. In none it is a mere delay."""

    process: str
    seconds: float


@dataclass(frozen=True)
class Process:
    """What works on a core, one process at a time.

    *has_loop*: it takes all that has come as one batch and hands it on at the batch's end, as an event loop does that
    writes at the end of an iteration (uvloop, and Valkey's). Without, it hands on piece by piece. *yields*: it works
    only when no other process of its core has anything to do.
    """

    core: str
    has_loop: bool = True
    yields: bool = False


Stages = Callable[[Handled, Request, random.Random], Sequence[Work]]


class Outcome(NamedTuple):
    """What came of a workload; `waits` by moment of answering, `busy` by core."""

    kinds: Counter[str]
    refused: int
    calls: int
    waits: list[float]
    busy: Mapping[str, float]

    @property
    def requests(self) -> int:
        return self.kinds.total()

    def part(self, share: float) -> float:
        """Of all waits, the one that so many are shorter than."""
        return sorted(self.waits)[int(len(self.waits) * share)]


class _Job(NamedTuple):
    """What is left of a request's work."""

    asked: float
    stages: Sequence[Work]


class _Cores:
    """Jobs on their way through the processes of some cores; *since*: only waits of what is asked later are kept."""

    def __init__(self, processes: Mapping[str, Process], since: float) -> None:
        self._processes, self._since = processes, since
        self._inboxes: dict[str, deque[tuple[float, _Job]]] = {name: deque() for name in processes}
        self._of: dict[str, list[str]] = {}
        for name, process in processes.items():
            self._of.setdefault(process.core, []).append(name)
        self._running: set[str] = set()
        self._events: list[tuple[float, int, str, list[_Job]]] = []
        self._numbers = count()
        self.busy = dict.fromkeys(self._of, 0.0)
        self.waits: list[float] = []

    def enter(self, at: float, job: _Job) -> None:
        """The next piece of the *job* is there to be done."""
        if not job.stages:
            if job.asked >= self._since:
                self.waits.append(at - job.asked)
            return
        work = job.stages[0]
        if not work.process:
            self._later(at + work.seconds, "", [job])
            return
        self._inboxes[work.process].append((at, job))
        self._begin(self._processes[work.process].core, at)

    def advance(self, until: float) -> None:
        """All that happens up to then."""
        while self._events and self._events[0][0] <= until:
            at, _, process, jobs = heappop(self._events)
            core = self._processes[process].core if process else ""
            self._running.discard(core)
            for job in jobs:
                self.enter(at, _Job(job.asked, job.stages[1:]))
            if core:
                self._begin(core, at)

    def _begin(self, core: str, at: float) -> None:
        """An idle core takes the process that has waited longest, of those that do not yield to another."""
        waiting = [name for name in self._of[core] if self._inboxes[name]]
        if core in self._running or not waiting:
            return
        process = min(waiting, key=lambda name: (self._processes[name].yields, self._inboxes[name][0][0]))
        inbox = self._inboxes[process]
        batch = [inbox.popleft()[1] for _ in range(len(inbox) if self._processes[process].has_loop else 1)]
        seconds = sum(job.stages[0].seconds for job in batch)
        self.busy[core] += seconds
        self._running.add(core)
        self._later(at + seconds, process, batch)

    def _later(self, at: float, process: str, jobs: list[_Job]) -> None:
        heappush(self._events, (at, next(self._numbers), process, jobs))


def simulate(
    requests: Iterator[Request],
    service: Service,
    stages: Stages,
    processes: Mapping[str, Process],
    seed: int,
    since: float = 0.0,
) -> Outcome:
    """Each request goes through its stages in the *processes*. *since*: only what is asked later counts."""
    dice, cores = random.Random(seed), _Cores(processes, since)
    kinds, refused, calls = Counter[str](), 0, 0
    for request in requests:
        cores.advance(request.at)
        handled = service.handle(request)
        cores.enter(request.at, _Job(request.at, stages(handled, request, dice)))
        if request.at >= since:
            kinds[handled.kind] += 1
            refused, calls = refused + handled.refused, calls + handled.calls
    cores.advance(float("inf"))
    return Outcome(kinds, refused, calls, cores.waits, cores.busy)
