"""Heartbeats as messages.py packs them, faster: what those of one stream have in common is packed once.

They differ in their session, and receipts of them in its seat; what stands before and after that is the same for
thousands of viewers, and packing it took longer than all else that is done to send one. Of few sessions the whole is
kept (store.py), so a session that is packed here is one of very many: looking for its id would be in vain.
"""

from functools import lru_cache
from struct import Struct

from streamlimit.model import Ask, Device, Lease, Purpose, Receipt
from streamlimit.store.valkey.codec import REMEMBERED, pack_rare_id
from streamlimit.store.valkey.messages import ASK, RECEIPT, ask_message, receipt_message

_SEAT = Struct("<IHIIHB")
_pack_seat = _SEAT.pack
_LEASE, _SEAT_ONLY = Purpose.LEASE, Purpose.SEAT  # looked up once


def beat_message(ask: Ask, type_cap: int | None) -> bytes:
    """`ask_message`."""
    if ask.sequence is not None or ask.replace is not None or ask.lease_id or ask.purpose is not _LEASE or ask.play:
        return ask_message(ask, type_cap)
    before, after = _around_asked(
        ask.may_start,
        ask.grant_generation,
        ask.limit,
        type_cap,
        ask.client,
        ask.stream_id,
        ask.kind,
        ask.device,
        ask.plan,
    )
    session = pack_rare_id(ask.session_id)
    return b"%b%c%b%b" % (before, len(session), session, after)


def report_message(receipt: Receipt, type_cap: int | None) -> bytes:
    """`receipt_message`."""
    lease, ask = receipt.lease, receipt.lease.ask
    if receipt.sequence is not None or receipt.segment or lease.admitted_ms or ask.play:
        return receipt_message(receipt, type_cap)
    if receipt.play_ms or receipt.age_ms or receipt.ends_ms:
        return receipt_message(receipt, type_cap)
    before, after = _around_received(ask.limit, type_cap, ask.client, ask.stream_id, receipt.kind, ask.device, ask.plan)
    session, generation = pack_rare_id(ask.session_id), lease.generation
    granted = 0 if ask.grant_generation is None else ask.grant_generation + 1
    has_grant = granted > 0 or ask.purpose is _SEAT_ONLY
    seat = _pack_seat(
        generation & 0xFFFFFFFF, generation >> 32, lease.move, granted & 0xFFFFFFFF, granted >> 32, has_grant
    )
    return b"%b%b%c%b%b" % (seat, before, len(session), session, after)


@lru_cache(REMEMBERED)
def _around_asked(
    may_start: bool,
    grant_generation: int | None,
    limit: int | None,
    type_cap: int | None,
    client: str,
    stream_id: str,
    kind: str,
    device: str | Device | None,
    plan: str | None,
) -> tuple[bytes, bytes]:
    ask = Ask(
        user_id="",
        session_id="",
        stream_id=stream_id,
        device=device,
        client=client,
        kind=kind,
        limit=limit,
        may_start=may_start,
        grant_generation=grant_generation,
        plan=plan,
    )
    message = ask_message(ask, type_cap)
    return message[: ASK.size], message[ASK.size + 1 :]  # between them is the length of no session


@lru_cache(REMEMBERED)
def _around_received(
    limit: int | None,
    type_cap: int | None,
    client: str,
    stream_id: str,
    kind: str,
    device: str | Device | None,
    plan: str | None,
) -> tuple[bytes, bytes]:
    ask = Ask(user_id="", session_id="", stream_id=stream_id, device=device, client=client, limit=limit, plan=plan)
    message = receipt_message(Receipt(Lease(ask, 0, 0), kind=kind), type_cap)
    return message[_SEAT.size : RECEIPT.size], message[RECEIPT.size + 1 :]
