"""Deferred answers: their steps, their callbacks, and awaiting them."""

import asyncio
from contextvars import ContextVar
from typing import Any

import pytest

from streamlimit.store.deferred import Deferred, all_of, deferred

WHO: ContextVar[str] = ContextVar("WHO", default="nobody")


def heard(coming: Deferred[Any]) -> list[Any]:
    told: list[Any] = []
    coming.add_callback(told.append)
    return told


def test_each_step_gets_what_the_one_before_made_of_it() -> None:
    coming: Deferred[int] = Deferred()
    told = heard(coming.then(lambda answer: answer + 1).then(lambda answer: [answer]))
    assert told == []
    coming.come(1)
    assert told == [[2]]


def test_what_a_step_raises_goes_on_in_place_of_the_answer() -> None:
    coming: Deferred[int] = Deferred()
    told = heard(coming.then(lambda answer: 1 // answer).then(lambda answer: answer + 1, type))
    coming.come(0)
    assert told == [ZeroDivisionError]


def test_an_exception_passes_over_steps_until_one_takes_it() -> None:
    coming: Deferred[int] = Deferred()
    told = heard(coming.then(lambda answer: answer + 1).then(None, str).then(lambda answer: [answer]))
    coming.come(KeyError("gone"))
    assert told == [["'gone'"]]


def test_an_answer_passes_over_what_is_for_exceptions() -> None:
    coming: Deferred[int] = Deferred()
    told = heard(coming.then(None, str).then(lambda answer: answer + 1, str))
    coming.come(1)
    assert told == [2]


def test_who_comes_late_hears_it_at_once() -> None:
    coming: Deferred[int] = Deferred()
    coming.come(1)
    assert heard(coming) == [1]


def test_a_step_may_be_added_after_it_came() -> None:
    coming: Deferred[int] = Deferred()
    coming.come(1)
    assert heard(coming.then(lambda answer: answer + 1)) == [2]


def test_where_a_step_has_to_wait_itself_the_next_one_gets_what_that_brings() -> None:
    coming: Deferred[int] = Deferred()
    inner: Deferred[int] = Deferred()
    told = heard(coming.then(lambda _: inner).then(lambda answer: answer + 1))
    coming.come(1)
    assert told == []
    inner.come(10)
    assert told == [11]


def test_a_step_may_make_what_has_come_already() -> None:
    def made(answer: int) -> Deferred[int]:
        inner: Deferred[int] = Deferred()
        inner.come(answer + 1)
        return inner

    coming: Deferred[int] = Deferred()
    told = heard(coming.then(made).then(made).then(lambda answer: [answer]))
    coming.come(1)
    assert told == [[3]]


def test_a_step_may_be_a_coroutine() -> None:
    async def made(answer: int) -> int:
        await asyncio.sleep(0)
        return 1 // answer

    async def run(answer: int) -> list[Any]:
        coming: Deferred[int] = Deferred()
        told = heard(coming.then(made).then(lambda answer: answer + 1, type))
        coming.come(answer)
        assert told == []
        for _ in range(5):
            await asyncio.sleep(0)
        return told

    assert asyncio.run(run(1)) == [2]
    assert asyncio.run(run(0)) == [ZeroDivisionError]


def test_a_step_may_be_added_by_whoever_is_called_back() -> None:
    coming: Deferred[int] = Deferred()
    told: list[object] = []

    def called_back(answer: object) -> None:
        told.append(answer)
        if answer == 1:
            coming.then(lambda answer: answer + 1)

    coming.add_callback(called_back)
    coming.come(1)
    assert told == [1, 2]


def test_what_a_task_brings_or_raises_comes_without_waiting() -> None:
    async def failing() -> int:
        raise KeyError("gone")

    async def run() -> list[Any]:
        told = heard(deferred(asyncio.sleep(0, "slept"))), heard(deferred(failing()))
        for _ in range(5):
            await asyncio.sleep(0)
        (slept,), (failure,) = told
        return [slept, type(failure)]

    assert asyncio.run(run()) == ["slept", KeyError]


def test_several_are_awaited_in_their_order_though_they_come_in_another() -> None:
    async def run() -> list[int]:
        first: Deferred[int] = Deferred()
        second: Deferred[int] = Deferred()
        asyncio.get_running_loop().call_soon(second.come, 2)
        asyncio.get_running_loop().call_later(0.001, first.come, 1)
        return await all_of([first, second])

    assert asyncio.run(run()) == [1, 2]


def test_all_runs_in_the_context_of_whoever_asked() -> None:
    WHO.set("asker")
    coming: Deferred[int] = Deferred()
    told = heard(coming.then(lambda _: WHO.get()))
    WHO.set("somebody else")
    coming.come(1)
    assert told == ["asker"]


def test_it_can_be_awaited_before_and_after_it_came() -> None:
    async def run() -> tuple[int, int]:
        coming: Deferred[int] = Deferred()
        asyncio.get_running_loop().call_soon(coming.come, 1)
        return await coming, await coming

    assert asyncio.run(run()) == (1, 1)


def test_who_awaits_it_is_raised_what_came_in_its_place() -> None:
    async def run() -> None:
        coming: Deferred[int] = Deferred()
        asyncio.get_running_loop().call_soon(coming.come, KeyError("gone"))
        await coming

    with pytest.raises(KeyError, match="gone"):
        asyncio.run(run())


def test_who_waits_no_longer_is_not_told() -> None:
    async def run() -> list[Any]:
        coming: Deferred[int] = Deferred()
        problems: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, report: problems.append(report))
        waiting = asyncio.ensure_future(coming)
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.sleep(0)
        coming.come(1)
        return problems

    assert asyncio.run(run()) == []


def test_who_hears_it_and_fails_is_told_of_by_the_loop() -> None:
    async def run() -> list[Any]:
        coming: Deferred[int] = Deferred()
        problems: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, report: problems.append(report["exception"]))
        coming.add_callback(lambda answer: 1 // answer)
        coming.come(0)
        return [type(problem) for problem in problems]

    assert asyncio.run(run()) == [ZeroDivisionError]
