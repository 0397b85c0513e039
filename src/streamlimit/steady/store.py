"""Stands between the limiter and a store, with the same promises (rule 11, and the end of product.md).

Who sits is admitted from what this worker knows; a confirmation is sent without waiting for the answer, which
decides the session's *next* segment; one that cannot be sent is kept and told later, before anyone new of that
user is admitted.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from inspect import isawaitable
from typing import TypeVar

from msgspec.structs import replace

from streamlimit.errors import StoreUnavailable
from streamlimit.knowledge import Knowledge, Known, digest
from streamlimit.model import (
    Admitted,
    Ask,
    Confirmed,
    Decision,
    Event,
    Gone,
    Lease,
    Purpose,
    Receipt,
    Session,
    State,
    Verdict,
)
from streamlimit.policy import Policy
from streamlimit.steady.kept import Kept, KeptReceipts
from streamlimit.steady.outage import PROBE_SECONDS, Conduct, Counts, Outage
from streamlimit.steady.passing import Passing
from streamlimit.store.contract import Answer, Events, Store, resolved

T = TypeVar("T")

TOLD_TOGETHER = 256
"""Kept receipts that travel together; between two such lots viewers get their turn."""


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
        self._policy, self._spares = policy, conduct.spares
        self._announce, self._clock, self._wall_ms = announce, clock, wall_ms
        self._fresh = (policy.missed_segments - 1) * policy.segment_ms / 1_000
        self.knowledge, self.kept = Knowledge(policy, conduct.outage_seconds), KeptReceipts()
        self._outage = Outage(conduct, clock, on_change)

    @property
    def is_away(self) -> bool:
        """Does the store, or a part of it, not answer?"""
        return self._outage.is_away

    @property
    def counts(self) -> Counts:
        """For the metrics."""
        return self._outage.counts

    def admit(self, ask: Ask) -> Answer[Decision]:
        """As the store's; from knowledge where that will do, or must."""
        now = self._clock()
        known = self.knowledge.recall(ask, now)
        if known is not None and self._is_enough(known, ask, now):
            return self._admitted(known, ask, now, degraded=self.kept.has(ask))
        if self.kept.has_of(ask.user_id):
            return self._admit_after_telling(ask)
        return self._ask_store(ask, known, now)

    def confirm(self, receipt: Receipt) -> Answer[Verdict]:
        """As the store's; kept for later while it is away. Nobody who is known waits for the answer."""
        now = self._clock()
        try:
            self._outage.rest()
            answer = self.store.confirm(receipt)
        except StoreUnavailable:
            return self._keep(receipt, now)
        if not isawaitable(answer):
            return self._learned(receipt, answer, now)
        known = self.knowledge.recall(receipt.lease.ask, now) if self._spares else None
        if known is None or not known.is_active or receipt.lease.ask.stream_id != known.session.stream_id:
            return self._confirm_later(answer, receipt, now)
        asyncio.ensure_future(answer).add_done_callback(partial(self._answered, receipt, now))
        self.knowledge.foresee(receipt)
        return Confirmed(known.session, known.limit, known.live)

    def abandon(self, lease: Lease) -> Answer[Events]:
        """As the store's. A reservation that cannot be given back now runs out by itself."""
        known = self.knowledge.recall(lease.ask, self._clock())
        if known is not None and self._spares and known.is_active:
            return ()  # an active session: nothing to give back
        if known is not None and not known.is_active and known.session.segment is None:
            self.knowledge.forget(lease.ask.user_id, lease.ask.session_id)
        return self._forgiving(lambda: self.store.abandon(lease), ())

    def prolong(self, lease: Lease) -> Answer[Gone | None]:
        """As the store's; None (go on) while it is away."""
        note = partial(self._prolonged, lease, self._clock())
        return self._forgiving(lambda: self.store.prolong(lease), None, note)

    def end(self, user_id: str, session_id: str) -> Answer[Events]:
        """As the store's; what is known is forgotten first, so that nothing kept or under way brings it back."""
        self._let_go(user_id, session_id)
        return self.store.end(user_id, session_id)

    def terminate(self, user_id: str, session_id: str | None, by: str, reason: str) -> Answer[Events]:
        """As the store's; this worker knows at once, others by the answer to their next confirmation."""
        every = {*self.knowledge.sessions_of(user_id), *self.kept.sessions_of(user_id)}
        for each in every if session_id is None else (session_id,):
            self._let_go(user_id, each)
        return self.store.terminate(user_id, session_id, by, reason)

    async def tell_once(self, user_id: str | None = None) -> bool:
        """Tells the store some of what was kept (all of one user's). Raises nothing; did it answer any?"""
        waiting = self.kept.next(TOLD_TOGETHER) if user_id is None else self.kept.of(user_id)
        # All are asked before the first answer is awaited, so that they travel together.
        asked = [(kept, self._tell_again(kept)) for kept in waiting]
        answers = [await self._heard(kept, answer) for kept, answer in asked]
        return any(answers)

    async def tell_all(self) -> None:
        """Tells everything that was kept, as long as the store takes it."""
        while self.kept and await self.tell_once():
            await asyncio.sleep(0)

    async def finish(self) -> None:
        """Before the worker stops: what is under way arrives (answers come in order), what was kept is told."""
        await self._ping()
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
            await self._ping()
        self.knowledge.forget_old(self._clock())

    def _is_enough(self, known: Known, ask: Ask, now: float) -> bool:
        """May the worker answer without asking? Not if it could be a player too many (rule 8)."""
        return (
            self._spares
            and known.is_active
            and now - known.at < self._fresh
            and not ask.wants_next
            and ask.stream_id == known.session.stream_id
            and digest(ask.client) == known.client
            and not self._outage.refuses_all
        )

    def _ask_store(self, ask: Ask, known: Known | None, now: float) -> Answer[Decision]:
        try:
            self._outage.rest()
            answer = self.store.admit(ask)
        except StoreUnavailable as error:
            return self._admit_in_outage(ask, known, error)
        return self._admit_later(answer, ask, now) if isawaitable(answer) else self._seen(answer, ask, now)

    async def _admit_later(self, answer: Awaitable[Decision], ask: Ask, asked_at: float) -> Decision:
        try:
            return self._seen(await answer, ask, asked_at)
        except StoreUnavailable as error:
            return self._admit_in_outage(ask, self.knowledge.recall(ask, self._clock()), error)

    async def _admit_after_telling(self, ask: Ask) -> Decision:
        """The limit counts within one user: what was kept of them is told before the store decides."""
        if not self._outage.rests:
            await self.tell_once(ask.user_id)
        now = self._clock()
        known = self.knowledge.recall(ask, now)
        if self.kept.has_of(ask.user_id):
            return self._admit_in_outage(ask, known, StoreUnavailable("confirmations wait for the store"))
        return await resolved(self._ask_store(ask, known, now))

    def _admit_in_outage(self, ask: Ask, known: Known | None, error: StoreUnavailable) -> Decision:
        """Who sits goes on; anyone else only where the operator chose so. Raises what the store raised."""
        self._outage.failed()
        if self._outage.refuses_all:
            raise error
        if known is None or not known.session.generation:
            return self._admit_provisionally(ask, known, error)
        return self._admitted(known, ask, self._clock(), degraded=True)

    def _admit_provisionally(self, ask: Ask, known: Known | None, error: StoreUnavailable) -> Decision:
        """On an unexpired grant, within `outage_seconds`, at most the user's limit on this worker; or anyone at all."""
        now, limit = self._clock(), self._limit(ask)
        is_room = known is not None or self.knowledge.sitting(ask.user_id, now) < limit
        if not self._outage.admits_all and not (ask.granted and is_room and self._outage.admits_granted):
            raise error
        session = self._provisional_session(ask) if known is None else known.session
        if ask.purpose is not Purpose.CHECK:  # a playlist takes no seat
            self.knowledge.suppose(session, limit, 0, now)
        self.counts.degraded += 1
        lease = Lease(ask, 0, 0, self._wall_ms())
        live = self.knowledge.sitting(ask.user_id, now)
        return Admitted(session, lease, limit, live, existing=known is not None, degraded=True)

    def _admitted(self, known: Known, ask: Ask, now: float, degraded: bool) -> Admitted:
        if degraded:
            self.counts.degraded += 1
        session = known.session
        # The store's clock, as far as this worker can tell: at `known.at` it was the last activity's time.
        told_ms = session.started_at_ms if session.last_activity_ms is None else session.last_activity_ms
        lease = Lease(ask, session.generation, session.move, told_ms + int((now - known.at) * 1_000))
        return Admitted(session, lease, known.limit, known.live, existing=True, degraded=degraded)

    async def _confirm_later(self, answer: Awaitable[Verdict], receipt: Receipt, sent_at: float) -> Verdict:
        try:
            return self._learned(receipt, await answer, sent_at)
        except StoreUnavailable:
            return self._keep(receipt, sent_at)

    def _answered(self, receipt: Receipt, sent_at: float, future: "asyncio.Future[Verdict]") -> None:
        """The answer to a confirmation that nobody waited for."""
        if future.cancelled():
            return
        error = future.exception()
        if error is None:
            self._tell(self._learned(receipt, future.result(), sent_at).events)
        elif isinstance(error, StoreUnavailable):
            self._keep(receipt, sent_at)
        else:
            raise error

    def _learned(self, receipt: Receipt, verdict: Verdict, at: float) -> Verdict:
        """The store answered for *receipt*, which the client had at *at*."""
        self.kept.settled(receipt.lease, at)
        self._outage.answered(bool(self.kept))
        if isinstance(verdict, Confirmed):
            self.knowledge.learn(receipt, verdict, at)
        else:
            self.knowledge.gone(receipt.lease)
        return verdict

    def _keep(self, receipt: Receipt, at: float) -> Verdict:
        """The store is away: told later, unless the session left meanwhile."""
        self._outage.failed()
        ask = receipt.lease.ask
        if self.knowledge.has_left(ask):
            return Gone(State.ENDED)
        self.kept.keep(receipt, at)
        self.knowledge.foresee(receipt)
        known = self.knowledge.recall(ask, self._clock())
        if known is None:
            return Confirmed(self._provisional_session(ask), self._limit(ask), 1, degraded=True)
        return Confirmed(known.session, known.limit, known.live, degraded=True)

    def _tell_again(self, kept: Kept) -> Answer[Verdict] | None:
        age_ms = max(int((self._clock() - kept.at) * 1_000), 0)
        try:
            return self.store.confirm(replace(kept.receipt, age_ms=age_ms))
        except StoreUnavailable:
            return None

    async def _heard(self, kept: Kept, answer: Answer[Verdict] | None) -> bool:
        """Did the store answer for what was kept?"""
        try:
            if answer is not None:
                self._tell(self._learned(kept.receipt, await resolved(answer), kept.at).events)
                return True
        except StoreUnavailable:
            pass
        self._outage.failed()
        self.kept.tried(kept)
        return False

    def _prolonged(self, lease: Lease, asked_at: float, gone: Gone | None) -> None:
        if gone is None:
            self.knowledge.prolonged(lease, asked_at)
        else:
            self.knowledge.gone(lease)

    def _forgiving(
        self, ask_store: Callable[[], Answer[T]], otherwise: T, note: Callable[[T], None] = lambda answer: None
    ) -> Answer[T]:
        """The answer (*note* is told), or *otherwise* where the store is away and nothing is lost by that."""
        try:
            self._outage.rest()
            answer = ask_store()
        except StoreUnavailable:
            self._outage.failed()
            return otherwise
        if isawaitable(answer):
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

    async def _ping(self) -> None:
        try:
            await resolved(self.store.ping())
            self._outage.answered(bool(self.kept))
        except StoreUnavailable:
            self._outage.failed()

    def _seen(self, decision: Decision, ask: Ask, asked_at: float) -> Decision:
        self.counts.calls += 1
        self.counts.seconds += self._clock() - asked_at
        self._outage.answered(bool(self.kept))
        if isinstance(decision, Admitted):
            self.knowledge.met(ask, decision, asked_at)
        else:
            self.knowledge.forget(ask.user_id, ask.session_id)
        return decision

    def _let_go(self, user_id: str, session_id: str) -> None:
        self.knowledge.left(user_id, session_id, self._clock())
        self.kept.drop(user_id, session_id)

    def _limit(self, ask: Ask) -> int:
        """The user's, as far as it is known here."""
        return self.knowledge.limit_of(ask.user_id) or ask.limit or self._policy.max_sessions

    def _provisional_session(self, ask: Ask) -> Session:
        """Of generation 0: the store gives it a real one when it is told what the session received."""
        now_ms, life_ms = self._wall_ms(), self._policy.expiry_ms
        state = State.STARTING
        return Session(
            ask.session_id, ask.user_id, ask.stream_id, state, ask.device, None, None, now_ms, None, now_ms + life_ms, 0, 0
        )

    def _tell(self, events: Events) -> None:
        for event in events:
            self._announce(event)
