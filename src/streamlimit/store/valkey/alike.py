"""Heartbeats and receipts as messages.py packs them, faster: what those of one place have in common is packed once.

They differ in their session, its seat and its play; what stands around that is the same for thousands of viewers, and
packing it took longer than all else that is done to send one.
"""

from functools import lru_cache
from struct import Struct

from streamlimit.model import Ask, Device, Lease, Purpose, Receipt
from streamlimit.rules.sharing import PARTS
from streamlimit.store.valkey.codec import LEAST_PACKED, MAX_PLACED, REMEMBERED, pack_rare_id
from streamlimit.store.valkey.messages import (
    ASK,
    NO_PLAY,
    RECEIPT,
    ask_message,
    message_end,
    pack_play,
    receipt_message,
)

_SEAT = Struct("<IHIIHBIHIH")
_pack_seat = _SEAT.pack
_WHERE, _PLACE_AT = Struct("<IHIH"), 6
"""Place and grant, and where they stand among the numbers of an ask."""
_pack_where = _WHERE.pack
_SEAT_ONLY, _CHECK = Purpose.SEAT, Purpose.CHECK  # looked up once
_LOW = 0xFFFFFFFF


def alike_ask_message(ask: Ask, type_cap: int | None) -> bytes:
    """`ask_message`."""
    sequence = ask.sequence
    if ask.replace is not None or (sequence is not None and sequence >= MAX_PLACED):
        return ask_message(ask, type_cap)
    before, middle, after = _around_asked(
        ask.purpose,
        ask.may_start,
        ask.limit,
        type_cap,
        ask.client,
        ask.stream_id,
        ask.kind,
        ask.device,
        ask.plan,
    )
    session, lease = ask.session_id.encode(), ask.lease_id.encode()
    if len(session) >= LEAST_PACKED:
        session = pack_rare_id(ask.session_id)
    if len(lease) >= LEAST_PACKED:
        return ask_message(ask, type_cap)
    granted = 0 if ask.grant_generation is None else ask.grant_generation + 1
    place = 0 if sequence is None else sequence * PARTS + min(ask.part, PARTS - 1) + 1
    where = _pack_where(place & _LOW, place >> 32, granted & _LOW, granted >> 32)
    play = pack_play(ask.play) if ask.play else NO_PLAY
    numbers = before[:_PLACE_AT] + where + before[_PLACE_AT:]
    return b"%b%c%b%b%c%b%b%b" % (numbers, len(session), session, middle, len(lease), lease, after, play)


def alike_receipt_message(receipt: Receipt, type_cap: int | None) -> bytes:
    """`receipt_message`."""
    lease, ask, sequence = receipt.lease, receipt.lease.ask, receipt.sequence
    if receipt.age_ms or (sequence is not None and sequence >= MAX_PLACED):
        return receipt_message(receipt, type_cap)
    before, middle, after = _around_received(
        ask.limit,
        type_cap,
        ask.client,
        ask.stream_id,
        receipt.kind,
        ask.device,
        ask.plan,
        receipt.segment,
        receipt.play_ms,
        receipt.ends_ms,
    )
    generation, admitted_ms, session = lease.generation, lease.admitted_ms, ask.session_id.encode()
    if len(session) >= LEAST_PACKED:
        session = pack_rare_id(ask.session_id)
    granted = 0 if ask.grant_generation is None else ask.grant_generation + 1
    place = 0 if sequence is None else sequence * PARTS + min(receipt.part, PARTS - 1) + 1
    seat = _pack_seat(
        generation & _LOW,
        generation >> 32,
        lease.move,
        granted & _LOW,
        granted >> 32,
        (granted > 0 or ask.purpose is _SEAT_ONLY) and ask.purpose is not _CHECK,
        admitted_ms & _LOW,
        admitted_ms >> 32,
        place & _LOW,
        place >> 32,
    )
    play = pack_play(ask.play) if ask.play else NO_PLAY
    return b"%b%b%c%b%b%b%b" % (seat, before, len(session), session, middle, play, after)


@lru_cache(REMEMBERED)
def _around_asked(
    purpose: Purpose,
    may_start: bool,
    limit: int | None,
    type_cap: int | None,
    client: str,
    stream_id: str,
    kind: str,
    device: str | Device | None,
    plan: str | None,
) -> tuple[bytes, bytes, bytes]:
    """Numbers without place and grant, what stands between session and lease, between lease and play."""
    ask = Ask("", "", stream_id, purpose, "", device, client, kind, limit=limit, may_start=may_start, plan=plan)
    message = ask_message(ask, type_cap)
    stream = ASK.size + 1  # behind the length of no session
    lease = stream + 1 + message[stream]
    numbers = message[:_PLACE_AT] + message[_PLACE_AT + _WHERE.size : ASK.size]
    return numbers, message[stream:lease], message[lease + 1 : -len(NO_PLAY)]


@lru_cache(REMEMBERED)
def _around_received(
    limit: int | None,
    type_cap: int | None,
    client: str,
    stream_id: str,
    kind: str,
    device: str | Device | None,
    plan: str | None,
    segment: str | None,
    play_ms: int,
    ends_ms: int,
) -> tuple[bytes, bytes, bytes]:
    """The parts between seat and session, between session and play, and behind that."""
    ask = Ask(user_id="", session_id="", stream_id=stream_id, device=device, client=client, limit=limit, plan=plan)
    receipt = Receipt(Lease(ask, 0, 0), segment, kind=kind, play_ms=play_ms, ends_ms=ends_ms)
    message = receipt_message(receipt, type_cap)
    after = message_end(ask)
    middle = message[RECEIPT.size + 1 : len(message) - len(after) - len(NO_PLAY)]
    return message[_SEAT.size : RECEIPT.size], middle, after
