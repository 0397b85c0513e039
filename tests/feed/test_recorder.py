"""Events are written soon, together, and not lost while the store is away."""

import asyncio

import pytest

from streamlimit.feed import recorder as recording
from streamlimit.feed.recorder import Recorder
from tests.feed.memory import MemoryFeed
from tests.store.feed_contract import event


class Log:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def warning(self, event: str, **fields: object) -> None:
        self.lines.append(event)


async def test_what_comes_together_is_written_together_and_soon() -> None:
    feed = MemoryFeed()
    recorder = Recorder(feed, Log())
    work = asyncio.create_task(recorder.write_forever())
    for number in range(3):
        recorder(event("ada", number))
    assert not feed.entries
    while not feed.entries:
        await asyncio.sleep(0.001)
    assert [entry.event.session.move for entry in feed.entries] == [0, 1, 2]
    assert len(feed.remembered) == 3
    work.cancel()


async def test_what_happens_while_the_store_is_away_is_written_in_its_order_afterwards() -> None:
    feed = MemoryFeed()
    recorder = Recorder(feed, Log())
    feed.is_away = True
    recorder(event("ada", 1))
    assert not await recorder.flush()
    recorder(event("ada", 2))
    assert not await recorder.flush()
    feed.is_away = False
    assert await recorder.flush()
    assert [entry.event.session.move for entry in feed.entries] == [1, 2]
    assert [each.session.move for each in feed.remembered] == [1, 2]


async def test_one_user_whose_history_cannot_be_written_hinders_nobody() -> None:
    feed = MemoryFeed()
    recorder = Recorder(feed, Log())
    feed.unkept_users = {"ada"}
    recorder(event("ada", 1))
    recorder(event("bob", 2))
    assert not await recorder.flush()
    assert len(feed.entries) == 2
    assert [each.session.user_id for each in feed.remembered] == ["bob"]
    feed.unkept_users = set()
    assert await recorder.flush()
    assert len(feed.entries) == 2
    assert [each.session.user_id for each in feed.remembered] == ["bob", "ada"]


async def test_of_too_many_that_wait_the_oldest_go_and_that_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "MOST", 3)
    feed, log = MemoryFeed(), Log()
    recorder = Recorder(feed, log)
    feed.is_away = True
    for number in range(5):
        recorder(event("ada", number))
        await recorder.flush()
    assert log.lines == ["feed_losing_events"]
    assert recorder.dropped == 4  # two of each queue
    feed.is_away = False
    await recorder.flush()
    assert [entry.event.session.move for entry in feed.entries] == [2, 3, 4]


async def test_who_is_forgotten_is_not_remembered_by_what_waited() -> None:
    feed = MemoryFeed()
    recorder = Recorder(feed, Log())
    recorder(event("ada", 1))
    await recorder.forget("ada")
    await recorder.flush()
    assert feed.remembered == []


async def test_the_last_events_are_written_at_the_stop() -> None:
    feed = MemoryFeed()
    recorder = Recorder(feed, Log())
    recorder(event("ada", 1))
    await recorder.finish()
    assert len(feed.entries) == 1
