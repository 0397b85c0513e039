"""The rule of heartbeats: admitted and confirmed at once, since nothing is delivered (rules 3 and 5)."""

from msgspec.structs import replace

from streamlimit.model import Admitted, Ask, Confirmed, Decision, Event, Lease, Purpose, Receipt, State, Verdict
from streamlimit.policy import Policy, Reclaim
from streamlimit.rules import visits
from streamlimit.rules.admit import admit
from streamlimit.rules.confirm import confirm, prolong_by_receipt
from streamlimit.rules.grants import Grants
from streamlimit.rules.ledger import Ledger, Outcome, Seat, admit_under, show

_ACTIVE, _CHECK, _LEASE = State.ACTIVE, Purpose.CHECK, Purpose.LEASE  # looked up once


def beat(ledger: Ledger, ask: Ask, policy: Policy, now_ms: int, grants: Grants | None = None) -> Outcome[Decision]:
    """The outcome of a heartbeat: that of `admit` and then a receipt of its lease.

    No lease stays open, so *ask* needs no lease id. The two most frequent cases, a session with a seat on that stream
    and a new one with room, are shortcuts here with the same outcome.
    """
    ledger.mend(policy, now_ms)
    if ledger.marks or ask.purpose is _CHECK:
        return _one_by_one(ledger, ask, policy, now_ms, grants)
    seat, live = None, 0
    for other in ledger.seats:
        if other.expires_at_ms > now_ms:
            live += 1
            if other.session_id == ask.session_id:
                seat = other
    if seat is not None:
        if _just_goes_on(seat, ask):
            return _go_on(ledger, seat, ask, policy, now_ms, live)
    elif live == len(ledger.seats) and _just_starts(ask, policy):
        limit = ledger.limit(ask.limit, policy)
        if live < limit and not visits.wait_ms(ledger, limit, policy, now_ms):
            return _start(ledger, ask, policy, now_ms, limit)
    return _one_by_one(ledger, ask, policy, now_ms, grants)


def unnamed(ask: Ask) -> Ask:
    """*ask* without a lease id, as questions for no bytes have it (plays.py)."""
    return replace(ask, lease_id="")


def beaten(admitted: Admitted, verdict: Verdict, ask: Ask) -> Admitted:
    """The answer to both steps of *ask*: the session as the receipt left it, or none."""
    events = admitted.events + verdict.events
    if not isinstance(verdict, Confirmed):
        return replace(admitted, session=None, events=events)
    lease, session = admitted.lease, verdict.session
    assert lease is not None
    lease = Lease(ask, session.generation, session.move, lease.admitted_ms)
    return replace(admitted, session=session, lease=lease, limit=verdict.limit, live=verdict.live, events=events)


def _one_by_one(ledger: Ledger, ask: Ask, policy: Policy, now_ms: int, grants: Grants | None) -> Outcome[Decision]:
    first = admit(ledger, unnamed(ask), policy, now_ms, grants)
    if not isinstance(first.answer, Admitted) or first.answer.lease is None:
        return first
    second = confirm(ledger, Receipt(first.answer.lease), policy, now_ms)  # seats no session anew: asks for no grants
    answer = beaten(first.answer, second.answer, ask)
    return Outcome(answer, first.changed or second.changed, first.events + second.events)


def _just_goes_on(seat: Seat, ask: Ask) -> bool:
    """Is *ask* no reservation, no move, no first grant, and (rule 8) nothing that could be one repeat too many?"""
    is_no_repeat = ask.sequence is None or not seat.repeats
    if ask.play and ask.play != seat.play:
        return False
    is_no_news = seat.given or (ask.grant_generation is None and ask.purpose is _LEASE)
    return seat.last_activity_ms is not None and seat.stream_id == ask.stream_id and is_no_repeat and is_no_news


def _go_on(ledger: Ledger, seat: Seat, ask: Ask, policy: Policy, now_ms: int, live: int) -> Outcome[Decision]:
    limit = ledger.limit(ask.limit, policy)
    if seat.last_activity_ms is None or seat.last_activity_ms < now_ms:
        seat.last_activity_ms = now_ms
    if ask.plan != seat.plan or limit != seat.limit or seat.is_own is (ledger.max_sessions is None):
        admit_under(ledger, seat, ask, limit)
    prolong_by_receipt(seat, 0, policy, now_ms)
    session = show(ask.user_id, seat, _ACTIVE)
    return Outcome(Admitted(session, Lease(ask, seat.generation, seat.move, now_ms), limit, live, True), True)


def _just_starts(ask: Ask, policy: Policy) -> bool:
    """Is the user's own limit all that counts for a new seat?"""
    if ask.grant_generation is not None or ask.purpose is not _LEASE or ask.play:
        return False
    if ask.device is not None and policy.reclaim_device is Reclaim.ALWAYS:
        return False
    return ask.may_start and policy.max_per_stream is None and not policy.max_per_device_type


def _start(ledger: Ledger, ask: Ask, policy: Policy, now_ms: int, limit: int) -> Outcome[Decision]:
    seat = Seat(ask.session_id, ask.stream_id, now_ms, now_ms, now_ms, now_ms, device=ask.device, given=False)
    seat.plan, seat.limit, seat.is_own = ask.plan, limit, ledger.max_sessions is not None
    prolong_by_receipt(seat, 0, policy, now_ms)
    ledger.seats.append(seat)
    spent_ms = visits.pay(ledger, limit, policy, now_ms)
    session = show(ask.user_id, seat, _ACTIVE)
    events = (Event("session.started", session, now_ms),)
    lease, live = Lease(ask, now_ms, 0, now_ms), len(ledger.seats)
    return Outcome(Admitted(session, lease, limit, live, False, events, spent_ms=spent_ms), True, events)
