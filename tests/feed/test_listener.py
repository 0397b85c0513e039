"""A listener goes on from its last event, is notified of gaps, and is closed where it is too slow."""

from typing import Any

import pytest

from streamlimit.feed import listener as listening
from streamlimit.feed.frames import Filters, read_place, write_place
from streamlimit.feed.hub import Hub
from streamlimit.feed.listener import Listener
from streamlimit.store.feed import Place
from tests.feed.memory import MemoryFeed
from tests.store.feed_contract import event

ALL = Filters()


def heard(said: bytes) -> list[str]:
    """What was said, block by block: events by name, of sessions by their move; marks as `mark`."""
    found = []
    for block in said.decode().split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.split("\n") if line)
        if name := lines.get("event"):
            found.append(lines["id"] if name.startswith("session.") else name)
        elif "id" in lines:
            found.append("mark")
    return found


class Home:
    """A feed, its hub, and somebody who listens so that the hub reads."""

    def __init__(self, kept: int = 10_000, most: int = 100) -> None:
        self.feed = MemoryFeed(kept)
        self.hub = Hub(self.feed, most)
        self._block = self.hub.listening()
        self._block.__enter__()
        self._moves = 0

    def happen(self, count: int, user: str = "ada") -> None:
        self.feed.append([event(user, self._moves + number) for number in range(count)])
        self._moves += count

    def leave(self) -> None:
        self._block.__exit__(None, None, None)

    async def listen(self, place: Place | None = None, wanted: Filters = ALL) -> Listener:
        await self.hub.read_once()
        return Listener(self.hub, wanted, place)


async def all_of(listener: Listener) -> list[str]:
    """Until it has all."""
    found = []
    while said := await listener.take():
        found += heard(said)
        if listener.is_over:
            break
    return found


async def test_who_comes_without_an_id_begins_with_what_is_to_come() -> None:
    home = Home()
    home.happen(3)
    listener = await home.listen()
    assert (await listener.take()).startswith(b"retry: 2000\n\n")
    home.happen(2)
    assert await all_of(listener) == []
    await home.hub.read_once()
    assert await all_of(listener) == ["4", "5"]


async def test_who_comes_back_misses_nothing_whether_the_window_has_it_or_the_store() -> None:
    home = Home()
    await home.hub.read_once()
    home.happen(10)
    assert await all_of(await home.listen((4, 0))) == ["5", "6", "7", "8", "9", "10", "mark"]
    late = Home()
    late.happen(10)
    listener = await late.listen((4, 0))
    assert await all_of(listener) == ["5", "6", "7", "8", "9", "10", "mark"]
    late.happen(1)
    await late.hub.read_once()
    assert await all_of(listener) == ["11"]


async def test_much_that_was_missed_comes_page_by_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "PAGE", 3)

    home = Home()
    home.happen(8)
    listener = await home.listen((1, 0))
    assert heard(await listener.take()) == ["2", "3", "4", "mark"]
    home.happen(1)
    await home.hub.read_once()
    assert await all_of(listener) == ["5", "6", "7", "mark", "8", "9", "mark"]


async def test_an_event_that_another_worker_has_seen_already_is_waited_for_quietly() -> None:
    home = Home()
    await home.hub.read_once()
    home.happen(2)
    listener = Listener(home.hub, ALL, (2, 0))  # this worker's reader has not seen it yet
    assert await all_of(listener) == ["mark"]
    await home.hub.read_once()
    home.happen(1)
    await home.hub.read_once()
    assert await all_of(listener) == ["3"]


async def test_who_comes_from_beyond_what_is_kept_hears_of_the_gap_first() -> None:
    home = Home(kept=3)
    home.happen(9)
    assert await all_of(await home.listen((2, 0))) == ["gap", "7", "8", "9", "mark"]
    assert await all_of(await home.listen((99, 0))) == ["gap", "7", "8", "9", "mark"]


async def test_who_is_further_behind_than_the_window_is_sent_away_with_a_word_and_may_come_back() -> None:
    home = Home(most=5)
    listener = await home.listen()
    await all_of(listener)
    home.happen(20)
    await home.hub.read_once()
    said = await listener.take()
    assert listener.is_over
    assert heard(said) == ["closing"]
    assert b'"reason":"too-slow"' in said
    assert said.startswith(b"id: 0\n")
    assert await all_of(await home.listen((0, 0))) == [*map(str, range(1, 21)), "mark"]


async def test_a_feed_that_is_another_one_now_ends_the_stream_and_is_a_gap_after_it() -> None:
    home = Home()
    home.happen(5)
    listener = await home.listen()
    await all_of(listener)
    home.feed.entries, home.feed.newest = [], (0, 0)
    await home.hub.read_once()
    assert heard(await listener.take()) == ["closing"]
    assert (await all_of(await home.listen((5, 0))))[0] == "gap"


async def test_an_outage_is_told_once_and_so_is_its_end_and_nothing_is_lost() -> None:
    home = Home()
    listener = await home.listen()
    await all_of(listener)
    changed = home.hub.changed()
    home.feed.is_away = True
    await home.hub.read_once()
    assert changed.done()
    assert await all_of(listener) == ["outage"]
    await home.hub.read_once()
    assert await all_of(listener) == []
    home.feed.is_away = False
    home.happen(1)
    await home.hub.read_once()
    assert await all_of(listener) == ["1", "recovered"]


async def test_who_comes_in_an_outage_is_told_so_and_misses_nothing_after_it() -> None:
    home = Home()
    home.happen(4)
    home.feed.is_away = True
    listener = await home.listen((2, 0))
    assert await all_of(listener) == ["outage"]
    home.feed.is_away = False
    await home.hub.read_once()
    assert await all_of(listener) == ["3", "4", "mark", "recovered"]


@pytest.mark.parametrize(
    ("wanted", "fits"),
    [
        (Filters(frozenset({"session.ended"})), []),
        (Filters(frozenset({"session.started"}), "ada"), ["1", "2"]),
        (Filters(user_id="bob"), ["3"]),
        (Filters(stream_id="canal"), []),
        (Filters(stream_id="news"), ["1", "2", "3"]),
    ],
)
async def test_filters(wanted: Filters, fits: list[str]) -> None:
    home = Home()
    listener = await home.listen(None, wanted)
    await all_of(listener)
    home.happen(2)
    home.happen(1, "bob")
    await home.hub.read_once()
    assert await all_of(listener) == fits
    assert listener.mark() == b": still here\nid: 3\n\n"  # also of what it did not want


async def test_nobody_reads_where_nobody_listens() -> None:
    import asyncio

    home = Home()
    home.leave()
    work: Any = asyncio.create_task(home.hub.read_forever())
    for _ in range(20):
        await asyncio.sleep(0)
    assert home.feed.reads == 0
    with home.hub.listening(), home.hub.listening():
        assert home.hub.listeners == 2
        while not home.feed.reads:
            await asyncio.sleep(0)
    assert home.hub.window is None
    work.cancel()


@pytest.mark.parametrize(("text", "place"), [("0", (0, 0)), ("17", (17, 0)), ("17-3", (17, 3))])
def test_a_place_is_read_as_it_was_written(text: str, place: Place) -> None:
    assert read_place(text) == place
    assert write_place(place) == text


@pytest.mark.parametrize("text", ["", "-", "1-", "-1", "a", "1-2-3", "１", "1 ", "9" * 21])
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="give the id"):
        read_place(text)
