"""Leases whose bytes an edge moves: settled by its report, or by a later request (rules 3 and 4).

The report may reach another worker, so the name of such a lease is derived from what it is for: that worker can name
the same one.
"""

import time
from collections import OrderedDict
from collections.abc import Sequence
from hashlib import blake2b

from msgspec import Struct
from msgspec.structs import replace

from streamlimit.delivery.naming import Place
from streamlimit.delivery.stream import Stream
from streamlimit.limiter import Limiter
from streamlimit.model import Ask, Lease, Purpose, Receipt
from streamlimit.store.contract import resolved

SESSIONS = 50_000
"""Most sessions that are remembered, those that asked last."""
LEASES = 32
"""Most open leases of one session; players have a few."""


class Open(Struct, frozen=True, gc=False):
    """An open lease and its place; `until`: a later receipt of it does not count.

    `is_look`: no byte of the media was asked for, so that only a report confirms it. `requests`: those for the media
    that were not reported as lost; players drop one and try again at once, or want another range of a file.
    """

    lease: Lease
    place: Place
    until: float
    is_look: bool = False
    requests: int = 1


class Entrusted:
    """The open leases of one worker whose bytes an edge moves.

    *any_later*: a request for any later segment confirms an earlier one, for edges may cache admissions.
    *keep_seconds*: n·X.
    """

    def __init__(self, limiter: Limiter, keep_seconds: float, any_later: bool) -> None:
        self._limiter, self._keep, self._any_later = limiter, keep_seconds, any_later
        self._open: dict[tuple[str, str], dict[str, Open]] = OrderedDict()
        self._clients: dict[tuple[str, str], str] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open)

    async def confirm_before(self, ask: Ask, place: Place, stream: Stream | None) -> None:
        """Confirms the segment before *place* if the session asked for it last: it asks on, so it has received it."""
        held = self._open.get((ask.user_id, ask.session_id))
        if not held:
            return
        earlier = [each for each in held.values() if _is_before(each, ask, place)]
        implied = [each for each in earlier if self._any_later or _follows(stream, each.place, place)]
        for each in implied:
            del held[each.lease.ask.lease_id]
        newest = _newest(implied)
        if newest is not None and time.monotonic() < newest.until:
            await resolved(self._limiter.confirm(receipt_of(newest.lease, newest.place)))

    def entrust(self, lease: Lease, place: Place, is_look: bool = False) -> None:
        """Adds *lease*, whose bytes an edge moves. *is_look*: it was looked at, and counts if it is reported."""
        key = (lease.ask.user_id, lease.ask.session_id)
        held = self._open.pop(key, None) or {}
        self._clients.pop(key, None)
        self._clients[key] = lease.ask.client
        if len(self._clients) > SESSIONS:
            del self._clients[next(iter(self._clients))]
        before = held.pop(lease.ask.lease_id, None)
        earlier = 0 if before is None or before.is_look else before.requests
        requests = max(earlier + (not is_look), 1)
        held[lease.ask.lease_id] = Open(lease, place, time.monotonic() + self._keep, is_look and not earlier, requests)
        self._open[key] = held  # the newest are last
        if len(held) > LEASES:
            del held[next(iter(held))]
        if len(self._open) > SESSIONS:
            del self._open[next(iter(self._open))]

    def client_of(self, user_id: str, session_id: str) -> str:
        """The client's digest of the session's last request, as far as known; reports carry none."""
        return self._clients.get((user_id, session_id), "")

    def is_tried_again(self, ask: Ask) -> bool:
        """Counts a request for the lease of *ask* as lost. Is another request for it under way?"""
        held = self._open.get((ask.user_id, ask.session_id), {})
        found = held.get(ask.lease_id)
        if found is None or found.requests == 1:
            return False
        held[ask.lease_id] = replace(found, requests=found.requests - 1)
        return True

    def settle_before(self, ask: Ask, place: Place) -> Open | None:
        """Settles the leases before *place*, which the player of *ask* has: it speaks for them. The newest of them."""
        held = self._open.get((ask.user_id, ask.session_id), {})
        before = [each for each in held.values() if _is_before(each, ask, place)]
        for each in before:
            self.settle(each.lease.ask)
        return _newest(before)

    def settle(self, ask: Ask) -> Open | None:
        """Removes and returns the open lease of *ask*, named by `named`; None: this worker has none."""
        key = (ask.user_id, ask.session_id)
        held = self._open.get(key)
        found = None if held is None else held.pop(ask.lease_id, None)
        if held is not None and not held:
            del self._open[key]
        return found


def lease_for(ask: Ask, place: Place) -> Ask:
    """*ask* as a request for a lease of the media at *place*.

    The lease's id is derived from player and segment: it is the same at every worker and every retry.
    """
    about = f"{ask.stream_id}\0{place.name}\0{ask.play:x}".encode(errors="surrogateescape")
    lease_id = "edge-" + blake2b(about, digest_size=9).hexdigest()
    return replace(ask_at(place, ask), purpose=Purpose.LEASE, lease_id=lease_id)


def ask_at(place: Place, ask: Ask) -> Ask:
    """*ask* as a question about the media at *place*."""
    return replace(ask, kind=place.kind, sequence=place.sequence, part=place.part)


def receipt_of(lease: Lease, place: Place, age_ms: int = 0) -> Receipt:
    """The receipt of *lease* for *place*, received *age_ms* ago."""
    return Receipt(lease, place.name, place.sequence, place.kind, place.play_ms, age_ms, place.part, place.ends_ms)


def _newest(leases: Sequence[Open]) -> Open | None:
    return max(leases, key=lambda each: (each.place.sequence or 0, each.place.part), default=None)


def _is_before(held: Open, ask: Ask, place: Place) -> bool:
    """Did the same player ask for media before *place*?"""
    before = held.lease.ask
    is_same = (before.stream_id, before.client, before.play) == (ask.stream_id, ask.client, ask.play)
    return is_same and not held.is_look and place.is_after(held.place)


def _follows(stream: Stream | None, earlier: Place, later: Place) -> bool:
    """Is *later*, a later segment than *earlier*, the one directly after it?"""
    if stream is not None:
        first, second = stream.find(earlier.name), stream.find(later.name)
        return first is not None and second is not None and stream.follows(first, second)
    assert earlier.sequence is not None
    return later.sequence == earlier.sequence + 1
