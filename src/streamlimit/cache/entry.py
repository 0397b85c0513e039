"""One session as the cache keeps it, and as callers see it.

A million may be kept: numbers lie packed in one value; streams and segments are shared.
"""

import sys
from functools import lru_cache
from struct import Struct as Packing
from zlib import crc32

from msgspec import Struct

from streamlimit.model import Device, Receipt, Session

AHEAD = 2
"""Leases of one session that are under way at a time without an answer of the store: as many as a terminated session
elsewhere may still be given here."""

SUPPOSED = 0xFFFFFFFF
"""In place of generation − started: the store has not given it a seat."""

_MOST_LIVE = 0xFFFE
_NUMBERS = Packing("<QIQIdIHHIdfI")  # of four bytes more each would take sixteen
unpack, pack = _NUMBERS.unpack_from, _NUMBERS.pack
SIZE = _NUMBERS.size


class Entry(Struct, gc=False):
    """One session. `numbers`: started at (ms) · generation − started · last activity (ms, 0: none) · life (ms) · `at`
    · move · limit · live · client · how much the store's clock is ahead of the worker's at least, and how much more at
    most (ms) · the least date of a lease − started, and, where there is one, the play. `other` is the user's next one.
    `ahead`: its leases that were let out from here, and that the store has not answered for."""

    session_id: str
    stream_id: str
    device: str | Device | None
    segment: str | None
    sequence: int | None
    numbers: bytes = b""
    other: "Entry | None" = None
    ahead: tuple[str, ...] = ()
    plan: str | None = None

    def write(
        self,
        session: Session,
        limit: int,
        live: int,
        at: float,
        client: int,
        low: float,
        span: float,
        least_ms: int,
    ) -> None:
        """Replaces all that is kept of the session."""
        started, last, generation = session.started_at_ms, session.last_activity_ms or 0, session.generation
        life, least = session.expires_at_ms - (last or started), least_ms - started
        self.numbers = pack(
            started,
            generation - started if generation else SUPPOSED,
            last,
            life if life > 0 else 0,
            at,
            session.move,
            limit,
            live if live < _MOST_LIVE else _MOST_LIVE,
            client,
            low,
            span,
            least if 0 <= least < SUPPOSED else 0,
        )
        if session.play:
            self.numbers += session.play.to_bytes(8)
        if self.stream_id != session.stream_id:
            self.stream_id = sys.intern(session.stream_id)
        self.device, self.segment, self.sequence = session.device, session.segment, session.sequence
        self.plan = session.plan

    @property
    def play(self) -> int:
        """The one that received last; 0 is none."""
        numbers = self.numbers
        return int.from_bytes(numbers[SIZE:]) if len(numbers) > SIZE else 0

    @property
    def generation(self) -> int:
        """0: the store has not given it a seat."""
        started, late, *_ = unpack(self.numbers)
        return 0 if late == SUPPOSED else int(started + late)

    @property
    def limit(self) -> int:
        """The user's, as the store said last."""
        return int(unpack(self.numbers)[6])

    @property
    def until(self) -> float:
        """When the session expires, in the worker's time, by the store's last word."""
        _, _, _, life, at, *_ = unpack(self.numbers)
        return float(at + life / 1_000)

    def lend(self, lease_id: str) -> bool:
        """May one more lease be let out? `AHEAD` at most are, until the store has answered for one."""
        if len(self.ahead) >= AHEAD:
            return False
        self.ahead += (lease_id,)
        return True

    def foresee(self, receipt: Receipt) -> None:
        """The session is where *receipt* brings it, before the store has said so."""
        if receipt.segment is not None:
            stream_id = receipt.lease.ask.stream_id
            if self.stream_id != stream_id:
                self.stream_id = sys.intern(stream_id)
            self.segment, self.sequence = receipt.segment, receipt.sequence

    def settle(self, lease_id: str) -> None:
        """The store answered for that lease, or never will be asked for it."""
        if self.ahead == (lease_id,):
            self.ahead = ()
        elif lease_id in self.ahead:
            self.ahead = tuple(each for each in self.ahead if each != lease_id)

    def prolong(self, at: float, active_ms: int, starting_ms: int) -> None:
        """From *at* on the session lives *active_ms* at least if it has received anything, else *starting_ms*."""
        started, late, last, life, since, *rest = unpack(self.numbers)
        life = max(life, int((at - since) * 1_000) + (active_ms if last else starting_ms))
        self.numbers = pack(started, late, last, life, since, *rest) + self.numbers[SIZE:]


class CachedSession(Struct, frozen=True, gc=False):
    """The store's last word. `at`: when, in the worker's time, the session's last activity (else its start) was.

    `client`: the digest of who was there. The store's clock is ahead of the worker's by `low` at least, by `span` more
    at most (ms); `least_ms`: no lease of the session may be dated before that. `entry`: where it is kept, if it is.
    """

    session: Session
    limit: int
    live: int
    at: float
    client: int
    low: float
    span: float
    least_ms: int
    entry: Entry | None = None

    @property
    def is_active(self) -> bool:
        """Has the session received something that the store knows of?"""
        return self.session.last_activity_ms is not None

    def date_ms(self, now: float) -> int:
        """The store's clock at *now*, as leases of the session are dated."""
        return max(int(now * 1_000 + self.low + self.span / 2), self.least_ms)  # as `date_ms`


@lru_cache(maxsize=16_384)
def digest(client: str) -> int:
    """Enough of the client's digest to tell two apart."""
    return crc32(client.encode())
