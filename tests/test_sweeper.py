"""The sweep in steps: bounded, each event once, viewers first. How sessions expire is in the stores' contract."""

import asyncio

from streamlimit import sweeper
from streamlimit.limiter import Limiter
from streamlimit.model import Event, Session, State, Swept


def gone(number: int) -> Event:
    session = Session("tv", f"user-{number}", "news", State.EXPIRED, None, None, None, 0, 0, 0, 0, 0)
    return Event("session.expired", session, 0, "idle")


class Steps:
    """A store with nothing but a sweep, in steps that are given."""

    def __init__(self, *steps: Swept) -> None:
        self.left = list(steps)
        self.turns_of_others: list[int] = []
        self._turns = 0

    def expire(self, at_most: int) -> Swept:
        self.turns_of_others.append(self._turns)
        return self.left.pop(0)

    async def somebody_else(self) -> None:
        while self.left:
            self._turns += 1
            await asyncio.sleep(0)


def sweep(store: Steps, **how: object) -> sweeper.Sweep:
    async def run() -> sweeper.Sweep:
        other = asyncio.create_task(store.somebody_else())
        await asyncio.sleep(0)
        swept = await sweeper.expire_once(Limiter(store), **how)  # type: ignore[arg-type]
        other.cancel()
        return swept

    return asyncio.run(run())


def test_it_goes_on_until_no_more_is_due() -> None:
    store = Steps(Swept((gone(1),), more=True), Swept((), more=True), Swept((gone(2),), more=False))
    swept = sweep(store)
    assert (swept.expired, swept.finished, store.left) == (2, True, [])


def test_others_have_a_turn_between_any_two_steps_and_as_long_a_pause_as_the_store_asks_for() -> None:
    pause = Swept((), more=True, pause_seconds=0.05)
    store = Steps(Swept((), more=True), pause, Swept((), more=False))
    sweep(store)
    first, second, third = store.turns_of_others
    assert first < second < third
    assert third - second > 10 * (second - first)


def test_it_stops_after_so_many_seconds_and_says_that_more_is_due() -> None:
    store, times = Steps(*[Swept((gone(1),), more=True)] * 3), iter((0.0, 0.5, 1.0))
    swept = sweep(store, max_seconds=1.0, clock=lambda: next(times))
    assert (swept.expired, swept.finished, len(store.left)) == (2, False, 1)
