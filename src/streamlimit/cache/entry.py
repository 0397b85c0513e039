"""One session as the cache stores it (`Entry`), all of them (`ShardedDict`), one as callers see it (`CachedSession`).

A cache may hold a million: numbers are packed into one value; strings of streams and segments are shared. No step works
on all entries at once, since viewers would wait for it: a dictionary that grows is copied whole, so there are many.
"""

import sys
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from struct import Struct as Packing
from zlib import crc32

from msgspec import Struct

from streamlimit.model import Device, Receipt, Session

AHEAD = 2
"""Leases of one session without the store's answer, at most: so many segments may a session get after it was terminated
through another worker."""

SUPPOSED = 0xFFFFFFFF
"""The value of generation − started for a provisional seat, which the store has not confirmed."""

SHARDS = 1_024
USERS_A_LOOK, SHARDS_A_LOOK = 32, 16
"""`forget_old` stops after so many users or shards: 0.1 ms, however many entries there are."""

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


class ShardedDict:
    """The entries of all users, in shards; those of one user are a linked list."""

    def __init__(self) -> None:
        self.shards: list[dict[str, Entry]] = [{} for _ in range(SHARDS)]  # by user, the first of their entries
        self._size = 0
        self._next = self._passed = 0  # the shard that `forget_old` looks into, and how many it has seen there

    def __len__(self) -> int:
        return self._size

    def find(self, user_id: str, session_id: str) -> Entry | None:
        """The entry of the session; None: there is none."""
        entry = self.shards[hash(user_id) % SHARDS].get(user_id)
        while entry is not None and entry.session_id != session_id:
            entry = entry.other
        return entry

    def of(self, user_id: str) -> Iterator[Entry]:
        """All entries of the user."""
        entry = self.shards[hash(user_id) % SHARDS].get(user_id)
        while entry is not None:
            yield entry
            entry = entry.other

    def add(self, user_id: str, entry: Entry) -> None:
        """Adds the entry of a session that has none."""
        shard = self.shards[hash(user_id) % SHARDS]
        entry.other = shard.get(user_id)
        shard[user_id] = entry
        self._size += 1

    def remove(self, user_id: str, session_id: str) -> None:
        """Removes the entry of the session, if there is one."""
        entries = list(self.of(user_id))
        self._chain(user_id, entries, [entry for entry in entries if entry.session_id != session_id])

    def forget_old(self, now: float) -> None:
        """Removes sessions that hold no seat any more, of some users at a time, round after round."""
        left = USERS_A_LOOK
        for _ in range(SHARDS_A_LOOK):
            shard = self.shards[self._next]
            some = list(islice(shard.items(), self._passed, self._passed + left))
            before = len(shard)
            for user_id, first in some:
                if first.other is not None or now >= first.until:
                    entries = list(self.of(user_id))
                    self._chain(user_id, entries, [entry for entry in entries if now < entry.until])
            left -= len(some)
            self._passed += len(some) - (before - len(shard))
            if not left:
                return
            self._next, self._passed = (self._next + 1) % SHARDS, 0

    def _chain(self, user_id: str, before: list[Entry], after: list[Entry]) -> None:
        """Replaces the user's list of entries *before* by *after*, a part of it."""
        if len(after) == len(before):
            return
        self._size -= len(before) - len(after)
        shard = self.shards[hash(user_id) % SHARDS]
        if not after:
            del shard[user_id]
            return
        for entry, other in zip(after, [*after[1:], None], strict=True):
            entry.other = other
        shard[user_id] = after[0]


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
