"""Packing of values for the scripts: small on the wire and in the server's memory. `decode.py` reads the answers.

ledger.lua describes the formats. The scripts only compare and copy ids, kinds and devices, so these are packed here: a
UUID takes 17 bytes instead of 36, a known kind one letter, a client's address a CRC of four bytes. Numbers of six bytes
are read as a pair (low four, high two), which is the fastest with `struct`.
"""

from functools import lru_cache
from struct import Struct
from zlib import crc32

from streamlimit.model import Device, State
from streamlimit.policy import OverLimit, Policy, Reclaim
from streamlimit.rules.sharing import PARTS, place_of
from streamlimit.store.valkey.long_ids import TOO_LONG, shorten

NO_LIMIT = 65_535
MAX_LIMIT = NO_LIMIT - 1
MAX_SEAT_LIMIT = 32_767
"""The largest limit that a seat stores; the bit above it says that it was the user's own limit."""
MAX_SEQUENCE = (1 << 48) - 2
MAX_PLACED = MAX_SEQUENCE // PARTS - 1
REMEMBERED = 8_192
"""Size of the caches of packed and unpacked ids and devices."""

UUID_TAG = b"\xff"  # never the first byte of UTF-8

EVENT_TYPES = (
    ("session.started", State.ACTIVE),
    ("session.moved", State.ACTIVE),
    ("session.expired", State.EXPIRED),
    ("session.ended", State.ENDED),
    ("session.terminated", State.TERMINATED),
    ("session.abandoned", State.ABANDONED),
)
"""Event types by their code, from 1 on; states have the same codes."""

STATE_CODES = {state: code for code, (_, state) in enumerate(EVENT_TYPES, 1) if code > 2}

_KINDS = {"video": b"v", "audio": b"a", "text": b"t"}
_OVER_LIMIT = {OverLimit.REFUSE: 0, OverLimit.REPLACE_IDLE: 1, OverLimit.REPLACE_OLDEST: 2}
_RECLAIM = {Reclaim.NEVER: 0, Reclaim.SILENT: 1, Reclaim.ALWAYS: 2}
_POLICY = Struct("<IIHIHIHIHIBBBBIIH")
_U16 = Struct("<H")


def pack_policy(policy: Policy, subscribed: frozenset[str], outbox_most: int) -> bytes:
    """The policy as every script reads it. *outbox_most* bounds the outbox of one shard."""
    wanted = sum(2**code for code, (name, _) in enumerate(EVENT_TYPES, 1) if name in subscribed)
    return _POLICY.pack(
        policy.expiry_ms,
        policy.buffer_ms,
        min(policy.max_sessions, MAX_LIMIT),
        policy.start_ms,
        pack_limit(policy.max_per_stream),
        policy.segment_ms,
        min(policy.max_returns, 250),
        policy.burst_ms & 0xFFFFFFFF,
        policy.burst_ms >> 32,
        policy.idle_victim_ms,
        _OVER_LIMIT[policy.over_limit],
        _RECLAIM[policy.reclaim_device],
        policy.enforce,
        wanted,
        outbox_most,
        policy.grant_ms & 0xFFFFFFFF,
        policy.grant_ms >> 32,
    )


LEAST_PACKED = 36
"""Bytes; shorter ids are packed unchanged."""


def pack_rare_id(text: str) -> bytes:
    """*text*, an id, in 255 bytes at most (a device's may take more); a UUID in canonical form takes 17."""
    if len(text) == 36 and text[8] == text[13] == text[18] == text[23] == "-":
        digits = text.replace("-", "")
        try:
            raw = bytes.fromhex(digits)
        except ValueError:
            return text.encode()
        if raw.hex() == digits and len(raw) == 16:
            return UUID_TAG + raw
    raw = text.encode()
    return shorten(raw) if len(raw) == TOO_LONG and not text.isascii() else raw


pack_id = lru_cache(REMEMBERED)(pack_rare_id)
"""As `pack_rare_id`, cached: for ids that recur."""


def pack_kind(kind: str) -> bytes:
    """A kind of media; a known one takes one letter."""
    return _KINDS.get(kind) or b"=" + kind.encode()


def pack_client(client: str) -> int:
    """The digest of an address in four bytes: two addresses collide in one of four billion cases."""
    return crc32(client.encode())


def pack_limit(limit: int | None) -> int:
    """A limit in two bytes."""
    return NO_LIMIT if limit is None else min(limit, MAX_LIMIT)


def pack_own_limit(limit: int | None, time_ms: int, said_ms: int, note: str) -> bytes:
    """A user's own limit: its end, or its duration; the end as it was set, by the wall clock; the note."""
    times = (min(ms, MAX_SEQUENCE).to_bytes(6, "little") for ms in (time_ms, said_ms))
    return b"".join((_U16.pack(pack_limit(limit)), *times, note.encode()))


@lru_cache(REMEMBERED)
def pack_place(sequence: int, part: int) -> int:
    """`place_of` plus one; segments that are numbered beyond 2**48 are at one place."""
    return place_of(min(sequence, MAX_PLACED), part) + 1


@lru_cache(REMEMBERED)
def pack_device(device: str | Device | None) -> bytes:
    """A device in the format of ledger.lua, since scripts compare ids and types; empty for none."""
    if device is None:
        return b""
    if isinstance(device, str):
        name = pack_id(device)
        return _U16.pack(len(name) + 1) + name
    kind = (device.type or "").encode()[:255].decode(errors="ignore").encode()  # its length is one byte
    name = (device.name or "").encode()
    rest = b"%c%b%b" % (len(kind), kind, name)
    if device.id is None:
        return _U16.pack(0) + rest
    device_id = pack_id(device.id)
    return _U16.pack(len(device_id) + 1) + device_id + rest


@lru_cache(REMEMBERED)
def pack_plan(plan: str | None) -> bytes:
    """A plan's name, 255 bytes at most, with its length."""
    name = (plan or "").encode()[:255]
    return b"%c%b" % (len(name), name)


def pack_tail(by: str, reason: str) -> bytes:
    """The tail of a mark and of an event: by whom and why (without another session, and a device)."""
    who, why = by.encode()[:255], reason.encode()[:65_535]
    return bytes((len(who),)) + who + _U16.pack(len(why)) + why + b"\0\0\0"
