"""Questions on their way to the store: what its decisions teach, and who is let in where it gives none (rule 11)."""

from collections.abc import Awaitable, Callable
from functools import partial

from msgspec.structs import replace

from streamlimit.cache.entry import CachedSession
from streamlimit.cache.offline_admission import OfflineAdmission
from streamlimit.cache.outage import Outage
from streamlimit.cache.receipts import Receipts
from streamlimit.cache.session_cache import SessionCache
from streamlimit.cache.tombstones import Tombstones
from streamlimit.errors import StoreUnavailable, UnknownSession
from streamlimit.model import Admitted, Ask, Confirmed, Decision, Receipt, Verdict
from streamlimit.store.contract import Answer, Store, is_coming, resolved
from streamlimit.store.deferred import Deferred

SAY_NOTHING = frozenset({"session-shared", "too-many-visits"})
"""Refusals that say nothing of the session's own seat: if it sits, it sits."""


class Admissions:
    """Asks *store*; *receipts* are kept, or told first, where it is away."""

    def __init__(
        self,
        store: Store,
        cache: SessionCache,
        outage: Outage,
        offline: OfflineAdmission,
        tombstones: Tombstones,
        receipts: Receipts,
        clock: Callable[[], float],
    ) -> None:
        self._store, self._cache, self._outage, self._offline = store, cache, outage, offline
        self._tombstones, self._receipts, self._clock = tombstones, receipts, clock

    def ask(self, ask: Ask) -> Answer[Decision]:
        """The store's decision; cache's where it is away."""
        if self._outage.is_away and self._receipts.kept.has_of(ask.user_id):
            return self._ask_after_telling(ask)
        return self._ask(ask)

    def beat(self, ask: Ask, now: float) -> Answer[Decision]:
        """The store's decision on a heartbeat, admitted and confirmed in one step; cache's where it is away."""
        try:
            answer: Answer[Decision] = self._outage.attempt(self._store.beat, ask)
        except StoreUnavailable as error:
            return self._beat_alone(ask, error)
        if isinstance(answer, Deferred):
            return answer.then(partial(self._came, ask, now, True))
        return self._beat_later(answer, ask, now) if is_coming(answer) else self._seen(answer, ask, now, beaten=True)

    def _ask(self, ask: Ask) -> Answer[Decision]:
        now = self._clock()
        try:
            answer: Answer[Decision] = self._outage.attempt(self._store.admit, ask)
        except StoreUnavailable as error:
            return self._admit_alone(ask, error)
        if isinstance(answer, Deferred):
            return answer.then(partial(self._came, ask, now, False))
        return self._later(answer, ask, now) if is_coming(answer) else self._seen(answer, ask, now)

    async def _later(self, answer: Awaitable[Decision], ask: Ask, asked_at: float) -> Decision:
        try:
            return self._seen(await answer, ask, asked_at)
        except StoreUnavailable as error:
            self._outage.failed(error)
            return self._admit_alone(ask, error)

    async def _ask_after_telling(self, ask: Ask) -> Decision:
        """The limit counts within one user: what was kept of them is told before the store decides."""
        if not self._outage.rests:
            await self._receipts.tell_once(ask.user_id)
        if self._receipts.kept.has_of(ask.user_id):
            return self._admit_alone(ask, StoreUnavailable("confirmations wait for the store"))
        return await resolved(self._ask(ask))

    async def _beat_later(self, answer: Awaitable[Decision], ask: Ask, asked_at: float) -> Decision:
        try:
            return self._seen(await answer, ask, asked_at, beaten=True)
        except StoreUnavailable as error:
            self._outage.failed(error)
            return self._beat_alone(ask, error)

    def _came(self, ask: Ask, asked_at: float, beaten: bool, answer: Decision | Exception) -> Decision | Exception:
        if isinstance(answer, StoreUnavailable):
            self._outage.failed(answer)
            return self._beat_alone(ask, answer) if beaten else self._admit_alone(ask, answer)
        return answer if isinstance(answer, Exception) else self._seen(answer, ask, asked_at, beaten)

    def _admit_alone(self, ask: Ask, error: StoreUnavailable) -> Decision:
        """The store just failed: *error* is raised where the session may not go on."""
        known = self._cache.recall(ask, self._clock())
        if (known is None or not known.session.generation) and self._outage.may_read:
            known = self._read(ask) or known
        return self._offline.admit(ask, known, error)

    def _read(self, ask: Ask) -> CachedSession | None:
        """The asking session, where a file that cannot be written says that it sits: it may have come by another
        worker. One that left here is not brought back.
        """
        if self._tombstones.has(ask):
            return None
        try:
            roster = self._store.sessions(ask.user_id)
        except StoreUnavailable:
            self._outage.unread()
            return None
        return None if is_coming(roster) else self._offline.shown(ask, roster)

    def _beat_alone(self, ask: Ask, error: StoreUnavailable) -> Decision:
        """As `_admit_alone`, of a heartbeat: its receipt is kept for later."""
        admitted = self._admit_alone(ask, error)
        if not isinstance(admitted, Admitted):
            return admitted
        assert admitted.lease is not None  # not a check
        return both(admitted, self._receipts.keep(Receipt(admitted.lease), self._clock()))

    def _seen(self, decision: Decision, ask: Ask, asked_at: float, beaten: bool = False) -> Decision:
        """The store decided."""
        heard_at, counts = self._clock(), self._outage.counts
        counts.calls += 1
        counts.seconds += heard_at - asked_at
        if self._outage.is_away:
            self._outage.answered(bool(self._receipts.kept))
        if isinstance(decision, Admitted):
            if decision.events:
                self._receipts.heed(decision.events)
            if decision.spent_ms:
                self._offline.budgets.paid(ask, decision.spent_ms, heard_at)
            session = decision.session
            generation = None if session is None else session.generation
            if not self._tombstones.since or self._tombstones.is_back(ask, asked_at, generation):
                least_ms = self._cache.met(ask, decision, asked_at, heard_at, beaten)
                return _dated(decision, least_ms) if least_ms else decision
        elif decision.code not in SAY_NOTHING:
            self._cache.forget(ask.user_id, ask.session_id)
        return decision


def both(admitted: Admitted, verdict: Verdict) -> Admitted:
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


def _dated(admitted: Admitted, at_least_ms: int) -> Admitted:
    """*admitted*, with a lease that is dated no earlier than one that this worker gave *before* it asked the store."""
    lease = admitted.lease
    if lease is None or lease.admitted_ms >= at_least_ms:
        return admitted
    return replace(admitted, lease=replace(lease, admitted_ms=at_least_ms))
