"""What one worker knows of sessions: the store's last word on each, so that it can answer without asking (rule 11).

Admissions and confirmations by the store teach it. Reads no clock: times are seconds of a monotonic one, handed in.
A million sessions may be known, so an entry is small: numbers lie packed in one value, streams, segments and
devices are shared, and one user's entries are a chain.
"""

import sys
from collections.abc import Iterator
from functools import lru_cache
from struct import Struct as Packing
from zlib import crc32

from msgspec import Struct

from streamlimit.model import Admitted, Ask, Confirmed, Device, Lease, Receipt, Session, State
from streamlimit.policy import Policy

USERS_A_LOOK = 1_000

_NUMBERS = Packing("<QIQIdIHHI")
_unpack = _NUMBERS.unpack
_SUPPOSED = 0xFFFFFFFF
_MOST = 0xFFFE
_STARTING, _ACTIVE, _IDLE = State.STARTING, State.ACTIVE, State.IDLE  # looking up a member takes long


class Known(Struct, frozen=True):
    """The store's last word. `at`: when, in the worker's time, the session's last activity (else its start) was."""

    session: Session
    limit: int
    live: int
    at: float
    client: int

    @property
    def is_active(self) -> bool:
        """It has received something, and the store knows."""
        return self.session.last_activity_ms is not None


class _Entry(Struct, gc=False):
    """One session. `numbers`: started at (ms) · generation − started · last activity (ms, 0: none) · life (ms) · `at`
    · move · limit · live · client. `other` is the user's next one."""

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
        self._first: dict[str, _Entry] = {}  # of each user
        self._size = 0
        self._round: list[str] = []  # users still to be looked at by `forget_old`

    def __len__(self) -> int:
        return self._size

    def recall(self, ask: Ask, now: float) -> Known | None:
        """What is known of the asking session, as long as it may sit: until it expires by the store's last word."""
        entry = self._first.get(ask.user_id)
        while entry is not None and entry.session_id != ask.session_id:
            entry = entry.other
        if entry is None:
            return None
        started, late, last, life, at, move, limit, live, client = _unpack(entry.numbers)
        if now >= at + life / 1_000 + self._extra:
            return None
        state = _STARTING
        if last:
            state = _ACTIVE if (now - at) * 1_000 < self._policy.segment_ms else _IDLE
        session = Session(
            ask.session_id,
            ask.user_id,
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
        return Known(session, limit, live, at, client)

    def met(self, ask: Ask, admitted: Admitted, asked_at: float, beaten: bool = False) -> None:
        """The store admitted the session, asked at *asked_at*; *beaten*: and confirmed that it is there."""
        session, lease = admitted.session, admitted.lease
        if session is None or lease is None:
            return
        last_ms = session.last_activity_ms or session.started_at_ms
        at = asked_at - max(lease.admitted_ms - last_ms, 0) / 1_000
        entry = self._find(ask.user_id, ask.session_id)
        client = digest(ask.client) if entry is None or beaten else _client_of(entry)
        self._write(session, admitted.limit, admitted.live, at, client, entry)

    def learn(self, receipt: Receipt, confirmed: Confirmed, at: float) -> None:
        """The store confirmed *receipt*, which the client had at *at*; an older one than the last teaches nothing."""
        ask = receipt.lease.ask
        entry = self._find(ask.user_id, ask.session_id)
        if entry is None or not _is_newer(entry, confirmed.session.generation, at):
            self._write(confirmed.session, confirmed.limit, confirmed.live, at, digest(ask.client), entry)

    def suppose(self, session: Session, limit: int, at: float) -> None:
        """The store is away and the session sits provisionally (generation 0), until n·X after it was here last."""
        entry = self._find(session.user_id, session.session_id)
        self._write(session, limit, 0, at, 0, entry)

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

    def gone(self, lease: Lease) -> None:
        """The store says that the seat of *lease* is gone; one that the session got later is not."""
        entry = self._find(lease.ask.user_id, lease.ask.session_id)
        if entry is not None and _generation_of(entry) <= lease.generation:
            self.forget(lease.ask.user_id, lease.ask.session_id)

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
        entry = self._first.get(user_id)
        return None if entry is None else int(_unpack(entry.numbers)[6])

    def forget_old(self, now: float) -> None:
        """Drops those that may not sit any more, of some users at a time, round after round."""
        if not self._round:
            self._round = list(self._first)
        for user_id in self._round[-USERS_A_LOOK:]:
            entries = list(self._of(user_id))
            self._chain(user_id, entries, [entry for entry in entries if now < _until(entry) + self._extra])
        del self._round[-USERS_A_LOOK:]

    def _find(self, user_id: str, session_id: str) -> _Entry | None:
        entry = self._first.get(user_id)
        while entry is not None and entry.session_id != session_id:
            entry = entry.other
        return entry

    def _of(self, user_id: str) -> Iterator[_Entry]:
        entry = self._first.get(user_id)
        while entry is not None:
            yield entry
            entry = entry.other

    def _chain(self, user_id: str, before: list[_Entry], after: list[_Entry]) -> None:
        """Makes *after*, a part of *before*, all that is known of the user."""
        if len(after) == len(before):
            return
        self._size -= len(before) - len(after)
        if not after:
            del self._first[user_id]
            return
        for entry, other in zip(after, [*after[1:], None], strict=True):
            entry.other = other
        self._first[user_id] = after[0]

    def _write(self, session: Session, limit: int, live: int, at: float, client: int, entry: _Entry | None) -> None:
        """What *entry* says from now on, or a new one."""
        started, last = session.started_at_ms, session.last_activity_ms or 0
        late = session.generation - started if session.generation else _SUPPOSED
        life = session.expires_at_ms - (last or started)
        if live > _MOST:
            live = _MOST
        numbers = _NUMBERS.pack(started, late, last, life if life > 0 else 0, at, session.move, limit, live, client)
        if entry is None:
            self._add(session, numbers)
            return
        if entry.stream_id != session.stream_id:
            entry.stream_id = sys.intern(session.stream_id)
        entry.device, entry.numbers = session.device, numbers
        entry.segment, entry.sequence = session.segment, session.sequence

    def _add(self, session: Session, numbers: bytes) -> None:
        stream_id, first = sys.intern(session.stream_id), self._first.get(session.user_id)
        self._first[session.user_id] = _Entry(
            session.session_id, stream_id, session.device, session.segment, session.sequence, numbers, first
        )
        self._size += 1


@lru_cache(maxsize=16_384)
def digest(client: str) -> int:
    """Enough of the client's digest to tell two apart."""
    return crc32(client.encode())


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
