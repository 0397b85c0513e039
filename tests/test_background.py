"""Background work goes on after any error, since nobody would notice that it stopped."""

import asyncio
from collections.abc import Callable, MutableMapping
from pathlib import Path
from typing import Any

import pytest

from streamlimit.bootstrap import background, garbage_collector, worker
from streamlimit.cache.watch import Watch
from streamlimit.census import Counted
from streamlimit.settings import Settings
from streamlimit.sweeper import expire_forever
from streamlimit.web.metrics import Metrics


class Log:
    """What was logged as an error."""

    def __init__(self) -> None:
        self.said: list[tuple[str, Any, Any]] = []

    def error(self, event: str, *, problem: str, exc_info: bool) -> None:
        self.said.append((event, problem, exc_info))


def test_work_that_something_broke_gets_a_line_in_the_log_and_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log()
    monkeypatch.setattr(background, "log", log)
    monkeypatch.setattr(background, "BROKEN_SECONDS", 0.0)

    async def run() -> None:
        rounds, goes_on = list[int](), asyncio.Event()

        async def work() -> None:
            rounds.append(len(rounds))
            if len(rounds) < 3:
                raise ValueError(f"round {len(rounds)}")
            goes_on.set()
            await asyncio.Event().wait()

        task = asyncio.create_task(background.go_on_forever(work))
        await asyncio.wait_for(goes_on.wait(), 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert log.said == [("background_broken", "round 1", True), ("background_broken", "round 2", True)]


BESIDE: dict[str, tuple[Any, str]] = {
    "the watch over the store": (Watch, "forever"),
    "the count of sessions": (Counted, "count_forever"),
    "the sum of metrics": (Metrics, "flush_forever"),
    "the sweep": (background, expire_forever.__name__),
}


@pytest.mark.parametrize("which", BESIDE)
def test_a_workers_work_that_breaks_is_logged_and_goes_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, which: str
) -> None:
    log, rounds = Log(), list[str]()

    async def broken(*_: object) -> None:
        rounds.append(which)
        raise ValueError(f"{which}, round {len(rounds)}")

    monkeypatch.setattr(*BESIDE[which], broken)
    monkeypatch.setattr(background, "log", log)
    monkeypatch.setattr(background, "BROKEN_SECONDS", 0.0)
    monkeypatch.setattr(worker, "configure_logs", lambda: None)
    monkeypatch.setattr(garbage_collector, "calm", lambda: None)
    asyncio.run(_live(worker.WorkerFactory(Settings(store=f"sqlite:///{tmp_path}/db"))(), lambda: len(rounds) >= 3))
    assert log.said[:2] == [("background_broken", f"{which}, round {n}", True) for n in (1, 2)]


async def _live(application: worker.Worker, is_enough: Callable[[], bool]) -> None:
    """From the start of the server to its stop, which waits until it is enough."""
    told: list[str] = []

    async def receive() -> MutableMapping[str, Any]:
        while told and not is_enough():
            await asyncio.sleep(0)
        return {"type": "lifespan.shutdown" if told else "lifespan.startup"}

    async def send(message: MutableMapping[str, Any]) -> None:
        told.append(message["type"])

    await asyncio.wait_for(application({"type": "lifespan"}, receive, send), 20)
    assert told == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
