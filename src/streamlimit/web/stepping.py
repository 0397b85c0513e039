"""A coroutine that is stepped where it stands, as far as it goes, and goes on as a task would. Knows no HTTP."""

import asyncio
from abc import abstractmethod
from collections.abc import Coroutine, Generator
from functools import partial
from types import coroutine
from typing import Any

from streamlimit.logs import asking
from streamlimit.web.protocol import ReceiptProtocol as Protocol


@coroutine
def until(coming: Any) -> Generator[Any, None, None]:
    """Awaited in a coroutine that a `Stepping` steps: it goes on in the very moment in which *coming* (see `Audible`)
    tells what came. A future takes 1.2 µs more, and another turn of the loop."""
    yield coming


class Stepping:
    """What *protocol* is at. Stands where uvicorn has its cycle, and among the tasks that a shutdown waits for."""

    _coroutine: Coroutine[Any, Any, None] | None = None
    _waiting_for: Any = None

    def __init__(self, protocol: Protocol) -> None:
        self._protocol = protocol

    def stand_by(self) -> None:
        """The answer is not there yet, and comes by `send_whole` or `go_on`; a shutdown waits for it."""
        protocol: Any = self._protocol
        protocol.cycle = self
        protocol.tasks.add(self)
        self._asked = asking.get()

    def run(self, work: Any) -> None:
        """The same by *work*, a coroutine which may do without ASGI."""
        protocol: Any = self._protocol
        protocol.cycle = self
        self._asked = asking.get()
        self.go_on(work)
        if self._coroutine is not None:
            protocol.tasks.add(self)  # a shutdown waits for it as for a task

    def go_on(self, work: Any) -> None:
        """What it stood by for is there, and *work* tells. By now another request may stand behind this one."""
        self._coroutine = work
        self._step(None)

    def go_on_now(self) -> None:
        """What it waits for may be there: then the loop's next turn need not be awaited."""
        future = self._waiting_for
        if isinstance(future, asyncio.Future) and future.done():
            self._heard(future, None)

    def cancel(self, msg: str | None = None) -> None:
        """As of a task, in the next turn: a shutdown without more time is walking through the set of tasks."""
        self._protocol.loop.call_soon(self._cancel, msg)

    def _cancel(self, msg: str | None) -> None:
        self._waiting_for = None
        self._step(asyncio.CancelledError(msg))

    def is_over(self) -> None:
        """What `stand_by` began is done."""
        tasks: set[Any] = self._protocol.tasks
        tasks.discard(self)

    def _step(self, error: BaseException | None) -> None:
        """Runs the application until it ends or waits."""
        coroutine = self._coroutine
        if coroutine is None:
            return
        try:
            future = coroutine.send(None) if error is None else coroutine.throw(error)
        except StopIteration:
            self._end(None)
        except BaseException as failure:
            self._end(failure)
        else:
            self._wait(future)

    def _wait(self, future: Any) -> None:
        self._waiting_for = future
        if future is None:  # a bare yield: asyncio.sleep(0)
            self._protocol.loop.call_soon(self._go_on_with, None)
            return
        if not isinstance(future, asyncio.Future):
            future.hear(partial(self._heard, future))
            return
        future._asyncio_future_blocking = False  # what a task does to say that it understood
        future.add_done_callback(self._go_on_with)

    def _heard(self, coming: Any, _: object) -> None:
        """What came, in whoever's turn that is."""
        if self._waiting_for is coming:
            asking.set(self._asked)  # the context may know of another request than of this one, which was held back
            self._go_on_with(coming)

    def _go_on_with(self, future: Any) -> None:
        if self._waiting_for is future and (future is not None or self._coroutine is not None):
            self._waiting_for = None
            self._step(None)

    def _end(self, failure: BaseException | None) -> None:
        self._coroutine = None
        self.is_over()
        if failure is not None and not isinstance(failure, asyncio.CancelledError):
            self._protocol.logger.error("Exception in ASGI application\n", exc_info=failure)
        self._ended()

    @abstractmethod
    def _ended(self) -> None:
        """It comes to nothing more."""
