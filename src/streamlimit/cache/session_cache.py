"""What admissions and confirmations by the store teach a worker. Reads no clock: times are seconds of a monotonic one,
handed in."""

import sys

from streamlimit.cache.clock_offset import Told, before_long, between, date_ms, narrowed
from streamlimit.cache.entry import SIZE, SUPPOSED, CachedSession, Entry, digest, unpack
from streamlimit.cache.sharded_dict import ShardedDict
from streamlimit.model import Admitted, Ask, Confirmed, Lease, Receipt, Session, State
from streamlimit.policy import Policy

_STARTING, _ACTIVE, _IDLE = State.STARTING, State.ACTIVE, State.IDLE  # looking up a member takes long


class SessionCache:
    """What one worker knows of sessions. *extra_seconds*: how much longer than the store said they keep their seats."""

    def __init__(self, policy: Policy, extra_seconds: float = 0.0) -> None:
        self._policy, self._extra, self._segment_seconds = policy, extra_seconds, policy.segment_ms / 1_000
        self._entries = ShardedDict()
        self._find, self._drawers, self._count = self._entries.find, self._entries.drawers, len(self._entries.drawers)

    def __len__(self) -> int:
        return len(self._entries)

    def recall(self, ask: Ask, now: float) -> CachedSession | None:
        """What is known of the asking session, as long as it keeps its seat by the store's last answer."""
        user_id, session_id = ask.user_id, ask.session_id
        entry = self._drawers[hash(user_id) % self._count].get(user_id)  # as `find`
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

    def met(self, ask: Ask, admitted: Admitted, asked_at: float, heard_at: float, beaten: bool = False) -> int:
        """The store admitted the session, asked at *asked_at*; *beaten*: and confirmed that it is there.

        Its lease may not be dated before the answer (ms), for this worker had dated leases of that seat itself; or 0,
        as for a beat's, which confirms no segment.
        """
        session, lease = admitted.session, admitted.lease
        if session is None or lease is None:
            return 0
        told_ms = lease.admitted_ms
        at = asked_at - max(lease.admitted_ms - (session.last_activity_ms or session.started_at_ms), 0) / 1_000
        entry = self._drawers[hash(ask.user_id) % self._count].get(ask.user_id)  # as `find`
        while entry is not None and entry.session_id != ask.session_id:
            entry = entry.other
        if entry is None:
            told = between(told_ms, asked_at, heard_at)
            self._add(session, admitted.limit, admitted.live, at, digest(ask.client), told)
            return 0
        started, late, _, _, _, _, _, _, client, low, span, least = unpack(entry.numbers)
        dated_ms, least_ms = 0, started + least
        if beaten:
            client = digest(ask.client)
        elif lease.generation == (0 if late == SUPPOSED else started + late):
            dated_ms = date_ms(asked_at, low, span, least_ms)
        if told_ms - heard_at * 1_000 > low or told_ms + 1 - asked_at * 1_000 < low + span:  # else nothing new
            low, span, least_ms = narrowed(low, span, least_ms, between(told_ms, asked_at, heard_at))
        entry.write(session, admitted.limit, admitted.live, at, client, low, span, least_ms)
        return dated_ms

    def learn(self, receipt: Receipt, confirmed: Confirmed, at: float, heard_at: float | None = None) -> None:
        """The store confirmed *receipt*, which the client had at *at*; an older one than the last teaches nothing.

        *heard_at*: when it said so, where that says something of its clock: not if it was reported long after *at*.
        """
        ask, session = receipt.lease.ask, confirmed.session
        entry = self._drawers[hash(ask.user_id) % self._count].get(ask.user_id)  # as `find`
        while entry is not None and entry.session_id != ask.session_id:
            entry = entry.other
        if entry is None:
            last_ms = session.last_activity_ms or 0
            told = before_long(last_ms, at) if heard_at is None else between(last_ms, at, heard_at)
            self._add(session, confirmed.limit, confirmed.live, at, digest(ask.client), told)
            return
        if entry.ahead:
            entry.settle(ask.lease_id)
        started, late, last, _, its_at, _, _, _, _, low, span, least = unpack(entry.numbers)
        its, generation, least_ms = 0 if late == SUPPOSED else started + late, session.generation, started + least
        if its > generation or (its_at > at and last and its == generation):
            return
        if heard_at is not None:
            told_ms = session.last_activity_ms or 0
            if told_ms - heard_at * 1_000 > low or told_ms + 1 - at * 1_000 < low + span:  # else nothing new
                low, span, least_ms = narrowed(low, span, least_ms, between(told_ms, at, heard_at))
        entry.write(session, confirmed.limit, confirmed.live, at, digest(ask.client), low, span, least_ms)

    def suppose(self, session: Session, limit: int, at: float) -> None:
        """In an outage the session holds a provisional seat (generation 0), until n·X after its last request."""
        told = before_long(session.started_at_ms, at)  # though by the worker's own clock
        entry = self._find(session.user_id, session.session_id)
        if entry is None:
            self._add(session, limit, 0, at, 0, told)
        else:
            started, *_, low, span, least = unpack(entry.numbers)
            entry.write(session, limit, 0, at, 0, *narrowed(low, span, started + least, told))

    def foresee(self, receipt: Receipt) -> None:
        """The session is where *receipt* brings it, before the store has said so."""
        entry = self._find(receipt.lease.ask.user_id, receipt.lease.ask.session_id)
        if entry is not None:
            entry.foresee(receipt)

    def settle(self, lease: Lease) -> None:
        """The store has answered for *lease*, or never will be asked for it."""
        entry = self._find(lease.ask.user_id, lease.ask.session_id)
        if entry is not None:
            entry.settle(lease.ask.lease_id)

    def prolonged(self, lease: Lease, at: float) -> None:
        """The store, asked at *at*, prolonged the session: bytes of a segment still move (rule 6)."""
        entry = self._find(lease.ask.user_id, lease.ask.session_id)
        if entry is not None:
            entry.prolong(at, self._policy.expiry_ms, self._policy.start_ms)

    def gone(self, user_id: str, session_id: str, generation: int) -> None:
        """The store says that this seat is gone; one that the session got later is not."""
        entry = self._find(user_id, session_id)
        if entry is not None and entry.generation <= generation:
            self.forget(user_id, session_id)

    def forget(self, user_id: str, session_id: str) -> None:
        """Nothing is known of the session any more."""
        self._entries.remove(user_id, session_id)

    def sessions_of(self, user_id: str) -> list[str]:
        """The user's sessions that anything is known of."""
        return [entry.session_id for entry in self._entries.of(user_id)]

    def sitting(self, user_id: str, now: float) -> int:
        """How many of the user's sessions hold a seat, as far as this worker knows."""
        return sum(now < entry.until + self._extra for entry in self._entries.of(user_id))

    def limit_of(self, user_id: str) -> int | None:
        """The user's limit, as the store said last."""
        return next((entry.limit for entry in self._entries.of(user_id)), None)

    def forget_old(self, now: float) -> None:
        """Drops sessions that hold no seat any more, some at a time."""
        self._entries.forget_old(now - self._extra)

    def _add(self, session: Session, limit: int, live: int, at: float, client: int, told: Told) -> None:
        entry = Entry(
            session.session_id, sys.intern(session.stream_id), session.device, session.segment, session.sequence
        )
        low, high, _ = told
        entry.write(session, limit, live, at, client, low, high - low, 0)
        self._entries.add(session.user_id, entry)
