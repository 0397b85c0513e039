"""Unpacking of the scripts' answers: seats, marks, events and limits as values. `codec.py` packs the other way."""

from functools import lru_cache
from struct import Struct, error

from streamlimit.model import Device, Event, Mark
from streamlimit.rules.ledger import Ledger, Seat, show
from streamlimit.store.valkey.codec import EVENT_TYPES, MAX_SEAT_LIMIT, NO_LIMIT, REMEMBERED, UUID_TAG
from streamlimit.store.valkey.long_ids import TAG as LONG_TAG
from streamlimit.store.valkey.long_ids import lengthen

REASONS = {0: "", 2: "idle", 3: "reservation ran out", 4: "nothing was received"}
IN_TAIL = 1

UNREADABLE = ValueError, LookupError, error
"""What is raised of bytes that are no ledger, or no events."""

_HEADER = Struct("<HIHHB")
_SEAT = Struct("<IHIHIHIHIHIIHHBBBHB")
_MARK = Struct("<IHIHBIH")
_EVENT = Struct("<BBIHH")
_PLAY = Struct("<Q")
_OWN_LIMIT_SIZE = 14
_U16 = Struct("<H")

HAS_PLAY = 2
"""A bit of the byte `has` of a seat (ledger.lua)."""
HAS_SPENT, LIMIT_ENDS = 128, 64
"""Bits in the byte of the number of a ledger's marks (ledger.lua)."""


def read_seat(data: bytes, at: int) -> tuple[Seat, int]:
    """The seat at *at*, and the offset of its end; values that only scripts use are left out."""
    id_end = at + 3 + data[at + 2]
    end = at + _U16.unpack_from(data, at)[0]
    (
        expires, expires_, last, last_, sequence, sequence_, _, _, _, _,
        move, born, born_, late, late_, has, _, limit, size,
    ) = _SEAT.unpack_from(data, id_end)  # fmt: skip
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
    seat = Seat(  # in its order: names would take longer
        unpack_id(data[at + 3 : id_end]), remembered_id(data[place + 1 : stream_end]),
        generation, generation - (late | late_ << 16), expires | expires_ << 32, (last | last_ << 32) or None, move, 0,
        segment, (sequence | sequence_ << 32) - 1 if sequence or sequence_ else None, 0,
        unpack_device(data[stream_end + 2 : device_end]),
        plan=plan, limit=limit & MAX_SEAT_LIMIT, is_own=limit > MAX_SEAT_LIMIT,
        play=_PLAY.unpack_from(data, end - 8)[0] if has & HAS_PLAY else 0,
    )  # fmt: skip
    return seat, end


def read_ledger(data: bytes) -> Ledger:
    """The ledger in *data*, the value of a user's key."""
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
        ledger.limit_until_ms, at = int.from_bytes(data[at : at + 6], "little"), at + 6
    if marks >= HAS_SPENT:
        ledger.spent_until_ms = int.from_bytes(data[at : at + 6], "little")
    return ledger


def readable_ledger(data: bytes) -> Ledger:
    """As `read_ledger`; one that cannot be read counts as empty, as it will be (mend.lua)."""
    try:
        return read_ledger(data)
    except UNREADABLE:
        return Ledger()


def read_mark(data: bytes, at: int) -> Mark:
    """The mark at *at*."""
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
    """The tail of a mark or an event: by whom, why, by which session and device; and the offset of its end."""
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
    """The event at *at*, and the offset of its end. Most are about the *seat* with which the answer begins."""
    code, why, since, since_, tail = _EVENT.unpack_from(data, at)
    name, state = EVENT_TYPES[code - 1]
    by, reason, place = None, "", at + _EVENT.size
    if why == IN_TAIL:
        by, reason, *_ = read_tail(data, place)
    else:
        reason = REASONS[why]
    if seat is not None and data.startswith(packed, place + tail):
        end = place + tail + len(packed)
    else:
        seat, end = read_seat(data, place + tail)
    return Event(name, show(user_id, seat, state), since | since_ << 32, reason, by), end


def read_own_limit(data: bytes) -> Ledger:
    """The limit that `pack_own_limit` packed, as a ledger with nothing else; empty where it cannot be read."""
    if len(data) < _OWN_LIMIT_SIZE:
        return Ledger()
    limit, until_ms, said_ms = (int.from_bytes(part, "little") for part in (data[:2], data[2:8], data[8:14]))
    note = data[_OWN_LIMIT_SIZE:].decode(errors="replace")
    return Ledger(max_sessions=limit, limit_until_ms=until_ms, limit_said_ms=said_ms, limit_note=note)


def unpack_id(packed: bytes) -> str:
    """The id that `pack_id` packed."""
    if packed[:1] != UUID_TAG:
        return (lengthen(packed) if packed[:1] == LONG_TAG else packed).decode()
    text = packed[1:].hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


remembered_id = lru_cache(REMEMBERED)(unpack_id)
"""As `unpack_id`, cached: for ids that recur, such as streams."""


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
def read_plan(name: bytes) -> str | None:
    """The plan that `pack_plan` packed, without its length."""
    return name.decode(errors="ignore") or None
