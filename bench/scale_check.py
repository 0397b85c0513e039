"""The simulation beside a real run of the same requests: `python -m bench.scale --check` writes results/scale.md.

Single kinds of requests are measured, one after the other: what one costs the workers, the store and the driver (CPU
time), and how long it takes when it is almost alone. From that, and from nothing else of the run, the simulation
predicts how often the store is called, who is refused, and how long all wait. The real service, two workers on a
Valkey server, is asked the very same. Kinds are measured before that run and after it, because machines that others
use as well become slower and faster by the minute; the report says by how much this one did.
"""

import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import NamedTuple

from valkey import Valkey

from bench.programs import Program, streamlimit, valkey
from bench.report import write
from bench.schedule import Due, played
from bench.simulation import (
    BEAT,
    END,
    SEGMENT,
    Audience,
    Handled,
    Outcome,
    Process,
    Request,
    Service,
    Stages,
    Work,
    simulate,
    workload,
)
from tests.streams import make_stream

X, N = 6, 3
WHOLE = 100_000_000
VIEWERS = 20_000
WARM_UP = 2.0 * N * X
"""Until seats, memories and expiries are as they will be."""

SEEN_SECONDS = 40.0
SEGMENTS, SIZE = 60, 2_000
ALONE_SHARE, ALONE_SECONDS, AT_RATE_SECONDS = 0.25, 4.0, 3.0
"""Almost alone: at so small a share of the run's rate nothing queues, and yet no core falls asleep in between."""

PREPARED_A_SECOND = 1_500.0
WORKERS, OTHERS = "workers", "store and driver"
"""The two cores."""

PROCESSES = {"worker 0": Process(WORKERS), "worker 1": Process(WORKERS), "store": Process(OTHERS)}
PROCESSES |= {"driver": Process(OTHERS, has_loop=False, yields=True)}

KNOWN = 3_000
"""Users who are asked for in turns, of the kinds that a worker knows: more than a processor's caches hold."""

WITHIN = 0.2
NOISY = 1.15
FIRST = f"{BEAT}, known"

QUIET = {"sweep_seconds": 0, "report_days": 0, "history_events": 0}
"""What calls the store by time or by event, not by request, is off: the calls of requests are counted."""


class Cost(NamedTuple):
    """Of one kind of request: CPU seconds of workers, store and driver; how long each of some took alone."""

    workers: float
    store: float
    driver: float
    alone: list[float]


@dataclass
class House:
    """Two workers on one core, a server on the other."""

    workers: list[Program]
    store: Program
    client: "Valkey[bytes]"

    def calls(self) -> int:
        """Of scripts, so far, without those that write an event to the feed: each of them appends one."""
        found = self.client.info("commandstats")
        scripts, events = (found.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("evalsha", "xadd"))
        return int(scripts) - int(events)

    def due(self, at: float, request: Request) -> Due:
        return Due(at, self.workers[request.worker].port, text_of(request))


def text_of(request: Request) -> bytes:
    """As HTTP."""
    user, session, stream = f"user-{request.user}", request.session, f"film-{request.stream}"
    path, form = f"/v1/users/{user}/sessions/{session}", {"stream_id": stream}
    if request.what == END:
        path, form = f"{path}/end", {}
    elif request.what == BEAT:
        path = f"{path}/heartbeat"
    else:
        path, form = "/v1/segments", {"user_id": user, "session_id": session, "stream_id": stream}
        form["segment"] = f"{request.number % SEGMENTS}.ts"
    body = json.dumps(form).encode() if form else b""
    head = f"POST {path} HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def check(viewers: int, seed: int = 1) -> Path:
    """Measures, predicts, runs, and writes the table."""
    audience = Audience(users=round(viewers / (3 + 0.25)))
    seconds = WARM_UP + SEEN_SECONDS
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, ExitStack() as stack:
        house = _open(stack, Path(folder))
        rate = audience.players / X
        kinds = _kinds(round(rate * (AT_RATE_SECONDS + ALONE_SHARE * ALONE_SECONDS)))
        before = {name: _measured(house, requests, rate) for name, requests in kinds.items()}
        house.client.flushall()
        real = _run(house, list(workload(audience, seconds, seed)))
        after = {name: _measured(house, requests, rate) for name, requests in kinds.items()}
    costs = {name: _both(before[name], after[name]) for name in kinds}
    asked = workload(audience, seconds, seed)
    predicted = simulate(asked, Service(audience), _stages(costs), PROCESSES, seed, since=WARM_UP)
    return _write(audience, costs, predicted, real, _noise(before, after))


def _both(before: Cost, after: Cost) -> Cost:
    """The mean of two measurements, and the waits of both."""
    means = [(one + other) / 2 for one, other in zip(before[:3], after[:3], strict=True)]
    return Cost(*means, before.alone + after.alone)


def _open(stack: ExitStack, folder: Path) -> House:
    for number in range(Audience(1).streams):
        make_stream(folder / "streams", f"film-{number}", SEGMENTS, SIZE, float(X))
    store = stack.enter_context(valkey())
    settings = {"store": f"valkey://127.0.0.1:{store.port}/0", "segment_seconds": X, "streams": str(folder / "streams")}
    settings |= QUIET
    homes = [folder / str(number) for number in range(Audience(1).workers)]
    for home in homes:
        home.mkdir()
    workers = [stack.enter_context(streamlimit(home, **settings)) for home in homes]
    return House(workers, store, stack.enter_context(Valkey(port=store.port)))


def _kinds(count: int) -> dict[str, tuple[list[Request], list[Request]]]:
    """Of each kind: what is asked before, and what is measured, in turns; *count*: of what can be asked only once."""

    def of(what: str, prefix: int, session: str = "tv", users: int = KNOWN) -> list[Request]:
        return [Request(0, n % 2, prefix + n, session, what, 0, n) for n in range(users)]

    found: dict[str, tuple[list[Request], list[Request]]] = {}
    full = [request for name in "abc" for request in of(BEAT, 1_000_000, name, 1_000)]
    for place, what in enumerate((BEAT, SEGMENT)):
        found[f"{what}, known"] = of(BEAT, 2_000_000), of(what, 2_000_000)
        found[f"{what}, refused"] = full, of(what, 1_000_000, "d", 1_000)
        found[f"{what}, asked"] = [], of(what, (3 + place) * 1_000_000, "tv", count)
    found["end"] = of(BEAT, 5_000_000, "tv", count), of(END, 5_000_000, "tv", count)
    return found


def _measured(house: House, requests: tuple[list[Request], list[Request]], rate: float) -> Cost:
    """CPU time at the rate of the run; the time that it takes alone, without the first ones, which find cold caches."""
    before, asked = requests
    few, many = round(rate * ALONE_SHARE * ALONE_SECONDS), round(rate * AT_RATE_SECONDS)
    house.client.flushall()
    if before:
        played([house.due(n / PREPARED_A_SECOND, request) for n, request in enumerate(before)])
    alone = played([house.due(n / rate / ALONE_SHARE, asked[n % len(asked)]) for n in range(few)])
    cpu = _cpu(house)
    full = played([house.due(n / rate, asked[(few + n) % len(asked)]) for n in range(many)])
    workers, store = (after - then for after, then in zip(_cpu(house), cpu, strict=True))
    took = [each.took for each in alone.answers[few // 10 :]]
    return Cost(workers / many, store / many, full.cpu_seconds / many, took)


def _cpu(house: House) -> tuple[float, float]:
    return sum(worker.cpu_seconds() for worker in house.workers), house.store.cpu_seconds()


def _noise(before: dict[str, Cost], after: dict[str, Cost]) -> str:
    """How different the machine was after the run, by the work of all kinds and by the most usual one's waits."""
    work = [sum(sum(cost[:3]) for cost in costs.values()) for costs in (before, after)]
    waits = [median(costs[FIRST].alone) for costs in (before, after)]
    spread = max(max(each) / min(each) for each in (work, waits))
    words = f"Noise: measured before the run and after it, kinds of requests differed by {spread - 1:.0%}"
    return words + (". **Too noisy to believe the waits.**" if spread > NOISY else ".")


def _stages(costs: dict[str, Cost]) -> Stages:
    """Work of the processes, and the time that nothing explains: what such a request took alone, less its work.

    Work varies as the time alone did: caches miss, tables grow, garbage is collected.
    """
    means = {kind: fmean(cost.alone) for kind, cost in costs.items()}

    def stages(handled: Handled, request: Request, dice: random.Random) -> Sequence[Work]:
        cost, worker = costs[handled.kind], f"worker {request.worker}"
        alone = dice.choice(cost.alone)
        longer = alone / means[handled.kind]
        rest = max(alone - (cost.workers + cost.store + cost.driver) * longer, 0.0)
        half = Work("driver", cost.driver / 2 * longer)
        store, delay = Work("store", cost.store * longer), Work("", rest)
        if not handled.waits:
            return [half, Work(worker, cost.workers * longer), delay, store, half]
        work = Work(worker, cost.workers / 2 * longer)
        return [half, work, store, work, delay, half]

    return stages


class Real(NamedTuple):
    """What the run found, of what was asked after the warm-up."""

    requests: int
    refused: int
    errors: int
    calls: float
    waits: list[float]
    busy: dict[str, float]


def _run(house: House, requests: list[Request]) -> Real:
    idle, marks = _idle_calls(house), list[tuple[int, tuple[float, float]]]()

    def mark() -> None:
        marks.append((house.calls(), _cpu(house)))

    found = played([house.due(request.at, request) for request in requests], WARM_UP, mark)
    mark()
    (calls_before, cpu_before), (calls_after, cpu_after) = marks
    seen = [answer for answer, request in zip(found.answers, requests, strict=True) if request.at >= WARM_UP]
    statuses = Counter(answer.status for answer in seen)
    seconds = requests[-1].at - WARM_UP
    workers, store = (after - before for after, before in zip(cpu_after, cpu_before, strict=True))
    return Real(
        len(seen),
        statuses[409],
        len(seen) - statuses[200] - statuses[204] - statuses[409],
        calls_after - calls_before - idle * seconds,
        [answer.took for answer in seen],
        {"workers": workers / seconds, "store": store / seconds},
    )


def _idle_calls(house: House) -> float:
    """A second, of workers that nobody asks anything: they sweep."""
    before = house.calls()
    time.sleep(2 * X)
    return (house.calls() - before) / (2 * X)


def _write(audience: Audience, costs: dict[str, Cost], predicted: Outcome, real: Real, noise: str) -> Path:
    rows = ["| | predicted | measured | ratio | |", "|---|---|---|---|---|"]
    rows += [_row(*each) for each in _figures(predicted, real)]
    of_kinds = [
        "| kind | of the requests | worker (µs) | store (µs) | driver (µs) | almost alone (ms) |",
        "|---|---|---|---|---|---|",
    ]
    for name, cost in costs.items():
        share = f"{predicted.kinds[name] / predicted.requests:.1%}"
        micros = " | ".join(f"{1e6 * each:.0f}" for each in (cost.workers, cost.store, cost.driver))
        of_kinds.append(f"| {name} | {share} | {micros} | {1e3 * median(cost.alone):.2f} |")
    share = predicted.busy[WORKERS] / (WARM_UP + SEEN_SECONDS)
    busy = f"The workers' core was busy for {real.busy['workers']:.0%} of the time (predicted: {share:.0%}), the store"
    busy += f" for {real.busy['store']:.0%} of the other one."
    parts = [_how(audience, real), "\n".join(rows), noise, busy, "\n".join(of_kinds)]
    return write("scale", "The simulation beside a real run", parts)


HOW = """`python -m bench.scale --check {players}`: {players:,} players at X = {X} s, 1/{part:,} of 100 million, on two
cores: two workers on one, a Valkey server and the driver on the other. {requests:,} requests in {seconds:.0f} s after
a warm-up of {warm:.0f} s, errors: {errors}. {fourth:.0%} of the users have a player too many, {strays:.0%} of the
requests come to any worker, {segments:.0%} are segments of {size:,} bytes, the others heartbeats; a player zaps about
every {zap:.0f} s. The simulation (bench/simulation.py) knows the costs below, measured one kind at a time, and nothing
of the run."""


def _how(audience: Audience, real: Real) -> str:
    return HOW.format(
        players=audience.players,
        X=X,
        part=WHOLE // audience.players,
        requests=real.requests,
        seconds=SEEN_SECONDS,
        warm=WARM_UP,
        errors=real.errors,
        fourth=audience.fourth,
        strays=audience.strays,
        segments=audience.segments,
        size=SIZE,
        zap=audience.zap_seconds,
    )


def _figures(predicted: Outcome, real: Real) -> list[tuple[str, float, float, str]]:
    waits = sorted(real.waits)
    return [
        ("refused, of all requests", predicted.refused / predicted.requests, real.refused / real.requests, ".2%"),
        ("calls of the store a request", predicted.calls / predicted.requests, real.calls / real.requests, ".3f"),
        ("half of all waited at most (ms)", 1e3 * predicted.part(0.5), 1e3 * waits[len(waits) // 2], ".3f"),
        ("99 % waited at most (ms)", 1e3 * predicted.part(0.99), 1e3 * waits[len(waits) * 99 // 100], ".3f"),
    ]


def _row(name: str, predicted: float, measured: float, form: str) -> str:
    ratio = predicted / measured
    within = "within 20 %" if abs(ratio - 1) <= WITHIN else "**off**"
    return f"| {name} | {predicted:{form}} | {measured:{form}} | {ratio:.2f} | {within} |"
