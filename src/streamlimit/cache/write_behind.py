"""The queue of receipts in an outage: the newest per session, bounded, sent when the store has recovered. No clock."""

from collections import OrderedDict
from itertools import islice

from msgspec import Struct

from streamlimit.model import Ask, Lease, Receipt

Key = tuple[str, str]
"""User and session."""

KEPT_AT_MOST = 100_000
"""Receipts that wait for the store; beyond that the ones tried longest ago are dropped (and counted)."""


class QueuedReceipt(Struct, frozen=True):
    """A receipt in the queue; the client had the segment at `at` (seconds of a monotonic clock)."""

    receipt: Receipt
    at: float


class WriteBehindQueue:
    """Receipts that wait, by session and by user: a user's are sent before a new session of that user is admitted."""

    def __init__(self, at_most: int = KEPT_AT_MOST) -> None:
        self._at_most = at_most
        self._all: dict[Key, QueuedReceipt] = OrderedDict()
        self._sessions: dict[str, set[str]] = {}
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._all)

    def has(self, ask: Ask) -> bool:
        """Does a receipt of this session wait?"""
        return bool(self._all) and (ask.user_id, ask.session_id) in self._all

    def has_of(self, user_id: str) -> bool:
        """Does any receipt of this user wait?"""
        return user_id in self._sessions

    def of(self, user_id: str) -> list[QueuedReceipt]:
        """All receipts of one user, oldest first: where there are not seats for all, the first sessions keep theirs."""
        found = [self._all[user_id, session_id] for session_id in self._sessions.get(user_id, ())]
        return sorted(found, key=lambda kept: kept.at)

    def next(self, at_most: int) -> list[QueuedReceipt]:
        """Up to *at_most* receipts, those tried longest ago first."""
        return list(islice(self._all.values(), at_most))

    def keep(self, receipt: Receipt, at: float) -> None:
        """Adds *receipt*, unless a newer one of its session waits."""
        ask = receipt.lease.ask
        key = (ask.user_id, ask.session_id)
        before = self._all.pop(key, None)
        self._all[key] = before if before is not None and before.at > at else QueuedReceipt(receipt, at)
        self._sessions.setdefault(ask.user_id, set()).add(ask.session_id)
        if len(self._all) > self._at_most:
            self._drop(next(iter(self._all)))
            self.dropped += 1

    def tried(self, kept: QueuedReceipt) -> None:
        """Puts *kept* behind the others: the store did not answer it."""
        key = _key(kept.receipt.lease)
        if self._all.get(key) is kept:
            del self._all[key]
            self._all[key] = kept

    def settled(self, lease: Lease, at: float) -> None:
        """Removes the receipts of the session up to *at*, which the store has answered."""
        if self._all:
            kept = self._all.get(_key(lease))
            if kept is not None and kept.at <= at:
                self._drop(_key(lease))

    def drop(self, user_id: str, session_id: str) -> None:
        """Removes the receipts of a session that left."""
        self._drop((user_id, session_id))

    def sessions_of(self, user_id: str) -> list[str]:
        """The ids of the user's sessions with a receipt that waits."""
        return list(self._sessions.get(user_id, ()))

    def _drop(self, key: Key) -> None:
        if self._all.pop(key, None) is not None:
            sessions = self._sessions[key[0]]
            sessions.discard(key[1])
            if not sessions:
                del self._sessions[key[0]]


def _key(lease: Lease) -> Key:
    return lease.ask.user_id, lease.ask.session_id
