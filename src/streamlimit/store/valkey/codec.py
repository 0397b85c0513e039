"""What travels between the workers and the scripts, packed: small on the wire and in the server's memory.

ledger.lua describes the forms. The scripts only compare and copy ids, kinds and devices, so these may be packed
here: a UUID takes 17 bytes instead of 36, a known kind one letter, a client's address four bytes of crc.
Numbers of six bytes are read as a pair (low four, high two), which `struct` does fastest.
"""

from functools import lru_cache
from struct import Struct
from zlib import crc32

from streamlimit.model import Device, Event, Mark, State
from streamlimit.policy import OverLimit, Policy, Reclaim
from streamlimit.rules.ledger import Ledger, Seat, show
from streamlimit.rules.sharing import PARTS, place_of
from streamlimit.store.valkey.long_ids import TAG as LONG_TAG
from streamlimit.store.valkey.long_ids import TOO_LONG, lengthen, shorten

NO_LIMIT = 65_535
MAX_LIMIT = NO_LIMIT - 1
MAX_SEAT_LIMIT = 32_767
"""Of what a seat shows; above it stands a bit: it was the user's own limit."""
MAX_SEQUENCE = (1 << 48) - 2
MAX_PLACED = MAX_SEQUENCE // PARTS - 1
REMEMBERED = 8_192
"""Ids and devices that need not be packed or unpacked again: those of the last that were seen."""

UUID_TAG = b"\xff"  # never the first byte of UTF-8

EVENT_TYPES = (
    ("session.started", State.ACTIVE),
    ("session.moved", State.ACTIVE),
    ("session.expired", State.EXPIRED),
    ("session.ended", State.ENDED),
    ("session.terminated", State.TERMINATED),
    ("session.abandoned", State.ABANDONED),
)
"""By their code, from 1 on; the codes of states are the same."""

STATE_CODES = {state: code for code, (_, state) in enumerate(EVENT_TYPES, 1) if code > 2}
REASONS = {0: "", 2: "idle", 3: "reservation ran out", 4: "nothing was received"}
TOLD = 1

_KINDS = {"video": b"v", "audio": b"a", "text": b"t"}
_OVER_LIMIT = {OverLimit.REFUSE: 0, OverLimit.REPLACE_IDLE: 1, OverLimit.REPLACE_OLDEST: 2}
_RECLAIM = {Reclaim.NEVER: 0, Reclaim.SILENT: 1, Reclaim.ALWAYS: 2}
_HEADER = Struct("<HIHHB")
_SEAT = Struct("<IHIHIHIHIHIIHHBBBHB")
_MARK = Struct("<IHIHBIH")
_EVENT = Struct("<BBIHH")
_POLICY = Struct("<IIHIHIHIHIBBBBIIH")
_U16 = Struct("<H")
_OWN_LIMIT = Struct("<HIHIH")
_SPENT, _PLAY = Struct("<IH"), Struct("<Q")

HAS_PLAY = 2
"""In a seat's byte of what it has (ledger.lua)."""
HAS_SPENT, LIMIT_ENDS = 128, 64
"""Beside the number of a ledger's marks."""


def pack_policy(policy: Policy, subscribed: frozenset[str], outbox_most: int) -> bytes:
    """The numbers of the rules as every script reads them; *outbox_most* bounds the outbox of one shard."""
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
"""Bytes: shorter ids are packed as they are."""


def pack_rare_id(text: str) -> bytes:
    """An id in 255 bytes at most (a device's may take more); one that is a UUID in its usual spelling takes 17."""
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
"""The same for ids that may well come again."""


def unpack_id(packed: bytes) -> str:
    """The id that `pack_id` packed."""
    if packed[:1] != UUID_TAG:
        return (lengthen(packed) if packed[:1] == LONG_TAG else packed).decode()
    text = packed[1:].hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


remembered_id = lru_cache(REMEMBERED)(unpack_id)
"""The same for ids that come again and again: streams."""


def pack_kind(kind: str) -> bytes:
    """A kind of media; the usual ones take a letter."""
    return _KINDS.get(kind) or b"=" + kind.encode()


def pack_client(client: str) -> int:
    """The digest of an address, in four bytes: two addresses seem one in one of four billion cases."""
    return crc32(client.encode())


def pack_limit(limit: int | None) -> int:
    """A limit in two bytes."""
    return NO_LIMIT if limit is None else min(limit, MAX_LIMIT)


def pack_own_limit(limit: int | None, time_ms: int, said_ms: int, note: str) -> bytes:
    """A limit of a user's own: until when it holds, or for how long; its end as it was said; the note."""
    time_ms, said_ms = min(time_ms, MAX_SEQUENCE), min(said_ms, MAX_SEQUENCE)
    numbers = pack_limit(limit), time_ms & 0xFFFFFFFF, time_ms >> 32, said_ms & 0xFFFFFFFF, said_ms >> 32
    return _OWN_LIMIT.pack(*numbers) + note.encode()


def read_own_limit(data: bytes) -> Ledger:
    """What `pack_own_limit` packed, as the ledger that has nothing else."""
    limit, until, until_, said, said_ = _OWN_LIMIT.unpack_from(data)
    note = data[_OWN_LIMIT.size :].decode()
    return Ledger(
        max_sessions=limit, limit_until_ms=until | until_ << 32, limit_said_ms=said | said_ << 32, limit_note=note
    )


def pack_sequence(sequence: int | None) -> int:
    """A segment's number plus one, 0 for none; from 2**48 on all are the same."""
    return 0 if sequence is None else min(sequence, MAX_SEQUENCE) + 1


def pack_place(sequence: int | None, part: int) -> int:
    """`place_of` plus one, 0 for none."""
    return 0 if sequence is None else place_of(min(sequence, MAX_PLACED), part) + 1


@lru_cache(REMEMBERED)
def pack_device(device: str | Device | None) -> bytes:
    """Nothing for none; ledger.lua says how, since scripts compare ids and types."""
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
def unpack_device(packed: bytes) -> str | Device | None:
    """The device that `pack_device` packed."""
    if not packed:
        return None
    length = _U16.unpack_from(packed)[0]
    end = 2 + max(length - 1, 0)
    device_id = unpack_id(packed[2:end]) if length else None
    if end == len(packed):
        return device_id
    name = end + 1 + packed[end]
    return Device(device_id, packed[name:].decode() or None, packed[end + 1 : name].decode() or None)


@lru_cache(REMEMBERED)
def pack_plan(plan: str | None) -> bytes:
    """Its name, 255 bytes at most, with its length."""
    name = (plan or "").encode()[:255]
    return b"%c%b" % (len(name), name)


@lru_cache(REMEMBERED)
def read_plan(name: bytes) -> str | None:
    """What `pack_plan` packed, without its length."""
    return name.decode(errors="ignore") or None


def pack_tail(by: str, reason: str) -> bytes:
    """Who sent a session away, and why: the tail of a mark and of an event (no other session, no device)."""
    who, why = by.encode()[:255], reason.encode()[:65_535]
    return bytes((len(who),)) + who + _U16.pack(len(why)) + why + b"\0\0\0"


def read_seat(data: bytes, at: int) -> tuple[Seat, int]:
    """The seat that starts at *at* and where it ends; what only scripts look at is left out."""
    id_end = at + 3 + data[at + 2]
    end = at + _U16.unpack_from(data, at)[0]
    (
        expires,
        expires_,
        last,
        last_,
        sequence,
        sequence_,
        _,
        _,
        _,
        _,
        move,
        born,
        born_,
        late,
        late_,
        has,
        _,
        limit,
        size,
    ) = _SEAT.unpack_from(data, id_end)
    plan_end = id_end + _SEAT.size + size
    plan = read_plan(data[plan_end - size : plan_end]) if size else None
    size = _U16.unpack_from(data, plan_end)[0]
    place = plan_end + 2 + size
    segment = data[plan_end + 2 : place].decode() if size else None
    positions = data[place]
    place += 1
    for _ in range(positions):
        place += 11 + data[place]
    stream_end = place + 1 + data[place]
    device_end = stream_end + 2 + _U16.unpack_from(data, stream_end)[0]
    generation = born | born_ << 32
    seat = Seat(
        session_id=unpack_id(data[at + 3 : id_end]),
        stream_id=remembered_id(data[place + 1 : stream_end]),
        generation=generation,
        started_at_ms=generation - (late | late_ << 16),
        expires_at_ms=expires | expires_ << 32,
        last_activity_ms=(last | last_ << 32) or None,
        move=move,
        segment=segment,
        sequence=(sequence | sequence_ << 32) - 1 if sequence or sequence_ else None,
        device=unpack_device(data[stream_end + 2 : device_end]),
        plan=plan,
        limit=limit & MAX_SEAT_LIMIT,
        is_own=limit > MAX_SEAT_LIMIT,
        play=_PLAY.unpack_from(data, end - 8)[0] if has & HAS_PLAY else 0,
    )
    return seat, end


def read_ledger(data: bytes) -> Ledger:
    """A user's ledger as the server keeps it."""
    if not data:
        return Ledger()
    own_limit, _, _, seats, marks = _HEADER.unpack_from(data)
    ledger = Ledger(max_sessions=None if own_limit == NO_LIMIT else own_limit)
    at = _HEADER.size
    for _ in range(seats):
        seat, at = read_seat(data, at)
        ledger.seats.append(seat)
    for _ in range(marks % LIMIT_ENDS):
        ledger.marks.append(read_mark(data, at))
        at += _U16.unpack_from(data, at)[0]
    if marks % HAS_SPENT >= LIMIT_ENDS:
        low, high = _SPENT.unpack_from(data, at)
        ledger.limit_until_ms = low | high << 32
        at += _SPENT.size
    if marks >= HAS_SPENT:
        low, high = _SPENT.unpack_from(data, at)
        ledger.spent_until_ms = low | high << 32
    return ledger


def read_lapsed(data: bytes, at: int, user_id: str, now_ms: int) -> list[Event]:
    """The events of a ledger, from *at* on, all of whose seats ran out of time (departure.py's `lapse`)."""
    events = []
    seats = _HEADER.unpack_from(data, at)[3]
    at += _HEADER.size
    for _ in range(seats):
        seat, at = read_seat(data, at)
        if seat.last_activity_ms is None:
            session = show(user_id, seat, State.ABANDONED)
            events.append(Event("session.abandoned", session, now_ms, "reservation ran out"))
        else:
            events.append(Event("session.expired", show(user_id, seat, State.EXPIRED), now_ms, "idle"))
    return events


def read_mark(data: bytes, at: int) -> Mark:
    """The mark that starts at *at*."""
    place = at + 3 + data[at + 2]
    session_id = unpack_id(data[at + 3 : place])
    until, until_, born, born_, state, since, since_ = _MARK.unpack_from(data, place)
    by, reason, by_session_id, by_device, _ = read_tail(data, place + _MARK.size)
    return Mark(
        session_id=session_id,
        generation=born | born_ << 32,
        state=EVENT_TYPES[state - 1][1],
        at_ms=since | since_ << 32,
        until_ms=until | until_ << 32,
        by=by,
        reason=reason,
        by_session_id=by_session_id,
        by_device=by_device,
    )


def read_tail(data: bytes, at: int) -> tuple[str, str, str | None, str | Device | None, int]:
    """By whom, why, by which session and device; and where it ends."""
    by_end = at + 1 + data[at]
    reason_end = by_end + 2 + _U16.unpack_from(data, by_end)[0]
    session_end = reason_end + 1 + data[reason_end]
    end = session_end + 2 + _U16.unpack_from(data, session_end)[0]
    return (
        data[at + 1 : by_end].decode(),
        data[by_end + 2 : reason_end].decode(),
        unpack_id(data[reason_end + 1 : session_end]) or None,
        unpack_device(data[session_end + 2 : end]),
        end,
    )


def read_events(data: bytes, at: int, user_id: str, seat: Seat | None = None, packed: bytes = b"") -> tuple[Event, ...]:
    """All events from *at* on. *seat* was read from *packed*."""
    count = _U16.unpack_from(data, at)[0]
    if not count:
        return ()
    events = []
    at += 2
    for _ in range(count):
        event, at = read_event(data, at, user_id, seat, packed)
        events.append(event)
    return tuple(events)


def read_event(data: bytes, at: int, user_id: str, seat: Seat | None = None, packed: bytes = b"") -> tuple[Event, int]:
    """The event that starts at *at*, and where it ends. Most are about the *seat* that the answer began with."""
    code, why, since, since_, tail = _EVENT.unpack_from(data, at)
    name, state = EVENT_TYPES[code - 1]
    by, reason, place = None, "", at + _EVENT.size
    if why == TOLD:
        by, reason, *_ = read_tail(data, place)
    else:
        reason = REASONS[why]
    if seat is not None and data.startswith(packed, place + tail):
        end = place + tail + len(packed)
    else:
        seat, end = read_seat(data, place + tail)
    return Event(name, show(user_id, seat, state), since | since_ << 32, reason, by), end
