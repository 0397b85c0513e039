"""One open stream of events, within this process: when it says something though there is no event for it."""

import asyncio
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest

from streamlimit.feed.frames import Filters
from streamlimit.feed.hub import Hub
from streamlimit.feed.listener import Listener
from streamlimit.http.asgi import DRAINING
from streamlimit.web import events as streaming
from streamlimit.web.events import EventStream
from tests.feed.memory import MemoryFeed
from tests.store.feed_contract import event


class Open:
    """A stream for events of nobody, of a service where much happens. `said`: what was sent of its body."""

    def __init__(self) -> None:
        self.feed, self.said = MemoryFeed(), list[bytes]()
        self.hub = Hub(self.feed)
        service: Any = SimpleNamespace(hub=self.hub)
        listener = Listener(self.hub, Filters(user_id="nobody"), None)
        self._stream = EventStream(SimpleNamespace(), service, listener)  # type: ignore[arg-type]  # its right is not asked

    async def run(self) -> None:
        async def never() -> Any:
            await asyncio.Event().wait()

        async def send(message: Any) -> None:
            self.said += [message["body"]] if message.get("body") else []

        await self._stream({"extensions": {DRAINING: never}}, never, send)

    async def much_happens(self) -> None:
        for number in range(1_000_000):
            self.feed.append([event("ada", number)])
            await self.hub.read_once()
            await asyncio.sleep(0)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Open:
    async def allowed(*_asked: Any) -> None:
        return None

    monkeypatch.setattr(streaming, "caller_in_header", allowed)
    monkeypatch.setattr(streaming, "HEARTBEAT_SECONDS", 0.05)
    return Open()


async def test_it_shows_that_it_is_alive_though_all_that_happens_is_of_others(opened: Open) -> None:
    """A proxy would close it, and its client would come back to a place long ago."""

    work = [asyncio.create_task(opened.run()), asyncio.create_task(opened.much_happens())]
    async with asyncio.timeout(60):
        while len(opened.said) < 3:
            await asyncio.sleep(0.001)
    for each in work:
        each.cancel()
        with suppress(asyncio.CancelledError):
            await each
    marks = [said for said in opened.said if said.startswith(b": still here")]
    assert len(marks) >= 2
    assert len(set(marks)) == len(marks), "each tells a later place"
