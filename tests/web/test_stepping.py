"""What steps a coroutine by itself: it goes on when what it waits for is heard, in whoever's turn, and only then."""

import asyncio
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any

from streamlimit.logs import asking
from streamlimit.web.stepping import Stepping, until


class Later:
    """What comes when the test says so."""

    heard: Callable[[Any], object]

    def hear(self, heard: Callable[[Any], object]) -> None:
        self.heard = heard


class Here:
    """What came before anyone asked."""

    def hear(self, heard: Callable[[Any], object]) -> None:
        heard("it")


class Stepped(Stepping):
    """Nothing else."""

    is_ended = False

    def _ended(self) -> None:
        self.is_ended = True


def stepped(work: Coroutine[Any, Any, None]) -> Stepped:
    failed = lambda *_, exc_info: (_ for _ in ()).throw(exc_info)  # noqa: E731
    protocol: Any = SimpleNamespace(
        tasks=set(), cycle=None, loop=asyncio.get_running_loop(), logger=SimpleNamespace(error=failed)
    )
    made = Stepped(protocol)
    made.run(work)
    return made


def test_it_goes_on_in_the_moment_in_which_it_hears() -> None:
    async def story() -> None:
        coming = Later()
        work = stepped(until(coming))  # type: ignore[arg-type]
        assert not work.is_ended
        assert work._protocol.tasks == {work}  # a shutdown waits for it
        coming.heard("it")
        assert work.is_ended
        assert not work._protocol.tasks

    asyncio.run(story())


def test_it_goes_on_at_once_where_that_came_before() -> None:
    async def story() -> None:
        assert stepped(until(Here())).is_ended  # type: ignore[arg-type]

    asyncio.run(story())


def test_what_it_logs_then_is_about_its_own_request() -> None:
    async def story() -> None:
        coming, told = Later(), []

        async def work() -> None:
            await until(coming)
            told.append(asking.get())

        asking.set(own := lambda: "its own")
        stepped(work())
        asking.set(lambda: "another's")
        coming.heard("it")
        assert told == [own]

    asyncio.run(story())


def test_what_is_heard_too_late_concerns_nobody() -> None:
    """It was cancelled, and cleans up, which takes a while."""

    async def story() -> None:
        coming, cleaned = Later(), Later()

        async def work() -> None:
            try:
                await until(coming)
            finally:
                await until(cleaned)

        made = stepped(work())
        made.cancel()
        await asyncio.sleep(0)
        coming.heard("it")
        assert not made.is_ended
        cleaned.heard("it")
        assert made.is_ended

    asyncio.run(story())
