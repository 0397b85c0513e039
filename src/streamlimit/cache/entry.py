"""One session as the cache stores it (`Entry`), and as callers see it (`CachedSession`).

A cache may hold a million: numbers are packed into one value; strings of streams and segments are shared.
"""

import sys
from functools import lru_cache
from struct import Struct as Packing
from zlib import crc32

from msgspec import Struct

from streamlimit.model import Device, Receipt, Session

AHEAD = 2
"""Leases of one session without the store's answer, at most: so many segments may a session get after it was terminated
through another worker."""

SUPPOSED = 0xFFFFFFFF
"""The value of generation − started for a provisional seat, which the store has not confirmed."""

_MOST_LIVE = 0xFFFE
_NUMBERS = Packing("<QIQIdIHHIdfI")  # four bytes more would take sixteen: the allocator's step
unpack, pack = _NUMBERS.unpack_from, _NUMBERS.pack
SIZE = _NUMBERS.size


class Entry(Struct, gc=False):
    """One cached session.

    `numbers`: started at (ms) · generation − started · last activity (ms, 0: none) · lifetime (ms) · `at` · move ·
    limit · live · client · least offset of the store's clock, span of that offset (ms) · least date of a lease −
    started, and, where there is one, the play. `other`: the user's next entry. `ahead`: ids of its leases that this
    worker gave and the store has not answered.
    """

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
        self, session: Session, limit: int, live: int, at: float, client: int, low: float, span: float, least_ms: int
    ) -> None:
        """Replaces all values of the session."""
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
        """The play that received last; 0: none."""
        numbers = self.numbers
        return int.from_bytes(numbers[SIZE:]) if len(numbers) > SIZE else 0

    @property
    def generation(self) -> int:
        """The generation of the seat; 0: a provisional one."""
        started, late, *_ = unpack(self.numbers)
        return 0 if late == SUPPOSED else int(started + late)

    @property
    def limit(self) -> int:
        """The user's limit by the store's last answer."""
        return int(unpack(self.numbers)[6])

    @property
    def until(self) -> float:
        """When the session expires by the store's last answer, in seconds of the worker's clock."""
        _, _, _, life, at, *_ = unpack(self.numbers)
        return float(at + life / 1_000)

    def lend(self, lease_id: str) -> bool:
        """Adds the lease to those without an answer; False: there are `AHEAD` already."""
        if len(self.ahead) >= AHEAD:
            return False
        self.ahead += (lease_id,)
        return True

    def foresee(self, receipt: Receipt) -> None:
        """Moves the session to the position of *receipt* before the store has confirmed it."""
        if receipt.segment is not None:
            stream_id = receipt.lease.ask.stream_id
            if self.stream_id != stream_id:
                self.stream_id = sys.intern(stream_id)
            self.segment, self.sequence = receipt.segment, receipt.sequence

    def settle(self, lease_id: str) -> None:
        """Removes the lease from those without an answer."""
        if self.ahead == (lease_id,):
            self.ahead = ()
        elif lease_id in self.ahead:
            self.ahead = tuple(each for each in self.ahead if each != lease_id)

    def prolong(self, at: float, active_ms: int, starting_ms: int) -> None:
        """Extends the lifetime to *active_ms* from *at* if the session has received anything, else to *starting_ms*."""
        started, late, last, life, since, *rest = unpack(self.numbers)
        life = max(life, int((at - since) * 1_000) + (active_ms if last else starting_ms))
        self.numbers = pack(started, late, last, life, since, *rest) + self.numbers[SIZE:]


class CachedSession(Struct, frozen=True, gc=False):
    """A session by the store's last answer. `at`: its last activity, else its start, in seconds of the worker's clock.

    `client`: the digest of its client. The store's clock is ahead of the worker's by `low` to `low + span` ms;
    `least_ms`: the least date of a lease. `entry`: its entry in the cache, if it has one.
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
        """Has the store confirmed a receipt of the session?"""
        return self.session.last_activity_ms is not None

    def date_ms(self, now: float) -> int:
        """The date (ms of the store's clock) of a lease given at *now*."""
        return max(int(now * 1_000 + self.low + self.span / 2), self.least_ms)  # as `date_ms`


@lru_cache(maxsize=16_384)
def digest(client: str) -> int:
    """The first four bytes of the client's digest, as a number."""
    return crc32(client.encode())
