"""The scripts' answers as values of the model; their layout is in each script's header."""

from functools import lru_cache
from struct import Struct

from streamlimit.logs import EventLog
from streamlimit.model import (
    Admitted,
    Ask,
    Confirmed,
    Decision,
    Device,
    Event,
    Gone,
    Lease,
    Receipt,
    Session,
    State,
    Verdict,
)
from streamlimit.policy import Policy
from streamlimit.rules.admit import refusal, refuse_full, refuse_visit, staying
from streamlimit.rules.leave import expire
from streamlimit.rules.ledger import Ledger, Seat, show, show_live
from streamlimit.rules.scopes import full_scopes
from streamlimit.store.contract import Events
from streamlimit.store.valkey.codec import EVENT_TYPES, MAX_SEAT_LIMIT, REMEMBERED
from streamlimit.store.valkey.decode import (
    UNREADABLE,
    read_events,
    read_ledger,
    read_mark,
    read_plan,
    read_seat,
    unpack_device,
)

log = EventLog("streamlimit.store")

Expired = tuple[list[Event], list[bytes]]

NEW, EXISTING, CHECKED, UNRECORDED = 1, 2, 3, 4
REFUSED = {5: "session-limit", 6: "session-shared", 7: "grant-expired", 8: "session-terminated", 9: "grant-ended"}
REFUSED[10] = "too-many-visits"
CONFIRMED, AS_RECEIVED, AS_BEFORE, SITS = 1, 3, 4, 1
MOVED_ON = AS_RECEIVED, AS_BEFORE

_decision = Struct("<BBIHHH").unpack_from
_as_asked = Struct("<BBIHHHIHIH").unpack_from
_verdict = Struct("<BIHHH").unpack_from
_as_received = Struct("<7xHHIHIHHBHB").unpack_from
_position = Struct("<IHH").unpack_from
_ACTIVE = State.ACTIVE  # looking up a member takes long
AFTER_DECISION, AFTER_VERDICT, AFTER_AS_RECEIVED, AFTER_POSITION, AFTER_SITS, AFTER_TIME = 12, 11, 29, 8, 7, 6


class Answers:
    """Decodes answers under one policy."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    def decision(self, ask: Ask, reply: bytes) -> Decision:
        """The answer of admit.lua, or of beat.lua for a session that is not new."""
        code, would, low, high, limit, live = _decision(reply)
        now_ms = low | high << 32
        would_refuse = REFUSED[would] if would else None
        if code in REFUSED:
            return self._refusal(REFUSED[code], ask, now_ms, reply)
        if code in (CHECKED, UNRECORDED):
            lease = Lease(ask, 0, 0) if code == UNRECORDED else None
            return Admitted(None, lease, limit, live, existing=False, would_refuse=would_refuse)
        seat, end = read_seat(reply, AFTER_DECISION)
        return Admitted(
            show(ask.user_id, seat, self._policy.state(seat.last_activity_ms, now_ms)),
            Lease(ask, seat.generation, seat.move, now_ms),
            limit,
            live,
            code == EXISTING,
            self._events(reply, end, ask.user_id, seat, AFTER_DECISION),
            would_refuse=would_refuse,
            spent_ms=int.from_bytes(reply[-AFTER_TIME:], "little"),
        )

    def beaten(self, ask: Ask, reply: bytes) -> Decision | None:
        """The answer of beat.lua; None where admit.lua and confirm.lua have to be called."""
        if not reply:
            return None
        return self._started(ask, reply) if reply[0] == NEW else self.decision(ask, reply)

    def verdict(self, receipt: Receipt, reply: bytes) -> Verdict:
        """The answer of confirm.lua."""
        code = reply[0]
        if code in MOVED_ON:
            return self._moved_on(receipt, code, reply)
        if code != CONFIRMED:
            return self._gone(reply, AFTER_VERDICT)
        _, low, high, limit, live = _verdict(reply)
        user_id = receipt.lease.ask.user_id
        seat, end = read_seat(reply, AFTER_VERDICT)
        state = self._policy.state(seat.last_activity_ms, low | high << 32)
        events = self._events(reply, end, user_id, seat, AFTER_VERDICT)
        return Confirmed(show(user_id, seat, state), limit, live, events)

    def prolonged(self, reply: bytes) -> Gone | None:
        """The answer of prolong.lua."""
        return None if reply[0] == SITS else self._gone(reply, AFTER_SITS)

    def forgiven(self, reply: bytes) -> int:
        """The answer of forgive.lua."""
        return int.from_bytes(reply[AFTER_TIME:], "little")

    def events(self, user_id: str, reply: bytes) -> Events:
        """The answer of abandon.lua, end.lua, terminate.lua and forget.lua."""
        return self._events(reply, AFTER_TIME, user_id)

    def expired(self, users: list[bytes], reply: tuple[bytes, list[bytes | list[bytes]], list[bytes]]) -> Expired:
        """The answer of expire.lua: the events, and users who are due next."""
        now, answers, following = reply
        now_ms, events = int.from_bytes(now, "little"), list[Event]()
        for user, answer in zip(users, answers, strict=True):
            if isinstance(answer, list):
                events += self._events(answer[0], 0, user.decode())
            elif answer:
                events += self._all_expired(answer, user.decode(), now_ms)
        return events, following

    def _all_expired(self, packed: bytes, user_id: str, now_ms: int) -> Events:
        """The events of a user all of whose seats expired; none where the *packed* ledger cannot be read."""
        try:
            return expire(read_ledger(packed), user_id, self._policy, now_ms).events
        except UNREADABLE as error:
            return _untold(user_id, error)

    def live(self, user_id: str, ledger: Ledger, now_ms: int) -> tuple[Session, ...]:
        """All live sessions, oldest first."""
        return show_live(user_id, ledger, self._policy, now_ms)

    def _started(self, ask: Ask, reply: bytes) -> Admitted:
        """The admission of a new session: made of the question and the numbers of the answer."""
        _, _, low, high, limit, live, expires, expires_, spent, spent_ = _as_asked(reply)
        now_ms = low | high << 32
        session = Session(
            ask.session_id,
            ask.user_id,
            ask.stream_id,
            _ACTIVE,
            ask.device,
            None,
            None,
            now_ms,
            now_ms,
            expires | expires_ << 32,
            now_ms,
            0,
            ask.plan,
            limit,
        )
        spent_ms = spent | spent_ << 32
        event = Event("session.started", session, now_ms)
        return Admitted(session, Lease(ask, now_ms, 0, now_ms), limit, live, False, (event,), spent_ms=spent_ms)

    def _moved_on(self, receipt: Receipt, code: int, reply: bytes) -> Confirmed:
        """The confirmation whose seat follows from the receipt and the numbers of the answer, as nearly always."""
        limit, live, expires, expires_, last, last_, late, late_, its_limit, size = _as_received(reply)
        lease, rest = receipt.lease, reply[AFTER_AS_RECEIVED + size :]
        ask, generation = lease.ask, lease.generation
        if code == AS_BEFORE:
            segment, sequence, device, play = _place(rest)
        else:
            segment, sequence, device = receipt.segment, receipt.sequence, unpack_device(rest)
            play = ask.play if self._policy.max_returns else 0
        session = Session(  # in its order: names would take as long again
            ask.session_id,
            ask.user_id,
            ask.stream_id,
            _ACTIVE,
            device,
            segment,
            sequence,
            generation - (late | late_ << 16),
            last | last_ << 32,
            expires | expires_ << 32,
            generation,
            lease.move,
            read_plan(reply[AFTER_AS_RECEIVED : AFTER_AS_RECEIVED + size]) if size else None,
            its_limit & MAX_SEAT_LIMIT,
            play,
        )
        return Confirmed(session, limit, live)

    def _events(self, reply: bytes, at: int, user_id: str, seat: Seat | None = None, seat_at: int = 0) -> Events:
        """The events in *reply* from *at* on, none if unreadable; *seat* was read from *seat_at* up to there."""
        if reply[at] == reply[at + 1] == 0:
            return ()
        try:
            return read_events(reply, at, user_id, seat, reply[seat_at:at])
        except UNREADABLE as error:
            return _untold(user_id, error)

    def _refusal(self, code: str, ask: Ask, now_ms: int, reply: bytes) -> Decision:
        """The refusal, made by the Python rules from the ledger that the script returned."""
        ledger, policy = read_ledger(reply[AFTER_DECISION:]), self._policy
        ledger.mend(policy, now_ms)
        if code == "too-many-visits":
            return refuse_visit(ledger, ask, policy, now_ms)
        if code == "session-limit":
            full = full_scopes(staying(ledger, ask, policy, now_ms), ledger.limit(ask.limit, policy), ask, policy)
            return refuse_full(ledger, ask, full[0], policy, now_ms)
        mark = None
        if code == "session-terminated":
            mark = ledger.mark_of(ask.session_id, State.TERMINATED, now_ms)
        return refusal(code, ledger, ask, policy, now_ms, mark)

    def _gone(self, reply: bytes, at: int) -> Gone:
        state = EVENT_TYPES[reply[at] - 1][1]
        return Gone(state, read_mark(reply, at + 1) if len(reply) > at + 1 else None)


def _untold(user_id: str, error: Exception) -> Events:
    """No events: those of a ledger that somebody or a disk has broken cannot be told. The answer itself holds."""
    log.error("events_unreadable", user_id=user_id, problem=str(error))
    return ()


@lru_cache(REMEMBERED)
def _place(packed: bytes) -> tuple[str | None, int | None, str | Device | None, int]:
    """The position of a session in the answer to a heartbeat: segment, its number, device, play. Cached."""
    at = 1 + packed[0]
    sequence, sequence_, size = _position(packed, at)
    device_at = at + AFTER_POSITION + size
    segment = packed[at + AFTER_POSITION : device_at].decode() if size else None
    number = (sequence | sequence_ << 32) - 1 if sequence or sequence_ else None
    return segment, number, unpack_device(packed[device_at:]), int.from_bytes(packed[1:at], "little")
