"""The position is that of the request admitted last, whatever the delays between worker and store (rule 3).

Workers with a real store on a file, each at the end of a line of its own; time is the event loop's, and jumps.
"""

import asyncio
import random
from collections.abc import Callable, Iterable, Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from streamlimit.cache import CachingStore, OutagePolicy
from streamlimit.model import Admitted, Ask, Lease, Receipt
from streamlimit.policy import Policy
from streamlimit.store.contract import resolved
from streamlimit.store.sqlite import SqliteStore

POLICY = Policy(max_sessions=3, segment_ms=6_000, missed_segments=3, start_ms=6_000)
BEFORE_THE_EPOCH = 1_750_000_000_000
"""What the store's clock is ahead of the loop's (ms)."""

_apart = 1e-6
"""Seconds between two arrivals on one line: it keeps their order."""


class Loop(asyncio.SelectorEventLoop):
    """Nobody waits: where nothing is to be done the time of the next thing to do has come."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 5_000.0003

    def time(self) -> float:
        return self._now

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:  # type: ignore[attr-defined]
            self._now = max(self._now, self._scheduled[0].when())  # type: ignore[attr-defined]
        super()._run_once()  # type: ignore[misc]


@pytest.fixture(autouse=True)
def loop_factory() -> type[Loop]:
    """What the tests here run in."""
    return Loop


class Line:
    """The *store* at the end of a line: each word there takes the next of *there*, each answer of *back* (ms)."""

    def __init__(self, store: SqliteStore, there: Iterable[float], back: Iterable[float]) -> None:
        self._store, self._there, self._back = store, cycle(there), cycle(back)
        self._arrived = self._left = 0.0

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*args: Any) -> "asyncio.Future[Any]":
            loop = asyncio.get_running_loop()
            answer = loop.create_future()
            self._arrived = max(self._arrived + _apart, loop.time() + next(self._there) / 1_000)
            loop.call_at(self._arrived, self._arrive, answer, name, args)
            return answer

        return call

    def report(self, receipt: Receipt, heard: Callable[[Any], None]) -> None:
        self.confirm(receipt).add_done_callback(lambda answer: answer.cancelled() or heard(answer.result()))

    def _arrive(self, answer: "asyncio.Future[Any]", name: str, args: tuple[Any, ...]) -> None:
        loop = asyncio.get_running_loop()
        self._left = max(self._left + _apart, loop.time() + next(self._back) / 1_000)
        loop.call_at(self._left, answer.set_result, getattr(self._store, name)(*args))


class Scene:
    """Workers on one store."""

    def __init__(self, path: Path) -> None:
        self.set_ms = 0
        clock = lambda: BEFORE_THE_EPOCH + self.set_ms + int(now() * 1_000)  # noqa: E731
        self.store = SqliteStore(str(path), POLICY, clock=clock)

    def worker(self, there: Iterable[float], back: Iterable[float]) -> CachingStore:
        line: Any = Line(self.store, there, back)
        return CachingStore(line, POLICY, OutagePolicy(spares=True), clock=now)

    @property
    def position(self) -> int | None:
        """The session's, by the store."""
        return self.store.sessions("u").sessions[0].sequence


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path / "order.db")
    yield made
    made.store.close()


def now() -> float:
    return asyncio.get_running_loop().time()


async def pass_ms(milliseconds: float) -> None:
    await asyncio.sleep(milliseconds / 1_000)


async def admit(worker: CachingStore, number: int | None) -> tuple[Lease, int]:
    """Of the segment of that *number*, or of the next one: the lease, and which it is."""
    ask = Ask("u", "tv", "a", lease_id=f"l{now()}", sequence=number, wants_next=number is None)
    admitted: Any = await resolved(worker.admit(ask))
    assert isinstance(admitted, Admitted)
    assert admitted.lease is not None
    assert admitted.session is not None
    if number is None:
        number = -1 if admitted.session.sequence is None else admitted.session.sequence
        number += 1
    return admitted.lease, number


async def confirm(worker: CachingStore, lease: Lease, number: int) -> None:
    await resolved(worker.confirm(Receipt(lease, f"{number}.ts", number)))


async def play(worker: CachingStore, number: int | None, delivery_ms: float = 1.1) -> int:
    """One request, alone; says which segment it was issued."""
    lease, issued = await admit(worker, number)
    await pass_ms(delivery_ms)
    await confirm(worker, lease, issued)
    await pass_ms(0.1)
    return issued


def delays(seed: int, most: float = 30.0) -> list[float]:
    dice = random.Random(seed)
    return [dice.uniform(0, most) for _ in range(37)]


@pytest.mark.parametrize("seed", range(20))
async def test_after_named_segments_the_next_one_is_issued_on_a_line_that_varies(scene: Scene, seed: int) -> None:
    worker, pauses = scene.worker(delays(seed), delays(seed + 100)), random.Random(seed)
    for number in range(100):
        is_named = number % 5 != 0
        assert await play(worker, number if is_named else None) == number
        await pass_ms(pauses.choice([0, 3, 25]))
    await pass_ms(150)
    assert scene.position == 99


async def test_a_slow_answer_among_quick_ones_dates_nothing_back(scene: Scene) -> None:
    """What was guessed on the slow line is ahead of the store's own clock when the line is quick again."""

    worker = scene.worker([0, 40, 0, 0], [0])
    for number in range(12):
        await play(worker, number, delivery_ms=0.2)
    assert await play(worker, None) == 12
    await pass_ms(150)
    assert scene.position == 12


async def test_what_the_store_dates_itself_is_not_before_what_was_guessed(scene: Scene) -> None:
    """All words there were slow, so the guess is ahead; then the line is quick, and the store is asked itself."""

    worker = scene.worker([40, 40, 40, 0, 0, 0, 0, 0, 0, 0, 0, 0], [0])
    for number in range(2):
        await play(worker, number)
        await pass_ms(60)
    await play(worker, 2)
    assert [await play(worker, None) for _ in range(3)] == [3, 4, 5]


@pytest.mark.parametrize("set_ms", [5_000, -300])
async def test_a_worker_follows_a_store_whose_clock_was_set(scene: Scene, set_ms: int) -> None:
    worker = scene.worker([1, 7, 2], [3, 1])
    for number in range(6):
        await play(worker, number)
    scene.set_ms = set_ms
    for number in range(6, 40):
        assert await play(worker, number if number % 4 else None) == number
        await pass_ms(number % 3 * 10)
    await pass_ms(150)
    assert scene.position == 39


@pytest.mark.parametrize("named", ["named", "unnamed", "by turns"])
@pytest.mark.parametrize("far_ms", [0.2, 5, 30])
async def test_a_session_that_changes_between_a_near_and_a_far_worker(scene: Scene, far_ms: float, named: str) -> None:
    workers = scene.worker([0.2], [0.2]), scene.worker([far_ms], [far_ms])
    for number in range(20):
        is_named = named == "named" or (named == "by turns" and number % 3 != 0)
        issued = await play(workers[number % 2], number if is_named else None)
        assert issued == number
        await pass_ms(2 * far_ms)  # so that the store knows of it before the next one is asked for
    await pass_ms(150)
    assert scene.position == 19


@pytest.mark.parametrize("seed", range(5))
async def test_a_session_that_changes_between_workers_without_a_pause(scene: Scene, seed: int) -> None:
    """Named segments alone: the far worker's words may come last, and are not taken for the last ones."""

    workers = scene.worker([0.2], [0.2]), scene.worker([10], [10])
    order = random.Random(seed)
    for number in range(40):
        await play(workers[order.randrange(2)], number)
    await pass_ms(150)
    assert scene.position == 39


@pytest.mark.parametrize("seed", range(20))
async def test_of_requests_that_overlap_the_one_admitted_later_says_where_the_player_is(
    scene: Scene, seed: int
) -> None:
    worker, pauses = scene.worker(delays(seed), delays(seed + 100)), random.Random(seed)
    await play(worker, 0)
    for number in range(10, 100, 10):
        far, _ = await admit(worker, number)
        await pass_ms(1.2)
        sought, _ = await admit(worker, number - 7)  # the viewer goes back
        await pass_ms(1.2)
        await confirm(worker, sought, number - 7)
        await confirm(worker, far, number)
        await pass_ms(pauses.choice([0, 3, 25]))
    await pass_ms(150)
    assert scene.position == 83
