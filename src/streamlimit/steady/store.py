"""Stands between the limiter and a store, with the same promises (rule 11, and the end of product.md).

Who sits is admitted from what this worker knows; a confirmation is sent without waiting for the answer, which
decides the session's *next* segment; one that cannot be sent is kept and told later, before anyone new of that
user is admitted.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from msgspec.structs import replace

from streamlimit.errors import StoreUnavailable, UnknownSession
from streamlimit.knowledge import Knowledge, Known, digest
from streamlimit.model import Admitted, Ask, Confirmed, Decision, Event, Gone, Lease, Receipt, Verdict
from streamlimit.policy import Policy
from streamlimit.steady.departed import Departed
from streamlimit.steady.guests import Guests
from streamlimit.steady.outage import PROBE_SECONDS, Conduct, Counts, Outage
from streamlimit.steady.passing import Passing
from streamlimit.steady.receipts import Receipts
from streamlimit.store.coming import Coming
from streamlimit.store.contract import Answer, Events, Store, is_coming, resolved

T = TypeVar("T")

LOOKS = 32
"""How often, each `PROBE_SECONDS`, some of those who are long gone are forgotten."""


class SteadyStore(Passing):
    """The hot promises of *store* with what this worker knows; the rest is the store's own.

    *announce* is told events of confirmations nobody waited for; *on_change* once when the store goes away
    (True) and once when it is back (False). *clock*: monotonic seconds; *wall_ms*: for provisional sessions.
    """

    def __init__(
        self,
        store: Store,
        policy: Policy,
        conduct: Conduct,
        announce: Callable[[Event], None] = lambda event: None,
        on_change: Callable[[bool], None] = lambda away: None,
        clock: Callable[[], float] = time.monotonic,
        wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        super().__init__(store)
        self._spares, self._clock = conduct.spares, clock
        self._fresh = (policy.missed_segments - 1) * policy.segment_ms / 1_000
        self.knowledge = Knowledge(policy, conduct.outage_seconds)
        self._outage = Outage(conduct, clock, on_change)
        self._guests = Guests(policy, self.knowledge, self._outage, clock, wall_ms)
        self._departed = Departed(policy.expiry_ms / 1_000)
        self._receipts = Receipts(store, self.knowledge, self._outage, self._guests, self._departed, announce, clock)
        self.kept = self._receipts.kept

    @property
    def is_away(self) -> bool:
        """Does the store, or a part of it, not answer? As long as anything is kept, it is."""
        return self._outage.is_away

    @property
    def counts(self) -> Counts:
        """For the metrics."""
        return self._outage.counts

    def failed(self) -> None:
        """The store is found to be away though nobody asks it for anything: who asks next is told so."""
        self._outage.failed()

    def admit(self, ask: Ask) -> Answer[Decision]:
        """As the store's; from knowledge where that will do, or must."""
        now = self._clock()
        known = self.knowledge.recall(ask, now) if self._spares else None
        if known is not None and self._is_enough(known, ask, now):
            return self._guests.go_on(known, ask, degraded=False)
        if self.is_away and self.kept.has_of(ask.user_id):
            return self._admit_after_telling(ask)
        return self._ask_store(ask)

    def beat(self, ask: Ask) -> Answer[Decision]:
        """As the store's; who is known goes on, and the store's answer decides the next beat."""
        if self._outage.is_away:
            return self._beat_in_two(ask)
        now = self._clock()
        known = self.knowledge.recall(ask, now) if self._spares else None
        if known is not None and not self._receipts.is_unanswered(ask) and self._is_enough(known, ask, now):
            return self._receipts.beat(known, ask, now)
        try:
            answer: Answer[Decision] = self._outage.attempt(self.store.beat, ask)
        except StoreUnavailable as error:
            return self._beat_alone(ask, error)
        if isinstance(answer, Coming):
            return answer.then(partial(self._beat_came, ask, now))
        return self._beat_later(answer, ask, now) if is_coming(answer) else self._seen(answer, ask, now, beaten=True)

    def confirm(self, receipt: Receipt) -> Answer[Verdict]:
        """As the store's; kept for later while it is away. Nobody who is known waits for the answer."""
        return self._receipts.send(receipt, self._spares)

    def abandon(self, lease: Lease) -> Answer[Events]:
        """As the store's. A reservation that cannot be given back now runs out by itself."""
        known = self.knowledge.recall(lease.ask, self._clock())
        if known is not None and known.is_active and self._spares:
            return ()  # an active session: nothing to give back
        if known is not None and not known.is_active and known.session.segment is None:
            self.knowledge.forget(lease.ask.user_id, lease.ask.session_id)
        return self._forgiving(self.store.abandon, lease, ())

    def prolong(self, lease: Lease) -> Answer[Gone | None]:
        """As the store's; None (go on) while it is away."""
        return self._forgiving(self.store.prolong, lease, None, partial(self._prolonged, lease, self._clock()))

    def end(self, user_id: str, session_id: str) -> Answer[Events]:
        """As the store's; what is known is forgotten first, so that nothing kept or under way brings it back."""
        self._receipts.forget(user_id, session_id)
        return self.store.end(user_id, session_id)

    def terminate(self, user_id: str, session_id: str | None, by: str, reason: str) -> Answer[Events]:
        """As the store's; this worker knows at once, others by the answer to their next confirmation."""
        every = {*self.knowledge.sessions_of(user_id), *self.kept.sessions_of(user_id)}
        for each in every if session_id is None else (session_id,):
            self._receipts.forget(user_id, each)
        return self.store.terminate(user_id, session_id, by, reason)

    async def secret(self, name: str, made: str) -> str:
        """As the store's. It is asked for at the start: an outage may begin with that."""
        try:
            return await resolved(self.store.secret(name, made))
        except StoreUnavailable:
            self._outage.failed()
            raise

    async def tell_all(self) -> None:
        """Tells everything that was kept, as long as the store takes it. Raises nothing."""
        await self._receipts.tell_all()

    async def finish(self) -> None:
        """Before the worker stops: what is under way arrives (answers come in order), what was kept is told."""
        await self._probe()
        await self.tell_all()

    async def watch_forever(self) -> None:
        """Tells what was kept as soon as the store is back, and forgets what is long past."""
        while True:
            await asyncio.sleep(PROBE_SECONDS)
            await self.watch_once()

    async def watch_once(self) -> None:
        """One look."""
        if self.kept:
            await self.tell_all()
        elif self.is_away:
            await self._probe()
        for _ in range(LOOKS):
            now = self._clock()
            self.knowledge.forget_old(now)
            self._departed.forget_old(now)
            await asyncio.sleep(0)  # viewers wait for one look, not for all

    def _is_enough(self, known: Known, ask: Ask, now: float) -> bool:
        """May the worker answer without asking? Not if it could be a player too many (rule 8).

        In an outage only who was confirmed since it began: the part of the store with that user does answer (rule 11).
        """
        return (
            known.session.last_activity_ms is not None
            and now - known.at < self._fresh
            and not ask.wants_next
            and ask.stream_id == known.session.stream_id
            and digest(ask.client) == known.client
            and not (self._outage.is_away and (known.at <= self._outage.since or self.kept.has(ask)))
        )

    def _ask_store(self, ask: Ask) -> Answer[Decision]:
        now = self._clock()
        try:
            answer: Answer[Decision] = self._outage.attempt(self.store.admit, ask)
        except StoreUnavailable as error:
            return self._guests.admit(ask, self.knowledge.recall(ask, now), error)
        return self._admit_later(answer, ask, now) if is_coming(answer) else self._seen(answer, ask, now)

    async def _admit_later(self, answer: Awaitable[Decision], ask: Ask, asked_at: float) -> Decision:
        try:
            return self._seen(await answer, ask, asked_at)
        except StoreUnavailable as error:
            self._outage.failed()
            return self._guests.admit(ask, self.knowledge.recall(ask, self._clock()), error)

    async def _admit_after_telling(self, ask: Ask) -> Decision:
        """The limit counts within one user: what was kept of them is told before the store decides."""
        if not self._outage.rests:
            await self._receipts.tell_once(ask.user_id)
        if self.kept.has_of(ask.user_id):
            error = StoreUnavailable("confirmations wait for the store")
            return self._guests.admit(ask, self.knowledge.recall(ask, self._clock()), error)
        return await resolved(self._ask_store(ask))

    async def _beat_later(self, answer: Awaitable[Decision], ask: Ask, asked_at: float) -> Decision:
        try:
            return self._seen(await answer, ask, asked_at, beaten=True)
        except StoreUnavailable as error:
            self._outage.failed()
            return self._beat_alone(ask, error)

    def _beat_came(self, ask: Ask, asked_at: float, answer: Decision | Exception) -> Decision | Exception:
        if isinstance(answer, StoreUnavailable):
            self._outage.failed()
            return self._beat_alone(ask, answer)
        return answer if isinstance(answer, Exception) else self._seen(answer, ask, asked_at, beaten=True)

    def _beat_alone(self, ask: Ask, error: StoreUnavailable) -> Decision:
        """The store just failed: the beat is kept where the session may go on, and *error* raised where not."""
        now = self._clock()
        admitted = self._guests.admit(ask, self.knowledge.recall(ask, now), error)
        assert admitted.lease is not None  # not a check
        return _both(admitted, self._receipts.keep(Receipt(admitted.lease), now))

    async def _beat_in_two(self, ask: Ask) -> Decision:
        """While the store is away it is not one step: what was kept of the user is told in between."""
        decision: Decision = await resolved(self.admit(ask))
        if not isinstance(decision, Admitted) or decision.lease is None:
            return decision
        verdict: Verdict = await resolved(self.confirm(Receipt(decision.lease)))
        if not decision.degraded and isinstance(verdict, Confirmed) and verdict.degraded:
            self.counts.degraded += 1  # the store went away between the two
        return _both(decision, verdict)

    def _seen(self, decision: Decision, ask: Ask, asked_at: float, beaten: bool = False) -> Decision:
        """The store decided."""
        self.counts.calls += 1
        self.counts.seconds += self._clock() - asked_at
        if self._outage.is_away:
            self._outage.answered(bool(self.kept))
        if isinstance(decision, Admitted):
            if decision.events:
                self._receipts.heed(decision.events)
            self._departed.back(ask, asked_at)
            if not self._departed.has(ask):
                before = self.knowledge.recall(ask, asked_at)
                self.knowledge.met(ask, decision, asked_at, self._clock(), beaten)
                return decision if before is None else _dated(decision, before, before.date_ms(asked_at))
        elif decision.code != "session-shared":  # which says nothing of its seat
            self.knowledge.forget(ask.user_id, ask.session_id)
        return decision

    def _prolonged(self, lease: Lease, asked_at: float, gone: Gone | None) -> None:
        if gone is None:
            self.knowledge.prolonged(lease, asked_at)
        else:
            self.knowledge.gone(lease.ask.user_id, lease.ask.session_id, lease.generation)

    def _forgiving(
        self,
        promise: Callable[[Lease], Answer[T]],
        lease: Lease,
        otherwise: T,
        note: Callable[[T], None] = lambda answer: None,
    ) -> Answer[T]:
        """The answer (*note* is told), or *otherwise* where the store is away and nothing is lost by that."""
        try:
            answer = self._outage.attempt(promise, lease)
        except StoreUnavailable:
            return otherwise
        if is_coming(answer):
            return self._forgive(answer, otherwise, note)
        note(answer)
        return answer

    async def _forgive(self, coming: Awaitable[T], otherwise: T, note: Callable[[T], None]) -> T:
        try:
            answer = await coming
        except StoreUnavailable:
            self._outage.failed()
            return otherwise
        note(answer)
        return answer

    async def _probe(self) -> None:
        """Does it answer?"""
        try:
            await resolved(self.store.ping())
        except StoreUnavailable:
            self._outage.failed()
        else:
            self._outage.answered(bool(self.kept))


def _dated(admitted: Admitted, before: Known, at_least_ms: int) -> Admitted:
    """Its lease is not dated earlier than one that this worker gave the session *before* it asked the store."""
    lease = admitted.lease
    if lease is None or lease.admitted_ms >= at_least_ms or lease.generation != before.session.generation:
        return admitted
    return replace(admitted, lease=replace(lease, admitted_ms=at_least_ms))


def _both(admitted: Admitted, verdict: Verdict) -> Admitted:
    """One answer for the two. Raises `UnknownSession` where the session left between them."""
    if not isinstance(verdict, Confirmed):
        raise UnknownSession("the session went away at this moment")
    return Admitted(
        verdict.session,
        admitted.lease,
        verdict.limit,
        verdict.live,
        admitted.existing,
        admitted.events + verdict.events,
        admitted.degraded or verdict.degraded,
        admitted.would_refuse,
    )
