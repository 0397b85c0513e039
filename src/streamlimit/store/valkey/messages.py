"""Messages to scripts, packed as their headers say (ARGV[2]).

The messages of asks and receipts end with a part that is the same for thousands of viewers, and cached.
"""

from functools import lru_cache
from struct import Struct

from streamlimit.model import FOR_GOOD, Ask, Device, Event, Lease, Purpose, Receipt, State, Terms
from streamlimit.policy import Policy
from streamlimit.rules.scopes import device_type
from streamlimit.store.valkey.codec import (
    LEAST_PACKED,
    REMEMBERED,
    STATE_CODES,
    pack_client,
    pack_device,
    pack_id,
    pack_kind,
    pack_limit,
    pack_own_limit,
    pack_place,
    pack_plan,
    pack_rare_id,
    pack_tail,
)

_PURPOSES = {Purpose.LEASE: 1, Purpose.SEAT: 2, Purpose.CHECK: 3}
_SEAT, _CHECK = Purpose.SEAT, Purpose.CHECK  # looked up once: a member takes long
_ASK, _RECEIPT, _ALIKE = Struct("<IHIHBB").pack, Struct("<IHIIHBIHI").pack, Struct("<IHH").pack
_SEGMENT = Struct("<IHIIH").pack
_U16 = Struct("<H").pack
_PLAY = Struct("<II").pack
_LOW = 0xFFFFFFFF
_NO_PLAY = b"\0"
MAX_SPAN_MS = _LOW
"""The longest duration in a receipt: 49 days."""


class Messages:
    """The messages that depend on the policy, by its caps for types of devices."""

    def __init__(self, policy: Policy) -> None:
        self._type_caps = policy.max_per_device_type
        self._alike = lru_cache(REMEMBERED)(self._pack_alike)

    def ask(self, ask: Ask) -> bytes:
        """The message of *ask* to admit.lua and beat.lua."""
        place = 0 if ask.sequence is None else pack_place(ask.sequence, ask.part)
        granted = 0 if ask.grant_generation is None else ask.grant_generation + 1
        session, lease = ask.session_id.encode(), ask.lease_id.encode()
        if len(session) >= LEAST_PACKED:
            session = pack_rare_id(ask.session_id)
        if len(lease) >= LEAST_PACKED:
            lease = pack_rare_id(ask.lease_id)
        replace = pack_id(ask.replace) if ask.replace else b""
        return b"%b%c%b%c%b%c%b%b%b" % (
            _ASK(place & _LOW, place >> 32, granted & _LOW, granted >> 32, _PURPOSES[ask.purpose], ask.may_start),
            len(session),
            session,
            len(lease),
            lease,
            len(replace),
            replace,
            pack_play(ask.play) if ask.play else _NO_PLAY,
            self._alike(ask.client, ask.limit, ask.stream_id, ask.kind, ask.device, ask.plan),
        )

    def receipt(self, receipt: Receipt) -> bytes:
        """The message of *receipt* to confirm.lua."""
        lease, ask = receipt.lease, receipt.lease.ask
        generation, admitted_ms = lease.generation, lease.admitted_ms
        granted = 0 if ask.grant_generation is None else ask.grant_generation + 1
        session = ask.session_id.encode()
        if len(session) >= LEAST_PACKED:
            session = pack_rare_id(ask.session_id)
        numbers = _RECEIPT(
            generation & _LOW,
            generation >> 32,
            lease.move,
            granted & _LOW,
            granted >> 32,
            (granted > 0 or ask.purpose is _SEAT) and ask.purpose is not _CHECK,  # rules/ledger.py, gives_grant
            admitted_ms & _LOW,
            admitted_ms >> 32,
            min(receipt.age_ms, MAX_SPAN_MS),
        )
        return b"%b%c%b%b%b%b" % (
            numbers,
            len(session),
            session,
            pack_play(ask.play) if ask.play else _NO_PLAY,
            _received(receipt.sequence, receipt.part, receipt.play_ms, receipt.ends_ms, receipt.segment),
            self._alike(ask.client, ask.limit, ask.stream_id, receipt.kind, ask.device, ask.plan),
        )

    def _pack_alike(
        self, client: str, limit: int | None, stream_id: str, kind: str, device: str | Device | None, plan: str | None
    ) -> bytes:
        """The end of both messages, cached, since it is the same for thousands of viewers."""
        type_cap = self._type_caps.get(device_type(device))
        numbers = _ALIKE(pack_client(client), pack_limit(limit), pack_limit(type_cap))
        return b"".join(
            (numbers, _short(pack_id(stream_id)), _short(pack_kind(kind)), _long(pack_device(device)), pack_plan(plan))
        )


@lru_cache(REMEMBERED)
def _received(sequence: int | None, part: int, play_ms: int, ends_ms: int, segment: str | None) -> bytes:
    """The part of a receipt's message that describes its segment, cached likewise."""
    place, name = 0 if sequence is None else pack_place(sequence, part), (segment or "").encode()
    return _SEGMENT(place & _LOW, place >> 32, min(play_ms, MAX_SPAN_MS), min(ends_ms, MAX_SPAN_MS), len(name)) + name


def pack_play(play: int) -> bytes:
    """A play with its length byte: empty for 0, else eight bytes, the low four first."""
    return b"\x08" + _PLAY(play & _LOW, play >> 32) if play else _NO_PLAY


def lease_message(lease: Lease) -> bytes:
    """The message of *lease* to prolong.lua and abandon.lua."""
    ask, generation, move = lease.ask, lease.generation.to_bytes(6, "little"), lease.move.to_bytes(4, "little")
    session, lease_id, stream = (_short(pack_id(each)) for each in (ask.session_id, ask.lease_id, ask.stream_id))
    return b"".join((generation, session, lease_id, move, stream, pack_play(ask.play)))


def end_message(session_id: str, kills_grant: bool) -> bytes:
    """The message to end.lua."""
    return _end(session_id, kills_grant, 0, State.ENDED, pack_tail("viewer", "ended"))


def again_message(event: Event, kills_grant: bool) -> bytes:
    """The message to end.lua that repeats the loss in *event*, of that very seat."""
    lost = event.session
    tail = pack_tail(event.by or "", event.reason)
    return _end(lost.session_id, kills_grant, lost.generation, lost.state, tail)


def _end(session_id: str, kills_grant: bool, generation: int, state: State, tail: bytes) -> bytes:
    numbers = b"%c%b%c" % (kills_grant, generation.to_bytes(6, "little"), STATE_CODES[state])
    return _short(pack_id(session_id)) + numbers + tail


def terminate_message(session_id: str | None, by: str, reason: str) -> bytes:
    """The message to terminate.lua; *session_id* None: every session."""
    return _short(pack_id(session_id or "")) + pack_tail(by, reason)


def forgive_message(session_id: str | None) -> bytes:
    """The message to forgive.lua; *session_id* None: every session."""
    return _short(pack_id(session_id or ""))


def forget_message() -> bytes:
    """The message to forget.lua."""
    return pack_tail("operator", "forgotten")


def limit_message(limit: int | None, terms: Terms) -> bytes:
    """The message to set_limit.lua."""
    if limit is None:
        terms = FOR_GOOD
    return pack_own_limit(limit, terms.lasts_ms or 0, terms.until_ms or 0, terms.note)


def _short(text: bytes) -> bytes:
    """A string of 255 bytes at most, behind its length."""
    return b"%c%b" % (len(text), text)


def _long(text: bytes) -> bytes:
    """A string behind its length in two bytes."""
    return _U16(len(text)) + text
