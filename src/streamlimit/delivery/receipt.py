"""Has the client received it? Watches one response body until every byte is acknowledged, or it is given up.

Received (rule 4) is what the client's TCP stack acknowledged; what lies in its kernel's buffer counts. The kernel
sends no notice of that, so the queue is looked at: soon, then ever more slowly, and whenever something comes
from the client. Knows no HTTP, no server, no session.
"""

import asyncio
from collections.abc import Callable

from streamlimit.delivery.evidence import Evidence, TcpEvidence, evidence_on
from streamlimit.delivery.rounds import Rounds
from streamlimit.delivery.wire import Kind, Wire

__all__ = ["DeliveryTracker", "Wire"]

_FIRST_DELAY_SECONDS = 0.004  # on a fast line the client's next request is there before, and settles it for less
_LONGEST_DELAY_SECONDS = 0.02
_TCP = Kind.TCP  # looking up a member takes long


class DeliveryTracker:
    """One response body of *total* bytes on its way to one client. Only for the loop's own thread.

    The server says `handed(n)` after each part that `send` took (of what is poured the wire does), hears the
    outcome *before* the message with `more_body: False` (so that the client's next request is looked at after it), if
    it `is_arriving()`, and calls `close()` in any case. Without a wire (a server that is not ours) received means that
    all was handed over: see `SendOnlyEvidence`.

    *on_progress* is called at most every *progress_seconds* while acknowledgements come. Without any for
    *stall_seconds*, although bytes are outstanding, the connection is reset, which also frees a blocked `send`.
    Whenever the outcome is "not received" the connection is reset, except by `close`. *rounds*: the loop's, if shared.
    """

    # What most passages never change; they are made for each request.
    outcome: bool | None = None
    """Received, not received, not known yet."""
    _handed = _turn = _looks = _mark = 0
    _delay = _moved_at = _told_at = 0.0
    _is_watched = _untold = _is_all_out = False
    _callback: Callable[[bool], object] | None = None

    def __init__(
        self,
        wire: Wire | None,
        total: int,
        on_progress: Callable[[], object] | None = None,
        stall_seconds: float = 6.0,
        progress_seconds: float = 2.0,
        rounds: Rounds | None = None,
    ) -> None:
        self._wire, self._total = wire, total
        self._on_progress, self._rounds = on_progress, rounds
        self._stall_seconds, self._progress_seconds = stall_seconds, progress_seconds
        if wire is not None and wire.kind is _TCP:  # as nearly always
            self._evidence: Evidence = TcpEvidence(wire, total)
        else:
            self._evidence = evidence_on(wire, total)
        if wire is None:
            return
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
        self._handed += n
        self._evidence.hand(n)
        if self._handed < self._total:
            self.blocked()

    def blocked(self) -> None:
        """The server takes no more for the moment: from now on the client is watched."""
        if not self._is_watched and self._wire is not None and self.outcome is None:
            self._watch()

    def ended(self) -> None:
        """Of a body whose length was not known: all that was handed over is all of it."""
        self._total = self._handed
        self._evidence.end(self._handed)

    @property
    def handed_over(self) -> int:
        """Bytes of the body that the server, or the kernel, took so far."""
        return self._handed

    def acknowledged(self) -> int:
        """Bytes of the body that the client certainly has. Never falls; all of them once received."""
        if self.outcome:
            return self._total
        return self._evidence.acknowledged()

    def is_arriving(self) -> bool:
        """All was handed over that will be; is the `outcome` still to come? In part is not received."""
        if self._handed < self._total:
            self.close()
        elif self._total == 0:
            self._evidence.hand(0)  # then it is about the headers alone
        if self.outcome is not None or (self._evidence.is_prompt and self._look()):
            return False
        self._is_all_out = True
        if not self._is_watched:
            self._is_watched = True
            self._moved_at = self._told_at = self._loop.time()
        self._delay, self._looks = _FIRST_DELAY_SECONDS, 0  # from now on it is looked at often
        self._plan()
        return True

    def add_callback(self, callback: Callable[[bool], object]) -> None:
        """*callback* is told the outcome, in the very loop iteration in which it is known; now, if it is."""
        if self.outcome is None:
            self._callback = callback
        else:
            callback(self.outcome)

    def nudge(self) -> None:
        """Something came from the client, or the connection went: look now."""
        if self.outcome is None:
            self._look()

    def ring(self, turn: int) -> None:
        """A look that was planned."""
        if turn == self._turn and not self._look():
            self._looks += 1
            self._plan()
            self._account()

    def close(self) -> None:
        """No more interest: without an outcome so far it is "not received". Again: nothing."""
        if self.outcome is None:
            self._settle(False)

    @property
    def _loop(self) -> asyncio.AbstractEventLoop:
        assert self._wire is not None  # without one everything is known at once
        return self._wire.loop

    def _watch(self) -> None:
        """Looks now and then while the server is still taking the body; `send` may be blocked for long."""
        self._is_watched = True
        self._moved_at = self._told_at = self._loop.time()
        self._delay = min(self._progress_seconds, self._stall_seconds) / 4
        self._plan()

    def _plan(self) -> None:
        """The next look; one that was planned before is off."""
        self._turn += 1
        assert self._wire is not None  # without one everything is known at once
        loop, delay = self._wire.loop, self._delay
        if self._is_all_out and self._looks < self._evidence.eager_looks:
            loop.call_soon(self.ring, self._turn)
            return
        if self._rounds is None:
            self._rounds = Rounds()
        self._rounds.later(loop, delay, self, self._turn)
        if self._is_all_out and delay < _LONGEST_DELAY_SECONDS:
            self._delay = min(2 * delay, _LONGEST_DELAY_SECONDS)

    def _look(self) -> bool:
        """Whether the outcome is known."""
        if self._handed >= self._total:
            verdict = self._evidence.verdict()
        else:
            verdict = False if self._wire is not None and self._wire.is_over else None
        if verdict is not None:
            self._settle(verdict, reset=not verdict)
        return verdict is not None

    def _account(self) -> None:
        """Notes whether the client took something since the last time, or nothing for too long."""
        assert self._wire is not None  # without one everything is known at once
        now, mark = self._wire.loop.time(), self._evidence.mark()
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
        self._turn += 1  # no look that was planned is needed
        self._on_progress = None  # whose owner may well hold us, too
        if self._wire is not None:
            self._wire.release()
            if reset:
                self._wire.abort()
        callback, self._callback = self._callback, None
        if callback is not None:
            callback(outcome)
