"""The limiter: admit, confirm, abandon, and `lease()` over them. No I/O of its own, no clock, no framework.

Each operation returns its answer or an awaitable of it, as the store does, and needs no task. The hot path, the control
plane and every edge use it.
"""

import secrets
from collections.abc import Awaitable, Callable
from functools import partial
from itertools import count
from types import TracebackType
from typing import ParamSpec, TypeVar

from msgspec.structs import replace

from streamlimit.errors import admission
from streamlimit.model import (
    FOR_GOOD,
    Admitted,
    Ask,
    Confirmed,
    Decision,
    Event,
    Gone,
    Lease,
    Receipt,
    Refusal,
    Swept,
    Terms,
    Verdict,
)
from streamlimit.refusal_limiter import CODE, RefusalLimiter
from streamlimit.store.contract import Answer, Events, Store, is_coming, resolved
from streamlimit.store.deferred import then
from streamlimit.tally import Tally

T = TypeVar("T")
P = ParamSpec("P")
Announce = Callable[[Event], None]
OnRefusal = Callable[[Ask, Refusal], None]
OnSeat = Callable[[Ask, Admitted], None]
Issued = tuple[str | None, int | None, str, int, int, int]
"""The values that a receipt of a segment confirms: the arguments of `LeaseHolder.issue`."""

NO_LEASE = "a check holds no lease: ask with Purpose.LEASE or Purpose.SEAT"
LOSSES = frozenset({"session.expired", "session.ended", "session.terminated", "session.abandoned"})
"""Events after which a seat is free."""


class Limiter:
    """Decides for all sessions of a service on one *store*; passes every state change to *announce*.

    *on_refusal* gets each refusal with its question, also one left out by a dry run; those that *guard* makes from
    memory are only counted. *on_seat* gets each session that is given a seat. `lease_ids` makes the ids of leases for
    questions without one.
    """

    def __init__(
        self,
        store: Store,
        announce: Announce = lambda event: None,
        tally: Tally | None = None,
        on_refusal: OnRefusal = lambda ask, refusal: None,
        guard: RefusalLimiter | None = None,
        on_seat: OnSeat = lambda ask, admitted: None,
    ) -> None:
        self.store, self._announce, self.tally = store, announce, tally or Tally()
        self._on_refusal, self._guard, self._on_seat = on_refusal, guard, on_seat
        self.lease_ids = map(f"{secrets.token_hex(4)}-{{:x}}".format, count())

    def admit(self, ask: Ask) -> Answer[Decision]:
        """Decides whether the session may be issued a segment; reserves a seat where it has none (rules 1–3)."""
        if self._guard is not None and self._guard.users and (held := self.hold(ask)) is not None:
            return held
        if not ask.lease_id:
            ask = replace(ask, lease_id=next(self.lease_ids))
        answer = self.store.admit(ask)
        if type(answer) is Admitted:  # nearly all
            return self._decided(ask, answer)
        return then(answer, partial(self._decided, ask))

    async def admitted(self, ask: Ask) -> Admitted:
        """As `admit`, for those who wait. Raises `Refused`."""
        return admission(await resolved(self.admit(ask)), ask)

    def hold(self, ask: Ask) -> Refusal | None:
        """The refusal from memory, for a client that was refused again and again. None: the store is asked."""
        held = None if self._guard is None else self._guard.hold(ask)
        if held is not None:
            self.tally.refusals[held.code] += 1
        return held

    def hold_again(self, ask: Ask) -> int:
        """The milliseconds for which a request that `hold` refused before stays refused. 0: `admit` it anew."""
        retry_after_ms = 0 if self._guard is None else self._guard.hold_again(ask)
        if retry_after_ms:
            self.tally.refusals[CODE] += 1
        return retry_after_ms

    def beat(self, ask: Ask) -> Answer[Decision]:
        """A heartbeat, where another party moves the bytes: admits and confirms in one step, or refuses."""
        if self._guard is not None and self._guard.users and (held := self.hold(ask)) is not None:
            return held
        answer = self.store.beat(ask)
        if type(answer) is Admitted:
            return self._decided(ask, answer, is_beat=True)
        return then(answer, partial(self._decided, ask, is_beat=True))

    def confirm(self, receipt: Receipt) -> Answer[Verdict]:
        """Confirms that the client has the segment (rule 4): last activity is now."""
        answer = self.store.confirm(receipt)
        if type(answer) is Confirmed and not answer.events:
            self.tally.confirmations += 1
            return answer
        return then(answer, self._confirmed)

    def abandon(self, lease: Lease) -> Answer[Events]:
        """Ends a lease without a receipt: a reservation is given back, an active session stays as it was."""
        self.tally.not_received += 1
        return then(self.store.abandon(lease), self.happened)

    def prolong(self, lease: Lease) -> Answer[Gone | None]:
        """Prolongs the session while a segment's bytes move. None, or why it holds no seat any more."""
        return self.store.prolong(lease)

    def end(self, user_id: str, session_id: str, keep_grant: bool = False) -> Answer[Events]:
        """Ends a session for its viewer: the seat is free, and the grant is dead unless *keep_grant*."""
        return then(self.store.end(user_id, session_id, keep_grant), self.happened)

    def terminate(self, user_id: str, session_id: str | None, by: str, reason: str) -> Answer[Events]:
        """Terminates one session of the user, or (None) all: by an operator or another device."""
        return then(self.store.terminate(user_id, session_id, by, reason), self.happened)

    def forgive(self, user_id: str, session_id: str | None) -> Answer[int]:
        """Forgives a terminated session, or (None) all of the user's: they may come back at once. Returns how many."""
        return then(self.store.forgive(user_id, session_id), partial(self._freed, user_id))

    def forget(self, user_id: str) -> Answer[Events]:
        """Forgets a user: nothing is kept, and grants given so far start nothing."""
        return then(self.store.forget(user_id), partial(self._forgotten, user_id))

    def set_limit(self, user_id: str, max_sessions: int | None, terms: Terms = FOR_GOOD) -> Answer[None]:
        """Gives the user a limit of their own, or (None) removes it. Refused requests go to the store again."""
        return then(self.store.set_limit(user_id, max_sessions, terms), partial(self._freed, user_id))

    async def expire(self, at_most: int) -> Swept:
        """One bounded step of the sweep."""
        swept = await resolved(self.store.expire(at_most))
        self.happened(swept.events)
        return swept

    def happened(self, events: Events) -> Events:
        """Counts and announces *events* of the store, also those without a call of this limiter."""
        for event in events:
            self.tally.events[event.type] += 1
            self._announce(event)
            if event.type in LOSSES:
                self._freed(event.session.user_id, event)
        return events

    def lease(self, ask: Ask) -> "LeaseHolder":
        """Reserves, or raises `Refused`; leaving the block normally confirms, by exception abandons."""
        return LeaseHolder(self, ask)

    def _decided(self, ask: Ask, decision: Decision, is_beat: bool = False) -> Decision:
        """Counts and announces a *decision*. *is_beat*: an admitted session is confirmed, too."""
        guard, tally = self._guard, self.tally
        if isinstance(decision, Refusal):
            tally.refusals[decision.code] += 1
            if guard is not None:
                guard.note(ask, decision)
            self._on_refusal(ask, decision)
            return decision
        tally.admissions += 1
        tally.confirmations += is_beat
        if not decision.existing and decision.lease is not None:
            self._on_seat(ask, decision)
        if guard is not None and guard.users:
            guard.note_admitted(ask)
        if decision.would_refuse is not None:
            tally.would_refuse[decision.would_refuse] += 1
            sessions = () if decision.session is None else (decision.session,)
            self._on_refusal(ask, Refusal(decision.would_refuse, decision.limit, decision.live, sessions))
        if decision.events:
            self.happened(decision.events)
        return decision

    def _confirmed(self, verdict: Verdict) -> Verdict:
        self.tally.confirmations += 1
        if verdict.events:
            self.happened(verdict.events)
        return verdict

    def _forgotten(self, user_id: str, events: Events) -> Events:
        return self._freed(user_id, self.happened(events))

    def _freed(self, user_id: str, answer: T) -> T:
        """Notes that a seat of the user may be free, after the store's *answer*, which is returned."""
        if self._guard is not None:
            self._guard.note_freed(user_id)
        return answer


class LeaseHolder:
    """One lease from reservation to receipt, as `async with`. `issue` names what is being delivered."""

    admitted: Admitted
    lease: Lease

    _confirmed = _settled = False

    def __init__(self, limiter: Limiter, ask: Ask, admitted: Admitted | None = None) -> None:
        """*admitted*: of a question asked before; then the block is not used, and `leave` or `fail` ends the lease."""
        self._limiter, self._ask = limiter, ask
        self.issued: Issued = (None, None, ask.kind, 0, 0, 0)
        if admitted is not None:
            if admitted.lease is None:
                raise ValueError(NO_LEASE)
            self.admitted, self.lease = admitted, admitted.lease

    async def __aenter__(self) -> "LeaseHolder":
        admitted = admission(await resolved(self._limiter.admit(self._ask)), self._ask)
        if admitted.lease is None:
            raise ValueError(NO_LEASE)
        self.admitted, self.lease = admitted, admitted.lease
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            await self.fail()
        elif (leaving := self.leave()) is not None:
            await leaving

    def leave(self) -> Awaitable[Verdict] | None:
        """Ends the lease as received. A returned awaitable is to be awaited."""
        if self._settled:
            return None
        segment, sequence, kind, play_ms, part, ends_ms = self.issued
        answer = self._limiter.confirm(Receipt(self.lease, segment, sequence, kind, play_ms, 0, part, ends_ms))
        return None if isinstance(answer, Verdict) else answer

    async def fail(self) -> None:
        """Ends the lease as not received, except for segments that were confirmed."""
        if not self._confirmed:
            await self.abandon()

    def issue(self, segment: str | None, sequence: int | None, kind: str, play_ms: int) -> None:
        """Sets what leaving the block normally confirms. *play_ms*: the segment's duration; others as in `Receipt`."""
        self.issued = (segment, sequence, kind, play_ms, 0, 0)

    async def confirm(
        self,
        segment: str | None,
        sequence: int | None,
        kind: str = "video",
        play_ms: int = 0,
        part: int = 0,
        ends_ms: int = 0,
    ) -> Verdict:
        """Confirms one segment; may be called for each of several within one lease."""
        self._confirmed = True
        coming = self._limiter.confirm(
            Receipt(self.lease, segment, sequence, kind, play_ms, part=part, ends_ms=ends_ms)
        )
        verdict: Verdict = await coming if is_coming(coming) else coming
        if isinstance(verdict, Confirmed) and verdict.session.stream_id == self._ask.stream_id:
            # This lease may have moved the session, or seated it again: its next receipt is not a stale one.
            session, lease = verdict.session, self.lease
            if (session.move, session.generation) != (lease.move, lease.generation):
                self.lease = Lease(self._ask, session.generation, session.move, lease.admitted_ms)
        return verdict

    async def prolong(self) -> Gone | None:
        """Prolongs the session while the segment's bytes move."""
        return await resolved(self._limiter.prolong(self.lease))

    async def abandon(self) -> None:
        """Settles the lease as not received; a second time, or after a receipt, it does nothing."""
        if not self._settled:
            self._settled = True
            await resolved(self._limiter.abandon(self.lease))


def joined(*listeners: Callable[P, None]) -> Callable[P, None]:
    """The listener that calls all *listeners*, in their order."""
    if len(listeners) == 1:
        return listeners[0]

    def notify(*args: P.args, **kwargs: P.kwargs) -> None:
        for listener in listeners:
            listener(*args, **kwargs)

    return notify
