"""What runs beside the viewers goes on, whatever breaks it: nobody would notice that it stopped."""

import asyncio
from typing import Any

import pytest

from streamlimit import bootstrap


class Log:
    """What was logged as an error."""

    def __init__(self) -> None:
        self.said: list[tuple[str, Any, Any]] = []

    def error(self, event: str, *, problem: str, exc_info: bool) -> None:
        self.said.append((event, problem, exc_info))


def test_work_that_something_broke_gets_a_line_in_the_log_and_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    log = Log()
    monkeypatch.setattr(bootstrap, "log", log)
    monkeypatch.setattr(bootstrap, "BROKEN_SECONDS", 0.0)

    async def run() -> None:
        rounds, goes_on = list[int](), asyncio.Event()

        async def work() -> None:
            rounds.append(len(rounds))
            if len(rounds) < 3:
                raise ValueError(f"round {len(rounds)}")
            goes_on.set()
            await asyncio.Event().wait()

        task = asyncio.create_task(bootstrap.go_on_forever(work))
        await asyncio.wait_for(goes_on.wait(), 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert log.said == [("background_broken", "round 1", True), ("background_broken", "round 2", True)]
