"""The delivery tracker: watches one response body until every byte is acknowledged by the client, or it is given up.

Received (rule 4) is what the client's TCP stack acknowledged, including bytes in its kernel's buffer. The kernel sends
no notification of that, so the queue is polled: soon, then ever more slowly, and whenever bytes come from the client.
Knows no HTTP, no server, no session.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable

from streamlimit.delivery.evidence import Evidence, evidence_on
from streamlimit.delivery.wire import Kind, Wire
from streamlimit.store.deferred import Deferred

__all__ = ["DeliveryTracker", "Looks", "Wire"]

_FIRST_DELAY_SECONDS = 0.004  # on a fast line the client's next request is there before, and settles it for less
_LONGEST_DELAY_SECONDS = 0.02
_EARLY_SECONDS = 0.0005  # the loops' timers have a resolution of a millisecond
_TCP = Kind.TCP  # looking up a member takes long


class Looks:
    """The planned looks of all trackers of one loop, which share timers.

    Looks with equal delays are in one queue, which is sorted by itself, with one timer of the loop; a look that is not
    needed any more stays in it until its time. So such a look costs 0.5 µs, not 3 for a timer of its own.
    """

    def __init__(self) -> None:
        self._queues: dict[float, deque[tuple[float, DeliveryTracker, int]]] = defaultdict(deque)

    def plan(self, loop: asyncio.AbstractEventLoop, seconds: float, tracker: "DeliveryTracker", turn: int) -> None:
        """Has *tracker* look in *seconds*, unless it has planned another look than *turn* by then."""
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

    The server calls `handed(n)` after each part that `send` took (the wire does, for poured bytes), and `over`
    *before* the message with `more_body: False`, so that the client's next request is handled after the outcome; it
    calls `close()` in any case.

    *on_progress* is called at most every *progress_seconds* while acknowledgements come. Without any for
    *stall_seconds*, although bytes are outstanding, the connection is reset, which also frees a blocked `send`.
    Whenever the outcome is "not received" the connection is reset, except by `close`. *looks*: the loop's, if shared.
    """

    # Defaults that most trackers never change; one is made for each request.
    outcome: bool | None = None
    """True: received; False: not received; None: not known yet."""
    _evidence: Evidence | None = None
    """None where on TCP the kernel took the whole body at once, as nearly always: its empty queue is enough."""
    _handed = _turn = _done = _mark = 0
    _delay = _moved_at = _reported_at = 0.0
    _is_watched = _is_unreported = _is_all_out = False
    _over: Deferred[bool] | None = None

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
        self._on_progress, self._looks = on_progress, looks or Looks()
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
        """Notes that *n* more bytes of the body (without headers) were passed to the server."""
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
        """Begins to watch the client: the server takes no more for the moment."""
        if not self._is_watched and self.outcome is None:
            self._watch()

    def ended(self) -> None:
        """Sets the length of a body of unknown length to what was handed over."""
        self._total = self._handed

    @property
    def handed_over(self) -> int:
        """The bytes of the body that the server, or the kernel, took so far."""
        return self._handed

    def acknowledged(self) -> int:
        """The bytes of the body that the client certainly has. Never falls; all of them once received."""
        if self.outcome:
            return self._total
        return self._counted().acknowledged()

    def over(self) -> Deferred[bool]:
        """The `outcome`, to be asked for after all was handed over. A part of a body is not received.

        It comes in the loop iteration in which it is known; at once, if it is.
        """
        over: Deferred[bool] = Deferred()
        if self._handed < self._total:
            self.close()
        elif self._total == 0:
            self.handed(0)  # the headers alone are watched
        evidence = self._evidence
        if self.outcome is None and evidence is not None and evidence.is_prompt:
            self._look()
        if self.outcome is not None:
            over.come(self.outcome)
            return over
        self._over, self._is_all_out = over, True
        if not self._is_watched:
            self._is_watched = True
            self._moved_at = self._reported_at = self._wire.loop.time()
        self._delay, self._done = _FIRST_DELAY_SECONDS, 0  # from now on looks are frequent
        self._plan()
        return over

    def nudge(self) -> None:
        """Looks now: bytes came from the client, or the connection was lost."""
        if self.outcome is None:
            self._look()

    def ring(self, turn: int) -> None:
        """Makes the planned look *turn*, unless another one was planned since."""
        if turn == self._turn and not self._look():
            self._done += 1
            self._plan()
            self._account()

    def close(self) -> None:
        """Ends tracking; an outcome that is not known yet becomes "not received". Twice is once."""
        if self.outcome is None:
            self._settle(False)

    def _counted(self) -> Evidence:
        """The evidence, by which acknowledgements are counted from now on."""
        if self._evidence is None:
            self._evidence = evidence_on(self._wire, self._handed)
        return self._evidence

    def _watch(self) -> None:
        """Begins periodic looks while the server is still taking the body; `send` may be blocked for long."""
        self._is_watched = True
        self._moved_at = self._reported_at = self._wire.loop.time()
        self._delay = min(self._progress_seconds, self._stall_seconds) / 4
        self._plan()

    def _plan(self) -> None:
        """Plans the next look, and cancels one that was planned before."""
        self._turn += 1
        loop, delay, evidence = self._wire.loop, self._delay, self._evidence
        if self._is_all_out and evidence is not None and self._done < evidence.eager_looks:
            loop.call_soon(self.ring, self._turn)
            return
        self._looks.plan(loop, delay, self, self._turn)
        if self._is_all_out and delay < _LONGEST_DELAY_SECONDS:
            self._delay = min(2 * delay, _LONGEST_DELAY_SECONDS)

    def _look(self) -> bool:
        """Checks the queue. Is the outcome known?"""
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
        """Notes progress of the client since the last look; resets the connection after too long without any."""
        now, mark = self._wire.loop.time(), self._counted().mark()
        if mark != self._mark:
            self._mark, self._moved_at, self._is_unreported = mark, now, True
        elif mark == self._handed:
            self._moved_at = now  # it has all bytes so far: the server is slow, not the client
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
        self._turn += 1  # cancels a planned look
        self._on_progress = None  # breaks a cycle: its owner may hold this tracker
        self._wire.release()
        if reset:
            self._wire.abort()
        over, self._over = self._over, None
        if over is not None:
            over.come(outcome)
