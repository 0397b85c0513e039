"""Deferred answers: callbacks in the place of a future, coroutines and a task.

Each layer adds a step for the answer, or for an error (`then`); the first caller is called back (`add_callback`) in the
loop iteration that brings the answer. A `Deferred` can also be awaited.
"""

from asyncio import Future, ensure_future, get_running_loop
from collections.abc import Awaitable, Callable, Generator, Iterable
from contextvars import copy_context
from functools import partial
from types import CoroutineType
from typing import Any, Generic, TypeVar

from streamlimit.store.contract import Answer, is_coming, resolved

T = TypeVar("T")
Step = Callable[[Any], Any]
"""A step from one value to the next: what it returns, the exception that it raises, or the result of the `Deferred` or
coroutine that it returns."""

_NOTHING: Any = object()


class Deferred(Generic[T]):
    """One answer, or an exception in its place. Steps run in the context of the caller, so logs name its request."""

    __slots__ = ("_answer", "_callback", "_context", "_is_inside", "_steps")

    def __init__(self) -> None:
        self._context, self._answer = copy_context(), _NOTHING
        # Each for an answer, and for an exception; None: it is passed on.
        self._steps: list[tuple[Step | None, Step | None]] = []
        self._is_inside = False  # a context cannot be entered twice
        self._callback: Callable[[Any], object] | None = None

    def then(self, step: Step | None, failed: Step | None = None) -> "Deferred[Any]":
        """Adds a step: *step* gets the value so far, *failed* an exception in its place; None: it is passed on.

        Returns this `Deferred`, now of the step's result.
        """
        self._steps.append((step, failed))
        if self._answer is not _NOTHING:
            answer, self._answer = self._answer, _NOTHING
            self.come(answer)
        return self

    def add_callback(self, callback: Callable[[T | Exception], object]) -> None:
        """Has *callback* called with the answer, now if it is there.

        There is one; the loop's handler gets its exceptions.
        """
        assert self._callback is None, "it has a callback already"
        self._callback = callback
        if self._answer is not _NOTHING:
            self.come(self._answer)

    def come_of(self, coming: Awaitable[T]) -> None:
        """Resolves this with the result of *coming*, in a task."""
        self._context.run(ensure_future, self._await(coming))

    def come(self, answer: T | Exception) -> None:
        """Resolves this with *answer*: runs the steps and the callback in the caller's context. Raises nothing."""
        if self._is_inside:
            self._take(answer)
            return
        self._is_inside = True
        try:
            self._context.run(self._take, answer)
        finally:
            self._is_inside = False

    def _take(self, answer: Any) -> None:
        steps, is_error = self._steps, isinstance(answer, Exception)
        while steps:
            step, failed = steps.pop(0)
            doing = failed if is_error else step
            if doing is None:
                continue
            try:
                answer, is_error = doing(answer), False
            except Exception as error:
                answer, is_error = error, True
                continue
            kind = type(answer)
            if kind is CoroutineType:
                answer = deferred(answer)
            elif kind is not Deferred:
                continue
            answer.add_callback(self.come)
            return
        self._answer = answer
        if self._callback is None:
            return
        try:
            self._callback(answer)
        except Exception as error:  # as a future's callback: it costs the other callbacks nothing
            report = {"message": "the answer of the store could not be passed on", "exception": error}
            get_running_loop().call_exception_handler(report)

    async def _await(self, coming: Awaitable[T]) -> None:
        try:
            answer: T | Exception = await coming
        except Exception as error:  # the caller gets it
            answer = error
        self.come(answer)

    def __await__(self) -> Generator[Any, None, T]:
        if self._answer is _NOTHING:
            is_here: Future[None] = get_running_loop().create_future()
            self.add_callback(partial(_wake, is_here))
            yield from is_here
        if isinstance(self._answer, Exception):
            raise self._answer
        answer: T = self._answer
        return answer


def deferred(coming: Awaitable[T]) -> Deferred[T]:
    """A `Deferred` of the result of *coming*, in a task."""
    answer: Deferred[T] = Deferred()
    answer.come_of(coming)
    return answer


def then(
    answer: Answer[Any], step: Callable[[Any], Answer[T]], failed: Callable[[Exception], Answer[T]] | None = None
) -> Answer[T]:
    """The answer after *step*, at once or when it comes; *failed* gets an exception in its place."""
    if isinstance(answer, Deferred):
        if answer._answer is not _NOTHING:
            return answer.then(step, failed)
        answer._steps.append((step, failed))  # as `Deferred.then`, which each layer on a new session's way would call
        return answer
    return _later(answer, step, failed) if is_coming(answer) else step(answer)


async def _later(
    coming: Awaitable[Any], step: Callable[[Any], Answer[T]], failed: Callable[[Exception], Answer[T]] | None
) -> T:
    try:
        answer = await coming
    except Exception as error:
        if failed is None:
            raise
        return await resolved(failed(error))
    return await resolved(step(answer))


async def all_of(answers: Iterable[Deferred[T]]) -> list[T]:
    """The results of *answers*, which are all under way before the first is awaited."""
    return [await answer for answer in list(answers)]


def _wake(waiter: "Future[None]", _: object) -> None:
    if not waiter.done():  # the waiting task may have been cancelled
        waiter.set_result(None)
