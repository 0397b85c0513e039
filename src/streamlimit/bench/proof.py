"""The proof whether the limit was kept, by what is certain from outside, so that no alarm is false.

Two criteria. *Listed*: the service's own list of a user's sessions is never longer than the limit. *Delivered*: a
session that was issued a segment, received all of it, and is issued another one before its seat could have expired,
held its seat from the arrival of the first answer to the second request. It cannot have left in between: its seat had
not expired, and a terminated session is refused with 410. So a viewer who fell silent, ended, was cut off, or was
replaced proves nothing beyond its last request; the service's clock is not needed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

PROMPT = 0.1
"""Share of the lifetime within which a new session must have its segment: a reservation's lifetime is not known."""


@dataclass
class Stay:
    """A time from `since` to `until` (monotonic seconds) in which a session certainly held a seat."""

    session_id: str
    since: float
    until: float
    received_after: float
    """When the request of the last completely received answer was sent: the receipt is no older."""


@dataclass(frozen=True)
class Breach:
    """A breach: more sessions of one user at once than its limit."""

    user_id: str
    count: int
    sessions: tuple[str, ...]
    limit: int
    seen: str
    """`listed` or `delivered`."""


@dataclass
class Proof:
    """The proof about one user's seats.

    *lifetime*: the least time in seconds for which a receipt keeps a seat.
    """

    user_id: str
    limit: int
    lifetime: float
    stays: list[Stay] = field(default_factory=list)
    looks: int = 0
    receipts: int = 0
    most_listed: int = 0
    breaches: list[Breach] = field(default_factory=list)
    _open: dict[str, Stay] = field(default_factory=dict)

    def note_issued(self, session_id: str, asked_at: float, answered_at: float, received_at: float | None) -> None:
        """Notes an answer 200 to a segment or heartbeat. *received_at*: when all bytes had arrived (None: cut off)."""
        stay = self._open.get(session_id)
        if stay is not None and asked_at < stay.received_after + self.lifetime:
            stay.until = max(stay.until, asked_at)
            in_time = stay.received_after + self.lifetime
        else:
            stay, in_time = None, asked_at + self.lifetime * PROMPT
        if received_at is None:
            return
        self.receipts += 1
        if received_at >= in_time:  # the seat may have expired meanwhile
            self._open.pop(session_id, None)
            return
        if stay is None:
            stay = self._open[session_id] = Stay(session_id, answered_at, answered_at, asked_at)
            self.stays.append(stay)
        stay.received_after = asked_at

    def note_gone(self, session_id: str) -> None:
        """Notes that a session ended, or was refused, and so may hold no seat."""
        self._open.pop(session_id, None)

    def sat(self, session_id: str, at: float) -> bool:
        """Did the session certainly hold a seat at *at*, unless another replaced it?"""
        stay = self._open.get(session_id)
        return stay is not None and at < stay.received_after + self.lifetime

    def note_look(self, listing: Mapping[str, Any]) -> int:
        """Notes an answer of `GET /v1/users/<user_id>/sessions`; returns how many sessions it lists."""
        listed = tuple(session["session_id"] for session in listing["sessions"])
        count = max(len(listed), int(listing["live_sessions"]))
        self.looks += 1
        self.most_listed = max(self.most_listed, count)
        if count > self.limit:
            self.breaches.append(Breach(self.user_id, count, listed, self.limit, "listed"))
        return count

    def most_delivered(self) -> tuple[str, ...]:
        """The most sessions that certainly held seats at one moment."""
        return most_at_once(self.stays)

    def breach(self) -> Breach | None:
        """The worst breach; None: the limit was kept."""
        delivered, seen = self.most_delivered(), list(self.breaches)
        if len(delivered) > self.limit:
            seen.append(Breach(self.user_id, len(delivered), delivered, self.limit, "delivered"))
        return max(seen, key=lambda breach: breach.count, default=None)


@dataclass(frozen=True)
class Verdict:
    """The verdict on the whole run. `kept` is None where nothing was issued: the limit was not tried."""

    kept: bool | None
    limit: int
    most: int
    looks: int
    receipts: int
    breaches: tuple[Breach, ...]


def judge(proofs: Iterable[Proof], limit: int) -> Verdict:
    """The verdict on all users."""
    every = list(proofs)
    breaches = tuple(breach for proof in every if (breach := proof.breach()) is not None)
    most = max((max(proof.most_listed, len(proof.most_delivered())) for proof in every), default=0)
    receipts = sum(proof.receipts for proof in every)
    kept = False if breaches else True if receipts else None
    return Verdict(kept, limit, most, sum(proof.looks for proof in every), receipts, breaches)


def most_at_once(stays: Iterable[Stay]) -> tuple[str, ...]:
    """The most sessions in *stays* at one moment. Stays that only touch do not overlap."""
    proven = [stay for stay in stays if stay.until > stay.since]
    steps = [step for s in proven for step in ((s.since, True, s.session_id), (s.until, False, s.session_id))]
    sitting: set[str] = set()  # the stays of one session follow each other
    most: tuple[str, ...] = ()
    for _, begins, session_id in sorted(steps):  # False before True: ends first
        (sitting.add if begins else sitting.discard)(session_id)
        if len(sitting) > len(most):
            most = tuple(sorted(sitting))
    return most
