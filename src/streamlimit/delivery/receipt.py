"""Has the client received it? Watches one response body until every byte is acknowledged, or it is given up.

Received (rule 4) is what the client's TCP stack acknowledged; what lies in its kernel's buffer counts. The kernel
sends no notice of that, so the queue is looked at: at once, then ever more slowly, and whenever something comes
from the client. Knows no HTTP, no server, no session.
"""

import asyncio
from collections.abc import Callable

from streamlimit.delivery.evidence import evidence_on
from streamlimit.delivery.wire import Wire

__all__ = ["Passage", "Wire"]

_FIRST_DELAY_SECONDS = 0.001  # what the loops' timers can tell apart
_LONGEST_DELAY_SECONDS = 0.02


class Passage:
    """One response body of *total* bytes on its way to one client. Only for the loop's own thread.

    The server says `handed(n)` after each part that `send` took, awaits `received()` *before* the message with
    `more_body: False` (so that the client's next request is looked at after the outcome), and calls `close()` in
    any case. Without a wire (a server that is not ours) received means that all was handed over: see `Hearsay`.

    *on_progress* is called at most every *progress_seconds* while acknowledgements come. Without any for
    *stall_seconds*, although bytes are outstanding, the connection is reset, which also frees a blocked `send`.
    Whenever the outcome is "not received" the connection is reset, except by `close`.
    """

    __slots__ = ("_delay", "_evidence", "_handed", "_looks", "_loop", "_mark", "_moved_at", "_on_progress",
                 "_progress_seconds", "_stall_seconds", "_timer", "_told_at", "_total", "_untold", "_waiter",
                 "_wire", "outcome")  # fmt: skip

    def __init__(
        self,
        wire: Wire | None,
        total: int,
        on_progress: Callable[[], object] | None = None,
        stall_seconds: float = 6.0,
        progress_seconds: float = 2.0,
    ) -> None:
        self.outcome: bool | None = None  # received, not received, not known yet
        self._wire, self._total, self._handed = wire, total, 0
        self._on_progress = on_progress
        self._stall_seconds, self._progress_seconds = stall_seconds, progress_seconds
        self._evidence = evidence_on(wire, total)
        self._timer: asyncio.Handle | None = None
        self._waiter: asyncio.Future[bool] | None = None
        self._loop = asyncio.get_running_loop()
        self._looks = self._mark = 0
        self._untold = False
        if wire is not None:
            self._begin(wire)

    def handed(self, n: int) -> None:
        """*n* more bytes of the body (headers never count) were passed to the server."""
        self._handed += n
        self._evidence.hand(n)
        if self._timer is None and self._handed < self._total and self.outcome is None:
            self._watch()

    def acknowledged(self) -> int:
        """Bytes of the body that the client certainly has. Never falls; all of them once received."""
        if self.outcome:
            return self._total
        return self._evidence.acknowledged()

    async def received(self) -> bool:
        """Waits until it is known whether the client has the whole body. Sent in part only is not received."""
        if self._handed < self._total:
            self.close()
        elif self._total == 0:
            self._evidence.hand(0)  # then it is about the headers alone
        if self.outcome is None and not self._look():
            self._waiter = self._loop.create_future()
            self._hurry()
            return await self._waiter
        return self.outcome is True

    def nudge(self) -> None:
        """Something came from the client, or the connection went: look now."""
        if self.outcome is None:
            self._look()

    def close(self) -> None:
        """No more interest: without an outcome so far it is "not received". Again: nothing."""
        if self.outcome is None:
            self._settle(False)

    def _begin(self, wire: Wire) -> None:
        if wire.watcher is not None:
            raise RuntimeError("one passage at a time on one connection")
        if wire.is_lost:
            self.outcome = False
            return
        wire.watcher = self
        if wire.is_clogged:
            self._watch()  # already the headers may block

    def _watch(self) -> None:
        """Looks now and then while the server is still taking the body; `send` may be blocked for long."""
        if self._wire is not None:
            self._moved_at = self._told_at = self._loop.time()
            self._delay = min(self._progress_seconds, self._stall_seconds) / 4
            self._schedule()

    def _hurry(self) -> None:
        """All is handed over: from now on look often."""
        if self._timer is None:
            self._moved_at = self._told_at = self._loop.time()
        else:
            self._timer.cancel()
        self._delay, self._looks = _FIRST_DELAY_SECONDS, 0
        self._schedule()

    def _schedule(self) -> None:
        if self._waiter is None:
            self._timer = self._loop.call_later(self._delay, self._tick)
        elif self._looks < self._evidence.eager_looks:
            self._timer = self._loop.call_soon(self._tick)
        else:
            self._timer = self._loop.call_later(self._delay, self._tick)
            self._delay = min(2 * self._delay, _LONGEST_DELAY_SECONDS)

    def _tick(self) -> None:
        self._looks += 1
        if not self._look():
            self._schedule()
            self._account(self._loop.time())

    def _look(self) -> bool:
        """Whether the outcome is known."""
        if self._handed >= self._total:
            verdict = self._evidence.verdict()
        else:
            verdict = False if self._wire is not None and self._wire.is_lost else None
        if verdict is not None:
            self._settle(verdict, reset=not verdict)
        return verdict is not None

    def _account(self, now: float) -> None:
        """Notes whether the client took something since the last time, or nothing for too long."""
        mark = self._evidence.mark()
        if mark != self._mark:
            self._mark, self._moved_at, self._untold = mark, now, True
        elif mark == self._handed:
            self._moved_at = now  # it has all there was: we are the slow ones
        elif now - self._moved_at >= self._stall_seconds:
            self._settle(False, reset=True)
            return
        if self._untold and self._on_progress is not None and now - self._told_at >= self._progress_seconds:
            self._told_at, self._untold = now, False
            self._on_progress()

    def _settle(self, outcome: bool, reset: bool = False) -> None:
        if not outcome:
            self._evidence.acknowledged()  # the last chance to count
        self.outcome = outcome
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._wire is not None:
            self._wire.release()
            if reset:
                self._wire.abort()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(outcome)
