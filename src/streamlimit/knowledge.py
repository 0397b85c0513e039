"""What one worker knows of sessions: the store's last word on each, so that it can answer without asking (rule 11).

Admissions and confirmations by the store teach it. Reads no clock: times are seconds of a monotonic one, handed in.
A million sessions may be known, so an entry is small: numbers lie packed in one value, streams, segments and
devices are shared, and one user's entries are a chain. And nothing is done to all of them at once, for viewers would
feel it: they lie in many small drawers, since a dictionary that grows is copied whole.
"""

import sys
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from struct import Struct as Packing
from zlib import crc32

from msgspec import Struct

from streamlimit.model import Admitted, Ask, Confirmed, Device, Lease, Receipt, Session, State
from streamlimit.policy import Policy

DRAWERS = 8_192
USERS_A_LOOK, DRAWERS_A_LOOK = 32, 16
"""`forget_old` stops after so many: that takes 0.1 ms, be they a million or a few."""

_NUMBERS = Packing("<QIQIdIHHIddI")
_unpack = _NUMBERS.unpack
_SUPPOSED = 0xFFFFFFFF
_MOST = 0xFFFE
_LONGEST_MS = 500.0
"""No answer takes longer: a store that is slower is taken for one that is away."""

_NOTHING = float("-inf"), float("inf"), 0.0
"""What an exchange that says nothing says of the store's clock: see `_between`."""
_STARTING, _ACTIVE, _IDLE = State.STARTING, State.ACTIVE, State.IDLE  # looking up a member takes long


class Known(Struct, frozen=True):
    """The store's last word. `at`: when, in the worker's time, the session's last activity (else its start) was.

    `ahead`: how much the store's clock (ms) is ahead of the worker's, as far as it can tell; `least_ms`: no lease of
    the session may be dated before that.
    """

    session: Session
    limit: int
    live: int
    at: float
    client: int
    ahead: float
    least_ms: int

    @property
    def is_active(self) -> bool:
        """It has received something, and the store knows."""
        return self.session.last_activity_ms is not None

    def date_ms(self, now: float) -> int:
        """The store's clock at *now*, as leases of the session are dated."""
        return max(int(now * 1_000 + self.ahead), self.least_ms)


class _Entry(Struct, gc=False):
    """One session. `numbers`: started at (ms) · generation − started · last activity (ms, 0: none) · life (ms) · `at`
    · move · limit · live · client · how much the store's clock is ahead of the worker's at least, and at most (ms)
    · `least_ms` − started. `other` is the user's next one."""

    session_id: str
    stream_id: str
    device: str | Device | None
    segment: str | None
    sequence: int | None
    numbers: bytes
    other: "_Entry | None" = None


class Knowledge:
    """Of all sessions under *policy*. *extra_seconds*: how much longer than the store's word they may sit."""

    def __init__(self, policy: Policy, extra_seconds: float = 0.0) -> None:
        self._policy, self._extra = policy, extra_seconds
        self._drawers: list[dict[str, _Entry]] = [{} for _ in range(DRAWERS)]  # by user, the first of their entries
        self._size = 0
        self._next = self._passed = 0  # the drawer that `forget_old` looks into, and how many it has seen there

    def __len__(self) -> int:
        return self._size

    def recall(self, ask: Ask, now: float) -> Known | None:
        """What is known of the asking session, as long as it may sit: until it expires by the store's last word."""
        user_id = ask.user_id
        entry = self._drawers[hash(user_id) % DRAWERS].get(user_id)
        while entry is not None and entry.session_id != ask.session_id:
            entry = entry.other
        if entry is None:
            return None
        started, late, last, life, at, move, limit, live, client, low, high, least = _unpack(entry.numbers)
        if now >= at + life / 1_000 + self._extra:
            return None
        state = _STARTING
        if last:
            state = _ACTIVE if (now - at) * 1_000 < self._policy.segment_ms else _IDLE
        session = Session(
            ask.session_id,
            user_id,
            entry.stream_id,
            state,
            entry.device,
            entry.segment,
            entry.sequence,
            started,
            last or None,
            (last or started) + life,
            0 if late == _SUPPOSED else started + late,
            move,
        )
        return Known(session, limit, live, at, client, (low + high) / 2, started + least)

    def met(self, ask: Ask, admitted: Admitted, asked_at: float, heard_at: float, beaten: bool = False) -> None:
        """The store admitted the session, asked at *asked_at*; *beaten*: and confirmed that it is there."""
        session, lease = admitted.session, admitted.lease
        if session is None or lease is None:
            return
        last_ms = session.last_activity_ms or session.started_at_ms
        at = asked_at - max(lease.admitted_ms - last_ms, 0) / 1_000
        entry = self._find(ask.user_id, ask.session_id)
        client = digest(ask.client) if entry is None or beaten else _client_of(entry)
        told = _between(lease.admitted_ms, asked_at, heard_at)
        self._write(session, admitted.limit, admitted.live, at, client, entry, told)

    def learn(self, receipt: Receipt, confirmed: Confirmed, at: float, heard_at: float | None = None) -> None:
        """The store confirmed *receipt*, which the client had at *at*; an older one than the last teaches nothing.

        *heard_at*: when it said so, where that tells something of its clock: not if it was told long after *at*.
        """
        ask = receipt.lease.ask
        entry = self._find(ask.user_id, ask.session_id)
        session = confirmed.session
        if entry is not None and _is_newer(entry, session.generation, at):
            return
        if heard_at is not None:
            told = _between(session.last_activity_ms or 0, at, heard_at)
        elif entry is not None:
            told = _NOTHING
        else:
            told = _between(session.last_activity_ms or 0, at, at + _LONGEST_MS / 1_000)
        self._write(session, confirmed.limit, confirmed.live, at, digest(ask.client), entry, told)

    def suppose(self, session: Session, limit: int, at: float) -> None:
        """The store is away and the session sits provisionally (generation 0), until n·X after it was here last."""
        entry = self._find(session.user_id, session.session_id)
        told = _between(session.started_at_ms, at, at + _LONGEST_MS / 1_000)  # though by the worker's own clock
        self._write(session, limit, 0, at, 0, entry, told)

    def foresee(self, receipt: Receipt) -> None:
        """The session is where *receipt* brings it, before the store has said so."""
        ask = receipt.lease.ask
        entry = self._find(ask.user_id, ask.session_id)
        if entry is not None and receipt.segment is not None:
            if entry.stream_id != ask.stream_id:
                entry.stream_id = sys.intern(ask.stream_id)
            entry.segment, entry.sequence = receipt.segment, receipt.sequence

    def prolonged(self, lease: Lease, at: float) -> None:
        """The store, asked at *at*, prolonged the session: bytes of a segment still move (rule 6)."""
        entry = self._find(lease.ask.user_id, lease.ask.session_id)
        if entry is not None:
            started, late, last, life, since, *rest = _unpack(entry.numbers)
            more_ms = self._policy.expiry_ms if last else self._policy.start_ms
            life = max(life, int((at - since) * 1_000) + more_ms)
            entry.numbers = _NUMBERS.pack(started, late, last, life, since, *rest)

    def gone(self, user_id: str, session_id: str, generation: int) -> None:
        """The store says that this seat is gone; one that the session got later is not."""
        entry = self._find(user_id, session_id)
        if entry is not None and _generation_of(entry) <= generation:
            self.forget(user_id, session_id)

    def forget(self, user_id: str, session_id: str) -> None:
        """Nothing is known of the session any more."""
        entries = list(self._of(user_id))
        self._chain(user_id, entries, [entry for entry in entries if entry.session_id != session_id])

    def sessions_of(self, user_id: str) -> list[str]:
        """Those of the user that anything is known of."""
        return [entry.session_id for entry in self._of(user_id)]

    def sitting(self, user_id: str, now: float) -> int:
        """How many of the user's sessions may sit, as far as this worker knows."""
        return sum(now < _until(entry) + self._extra for entry in self._of(user_id))

    def limit_of(self, user_id: str) -> int | None:
        """The user's limit, as the store said last."""
        entry = self._drawer_of(user_id).get(user_id)
        return None if entry is None else int(_unpack(entry.numbers)[6])

    def forget_old(self, now: float) -> None:
        """Drops those that may not sit any more, of some users at a time, round after round."""
        left, now = USERS_A_LOOK, now - self._extra
        for _ in range(DRAWERS_A_LOOK):
            drawer = self._drawers[self._next]
            some = list(islice(drawer.items(), self._passed, self._passed + left))
            before = len(drawer)
            for user_id, first in some:
                if first.other is not None or now >= _until(first):
                    entries = list(self._of(user_id))
                    self._chain(user_id, entries, [entry for entry in entries if now < _until(entry)])
            left -= len(some)
            self._passed += len(some) - (before - len(drawer))
            if not left:
                return
            self._next, self._passed = (self._next + 1) % DRAWERS, 0

    def _drawer_of(self, user_id: str) -> dict[str, _Entry]:
        return self._drawers[hash(user_id) % DRAWERS]

    def _find(self, user_id: str, session_id: str) -> _Entry | None:
        entry = self._drawers[hash(user_id) % DRAWERS].get(user_id)
        while entry is not None and entry.session_id != session_id:
            entry = entry.other
        return entry

    def _of(self, user_id: str) -> Iterator[_Entry]:
        entry = self._drawer_of(user_id).get(user_id)
        while entry is not None:
            yield entry
            entry = entry.other

    def _chain(self, user_id: str, before: list[_Entry], after: list[_Entry]) -> None:
        """Makes *after*, a part of *before*, all that is known of the user."""
        if len(after) == len(before):
            return
        self._size -= len(before) - len(after)
        if not after:
            del self._drawer_of(user_id)[user_id]
            return
        for entry, other in zip(after, [*after[1:], None], strict=True):
            entry.other = other
        self._drawer_of(user_id)[user_id] = after[0]

    def _write(
        self,
        session: Session,
        limit: int,
        live: int,
        at: float,
        client: int,
        entry: _Entry | None,
        told: tuple[float, float, float],
    ) -> None:
        """What *entry* says from now on, or a new one. *told*: what the exchange says of the store's clock."""
        started, last = session.started_at_ms, session.last_activity_ms or 0
        late = session.generation - started if session.generation else _SUPPOSED
        life = session.expires_at_ms - (last or started)
        if live > _MOST:
            live = _MOST
        low, high, least = (told[0], told[1], 0) if entry is None else _narrowed(entry, told, started)
        numbers = _NUMBERS.pack(
            started, late, last, life if life > 0 else 0, at, session.move, limit, live, client, low, high, least
        )
        if entry is None:
            self._add(session, numbers)
            return
        if entry.stream_id != session.stream_id:
            entry.stream_id = sys.intern(session.stream_id)
        entry.device, entry.numbers = session.device, numbers
        entry.segment, entry.sequence = session.segment, session.sequence

    def _add(self, session: Session, numbers: bytes) -> None:
        stream_id, drawer = sys.intern(session.stream_id), self._drawer_of(session.user_id)
        first = drawer.get(session.user_id)
        drawer[session.user_id] = _Entry(
            session.session_id, stream_id, session.device, session.segment, session.sequence, numbers, first
        )
        self._size += 1


@lru_cache(maxsize=16_384)
def digest(client: str) -> int:
    """Enough of the client's digest to tell two apart."""
    return crc32(client.encode())


def _between(told_ms: int, asked_at: float, heard_at: float) -> tuple[float, float, float]:
    """How much the store's clock is ahead of the worker's, at least and at most, and the moment of the answer (in ms).

    It read *told_ms* after it was asked, and before it was heard.
    """
    heard_ms = heard_at * 1_000
    return told_ms - heard_ms, told_ms + 1 - asked_at * 1_000, heard_ms


def _narrowed(entry: _Entry, told: tuple[float, float, float], started: int) -> tuple[float, float, int]:
    """What is known of the store's clock with another exchange: at least, at most, and the `least_ms` − *started*.

    Each narrows it down; where two exclude each other (a clock was set) the newer one is right. So two workers, each in
    the middle of what it knows, differ by little, and the leases of one keep the order in which it gave them: where the
    middle goes back nothing is dated before what it came to until then.
    """
    its_started, _, _, _, _, _, _, _, _, its_low, its_high, least = _unpack(entry.numbers)
    low, high, heard_ms = told
    if low <= its_low and its_high <= high:
        low, high = its_low, its_high  # nothing new, as nearly always
    else:
        low, high = max(low, its_low), min(high, its_high)
        if low > high:
            low, high, _ = told
        if low + high < its_low + its_high:
            reached = int((its_low + its_high) / 2 + heard_ms)
            least = max(least, reached - its_started)
    if started != its_started:
        least += its_started - started
    return low, high, least if 0 <= least < _SUPPOSED else 0


def _generation_of(entry: _Entry) -> int:
    started, late, *_ = _unpack(entry.numbers)
    return 0 if late == _SUPPOSED else int(started + late)


def _client_of(entry: _Entry) -> int:
    return int(_unpack(entry.numbers)[8])


def _until(entry: _Entry) -> float:
    _, _, _, life, at, *_ = _unpack(entry.numbers)
    return float(at + life / 1_000)


def _is_newer(entry: _Entry, generation: int, at: float) -> bool:
    """Is what *entry* says newer than a confirmation of that generation and moment?"""
    started, late, last, _, its_at, *_ = _unpack(entry.numbers)
    its = 0 if late == _SUPPOSED else started + late
    return bool(its > generation or (its_at > at and last and its == generation))
