"""Was the limit kept? Only what is provable from outside counts, so that no alarm is false.

Two witnesses. *Listed*: the service's own list of a user's sessions is never longer than the limit. *Delivered*: a
session that was issued a segment, received all of it, and is issued another one before its seat could have expired,
held its seat from the first answer's arrival to the second request's departure. It cannot have left in between: its
seat had not run out, and a terminated session is refused with 410. So a viewer who fell silent, ended, was cut off, or
gave way to another proves nothing beyond its last request; no time of the service's own clock is needed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

PROMPT = 0.1
"""Share of the lifetime within which a newcomer must have its segment: how long a reservation lives is not known."""


@dataclass
class Stay:
    """One session that certainly held a seat from `since` to `until` (seconds of this machine's clock)."""

    session_id: str
    since: float
    until: float
    received_after: float
    """When the request was sent whose answer was the last to be received whole: the receipt is no older."""


@dataclass(frozen=True)
class Breach:
    """More sessions of one user at once than its limit."""

    user_id: str
    count: int
    sessions: tuple[str, ...]
    limit: int
    seen: str
    """`listed` or `delivered`."""


@dataclass
class Proof:
    """The proof of one user's seats, as far as answers tell.

    *lifetime*: seconds that a receipt keeps a seat, at least.
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
        """An answer 200 to a segment or heartbeat. *received_at*: when all of its bytes had come (None: cut off)."""
        stay = self._open.get(session_id)
        if stay is not None and asked_at < stay.received_after + self.lifetime:
            stay.until = max(stay.until, asked_at)
            in_time = stay.received_after + self.lifetime
        else:
            stay, in_time = None, asked_at + self.lifetime * PROMPT
        if received_at is None:
            return
        self.receipts += 1
        if received_at >= in_time:  # the seat may have run out under way
            self._open.pop(session_id, None)
            return
        if stay is None:
            stay = self._open[session_id] = Stay(session_id, answered_at, answered_at, asked_at)
            self.stays.append(stay)
        stay.received_after = asked_at

    def note_gone(self, session_id: str) -> None:
        """A session ended, or was refused: it holds no seat as far as answers tell."""
        self._open.pop(session_id, None)

    def sat(self, session_id: str, at: float) -> bool:
        """Did it certainly hold a seat at that moment, unless another took its place?"""
        stay = self._open.get(session_id)
        return stay is not None and at < stay.received_after + self.lifetime

    def note_look(self, listing: Mapping[str, Any]) -> int:
        """The answer of `GET /v1/users/<user_id>/sessions`; returns how many it tells of."""
        listed = tuple(session["session_id"] for session in listing["sessions"])
        count = max(len(listed), int(listing["live_sessions"]))
        self.looks += 1
        self.most_listed = max(self.most_listed, count)
        if count > self.limit:
            self.breaches.append(Breach(self.user_id, count, listed, self.limit, "listed"))
        return count

    def most_delivered(self) -> tuple[str, ...]:
        """The most sessions that certainly sat at one moment."""
        return most_at_once(self.stays)

    def breach(self) -> Breach | None:
        """The worst that was seen, if the limit was not kept."""
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
    """All users together."""
    every = list(proofs)
    breaches = tuple(breach for proof in every if (breach := proof.breach()) is not None)
    most = max((max(proof.most_listed, len(proof.most_delivered())) for proof in every), default=0)
    receipts = sum(proof.receipts for proof in every)
    kept = False if breaches else True if receipts else None
    return Verdict(kept, limit, most, sum(proof.looks for proof in every), receipts, breaches)


def most_at_once(stays: Iterable[Stay]) -> tuple[str, ...]:
    """The most sessions that sat at one moment. Where one stay ends as another begins they did not meet."""
    proven = [stay for stay in stays if stay.until > stay.since]
    steps = [step for s in proven for step in ((s.since, True, s.session_id), (s.until, False, s.session_id))]
    sitting: set[str] = set()  # the stays of one session follow each other
    most: tuple[str, ...] = ()
    for _, begins, session_id in sorted(steps):  # False before True: ends first
        (sitting.add if begins else sitting.discard)(session_id)
        if len(sitting) > len(most):
            most = tuple(sorted(sitting))
    return most
