"""Leases whose bytes another party moves: an edge says what arrived, or a later request does (rules 3 and 4).

A worker remembers what it entrusted; a report may reach another one, so a lease is named after what it is for: the
worker that gets the report gives the same one back.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from hashlib import blake2b

from msgspec import Struct
from msgspec.structs import replace

from streamlimit.delivery.naming import Place
from streamlimit.delivery.stream import Stream
from streamlimit.limiter import Limiter
from streamlimit.model import Ask, Lease, Receipt
from streamlimit.store.contract import resolved

SESSIONS = 50_000
"""Sessions remembered; of more, those that asked last."""
LEASES = 32
"""Open leases of one session; players have a few under way."""


class Open(Struct, frozen=True, gc=False):
    """One lease that is not settled, and what it is for; `until`: later no receipt of it would count any more."""

    lease: Lease
    place: Place
    until: float


class Entrusted:
    """Leases of one worker that an edge was entrusted with. *any_later*: an edge may keep our yes, so any later segment
    tells of an earlier one.

    *keep_seconds*: n·X. *clock*: monotonic seconds.
    """

    def __init__(
        self, limiter: Limiter, keep_seconds: float, any_later: bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limiter, self._keep, self._any_later, self._clock = limiter, keep_seconds, any_later, clock
        self._open: dict[tuple[str, str], dict[str, Open]] = OrderedDict()
        self._clients: dict[tuple[str, str], str] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open)

    async def confirm_before(self, ask: Ask, place: Place, stream: Stream | None) -> None:
        """Confirms the segment before *place*, if the session asked for that one last: it has it, since it asks on."""
        held = self._open.get((ask.user_id, ask.session_id))
        if not held:
            return
        earlier = [each for each in held.values() if _is_same(each, ask) and place.is_after(each.place)]
        implied = [each for each in earlier if self._any_later or _follows(stream, each.place, place)]
        for each in implied:
            del held[each.lease.ask.lease_id]
        newest = max(implied, key=lambda each: (each.place.sequence or 0, each.place.part), default=None)
        if newest is not None and self._clock() < newest.until:
            await resolved(self._limiter.confirm(receipt_of(newest.lease, newest.place)))

    def entrust(self, lease: Lease, place: Place) -> None:
        """The bytes of *lease* are on their way, by another's hand."""
        key = (lease.ask.user_id, lease.ask.session_id)
        held = self._open.pop(key, None) or {}
        self._clients.pop(key, None)
        self._clients[key] = lease.ask.client
        if len(self._clients) > SESSIONS:
            del self._clients[next(iter(self._clients))]
        held.pop(lease.ask.lease_id, None)
        held[lease.ask.lease_id] = Open(lease, place, self._clock() + self._keep)
        self._open[key] = held  # the youngest stand last
        if len(held) > LEASES:
            del held[next(iter(held))]
        if len(self._open) > SESSIONS:
            del self._open[next(iter(self._open))]

    def client_of(self, user_id: str, session_id: str) -> str:
        """From where the session asked last, as far as this worker knows: a later report of it holds no address."""
        return self._clients.get((user_id, session_id), "")

    def forget_before(self, ask: Ask, place: Place) -> None:
        """The player of *ask* has *place*, which speaks for all that it asked for before it."""
        held = self._open.get((ask.user_id, ask.session_id), {})
        for each in [each for each in held.values() if _is_same(each, ask) and place.is_after(each.place)]:
            self.settle(each.lease.ask)

    def settle(self, ask: Ask) -> Open | None:
        """The lease that *ask*, named by `named`, was given here, if it is not settled yet: now it is."""
        key = (ask.user_id, ask.session_id)
        held = self._open.get(key)
        found = None if held is None else held.pop(ask.lease_id, None)
        if held is not None and not held:
            del self._open[key]
        return found


def named(ask: Ask, place: Place) -> Ask:
    """*ask* with the name of its lease: the same wherever, and how often, this player asks for this segment."""
    about = f"{ask.stream_id}\0{place.name}\0{ask.play:x}".encode(errors="surrogateescape")
    return replace(ask, lease_id="edge-" + blake2b(about, digest_size=9).hexdigest())


def receipt_of(lease: Lease, place: Place, age_ms: int = 0) -> Receipt:
    """The client has *place*, since *age_ms*."""
    return Receipt(lease, place.name, place.sequence, place.kind, place.play_ms, age_ms, place.part, place.ends_ms)


def _is_same(held: Open, ask: Ask) -> bool:
    """Did the same player ask?"""
    before = held.lease.ask
    return (before.stream_id, before.client, before.play) == (ask.stream_id, ask.client, ask.play)


def _follows(stream: Stream | None, earlier: Place, later: Place) -> bool:
    """Is *later* the segment directly after *earlier*, of which it is known to be a later one?"""
    if stream is not None:
        first, second = stream.find(earlier.name), stream.find(later.name)
        return first is not None and second is not None and stream.follows(first, second)
    assert earlier.sequence is not None
    return later.sequence == earlier.sequence + 1
