"""Has the client received it? Watches one response body until every byte is acknowledged, or it is given up.

Received (rule 4) is what the client's TCP stack acknowledged; what lies in its kernel's buffer counts. The kernel
sends no notice of that, so the queue is looked at: soon, then ever more slowly, and whenever something comes
from the client. Knows no HTTP, no server, no session.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable

from streamlimit.delivery.evidence import Evidence, evidence_on
from streamlimit.delivery.wire import Kind, Wire

__all__ = ["DeliveryTracker", "Looks", "Wire"]

_FIRST_DELAY_SECONDS = 0.004  # on a fast line the client's next request is there before, and settles it for less
_LONGEST_DELAY_SECONDS = 0.02
_EARLY_SECONDS = 0.0005  # the loops' timers tell milliseconds apart
_TCP = Kind.TCP  # looking up a member takes long


class Looks:
    """Looks that trackers of one loop have planned; worth sharing where delays are of few different lengths.

    Those who wait equally long stand in one queue, in order by itself, with one timer of the loop's; who needs no look
    any more stays in it until its turn. So a look that is planned and not needed costs 0.5 µs, not a timer's 3.
    """

    def __init__(self) -> None:
        self._queues: dict[float, deque[tuple[float, DeliveryTracker, int]]] = defaultdict(deque)

    def plan(self, loop: asyncio.AbstractEventLoop, seconds: float, tracker: "DeliveryTracker", turn: int) -> None:
        """*tracker* looks after so many seconds, unless it planned another look than that of *turn* by then."""
        queue = self._queues[seconds]
        if not queue:
            loop.call_later(seconds, self._look, loop, queue)
        queue.append((loop.time() + seconds, tracker, turn))

    def _look(self, loop: asyncio.AbstractEventLoop, queue: "deque[tuple[float, DeliveryTracker, int]]") -> None:
        now, due = loop.time(), []
        while queue and queue[0][0] <= now + _EARLY_SECONDS:
            due.append(queue.popleft())
        if queue:
            loop.call_later(queue[0][0] - now, self._look, loop, queue)
        for _, tracker, turn in due:
            tracker.ring(turn)


class DeliveryTracker:
    """One response body of *total* bytes on its way to one client. Only for the loop's own thread.

    The server says `handed(n)` after each part that `send` took (of what is poured the wire does), hears the outcome
    (`when_over`) *before* the message with `more_body: False`, so that the client's next request is looked at after it,
    and calls `close()` in any case.

    *on_progress* is called at most every *progress_seconds* while acknowledgements come. Without any for
    *stall_seconds*, although bytes are outstanding, the connection is reset, which also frees a blocked `send`.
    Whenever the outcome is "not received" the connection is reset, except by `close`. *looks*: the loop's, if shared.
    """

    # What most passages never change; they are made for each request.
    outcome: bool | None = None
    """Received, not received, not known yet."""
    _evidence: Evidence | None = None
    """None: as nearly always on TCP the kernel took all at once, and its empty queue says it all."""
    _handed = _turn = _done = _mark = 0
    _delay = _moved_at = _reported_at = 0.0
    _is_watched = _is_unreported = _is_all_out = False
    _callback: Callable[[bool], object] | None = None

    def __init__(
        self,
        wire: Wire,
        total: int,
        on_progress: Callable[[], object] | None = None,
        stall_seconds: float = 6.0,
        progress_seconds: float = 2.0,
        looks: Looks | None = None,
    ) -> None:
        self._wire, self._total = wire, total
        self._on_progress, self._looks = on_progress, looks
        self._stall_seconds, self._progress_seconds = stall_seconds, progress_seconds
        if wire.kind is not _TCP:
            self._evidence = evidence_on(wire)
        if wire.watcher is not None:
            raise RuntimeError("one tracker at a time on one connection")
        if wire.is_lost:
            self.outcome = False
            return
        wire.watcher = self
        if wire.transport.get_write_buffer_size():
            self._watch()  # already the headers may block

    def handed(self, n: int) -> None:
        """*n* more bytes of the body (headers never count) were passed to the server."""
        wire, evidence = self._wire, self._evidence
        if evidence is None:
            transport = wire.transport
            if wire.is_lost or transport.is_closing() or transport.get_write_buffer_size():
                evidence = self._counted()
        self._handed += n
        if evidence is not None:
            evidence.hand(n)
        if self._handed < self._total:
            self.blocked()

    def blocked(self) -> None:
        """The server takes no more for the moment: from now on the client is watched."""
        if not self._is_watched and self.outcome is None:
            self._watch()

    def ended(self) -> None:
        """Of a body whose length was not known: all that was handed over is all of it."""
        self._total = self._handed

    @property
    def handed_over(self) -> int:
        """Bytes of the body that the server, or the kernel, took so far."""
        return self._handed

    def acknowledged(self) -> int:
        """Bytes of the body that the client certainly has. Never falls; all of them once received."""
        if self.outcome:
            return self._total
        return self._counted().acknowledged()

    def when_over(self, callback: Callable[[bool], object]) -> None:
        """All was handed over that will be: *callback* gets the `outcome`. In part is not received.

        It is called in the very loop iteration in which that is known; now, if it is.
        """
        if self._handed < self._total:
            self.close()
        elif self._total == 0:
            self.handed(0)  # then it is about the headers alone
        evidence = self._evidence
        if self.outcome is None and evidence is not None and evidence.is_prompt:
            self._look()
        if self.outcome is not None:
            callback(self.outcome)
            return
        self._callback, self._is_all_out = callback, True
        if not self._is_watched:
            self._is_watched = True
            self._moved_at = self._reported_at = self._wire.loop.time()
        self._delay, self._done = _FIRST_DELAY_SECONDS, 0  # from now on it is looked at often
        self._plan()

    def nudge(self) -> None:
        """Something came from the client, or the connection went: look now."""
        if self.outcome is None:
            self._look()

    def ring(self, turn: int) -> None:
        """A look that was planned."""
        if turn == self._turn and not self._look():
            self._done += 1
            self._plan()
            self._account()

    def close(self) -> None:
        """No more interest: without an outcome so far it is "not received". Again: nothing."""
        if self.outcome is None:
            self._settle(False)

    def _counted(self) -> Evidence:
        """From now on acknowledgements are counted."""
        if self._evidence is None:
            self._evidence = evidence_on(self._wire, self._handed)
        return self._evidence

    def _watch(self) -> None:
        """Looks now and then while the server is still taking the body; `send` may be blocked for long."""
        self._is_watched = True
        self._moved_at = self._reported_at = self._wire.loop.time()
        self._delay = min(self._progress_seconds, self._stall_seconds) / 4
        self._plan()

    def _plan(self) -> None:
        """The next look; one that was planned before is off."""
        self._turn += 1
        loop, delay, evidence = self._wire.loop, self._delay, self._evidence
        if self._is_all_out and evidence is not None and self._done < evidence.eager_looks:
            loop.call_soon(self.ring, self._turn)
            return
        if self._looks is None:
            self._looks = Looks()
        self._looks.plan(loop, delay, self, self._turn)
        if self._is_all_out and delay < _LONGEST_DELAY_SECONDS:
            self._delay = min(2 * delay, _LONGEST_DELAY_SECONDS)

    def _look(self) -> bool:
        """Whether the outcome is known."""
        wire, verdict = self._wire, None
        if self._handed < self._total:
            verdict = False if wire.is_over else None
        elif self._evidence is not None or wire.outstanding() or wire.is_lost or wire.transport.is_closing():
            verdict = self._counted().verdict()
        else:
            verdict = True
        if verdict is not None:
            self._settle(verdict, reset=not verdict)
        return verdict is not None

    def _account(self) -> None:
        """Notes whether the client took something since the last time, or nothing for too long."""
        now, mark = self._wire.loop.time(), self._counted().mark()
        if mark != self._mark:
            self._mark, self._moved_at, self._is_unreported = mark, now, True
        elif mark == self._handed:
            self._moved_at = now  # it has all there was: we are the slow ones
        elif now - self._moved_at >= self._stall_seconds:
            self._settle(False, reset=True)
            return
        if self._is_unreported and self._on_progress is not None and now - self._reported_at >= self._progress_seconds:
            self._reported_at, self._is_unreported = now, False
            self._on_progress()

    def _settle(self, outcome: bool, reset: bool = False) -> None:
        if not outcome:
            self._counted().acknowledged()  # the last chance to count
        self.outcome = outcome
        self._turn += 1  # no look that was planned is needed
        self._on_progress = None  # whose owner may well hold us, too
        self._wire.release()
        if reset:
            self._wire.abort()
        callback, self._callback = self._callback, None
        if callback is not None:
            callback(outcome)
