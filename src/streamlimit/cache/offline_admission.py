"""Admissions while the store is unavailable: sessions with a seat, and others where the operator chose so (rule 11)."""

from collections.abc import Callable

from streamlimit.cache.budgets import Budgets
from streamlimit.cache.entry import CachedSession
from streamlimit.cache.outage import Outage
from streamlimit.cache.session_cache import SessionCache
from streamlimit.errors import StoreUnavailable
from streamlimit.model import Admitted, Ask, Decision, Lease, Purpose, Refusal, Roster, Session, State
from streamlimit.policy import Policy


class OfflineAdmission:
    """Decides by *cache* alone. *wall_ms* dates provisional sessions: the store's clock cannot be read."""

    def __init__(
        self,
        policy: Policy,
        cache: SessionCache,
        outage: Outage,
        clock: Callable[[], float],
        wall_ms: Callable[[], int],
    ) -> None:
        self._policy, self._cache, self._outage = policy, cache, outage
        self._clock, self._wall_ms = clock, wall_ms
        self.budgets = Budgets(policy)

    def admit(self, ask: Ask, known: CachedSession | None, error: StoreUnavailable) -> Decision:
        """Admits a *known* session, or one that the operator's settings allow; else raises *error*, the store's."""
        if self._outage.refuses_all:
            raise error
        if known is None or not known.session.generation:
            return self._admit_provisionally(ask, known, error)
        return self._refuse_visit(ask, known) or self.go_on(known, ask, degraded=True)

    def _refuse_visit(self, ask: Ask, known: CachedSession | None) -> Refusal | None:
        """The refusal where the budget that this worker last saw is spent (rule 13). None: paid, or not a visit."""
        is_visit = known is None or known.session.stream_id != ask.stream_id
        if not is_visit or ask.purpose is Purpose.CHECK:
            return None
        wait = self.budgets.pay(ask, self.limit(ask), self._clock())
        if not wait:
            return None
        self._outage.counts.degraded += 1
        retry_after_ms = max(round(wait * 1_000), 1)
        limit, live = self.limit(ask), self.live(ask)
        return Refusal("too-many-visits", limit, live, retry_after_ms=retry_after_ms, degraded=True)

    def go_on(self, known: CachedSession, ask: Ask, degraded: bool) -> Admitted:
        """Admits the *known* session by the store's last answer. *degraded*: the store is unavailable since."""
        if degraded:
            self._outage.counts.degraded += 1
        session = known.session
        lease = Lease(ask, session.generation, session.move, known.date_ms(self._clock()))
        return Admitted(session, lease, known.limit, known.live, existing=True, degraded=degraded)

    def shown(self, ask: Ask, roster: Roster) -> CachedSession | None:
        """The asking session as the *roster* of its user shows it; this worker need not have cached it."""
        session = roster.find(ask.session_id)
        if session is None:
            return None
        now = self._clock()
        return CachedSession(session, roster.limit, roster.live, now, 0, self._wall_ms() - now * 1_000, 0.0, 0)

    def session(self, ask: Ask) -> Session:
        """A provisional session of generation 0; the store seats it when it gets the receipt."""
        now_ms = self._wall_ms()
        return Session(
            session_id=ask.session_id,
            user_id=ask.user_id,
            stream_id=ask.stream_id,
            state=State.STARTING,
            device=ask.device,
            segment=None,
            sequence=None,
            started_at_ms=now_ms,
            last_activity_ms=None,
            expires_at_ms=now_ms + self._policy.expiry_ms,
            generation=0,
            move=0,
            plan=ask.plan,
            limit=self.limit(ask),
        )

    def limit(self, ask: Ask) -> int:
        """The limit of the asking user, as far as this worker knows."""
        return self._cache.limit_of(ask.user_id) or ask.limit or self._policy.max_sessions

    def live(self, ask: Ask) -> int:
        """How many sessions of the asking user hold a seat, as far as this worker knows."""
        return self._cache.sitting(ask.user_id, self._clock())

    def _admit_provisionally(self, ask: Ask, known: CachedSession | None, error: StoreUnavailable) -> Decision:
        """Admits a new session on an unexpired grant, within `outage_seconds` and the limit; or any (`admit-all`)."""
        has_room = known is not None or self.live(ask) < self.limit(ask)
        if not self._outage.admits_all and not (ask.granted and has_room and self._outage.admits_granted):
            raise error
        refusal = self._refuse_visit(ask, known)
        if refusal is not None:
            return refusal
        session = self.session(ask) if known is None else known.session
        if ask.purpose is not Purpose.CHECK:  # a playlist takes no seat
            self._cache.suppose(session, self.limit(ask), self._clock())
        self._outage.counts.degraded += 1
        lease = Lease(ask, 0, 0, self._wall_ms())
        return Admitted(session, lease, self.limit(ask), self.live(ask), existing=known is not None, degraded=True)
