"""The cache between the limiter and a store, with the store's promises; in an outage as rule 11 says.

A session with a seat is admitted from memory; a confirmation is sent without waiting for the answer, which
decides the session's *next* segment; one that cannot be sent is kept and sent later, before a new session of that
user is admitted.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from streamlimit.cache.admissions import Admissions, both
from streamlimit.cache.entry import CachedSession, digest
from streamlimit.cache.offline_admission import OfflineAdmission
from streamlimit.cache.outage import Counts, Outage, OutagePolicy
from streamlimit.cache.receipts import Receipts
from streamlimit.cache.session_cache import SessionCache
from streamlimit.cache.tombstones import Tombstones
from streamlimit.cache.watch import Watch
from streamlimit.errors import StoreUnavailable
from streamlimit.model import Admitted, Ask, Confirmed, Decision, Event, Gone, Lease, Purpose, Receipt, State, Verdict
from streamlimit.policy import Policy
from streamlimit.store.contract import Answer, Events, Store, resolved
from streamlimit.store.deferred import then

T = TypeVar("T")

_SEAT, _CHECK = Purpose.SEAT, Purpose.CHECK  # looked up once. A check is no lease


class CachingStore:
    """A `Store` over *store*: the calls of the hot path use this worker's cache; all others go to *store*.

    *announce* gets events of confirmations that no request waited for; *on_change* is called once when an outage begins
    (True) and once when it is back (False). *clock*: monotonic seconds; *wall_ms*: for provisional sessions.
    `spares`: cached sessions are admitted without the store's word, which corrects it.
    `kept`: receipts that wait for an outage to end; `unanswered`: receipts sent to the store that it has not answered.
    """

    def __init__(
        self,
        store: Store,
        policy: Policy,
        outage_policy: OutagePolicy,
        announce: Callable[[Event], None] = lambda event: None,
        on_change: Callable[[bool], None] = lambda away: None,
        clock: Callable[[], float] = time.monotonic,
        wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self.store = store
        # Who watches, and limits, are never guessed.
        self.report, self.lose_again, self.expire = store.report, store.lose_again, store.expire
        self.sessions, self.browse, self.pending = store.sessions, store.browse, store.pending
        self.own_limit, self.set_limit, self.limits = store.own_limit, store.set_limit, store.limits
        self.ping, self.close = store.ping, store.close
        self.spares, self._clock = outage_policy.spares, clock
        self._knows_plays = policy.max_returns > 0
        self._fresh = (policy.missed_segments - 1) * policy.segment_ms / 1_000
        self.cache = SessionCache(policy, outage_policy.outage_seconds)
        self._outage = Outage(outage_policy, clock, on_change)
        self._offline = OfflineAdmission(policy, self.cache, self._outage, clock, wall_ms)
        self._tombstones = Tombstones(policy.expiry_ms / 1_000)
        parts = store, self.cache, self._outage, self._offline, self._tombstones
        self._receipts = Receipts(*parts, announce, clock)
        self._admissions = Admissions(*parts, self._receipts, clock)
        self._watch = Watch(store, self.cache, self._outage, self._tombstones, self._receipts, clock)
        self.kept, self.unanswered = self._receipts.kept, self._receipts.unanswered
        # What one part does alone is that part's.
        self.confirm, self.flush, self.failed = self._receipts.send, self._receipts.flush, self._outage.failed
        self.watch_forever, self.watch_once, self.finish = self._watch.forever, self._watch.once, self._watch.finish

    @property
    def is_away(self) -> bool:
        """Does the store, or a part of it, not answer? As long as anything is kept, it is."""
        return self._outage.is_away

    @property
    def cause(self) -> str:
        """Why the store is unavailable, or was last: the text of the failure."""
        return self._outage.cause

    @property
    def counts(self) -> Counts:
        """The counters of outages and calls, for the metrics."""
        return self._outage.counts

    def admit(self, ask: Ask) -> Answer[Decision]:
        """As the store's `admit`; from the cache where that is enough, or the store is unavailable."""
        now = self._clock()
        known = self.cache.recall(ask, now) if self.spares else None
        if (
            known is not None
            and known.entry is not None
            and self._is_enough(known, ask, now)
            and (ask.purpose is _CHECK or known.entry.lend(ask.lease_id))
        ):
            lease = Lease(ask, known.session.generation, known.session.move, known.date_ms(now))
            return Admitted(known.session, lease, known.limit, known.live, existing=True)
        return self._admissions.ask(ask, now)

    def beat(self, ask: Ask) -> Answer[Decision]:
        """As the store's `beat`; a cached session goes on, and the store's answer decides its next heartbeat."""
        if self._outage.is_away:
            return self._beat_in_two(ask)
        now = self._clock()
        known = self.cache.recall(ask, now) if self.spares else None
        if (
            known is not None
            and (ask.user_id, ask.session_id) not in self.unanswered
            and self._is_enough(known, ask, now)
        ):
            lease = Lease(ask, known.session.generation, known.session.move)  # not dated: it has no position
            is_sent = self._receipts.report(Receipt(lease), now)
            if not is_sent:
                self._outage.counts.degraded += 1
            return Admitted(known.session, lease, known.limit, known.live, existing=True, degraded=not is_sent)
        return self._admissions.ask(ask, now, is_beat=True)

    def abandon(self, lease: Lease) -> Answer[Events]:
        """As the store's `abandon`. A reservation that cannot be given back in an outage expires by itself."""
        self.cache.settle(lease)
        known = self.cache.recall(lease.ask, self._clock())
        if known is not None and known.is_active and self.spares:
            return ()  # an active session: nothing to give back
        if known is not None and not known.is_active and known.session.segment is None:
            self.cache.forget(lease.ask.user_id, lease.ask.session_id)
        return self._forgiving(self.store.abandon, lease, ())

    def prolong(self, lease: Lease) -> Answer[Gone | None]:
        """As the store's `prolong`; in an outage None: the delivery goes on."""
        return self._forgiving(self.store.prolong, lease, None, partial(self._prolonged, lease, self._clock()))

    def end(self, user_id: str, session_id: str, keep_grant: bool = False) -> Answer[Events]:
        """As the store's `end`; the session is forgotten first, so that no kept or pending receipt brings it back."""
        self._receipts.forget(user_id, session_id)
        return self._noted(self.store.end(user_id, session_id, keep_grant), keep_grant)

    def terminate(self, user_id: str, session_id: str | None, by: str, reason: str) -> Answer[Events]:
        """As the store's; this worker knows at once, others by the answer to their next receipt of the user."""
        every = {*self.cache.sessions_of(user_id), *self.kept.sessions_of(user_id)}
        for each in every if session_id is None else (session_id,):
            self._receipts.forget(user_id, each)
        return self._noted(self.store.terminate(user_id, session_id, by, reason), keep_grant=True)

    def forgive(self, user_id: str, session_id: str | None) -> Answer[int]:
        """As the store's `forgive`. The termination is not sent again after a failover."""
        self._tombstones.forgive(user_id, session_id)
        return self.store.forgive(user_id, session_id)

    def forget(self, user_id: str) -> Answer[Events]:
        """As the store's; this worker knows at once, others by the answer to their next receipt of the user."""
        for each in {*self.cache.sessions_of(user_id), *self.kept.sessions_of(user_id)}:
            self._receipts.forget(user_id, each)
        return self._noted(self.store.forget(user_id), keep_grant=False)

    async def secret(self, name: str, made: str) -> str:
        """As the store's `secret`, which a worker asks for at its start: a failure begins an outage."""
        try:
            return await resolved(self.store.secret(name, made))
        except StoreUnavailable as error:
            self._outage.failed(error)
            raise

    def _noted(self, answer: Answer[Events], keep_grant: bool) -> Answer[Events]:
        """The answer, whose events of sessions that left are remembered: a store that fails over may lose them."""
        return then(answer, partial(self._note, keep_grant))

    def _note(self, keep_grant: bool, events: Events) -> Events:
        for event in events:
            self._tombstones.note_event(event, keep_grant)
        return events

    def _is_enough(self, known: CachedSession, ask: Ask, now: float) -> bool:
        """May the cache answer *ask*? Not if it could be one player too many (rule 8), or the answer brings a grant.

        In an outage only for a session confirmed since it began: that user's part of the store does answer (rule 11).
        """
        return (
            known.session.last_activity_ms is not None
            and now - known.at < self._fresh
            and not ask.wants_next
            and ask.purpose is not _SEAT
            and ask.stream_id == known.session.stream_id
            and digest(ask.client) == known.client
            and (ask.play == known.session.play or not self._knows_plays or not (ask.play or ask.lease_id))
            and not (self._outage.is_away and (known.at <= self._outage.since or self.kept.has(ask)))
        )

    async def _beat_in_two(self, ask: Ask) -> Decision:
        """A heartbeat in an outage, as two steps: the user's kept receipts are sent before the admission."""
        decision: Decision = await resolved(self.admit(ask))
        if not isinstance(decision, Admitted) or decision.lease is None:
            return decision
        verdict: Verdict = await resolved(self.confirm(Receipt(decision.lease)))
        if not decision.degraded and isinstance(verdict, Confirmed) and verdict.degraded:
            self.counts.degraded += 1  # the outage began between the two
        return both(decision, verdict)

    def _prolonged(self, lease: Lease, asked_at: float, gone: Gone | None) -> Gone | None:
        if gone is None:
            self.cache.prolonged(lease, asked_at)
        elif gone.state is not State.ACTIVE:
            self.cache.gone(lease.ask.user_id, lease.ask.session_id, lease.generation)
        return gone

    def _forgiving(
        self,
        promise: Callable[[Lease], Answer[T]],
        lease: Lease,
        otherwise: T,
        note: Callable[[T], T] = lambda answer: answer,
    ) -> Answer[T]:
        """The answer, passed to *note*; *otherwise* where the store is unavailable and nothing is lost by that."""
        try:
            answer = self._outage.attempt(promise, lease)
        except StoreUnavailable:
            return otherwise
        return then(answer, note, partial(self._forgiven, otherwise))

    def _forgiven(self, otherwise: T, error: Exception) -> T:
        self._outage.unanswered(error)
        return otherwise
