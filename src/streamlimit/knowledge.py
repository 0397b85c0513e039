"""What one worker knows of sessions that the store confirmed to it, and what it still has to tell the store.

Makes rule 11 possible: who sits goes on while the store is away, and no confirmation is lost. Reads no
clock: times are seconds of a monotonic one, handed in.
"""

from itertools import islice

from msgspec import Struct

from streamlimit.model import Ask, Confirmed, Lease, Receipt, Session

Key = tuple[str, str]
"""User and session."""

KEPT_AT_MOST = 100_000
"""Receipts that wait for the store; beyond that the oldest are dropped (and counted)."""


class Known(Struct):
    """The store's last word on a session, told at `at` (seconds), for the client with that digest."""

    session: Session
    limit: int
    live: int
    at: float
    client: str


class Kept(Struct, frozen=True):
    """A receipt that the store was not there for; the client had the segment at `at` (seconds)."""

    receipt: Receipt
    at: float


class Knowledge:
    """Sessions confirmed to this worker, by user; receipts kept, newest per session, oldest first."""

    def __init__(self, life_seconds: float, kept_at_most: int = KEPT_AT_MOST) -> None:
        self._life, self._kept_at_most = life_seconds, kept_at_most
        self._known: dict[str, dict[str, Known]] = {}
        self._round: list[str] = []  # users still to be looked at by `forget_old`
        self._kept: dict[Key, Kept] = {}
        self._waiting: dict[str, set[str]] = {}  # user -> their sessions with a kept receipt
        self.dropped = 0

    def __len__(self) -> int:
        return sum(map(len, self._known.values()))

    @property
    def kept(self) -> int:
        """Receipts that wait for the store."""
        return len(self._kept)

    def recall(self, ask: Ask, now: float) -> Known | None:
        """What is known of the asking session, if it may still sit: n·X (and `outage_seconds`) at most."""
        sessions = self._known.get(ask.user_id)
        known = None if sessions is None else sessions.get(ask.session_id)
        return known if known is not None and now - known.at < self._life else None

    def learn(self, receipt: Receipt, confirmed: Confirmed, at: float) -> None:
        """The store confirmed *receipt*, which left this worker at *at*."""
        ask = receipt.lease.ask
        known = Known(confirmed.session, confirmed.limit, confirmed.live, at, ask.client)
        self._known.setdefault(ask.user_id, {})[ask.session_id] = known
        kept = self._kept.get((ask.user_id, ask.session_id))
        if kept is not None and kept.at <= at:
            self._drop((ask.user_id, ask.session_id))

    def foresee(self, receipt: Receipt, known: Known) -> None:
        """The session is where *receipt* brings it, before the store has said so."""
        if receipt.segment is not None and receipt.lease.ask.stream_id == known.session.stream_id:
            known.session = _moved_on(known.session, receipt)

    def forget(self, user_id: str, session_id: str) -> None:
        """The session is gone."""
        sessions = self._known.get(user_id)
        if sessions is not None:
            sessions.pop(session_id, None)
            if not sessions:
                del self._known[user_id]
        self._drop((user_id, session_id))

    def forget_user(self, user_id: str) -> None:
        """All of the user's sessions are gone."""
        for session_id in [*self._known.get(user_id, ()), *self._waiting.get(user_id, ())]:
            self.forget(user_id, session_id)

    def forget_old(self, now: float, at_most: int = 1_000) -> None:
        """Drops those that may not sit any more, of some users at a time, round after round."""
        if not self._round:
            self._round = list(self._known)
        for user_id in self._round[-at_most:]:
            sessions = self._known.get(user_id, {})
            for session_id in [name for name, known in sessions.items() if now - known.at >= self._life]:
                del sessions[session_id]
            if not sessions:
                self._known.pop(user_id, None)
        del self._round[-at_most:]

    def keep(self, receipt: Receipt, at: float) -> None:
        """The store is away: *receipt* is told later. Newest per session, bounded."""
        ask = receipt.lease.ask
        key = (ask.user_id, ask.session_id)
        self._kept.pop(key, None)
        self._kept[key] = Kept(receipt, at)
        self._waiting.setdefault(ask.user_id, set()).add(ask.session_id)
        if len(self._kept) > self._kept_at_most:
            self._drop(next(iter(self._kept)))
            self.dropped += 1

    def is_kept(self, lease: Lease | Ask) -> bool:
        """Does a receipt of this session wait for the store?"""
        ask = lease.ask if isinstance(lease, Lease) else lease
        return (ask.user_id, ask.session_id) in self._kept

    def waiting(self, user_id: str | None = None, at_most: int = 1_000) -> list[Kept]:
        """Kept receipts, of one user or the oldest of all."""
        if user_id is not None:
            return [self._kept[user_id, session_id] for session_id in self._waiting.get(user_id, ())]
        return list(islice(self._kept.values(), at_most))

    def told(self, kept: Kept) -> None:
        """The store has answered for *kept*; a newer receipt of the session stays."""
        ask = kept.receipt.lease.ask
        key = (ask.user_id, ask.session_id)
        if self._kept.get(key) is kept:
            self._drop(key)

    def sitting(self, user_id: str, now: float) -> int:
        """How many of the user's sessions this worker knows to sit."""
        return sum(now - known.at < self._life for known in self._known.get(user_id, {}).values())

    def _drop(self, key: Key) -> None:
        if self._kept.pop(key, None) is not None:
            sessions = self._waiting[key[0]]
            sessions.discard(key[1])
            if not sessions:
                del self._waiting[key[0]]


def _moved_on(session: Session, receipt: Receipt) -> Session:
    return Session(
        session.session_id,
        session.user_id,
        session.stream_id,
        session.state,
        session.device,
        receipt.segment,
        receipt.sequence,
        session.started_at_ms,
        session.last_activity_ms,
        session.expires_at_ms,
        session.generation,
        session.move,
    )
