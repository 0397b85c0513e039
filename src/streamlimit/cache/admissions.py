"""Admissions by the store: its decisions are cached, and in an outage the cache decides (rule 11)."""

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

KEEP_SEAT = frozenset({"session-shared", "too-many-visits"})
"""Refusals that do not concern the session's own seat: one with a seat keeps it."""


class Admissions:
    """Asks *store* for admissions; where it is unavailable, *receipts* are kept, and sent before it decides again."""

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
        """The store's decision on *ask*; in an outage the cache's.

        *is_beat*: a heartbeat, admitted and confirmed at once.
        """
        if self._outage.is_away and not is_beat and self._receipts.kept.has_of(ask.user_id):
            return self._ask_after_flush(ask)
        try:
            answer: Answer[Decision] = self._outage.attempt(self._store.beat if is_beat else self._store.admit, ask)
        except StoreUnavailable as error:
            return self._decide_alone(ask, is_beat, error)
        if isinstance(answer, Admitted | Refusal):
            return self._seen(ask, now, is_beat, answer)
        return then(answer, partial(self._seen, ask, now, is_beat), partial(self._failed, ask, is_beat))

    async def _ask_after_flush(self, ask: Ask) -> Decision:
        """Sends the kept receipts of the asking user, then asks the store: the limit counts within one user."""
        if not self._outage.rests:
            await self._receipts.flush_once(ask.user_id)
        if self._receipts.kept.has_of(ask.user_id):
            return self._admit_alone(ask, StoreUnavailable("confirmations wait for the store"))
        return await resolved(self.ask(ask, self._clock()))

    def _failed(self, ask: Ask, is_beat: bool, error: Exception) -> Decision:
        """The decision where the store answered with *error*, which is raised if it is no outage."""
        return self._decide_alone(ask, is_beat, self._outage.unanswered(error))

    def _decide_alone(self, ask: Ask, is_beat: bool, error: StoreUnavailable) -> Decision:
        """The cache's decision after the store failed with *error*, which is raised where the session may not go on.

        The receipt of a heartbeat is kept.
        """
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
        """The asking session, read from a file that cannot be written: another worker may have admitted it.

        None: it has no seat there, or it left through this worker.
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
        """Caches the store's *decision* and returns it, its lease dated in order."""
        answered_at, counts = self._clock(), self._outage.counts
        counts.calls += 1
        counts.seconds += answered_at - asked_at
        if self._outage.is_away:
            self._outage.answered(bool(self._receipts.kept))
        if isinstance(decision, Admitted):
            if decision.events:
                self._receipts.heed(decision.events)
            if decision.spent_ms:
                self._offline.budgets.paid(ask, decision.spent_ms, answered_at)
            session = decision.session
            generation = None if session is None else session.generation
            if not self._tombstones.since or self._tombstones.is_back(ask, asked_at, generation):
                least_ms = self._cache.learn_admission(ask, decision, asked_at, answered_at, is_beat)
                return _dated(decision, least_ms) if least_ms else decision
        elif decision.code not in KEEP_SEAT:
            self._cache.forget(ask.user_id, ask.session_id)
        return decision


def both(admitted: Admitted, verdict: Verdict) -> Admitted:
    """The admission and the *verdict* on its receipt as one answer.

    Raises `UnknownSession` if the session left between.
    """
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
    """*admitted* with its lease dated *at_least_ms* or later: not before a lease that this worker gave earlier."""
    lease = admitted.lease
    if lease is None or lease.admitted_ms >= at_least_ms:
        return admitted
    return replace(admitted, lease=replace(lease, admitted_ms=at_least_ms))
