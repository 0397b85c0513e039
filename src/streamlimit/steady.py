"""A store that viewers can lean on while the real one is away (rule 11), and that spares it round trips.

Stands between the limiter and a store, with the same promises. Who sits is admitted from what this worker
knows; a confirmation is sent without waiting for the answer, which decides the session's *next* segment;
one that cannot be sent is kept and told later, before anyone new of that user is admitted.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from inspect import isawaitable
from typing import Literal, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from streamlimit.errors import StoreUnavailable
from streamlimit.knowledge import Kept, Knowledge, Known
from streamlimit.model import (
    Admitted,
    Ask,
    Confirmed,
    Decision,
    Event,
    Gone,
    Lease,
    Page,
    Purpose,
    Receipt,
    Roster,
    Session,
    State,
    Swept,
    Verdict,
)
from streamlimit.policy import Policy
from streamlimit.store.contract import Answer, Events, Store, resolved

Outage = Literal["keep-known", "admit-all", "refuse-all"]

T = TypeVar("T")

PROBE_SECONDS = 0.25
"""How often a store that is away is tried again."""

CALM_SECONDS = 1.0
"""No failure for so long: the outage is over (in a cluster some shards may fail while others answer)."""


class Counts(Struct):
    """What the metrics show: outages, and how long `calls` admissions by the store took, `seconds` in all."""

    outages: int = 0
    degraded: int = 0
    failures: int = 0
    calls: int = 0
    seconds: float = 0.0


class Conduct(Struct, frozen=True):
    """How to behave: *spares*: known sessions skip the round trip (a store across a wire)."""

    spares: bool = False
    on_outage: Outage = "keep-known"
    outage_seconds: float = 0.0


class SteadyStore:
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
        self.store, self.counts, self.is_away = store, Counts(), False
        self._policy, self._conduct = policy, conduct
        self._announce, self._on_change = announce, on_change
        self._clock, self._wall_ms = clock, wall_ms
        self._fresh = (policy.missed_segments - 1) * policy.segment_ms / 1_000
        self.knowledge = Knowledge(policy.expiry_ms / 1_000 + conduct.outage_seconds)
        self._failed_at, self._away_since = float("-inf"), float("-inf")
        self._provisional: dict[str, set[str]] = {}
        # Only what the parts of a cluster share could be held against all of them; a file is one thing.
        self._rests = not conduct.spares

    def admit(self, ask: Ask) -> Answer[Decision]:
        """As the store's; from knowledge where that will do, or must."""
        now = self._clock()
        known = self.knowledge.recall(ask, now)
        if known is not None and self._is_enough(known, ask, now):
            return self._admitted(known, ask, degraded=self.knowledge.is_kept(ask))
        if known is None and self.knowledge.waiting(ask.user_id):
            return self._admit_after_telling(ask)
        return self._ask_store(ask, known, now)

    def confirm(self, receipt: Receipt) -> Answer[Verdict]:
        """As the store's; kept for later while it is away. Nobody who is known waits for the answer."""
        now = self._clock()
        known = self.knowledge.recall(receipt.lease.ask, now)
        try:
            self._rest(now)
            answer = self.store.confirm(receipt)
        except StoreUnavailable:
            return self._keep(receipt, known, now)
        if not isawaitable(answer):
            return self._learned(receipt, answer, now)
        if known is None or not self._stays(known, receipt.lease.ask):
            return self._confirm_later(answer, receipt, known, now)
        asyncio.ensure_future(answer).add_done_callback(partial(self._answered, receipt, now))
        self.knowledge.foresee(receipt, known)
        return Confirmed(known.session, known.limit, known.live)

    def abandon(self, lease: Lease) -> Answer[Events]:
        """As the store's. A reservation that cannot be given back now runs out by itself."""
        if self._conduct.spares and self.knowledge.recall(lease.ask, self._clock()) is not None:
            return ()  # an active session: nothing to give back
        try:
            answer = self.store.abandon(lease)
        except StoreUnavailable:
            self._note_failure(self._clock())
            return ()
        return self._forgiving(answer, ()) if isawaitable(answer) else answer

    def prolong(self, lease: Lease) -> Answer[Gone | None]:
        """As the store's; None (go on) while it is away."""
        try:
            answer = self.store.prolong(lease)
        except StoreUnavailable:
            self._note_failure(self._clock())
            return None
        return self._forgiving(answer, None) if isawaitable(answer) else answer

    def end(self, user_id: str, session_id: str) -> Answer[Events]:
        """As the store's; what is known is forgotten first, so that nothing kept brings it back."""
        self.knowledge.forget(user_id, session_id)
        return self.store.end(user_id, session_id)

    def terminate(self, user_id: str, session_id: str | None, by: str, reason: str) -> Answer[Events]:
        """As the store's; this worker knows at once, others by the answer to their next confirmation."""
        if session_id is None:
            self.knowledge.forget_user(user_id)
        else:
            self.knowledge.forget(user_id, session_id)
        return self.store.terminate(user_id, session_id, by, reason)

    def expire(self, at_most: int) -> Answer[Swept]:
        """As the store's."""
        return self.store.expire(at_most)

    def sessions(self, user_id: str) -> Answer[Roster]:
        """As the store's."""
        return self.store.sessions(user_id)

    def browse(
        self, cursor: str | None, at_most: int, user_id: str | None, stream_id: str | None, state: str | None
    ) -> Answer[Page]:
        """As the store's."""
        return self.store.browse(cursor, at_most, user_id, stream_id, state)

    def limit(self, user_id: str) -> Answer[int | None]:
        """As the store's."""
        return self.store.limit(user_id)

    def set_limit(self, user_id: str, max_sessions: int | None) -> Answer[None]:
        """As the store's."""
        return self.store.set_limit(user_id, max_sessions)

    def secret(self, name: str, made: str) -> Answer[str]:
        """As the store's."""
        return self.store.secret(name, made)

    def pending(self) -> Answer[int]:
        """As the store's."""
        return self.store.pending()

    def ping(self) -> Answer[None]:
        """As the store's."""
        return self.store.ping()

    def close(self) -> Answer[None]:
        """As the store's."""
        return self.store.close()

    async def tell_once(self, user_id: str | None = None) -> None:
        """Tells the store what was kept (of one user, or the oldest of all). Raises nothing."""
        now = self._clock()
        # All are asked before the first answer is awaited, so that they travel together.
        asked = [(kept, asyncio.ensure_future(self._try(kept, now))) for kept in self.knowledge.waiting(user_id)]
        for kept, answer in asked:
            try:
                verdict = await answer
            except StoreUnavailable:
                self._note_failure(self._clock())
                continue
            self.knowledge.told(kept)
            self._tell(self._learned(kept.receipt, verdict, kept.at).events)

    async def watch_forever(self) -> None:
        """Tells what was kept as soon as the store is back, and forgets what is long past."""
        while True:
            await asyncio.sleep(PROBE_SECONDS)
            await self.watch_once()

    async def watch_once(self) -> None:
        """One look."""
        if self.knowledge.kept:
            await self.tell_once()
        elif self.is_away:
            await self._ping()
        self.knowledge.forget_old(self._clock())

    def _is_enough(self, known: Known, ask: Ask, now: float) -> bool:
        """May the worker answer without asking? Not if it could be a player too many (rule 8)."""
        if not self._conduct.spares or (self.is_away and self._conduct.on_outage == "refuse-all"):
            return False
        return (
            now - known.at < self._fresh
            and not ask.wants_next
            and ask.stream_id == known.session.stream_id
            and ask.client == known.client
        )

    def _stays(self, known: Known, ask: Ask) -> bool:
        """Is this the plain next segment of a known session, so that nobody need wait for the answer?"""
        return self._conduct.spares and ask.stream_id == known.session.stream_id

    def _ask_store(self, ask: Ask, known: Known | None, now: float) -> Answer[Decision]:
        try:
            self._rest(now)
            answer = self.store.admit(ask)
        except StoreUnavailable as error:
            return self._admit_in_outage(ask, known, now, error)
        return self._admit_later(answer, ask, known, now) if isawaitable(answer) else self._seen(answer, now)

    async def _admit_later(self, answer: Awaitable[Decision], ask: Ask, known: Known | None, now: float) -> Decision:
        try:
            return self._seen(await answer, now)
        except StoreUnavailable as error:
            return self._admit_in_outage(ask, known, now, error)

    async def _admit_after_telling(self, ask: Ask) -> Decision:
        """The limit counts within one user: what was kept of them is told before anyone new is admitted."""
        await self.tell_once(ask.user_id)
        now = self._clock()
        if self.knowledge.waiting(ask.user_id):
            return self._admit_in_outage(ask, None, now, StoreUnavailable("confirmations wait for the store"))
        return await resolved(self._ask_store(ask, self.knowledge.recall(ask, now), now))

    def _admit_in_outage(self, ask: Ask, known: Known | None, now: float, error: StoreUnavailable) -> Decision:
        """Who sits goes on; anyone else only where the operator chose so. Raises what the store raised."""
        self._note_failure(now)
        if self._conduct.on_outage == "refuse-all":
            raise error
        if known is not None:
            return self._admitted(known, ask, degraded=True)
        if self._conduct.on_outage == "admit-all" or self._may_sit_provisionally(ask, now):
            self._provisional.setdefault(ask.user_id, set()).add(ask.session_id)
            session = self._provisional_session(ask)
            self.counts.degraded += 1
            lease = None if ask.purpose is Purpose.CHECK else Lease(ask, 0, 0)
            limit = ask.limit or self._policy.max_sessions
            return Admitted(session, lease, limit, self._seats(ask.user_id, now), existing=False, degraded=True)
        raise error

    def _may_sit_provisionally(self, ask: Ask, now: float) -> bool:
        """On an unexpired grant, within `outage_seconds`, and at most the user's limit on this worker."""
        if not ask.granted or now - self._away_since >= self._conduct.outage_seconds:
            return False
        if ask.session_id in self._provisional.get(ask.user_id, ()):
            return True
        return self._seats(ask.user_id, now) < (ask.limit or self._policy.max_sessions)

    def _seats(self, user_id: str, now: float) -> int:
        return self.knowledge.sitting(user_id, now) + len(self._provisional.get(user_id, ()))

    def _admitted(self, known: Known, ask: Ask, degraded: bool) -> Admitted:
        if degraded:
            self.counts.degraded += 1
        session = known.session
        # The store's clock, as far as this worker can tell: at `known.at` it was the last activity's time.
        admitted_ms = (session.last_activity_ms or 0) + int((self._clock() - known.at) * 1_000)
        lease = Lease(ask, session.generation, session.move, admitted_ms)
        return Admitted(session, lease, known.limit, known.live, existing=True, degraded=degraded)

    async def _confirm_later(
        self, answer: Awaitable[Verdict], receipt: Receipt, known: Known | None, now: float
    ) -> Verdict:
        try:
            return self._learned(receipt, await answer, now)
        except StoreUnavailable:
            return self._keep(receipt, known, now)

    def _answered(self, receipt: Receipt, sent_at: float, future: "asyncio.Future[Verdict]") -> None:
        """The answer to a confirmation that nobody waited for."""
        if future.cancelled():
            return
        error = future.exception()
        if error is None:
            self._tell(self._learned(receipt, future.result(), sent_at).events)
        elif isinstance(error, StoreUnavailable):
            self._note_failure(self._clock())
            self.knowledge.keep(receipt, sent_at)
        else:
            raise error

    def _learned(self, receipt: Receipt, verdict: Verdict, at: float) -> Verdict:
        self._note_success()
        ask = receipt.lease.ask
        if isinstance(verdict, Confirmed):
            self.knowledge.learn(receipt, verdict, at)
        else:
            self.knowledge.forget(ask.user_id, ask.session_id)
        return verdict

    def _keep(self, receipt: Receipt, known: Known | None, now: float) -> Confirmed:
        self._note_failure(now)
        self.knowledge.keep(receipt, now)
        ask = receipt.lease.ask
        if known is None:
            limit = ask.limit or self._policy.max_sessions
            return Confirmed(self._provisional_session(ask), limit, self._seats(ask.user_id, now), degraded=True)
        self.knowledge.foresee(receipt, known)
        return Confirmed(known.session, known.limit, known.live, degraded=True)

    def _provisional_session(self, ask: Ask) -> Session:
        now_ms = self._wall_ms()
        return Session(
            ask.session_id,
            ask.user_id,
            ask.stream_id,
            State.STARTING,
            ask.device,
            None,
            None,
            now_ms,
            None,
            now_ms + self._policy.start_ms,
            0,
            0,
        )

    async def _try(self, kept: Kept, now: float) -> Verdict:
        age_ms = max(int((now - kept.at) * 1_000), 0)
        return await resolved(self.store.confirm(replace(kept.receipt, age_ms=age_ms)))

    async def _forgiving(self, answer: Awaitable[T], otherwise: T) -> T:
        """The answer, or *otherwise* where the store is away and nothing is lost by that."""
        try:
            return await answer
        except StoreUnavailable:
            self._note_failure(self._clock())
            return otherwise

    async def _ping(self) -> None:
        try:
            await resolved(self.store.ping())
            self._note_success()
        except StoreUnavailable:
            self._note_failure(self._clock())

    def _rest(self, now: float) -> None:
        """A file that just failed is not tried again at once: each try may take long, and all wait for it."""
        if self._rests and self.is_away and now - self._failed_at < PROBE_SECONDS:
            raise StoreUnavailable("the store failed a moment ago")

    def _seen(self, decision: Decision, asked_at: float) -> Decision:
        self.counts.calls += 1
        self.counts.seconds += self._clock() - asked_at
        self._note_success()
        return decision

    def _note_failure(self, now: float) -> None:
        self.counts.failures += 1
        self._failed_at = now
        if not self.is_away:
            self.is_away, self._away_since = True, now
            self.counts.outages += 1
            self._on_change(True)

    def _note_success(self) -> None:
        if self.is_away and not self.knowledge.kept and self._clock() - self._failed_at >= CALM_SECONDS:
            self.is_away = False
            self._provisional.clear()
            self._on_change(False)

    def _tell(self, events: Events) -> None:
        for event in events:
            self._announce(event)
