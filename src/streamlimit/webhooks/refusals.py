"""Refusals as events: at most one per session within n·X, and cheap, because players hammer.

This worker remembers its own announcements, so most refusals end at one look-up; the outbox has those of other workers.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

from msgspec.structs import replace

from streamlimit.errors import StoreUnavailable
from streamlimit.model import Ask, Event, Refusal, Session, State
from streamlimit.store.contract import Answer, is_coming
from streamlimit.store.deferred import Deferred, deferred

USERS_REMEMBERED = 20_000
SESSIONS_ANNOUNCED = 16
"""Sessions of one user that make an event within n·X: invented session ids must not flood the outbox."""


class Register(Protocol):
    """A register in which refusals become events, one per session for a while: the outbox, or the feed."""

    def refused(
        self, session: Session, reason: str, quiet_ms: int, live_sessions: int | None = None
    ) -> Answer[Event | None]: ...


class Refusals:
    """Makes events of refusals; call it with each. *announce* gets the new events; *clock*: monotonic seconds."""

    def __init__(
        self,
        register: Register,
        quiet_ms: int,
        announce: Callable[[Event], None] = lambda event: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._register, self._quiet_ms, self._announce, self._clock = register, quiet_ms, announce, clock
        self._announced: OrderedDict[str, dict[str, float]] = OrderedDict()

    def __call__(self, ask: Ask, refusal: Refusal) -> None:
        if self._is_new(ask):
            try:
                answer = self._register.refused(_session(ask, refusal), refusal.code, self._quiet_ms, refusal.live)
            except StoreUnavailable:
                return  # an unavailable store: refusals may be lost
            self._await(answer)

    def _is_new(self, ask: Ask) -> bool:
        now, quiet = self._clock(), self._quiet_ms / 1_000
        sessions = self._announced.get(ask.user_id)
        if sessions is None:
            if len(self._announced) >= USERS_REMEMBERED:
                self._announced.popitem(last=False)
            sessions = self._announced[ask.user_id] = {}
        elif now - sessions.get(ask.session_id, float("-inf")) < quiet:
            return False
        self._announced.move_to_end(ask.user_id)
        while sessions and now - next(iter(sessions.values())) >= quiet:  # the oldest stand first
            del sessions[next(iter(sessions))]
        if len(sessions) >= SESSIONS_ANNOUNCED:
            return False
        sessions[ask.session_id] = now
        return True

    def _await(self, answer: Answer[Event | None]) -> None:
        """Announces the event, at once or when the outbox has answered; the viewer does not wait for it."""
        if is_coming(answer):
            coming = answer if isinstance(answer, Deferred) else deferred(answer)
            coming.add_callback(self._answered)
        else:
            self._answered(answer)

    def _answered(self, event: Event | Exception | None) -> None:
        if isinstance(event, Event):
            self._announce(event)
        elif event is not None and not isinstance(event, StoreUnavailable):
            raise event


def _session(ask: Ask, refusal: Refusal) -> Session:
    """The refused session under its present plan and limit, from its seat or (without a generation) the question."""
    for session in refusal.sessions:
        if session.session_id == ask.session_id:
            return replace(session, plan=ask.plan or session.plan, limit=refusal.limit)
    generation = 0 if refusal.mark is None else refusal.mark.generation
    state = State.STARTING if refusal.mark is None else refusal.mark.state
    known = ask.session_id, ask.user_id, ask.stream_id, state, ask.device
    return Session(*known, None, None, 0, None, 0, generation, 0, ask.plan, refusal.limit)
