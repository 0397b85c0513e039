"""Receipts on their way to the store: its answers are cached; in an outage receipts are kept (rule 11)."""

import asyncio
from collections.abc import Callable
from functools import partial

from msgspec.structs import replace

from streamlimit.cache.offline_admission import OfflineAdmission
from streamlimit.cache.outage import Outage
from streamlimit.cache.session_cache import SessionCache
from streamlimit.cache.tombstones import Tombstones
from streamlimit.cache.write_behind import QueuedReceipt, WriteBehindQueue
from streamlimit.errors import StoreUnavailable
from streamlimit.model import Confirmed, Event, Gone, Lease, Receipt, State, Verdict
from streamlimit.store.contract import Answer, Events, Store, resolved
from streamlimit.store.deferred import then

SENT_TOGETHER = 256
"""Kept receipts that are sent in one batch; between two batches viewers are served."""

SENT_AWAY = frozenset({"session.ended", "session.terminated"})
"""Events of sessions that somebody ended: no receipt may bring them back."""

LOST = frozenset({"session.expired", "session.abandoned"})
"""Events of sessions that fell silent: a receipt may seat them again (rule 3)."""


class Receipts:
    """Sends receipts to *store*. *announce* gets the events of receipts whose answer no request waits for."""

    def __init__(
        self,
        store: Store,
        cache: SessionCache,
        outage: Outage,
        offline: OfflineAdmission,
        tombstones: Tombstones,
        announce: Callable[[Event], None],
        clock: Callable[[], float],
    ) -> None:
        self._store, self._cache, self._outage, self._offline = store, cache, outage, offline
        self._tombstones, self._announce, self._clock = tombstones, announce, clock
        self.kept = WriteBehindQueue()
        self.unanswered: dict[tuple[str, str], Receipt] = {}
        """The last receipt without an answer, by user and session: the store may be about to reject it."""

    def send(self, receipt: Receipt) -> Answer[Verdict]:
        """As the store's `confirm`; in an outage the receipt is kept. A cached session does not wait for the answer."""
        now, ask = self._clock(), receipt.lease.ask
        known = self._cache.recall(ask, now) if self._outage.spares else None
        if known is None or known.entry is None:
            return self._ask(receipt, now)
        if known.session.last_activity_ms is None or ask.stream_id != known.session.stream_id:
            return self._ask(receipt, now)
        known.entry.foresee(receipt)
        is_sent = self.report(receipt, now)
        return Confirmed(known.session, known.limit, known.live, degraded=not is_sent)

    def _ask(self, receipt: Receipt, now: float) -> Answer[Verdict]:
        try:
            answer: Answer[Verdict] = self._outage.attempt(self._store.confirm, receipt)
        except StoreUnavailable:
            return self.keep(receipt, now)
        if isinstance(answer, Verdict):
            return self._learn(receipt, answer, now)
        return then(answer, partial(self._learn, receipt, at=now), partial(self._failed, receipt, now))

    def report(self, receipt: Receipt, now: float) -> bool:
        """Sends *receipt* without waiting for the answer. False: the store is unavailable, and the receipt is kept."""
        failures, ask = self._outage.counts.failures, receipt.lease.ask
        who = ask.user_id, ask.session_id
        self.unanswered[who] = receipt
        self._store.report(receipt, partial(self._answered, receipt, who, now))
        return failures == self._outage.counts.failures

    def heed(self, events: Events) -> None:
        """Forgets the sessions that lost their seats by *events*, which came with the answer about another session."""
        for event in events:
            session = event.session
            if event.type in SENT_AWAY:
                self.forget(session.user_id, session.session_id)
                self._tombstones.note_event(event)
            elif event.type in LOST:
                self._cache.gone(session.user_id, session.session_id, session.generation)

    def forget(self, user_id: str, session_id: str) -> None:
        """Forgets a session that was ended, terminated or replaced through this worker, with its receipts."""
        self._tombstones.add(user_id, session_id, self._clock())
        self._cache.forget(user_id, session_id)
        self.kept.drop(user_id, session_id)

    async def flush_once(self, user_id: str | None = None) -> bool:
        """Sends a batch of kept receipts, or all of one user.

        Raises nothing. Returns whether the store answered any.
        """
        waiting = self.kept.next(SENT_TOGETHER) if user_id is None else self.kept.of(user_id)
        # All are asked before the first answer is awaited, so that they travel together.
        asked = [(kept, self._ask_again(kept)) for kept in waiting]
        answered = [await self._is_answered(kept, answer) for kept, answer in asked]
        return any(answered)

    async def flush(self) -> None:
        """Sends all kept receipts, as long as the store answers."""
        while self.kept and await self.flush_once():
            await asyncio.sleep(0)

    def _failed(self, receipt: Receipt, sent_at: float, error: Exception) -> Verdict:
        """The verdict where the store failed with *error*: *receipt* is kept, or the error is raised."""
        self._outage.unanswered(error)
        return self.keep(receipt, sent_at)

    def _answered(
        self, receipt: Receipt, who: tuple[str, str], sent_at: float, answer: Verdict | StoreUnavailable
    ) -> None:
        """Handles the answer to a receipt of *who* (user and session) that no request waited for."""
        if self.unanswered.get(who) is receipt:
            del self.unanswered[who]
        if isinstance(answer, StoreUnavailable):
            self._failed(receipt, sent_at, answer)
            return
        self._learn(receipt, answer, sent_at)
        if answer.events:
            self._tell(answer.events)

    def _learn(self, receipt: Receipt, verdict: Verdict, at: float, is_late: bool = False) -> Verdict:
        """Caches the *verdict* on *receipt*, received by the client at *at*. *is_late*: it was sent some time later."""
        if self._outage.is_away:
            self.kept.settled(receipt.lease, at)
            self._outage.answered(bool(self.kept))
        lease = receipt.lease
        if verdict.events:
            self.heed(verdict.events)
        if not isinstance(verdict, Confirmed):
            self._cache.gone(lease.ask.user_id, lease.ask.session_id, lease.generation)
        elif not (self._tombstones.since and self._tombstones.has(lease.ask)):
            # Only segments are dated by the store's clock: for heartbeats, which are many, bounding it is no use.
            answered_at = None if is_late or receipt.segment is None else self._clock()
            self._cache.learn_confirmation(receipt, verdict, at, answered_at)
        return verdict

    def keep(self, receipt: Receipt, at: float) -> Verdict:
        """Keeps *receipt* until the store has recovered, unless the session left meanwhile."""
        ask = receipt.lease.ask
        if self._tombstones.has(ask):
            return Gone(State.ENDED)
        self.kept.keep(receipt, at)
        self._cache.foresee(receipt)
        self._cache.settle(receipt.lease)
        return self._supposed(receipt.lease)

    def _supposed(self, lease: Lease) -> Confirmed:
        """The verdict that the store will probably give on the receipt of *lease*."""
        ask = lease.ask
        known = self._cache.recall(ask, self._clock())
        if known is not None:
            return Confirmed(known.session, known.limit, known.live, degraded=True)
        session = replace(self._offline.session(ask), generation=lease.generation, move=lease.move)
        return Confirmed(session, self._offline.limit(ask), self._offline.live(ask), degraded=True)

    def _ask_again(self, kept: QueuedReceipt) -> Answer[Verdict] | None:
        age_ms = max(int((self._clock() - kept.at) * 1_000), 0)
        try:
            return self._store.confirm(replace(kept.receipt, age_ms=age_ms))
        except StoreUnavailable:
            return None

    async def _is_answered(self, kept: QueuedReceipt, answer: Answer[Verdict] | None) -> bool:
        """Waits for the *answer* to a *kept* receipt. Returns whether the store gave one."""
        try:
            if answer is not None:
                self._tell(self._learn(kept.receipt, await resolved(answer), kept.at, is_late=True).events)
                return True
        except StoreUnavailable:
            pass
        self._outage.failed()
        self.kept.tried(kept)
        return False

    def _tell(self, events: Events) -> None:
        for event in events:
            self._announce(event)
