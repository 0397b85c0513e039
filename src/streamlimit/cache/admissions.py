"""Questions on their way to the store: what its decisions teach, and who is let in where it gives none (rule 11)."""

from collections.abc import Callable
from functools import partial

from msgspec.structs import replace

from streamlimit.cache.entry import CachedSession
from streamlimit.cache.offline_admission import OfflineAdmission
from streamlimit.cache.outage import Outage
from streamlimit.cache.receipts import Receipts
from streamlimit.cache.session_cache import SessionCache
from streamlimit.cache.tombstones import Tombstones
from streamlimit.errors import StoreUnavailable, UnknownSession
from streamlimit.model import Admitted, Ask, Confirmed, Decision, Receipt, Refusal, Verdict
from streamlimit.store.contract import Answer, Store, is_coming, resolved
from streamlimit.store.deferred import then

SAY_NOTHING = frozenset({"session-shared", "too-many-visits"})
"""Refusals that do not concern the session's own seat: one with a seat keeps it."""


class Admissions:
    """Asks *store*; *receipts* are kept, or sent first, where it is unavailable."""

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

    def ask(self, ask: Ask, now: float, is_beat: bool = False) -> Answer[Decision]:
        """The store's decision, cache's where it is away. *is_beat*: on a heartbeat, admitted and confirmed in one."""
        if self._outage.is_away and not is_beat and self._receipts.kept.has_of(ask.user_id):
            return self._ask_after_telling(ask)
        try:
            answer: Answer[Decision] = self._outage.attempt(self._store.beat if is_beat else self._store.admit, ask)
        except StoreUnavailable as error:
            return self._decide_alone(ask, is_beat, error)
        if isinstance(answer, Admitted | Refusal):
            return self._seen(ask, now, is_beat, answer)
        return then(answer, partial(self._seen, ask, now, is_beat), partial(self._failed, ask, is_beat))

    async def _ask_after_telling(self, ask: Ask) -> Decision:
        """The limit counts within one user: what was kept of them is sent before the store decides."""
        if not self._outage.rests:
            await self._receipts.tell_once(ask.user_id)
        if self._receipts.kept.has_of(ask.user_id):
            return self._admit_alone(ask, StoreUnavailable("confirmations wait for the store"))
        return await resolved(self.ask(ask, self._clock()))

    def _failed(self, ask: Ask, is_beat: bool, error: Exception) -> Decision:
        """There was no answer, but *error*."""
        if not isinstance(error, StoreUnavailable):
            raise error
        self._outage.failed(error)
        return self._decide_alone(ask, is_beat, error)

    def _decide_alone(self, ask: Ask, is_beat: bool, error: StoreUnavailable) -> Decision:
        """The store just failed: *error* is raised where the session may not go on. A beat's receipt is kept."""
        admitted = self._admit_alone(ask, error)
        if not is_beat or not isinstance(admitted, Admitted):
            return admitted
        assert admitted.lease is not None  # not a check
        return both(admitted, self._receipts.keep(Receipt(admitted.lease), self._clock()))

    def _admit_alone(self, ask: Ask, error: StoreUnavailable) -> Decision:
        known = self._cache.recall(ask, self._clock())
        if (known is None or not known.session.generation) and self._outage.may_read:
            known = self._read(ask) or known
        return self._offline.admit(ask, known, error)

    def _read(self, ask: Ask) -> CachedSession | None:
        """The asking session, where a file that cannot be written has its seat: it may have come by another
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

    def _seen(self, ask: Ask, asked_at: float, is_beat: bool, decision: Decision) -> Decision:
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
                least_ms = self._cache.met(ask, decision, asked_at, heard_at, is_beat)
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
