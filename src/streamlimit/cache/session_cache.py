"""The sessions that one worker knows, by the store's answers to admissions and receipts.

Reads no clock: times are seconds of a monotonic clock, passed in. The offset of the store's clock from that one dates
leases without a question; its numbers are ms. Each exchange bounds it, since the store read its clock between question
and answer. A worker takes the middle of the intersection of these bounds, so two workers differ by little. The leases
of one worker keep their order: where the middle goes back, no lease is dated before an earlier one.
"""

import sys

from streamlimit.cache.entry import SIZE, SUPPOSED, CachedSession, Entry, ShardedDict, digest, unpack
from streamlimit.model import Admitted, Ask, Confirmed, Lease, Receipt, Session, State
from streamlimit.policy import Policy

Bounds = tuple[float, float, float]
"""Bounds of one exchange: the least and the greatest offset (ms), and when the answer came (ms of the worker's clock).
"""

LONGEST_MS = 500.0
"""The longest time that an answer takes: a slower store counts as unavailable."""

_STARTING, _ACTIVE, _IDLE = State.STARTING, State.ACTIVE, State.IDLE  # looking up a member takes long


class SessionCache:
    """The sessions that one worker knows. *extra_seconds*: how long they keep their seats beyond the store's expiry."""

    def __init__(self, policy: Policy, extra_seconds: float = 0.0) -> None:
        self._policy, self._extra, self._segment_seconds = policy, extra_seconds, policy.segment_ms / 1_000
        self._entries = ShardedDict()
        self._find, self._shards, self._count = self._entries.find, self._entries.shards, len(self._entries.shards)

    def __len__(self) -> int:
        return len(self._entries)

    def recall(self, ask: Ask, now: float) -> CachedSession | None:
        """The cached session of *ask*, as long as it holds its seat by the store's last answer; else None."""
        user_id, session_id = ask.user_id, ask.session_id
        entry = self._shards[hash(user_id) % self._count].get(user_id)  # as `find`
        while entry is not None and entry.session_id != session_id:
            entry = entry.other
        if entry is None:
            return None
        numbers = entry.numbers
        started, late, last, life, at, move, limit, live, client, low, span, least = unpack(numbers)
        if now >= at + life / 1_000 + self._extra:
            return None
        state = _STARTING
        if last:
            state = _ACTIVE if now - at < self._segment_seconds else _IDLE
        session = Session(
            session_id,
            user_id,
            entry.stream_id,
            state,
            entry.device,
            entry.segment,
            entry.sequence,
            started,
            last or None,
            (last or started) + life,
            0 if late == SUPPOSED else started + late,
            move,
            entry.plan,
            limit,
            0 if len(numbers) == SIZE else entry.play,
        )
        return CachedSession(session, limit, live, at, client, low, span, started + least, entry)

    def learn_admission(
        self, ask: Ask, admitted: Admitted, asked_at: float, answered_at: float, is_beat: bool = False
    ) -> int:
        """Keeps the answer *admitted* to *ask*. *is_beat*: the same step confirmed a heartbeat.

        *asked_at*, *answered_at*: seconds of the worker's clock. Returns the earliest date (ms) of the new lease, where
        this worker has dated leases of the same seat itself; else 0, as for a heartbeat, which confirms no segment.
        """
        session, lease = admitted.session, admitted.lease
        if session is None or lease is None:
            return 0
        store_ms = lease.admitted_ms
        at = asked_at - max(lease.admitted_ms - (session.last_activity_ms or session.started_at_ms), 0) / 1_000
        entry = self._shards[hash(ask.user_id) % self._count].get(ask.user_id)  # as `find`
        while entry is not None and entry.session_id != ask.session_id:
            entry = entry.other
        if entry is None:
            bounds = exchange_bounds(store_ms, asked_at, answered_at)
            self._add(session, admitted.limit, admitted.live, at, digest(ask.client), bounds)
            return 0
        started, late, _, _, _, _, _, _, client, low, span, least = unpack(entry.numbers)
        dated_ms, least_ms = 0, started + least
        if is_beat:
            client = digest(ask.client)
        elif lease.generation == (0 if late == SUPPOSED else started + late):
            dated_ms = date_ms(asked_at, low, span, least_ms)
        if store_ms - answered_at * 1_000 > low or store_ms + 1 - asked_at * 1_000 < low + span:  # else nothing new
            low, span, least_ms = narrowed(low, span, least_ms, exchange_bounds(store_ms, asked_at, answered_at))
        entry.write(session, admitted.limit, admitted.live, at, client, low, span, least_ms)
        return dated_ms

    def learn_confirmation(
        self, receipt: Receipt, confirmed: Confirmed, at: float, answered_at: float | None = None
    ) -> None:
        """Keeps the answer *confirmed* to *receipt*, of a segment received at *at*; an older receipt's is ignored.

        *answered_at*: when the answer came, where it bounds the store's clock; None for a receipt sent long after *at*.
        """
        ask, session = receipt.lease.ask, confirmed.session
        entry = self._shards[hash(ask.user_id) % self._count].get(ask.user_id)  # as `find`
        while entry is not None and entry.session_id != ask.session_id:
            entry = entry.other
        if entry is None:
            last_ms = session.last_activity_ms or 0
            bounds = loose_bounds(last_ms, at) if answered_at is None else exchange_bounds(last_ms, at, answered_at)
            self._add(session, confirmed.limit, confirmed.live, at, digest(ask.client), bounds)
            return
        if entry.ahead:
            entry.settle(ask.lease_id)
        started, late, last, _, its_at, _, _, _, _, low, span, least = unpack(entry.numbers)
        its, generation, least_ms = 0 if late == SUPPOSED else started + late, session.generation, started + least
        if its > generation or (its_at > at and last and its == generation):
            return
        if answered_at is not None:
            store_ms = session.last_activity_ms or 0
            if store_ms - answered_at * 1_000 > low or store_ms + 1 - at * 1_000 < low + span:  # else nothing new
                low, span, least_ms = narrowed(low, span, least_ms, exchange_bounds(store_ms, at, answered_at))
        entry.write(session, confirmed.limit, confirmed.live, at, digest(ask.client), low, span, least_ms)

    def suppose(self, session: Session, limit: int, at: float) -> None:
        """Gives *session* a provisional seat (generation 0) in an outage, until n·X after its last request (*at*)."""
        bounds = loose_bounds(session.started_at_ms, at)  # though by the worker's own clock
        entry = self._find(session.user_id, session.session_id)
        if entry is None:
            self._add(session, limit, 0, at, 0, bounds)
        else:
            started, *_, low, span, least = unpack(entry.numbers)
            entry.write(session, limit, 0, at, 0, *narrowed(low, span, started + least, bounds))

    def foresee(self, receipt: Receipt) -> None:
        """Moves the session to the position of *receipt* before the store has confirmed it."""
        entry = self._find(receipt.lease.ask.user_id, receipt.lease.ask.session_id)
        if entry is not None:
            entry.foresee(receipt)

    def settle(self, lease: Lease) -> None:
        """Counts *lease* as answered: by the store, or because it will never be sent there."""
        entry = self._find(lease.ask.user_id, lease.ask.session_id)
        if entry is not None:
            entry.settle(lease.ask.lease_id)

    def prolonged(self, lease: Lease, at: float) -> None:
        """Notes that the store, asked at *at*, prolonged the session: bytes of a segment still move (rule 6)."""
        entry = self._find(lease.ask.user_id, lease.ask.session_id)
        if entry is not None:
            entry.prolong(at, self._policy.expiry_ms, self._policy.start_ms)

    def gone(self, user_id: str, session_id: str, generation: int) -> None:
        """Forgets the seat of this *generation*, which the store says is gone; a later seat of the session stays."""
        entry = self._find(user_id, session_id)
        if entry is not None and entry.generation <= generation:
            self.forget(user_id, session_id)

    def forget(self, user_id: str, session_id: str) -> None:
        """Removes the session from the cache."""
        self._entries.remove(user_id, session_id)

    def sessions_of(self, user_id: str) -> list[str]:
        """The ids of the user's cached sessions."""
        return [entry.session_id for entry in self._entries.of(user_id)]

    def sitting(self, user_id: str, now: float) -> int:
        """The number of the user's cached sessions that hold a seat."""
        return sum(now < entry.until + self._extra for entry in self._entries.of(user_id))

    def limit_of(self, user_id: str) -> int | None:
        """The user's limit by the store's last answer; None: the user is not cached."""
        return next((entry.limit for entry in self._entries.of(user_id)), None)

    def forget_old(self, now: float) -> None:
        """Removes sessions that hold no seat any more, some at a time."""
        self._entries.forget_old(now - self._extra)

    def _add(self, session: Session, limit: int, live: int, at: float, client: int, bounds: Bounds) -> None:
        entry = Entry(
            session.session_id, sys.intern(session.stream_id), session.device, session.segment, session.sequence
        )
        low, high, _ = bounds
        entry.write(session, limit, live, at, client, low, high - low, 0)
        self._entries.add(session.user_id, entry)


def exchange_bounds(store_ms: int, asked_at: float, answered_at: float) -> Bounds:
    """The bounds of an exchange from *asked_at* to *answered_at* (s), in which the store's clock read *store_ms*."""
    answered_ms = answered_at * 1_000
    return store_ms - answered_ms, store_ms + 1 - asked_at * 1_000, answered_ms


def loose_bounds(store_ms: int, asked_at: float) -> Bounds:
    """As `exchange_bounds`, for an answer that came at an unknown time within `LONGEST_MS`."""
    return exchange_bounds(store_ms, asked_at, asked_at + LONGEST_MS / 1_000)


def narrowed(low: float, span: float, least_ms: int, bounds: Bounds) -> tuple[float, float, int]:
    """The least offset, its span, and the least date of a lease (ms), narrowed by the *bounds* of another exchange.

    Where the bounds exclude each other (a clock was set) the newer ones hold.
    """
    high = low + span
    its_low, its_high, answered_ms = bounds
    if its_low <= low and high <= its_high:
        return low, span, least_ms  # nothing new, as nearly always
    before = low + span / 2
    low, high = max(low, its_low), min(high, its_high)
    if low > high:
        low, high, _ = bounds
    if (low + high) / 2 < before:
        least_ms = max(least_ms, int(before + answered_ms))
    return low, high - low, least_ms


def date_ms(now: float, low: float, span: float, least_ms: int) -> int:
    """The store's clock in ms at *now* (s of the worker's clock), no earlier than *least_ms*."""
    return max(int(now * 1_000 + low + span / 2), least_ms)
