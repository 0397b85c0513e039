"""Messages to scripts, packed as their headers say (ARGV[2]), and the commands around them.

The command is put together by hand from parts made once: that is most of what a call costs here.
"""

from struct import Struct

from streamlimit.model import FOR_GOOD, Ask, Event, Lease, Purpose, Receipt, State, Terms
from streamlimit.rules.ledger import gives_grant
from streamlimit.store.contract import Clock
from streamlimit.store.valkey.codec import (
    STATE_CODES,
    pack_client,
    pack_device,
    pack_id,
    pack_kind,
    pack_limit,
    pack_own_limit,
    pack_place,
    pack_plan,
    pack_sequence,
    pack_tail,
)
from streamlimit.store.valkey.keys import SHARDS, Keys
from streamlimit.store.valkey.scripts import SCRIPTS, Script

_PURPOSES = {Purpose.LEASE: 1, Purpose.SEAT: 2, Purpose.CHECK: 3}
ASK, RECEIPT = Struct("<BBHHIHIHI"), Struct("<IHIIHBIHIHIIIIHH")
"""The numbers before the session."""

_ASK, _RECEIPT = ASK.pack, RECEIPT.pack
_GENERATION = Struct("<IH").pack
_U16 = Struct("<H").pack
_U32 = Struct("<I").pack
_PLAY = Struct("<II").pack
_LOW = 0xFFFFFFFF
NO_PLAY = b"\0"
MAX_SPAN_MS = _LOW
"""Longest time that a receipt can speak of: 49 days."""


def ask_message(ask: Ask, type_cap: int | None) -> bytes:
    """For admit.lua. *type_cap* is the policy's for the asking type of device."""
    place, granted = pack_place(ask.sequence, ask.part), pack_sequence(ask.grant_generation)
    numbers = _ASK(
        _PURPOSES[ask.purpose],
        ask.may_start,
        pack_limit(ask.limit),
        pack_limit(type_cap),
        place & _LOW,
        place >> 32,
        granted & _LOW,
        granted >> 32,
        pack_client(ask.client),
    )
    session, stream, kind = pack_id(ask.session_id), pack_id(ask.stream_id), pack_kind(ask.kind)
    lease, replace, device = pack_id(ask.lease_id), pack_id(ask.replace or ""), pack_device(ask.device)
    return b"%b%c%b%c%b%c%b%c%b%c%b%b%b%b%b" % (
        numbers,
        len(session),
        session,
        len(stream),
        stream,
        len(lease),
        lease,
        len(kind),
        kind,
        len(replace),
        replace,
        _U16(len(device)),
        device,
        pack_plan(ask.plan),
        pack_play(ask.play),
    )


def pack_play(play: int) -> bytes:
    """With its length: none, or eight bytes, the low four first."""
    return b"\x08" + _PLAY(play & _LOW, play >> 32) if play else NO_PLAY


def receipt_message(receipt: Receipt, type_cap: int | None) -> bytes:
    """For confirm.lua; *type_cap* as above."""
    lease, ask, place = receipt.lease, receipt.lease.ask, pack_place(receipt.sequence, receipt.part)
    granted = pack_sequence(ask.grant_generation)
    numbers = _RECEIPT(
        lease.generation & _LOW,
        lease.generation >> 32,
        lease.move,
        granted & _LOW,
        granted >> 32,
        gives_grant(ask),
        lease.admitted_ms & _LOW,
        lease.admitted_ms >> 32,
        place & _LOW,
        place >> 32,
        pack_client(ask.client),
        min(receipt.play_ms, MAX_SPAN_MS),
        min(receipt.age_ms, MAX_SPAN_MS),
        min(receipt.ends_ms, MAX_SPAN_MS),
        pack_limit(ask.limit),
        pack_limit(type_cap),
    )
    session, stream, kind = pack_id(ask.session_id), pack_id(ask.stream_id), pack_kind(receipt.kind)
    segment = (receipt.segment or "").encode()
    return b"%b%c%b%c%b%c%b%b%b%b%b" % (
        numbers,
        len(session),
        session,
        len(stream),
        stream,
        len(kind),
        kind,
        _U16(len(segment)),
        segment,
        pack_play(ask.play),
        message_end(ask),
    )


def message_end(ask: Ask) -> bytes:
    """The end of a receipt's message."""
    device = pack_device(ask.device)
    return b"%b%b%b" % (_U16(len(device)), device, pack_plan(ask.plan))


def lease_message(lease: Lease) -> bytes:
    """For prolong.lua and abandon.lua."""
    session, lease_id = pack_id(lease.ask.session_id), pack_id(lease.ask.lease_id)
    generation = _GENERATION(lease.generation & _LOW, lease.generation >> 32)
    stream = pack_id(lease.ask.stream_id)
    return b"%b%c%b%c%b%b%c%b%b" % (
        generation,
        len(session),
        session,
        len(lease_id),
        lease_id,
        _U32(lease.move),
        len(stream),
        stream,
        pack_play(lease.ask.play),
    )


def end_message(session_id: str, kills_grant: bool) -> bytes:
    """For end.lua."""
    return _end(session_id, kills_grant, 0, State.ENDED, pack_tail("viewer", "ended"))


def again_message(event: Event, kills_grant: bool) -> bytes:
    """For end.lua: the loss of *event*, of that very seat."""
    lost = event.session
    tail = pack_tail(event.by or "", event.reason)
    return _end(lost.session_id, kills_grant, lost.generation, lost.state, tail)


def _end(session_id: str, kills_grant: bool, generation: int, state: State, tail: bytes) -> bytes:
    session, code = pack_id(session_id), STATE_CODES[state]
    return b"%c%b%c%b%c%b" % (
        len(session),
        session,
        kills_grant,
        _GENERATION(generation & _LOW, generation >> 32),
        code,
        tail,
    )


def terminate_message(session_id: str | None, by: str, reason: str) -> bytes:
    """For terminate.lua; None is every session."""
    session = pack_id(session_id or "")
    return b"%c%b%b" % (len(session), session, pack_tail(by, reason))


def forgive_message(session_id: str | None) -> bytes:
    """For forgive.lua; None is every session."""
    session = pack_id(session_id or "")
    return b"%c%b" % (len(session), session)


def forget_message() -> bytes:
    """For forget.lua."""
    return pack_tail("operator", "forgotten")


def limit_message(limit: int | None, terms: Terms) -> bytes:
    """For set_limit.lua."""
    if limit is None:
        terms = FOR_GOOD
    return pack_own_limit(limit, terms.lasts_ms or 0, terms.until_ms or 0, terms.note)


def bulk(part: bytes) -> bytes:
    """One argument as the protocol wants it."""
    return b"$%d\r\n%b\r\n" % (len(part), part)


class Commands:
    """Makes the commands. *policy* is ARGV[1] of every script; *clock* (tests only) becomes ARGV[3].

    The last argument, the deadline, is put there when the command is sent (connection.py).
    """

    def __init__(self, keys: Keys, policy: bytes, has_outbox: bool, clock: Clock | None) -> None:
        self._keys, self._policy, self._clock = keys, policy, clock
        count = 2 + has_outbox
        size = 6 + count + (clock is not None)
        heads = {name: b"*%d\r\n%b%b" % (size, script.head, bulk(b"%d" % count)) for name, script in SCRIPTS.items()}
        ledgers = [keys.ledger(shard, b"") for shard in range(SHARDS)]
        self.parts = heads, ledgers, [self._rest(shard, has_outbox) for shard in range(SHARDS)]
        """What EVALSHA of a script that changes one user's ledger is made of (`Calls.run`): by the script's name what
        comes before the key, by shard what the key begins with, and what stands between it and the message.
        """

    def read(self, script: Script, shard: int, users: list[bytes]) -> bytes:
        """EVALSHA of sessions.lua for users of one shard."""
        return self._command(script, [bulk(self._keys.ledger(shard, user)) for user in users])

    def sweep(self, script: Script, shard: int, users: list[bytes], following: int) -> bytes:
        """EVALSHA of expire.lua for users of one shard; it names up to *following* who are due next."""
        first, *others = (bulk(self._keys.ledger(shard, user)) for user in users)
        parts = [first, bulk(self._keys.due[shard]), bulk(self._keys.outbox[shard]), *others]
        return self._command(script, parts, _U16(following))

    def _command(self, script: Script, keys: list[bytes], message: bytes = b"") -> bytes:
        parts = [*keys, bulk(self._policy), bulk(message)]
        if self._clock is not None:
            parts.append(bulk(b"%d" % self._clock()))
        head = b"*%d\r\n%b%b" % (4 + len(parts), script.head, bulk(b"%d" % len(keys)))
        return head + b"".join(parts)

    def _rest(self, shard: int, has_outbox: bool) -> bytes:
        outbox = bulk(self._keys.outbox[shard]) if has_outbox else b""
        return bulk(self._keys.due[shard]) + outbox + bulk(self._policy)
