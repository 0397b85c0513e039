"""The rule of receipts: the session's life is prolonged, it moves, or is seated again (rules 3, 5, 6, 8)."""

from msgspec.structs import replace

from streamlimit.model import Ask, Confirmed, Event, Gone, Lease, Receipt, State, Verdict
from streamlimit.policy import DRY_RUN_SEATS, Policy
from streamlimit.rules import plays, sharing, visits
from streamlimit.rules.departure import lapse_all
from streamlimit.rules.grants import Grants
from streamlimit.rules.ledger import NOBODYS, Ledger, Outcome, Seat, gives_grant, grants_wanted, show
from streamlimit.rules.scopes import full_scopes


def confirm(
    ledger: Ledger, receipt: Receipt, policy: Policy, now_ms: int, grants: Grants | None = None
) -> Outcome[Verdict]:
    """Counts *receipt* for its session. The same receipt twice is one; a late one takes no other session's seat.

    *grants*: the user's ended grants; without them the outcome may be that the rule needs them.
    """
    lease = receipt.lease
    ledger.mend(policy, now_ms)
    seat = ledger.find(lease.ask.session_id)
    if seat is not None and seat.expires_at_ms > now_ms:
        if not _is_of(lease, seat):
            return Outcome(_gone(ledger, lease, now_ms), changed=False)
        events = _settle(ledger, seat, receipt, policy, now_ms)
        return _confirmed(ledger, seat, receipt, policy, now_ms, events)
    return _seat_again(ledger, receipt, policy, now_ms, grants)


def prolong(ledger: Ledger, lease: Lease, policy: Policy, now_ms: int) -> Outcome[Gone | None]:
    """Prolongs the session of *lease*, whose bytes make progress. The answer is None: it holds its seat; or `Gone`.

    A player whose session has moved on without it is not served further (`Gone` with `active`).
    """
    ledger.mend(policy, now_ms)
    seat = ledger.find(lease.ask.session_id)
    if seat is None or not _is_of(lease, seat) or seat.expires_at_ms <= now_ms:
        return Outcome(_gone(ledger, lease, now_ms), changed=False)
    if policy.enforce and _is_left_behind(lease, seat, policy, now_ms):
        return Outcome(Gone(State.ACTIVE), changed=False)
    life_ms = policy.start_ms if seat.last_activity_ms is None else policy.expiry_ms
    changed = seat.expires_at_ms < now_ms + life_ms
    if changed:
        seat.expires_at_ms = now_ms + life_ms
    return Outcome(None, changed)


def _is_left_behind(lease: Lease, seat: Seat, policy: Policy, now_ms: int) -> bool:
    """Has the session moved on to another stream since, or is it locked to another play?"""
    is_old = (lease.generation, lease.move) != (seat.generation, seat.move)
    if is_old and lease.ask.stream_id != seat.stream_id:
        return True
    return plays.is_locked_out(seat, plays.named(lease.ask), policy, now_ms)


def _is_of(lease: Lease, seat: Seat) -> bool:
    """Was the lease admitted on this seat, or on the one that it revives?"""
    return lease.generation in (seat.generation, seat.revives)


def _received_ms(receipt: Receipt, now_ms: int) -> int:
    """When the receipt happened: not before its lease was admitted, whatever the clock says of an edge that reports it.

    Otherwise a later lease, dated by this activity, would look older than the position that this one set.
    """
    return max(now_ms - receipt.age_ms, min(receipt.lease.admitted_ms, now_ms))


def _settle(ledger: Ledger, seat: Seat, receipt: Receipt, policy: Policy, now_ms: int) -> list[Event]:
    """Writes the receipt into the seat; a stale lease (an older move or seat) counts as activity alone."""
    lease, user_id = receipt.lease, receipt.lease.ask.user_id
    is_first, moved = seat.last_activity_ms is None, False
    received_ms = _received_ms(receipt, now_ms)
    if lease.generation == seat.generation and lease.move == seat.move:
        moved = _follow(seat, receipt, policy, received_ms)
        if receipt.ends_ms and lease.ask.stream_id == seat.stream_id:
            limit = ledger.limit(lease.ask.limit, policy)
            visits.give_back(ledger, seat, receipt.ends_ms, limit, policy, received_ms)
    seat.last_activity_ms = max(seat.last_activity_ms or 0, received_ms)
    seat.leases = []
    if is_first:
        seat.expires_at_ms = received_ms  # from here on the reservation's own time does not count
    prolong_by_receipt(seat, receipt.play_ms, policy, received_ms)
    if is_first:
        return [Event("session.started", show(user_id, seat, State.ACTIVE), now_ms)]
    if moved:
        return [Event("session.moved", show(user_id, seat, State.ACTIVE), now_ms)]
    return []


def _follow(seat: Seat, receipt: Receipt, policy: Policy, now_ms: int) -> bool:
    """Sets the session's position to that of its newest receipt. Is that another stream?"""
    ask, moved = receipt.lease.ask, receipt.lease.ask.stream_id != seat.stream_id
    if not plays.take_over(seat, plays.of_receipt(receipt), receipt.lease.admitted_ms, policy, now_ms):
        return False
    if moved:
        if sharing.is_return(seat, ask.stream_id, policy, now_ms):
            seat.returns = sharing.with_one_more(seat.returns, policy, now_ms)
        sharing.note_left(seat, policy, now_ms)
        seat.stream_id, seat.move = ask.stream_id, seat.move + 1
        seat.segment, seat.sequence, seat.positions = None, None, {}
    elif receipt.lease.admitted_ms < seat.placed_ms:
        return False  # of requests that overlapped the later one says where the player is
    elif sharing.is_repeat(seat, receipt.kind, receipt.sequence, receipt.part, ask.client):
        sharing.note_repeat(seat, ask.client, policy, now_ms)
    if receipt.segment is not None:
        seat.segment, seat.sequence, seat.placed_ms = receipt.segment, receipt.sequence, receipt.lease.admitted_ms
    if receipt.sequence is not None:
        sharing.note_position(seat, receipt.kind, receipt.sequence, receipt.part, ask.client)
    return moved


def prolong_by_receipt(seat: Seat, play_ms: int, policy: Policy, now_ms: int) -> None:
    """Sets the expiry: n·X from now, or from the end of the buffered media, `buffer_seconds` at most (rule 6)."""
    plays_until_ms = now_ms
    if not policy.buffer_ms:
        seat.ahead_until_ms = 0
    else:
        ahead_ms = max(seat.ahead_until_ms, now_ms) + play_ms
        seat.ahead_until_ms = min(ahead_ms, now_ms + policy.buffer_ms)
        plays_until_ms = max(seat.ahead_until_ms, now_ms)
    if seat.expires_at_ms < plays_until_ms + policy.expiry_ms:
        seat.expires_at_ms = plays_until_ms + policy.expiry_ms


def _seat_again(
    ledger: Ledger, receipt: Receipt, policy: Policy, now_ms: int, grants: Grants | None
) -> Outcome[Verdict]:
    """Seats a session again that expired while its segment was delivered, if there is room (rule 3).

    With a receipt in time but reported late (rule 11), it counts as having held its seat, unless another session took
    it.
    """
    lease, ask = receipt.lease, receipt.lease.ask
    gone = _gone(ledger, lease, now_ms)
    is_too_old = receipt.age_ms >= policy.expiry_ms
    if gone.mark is not None or is_too_old or not _has_room(ledger, ask, policy, now_ms):
        return Outcome(gone, changed=False)
    seat = ledger.find(ask.session_id)
    if seat is not None and _is_of(lease, seat) and _received_ms(receipt, now_ms) < seat.expires_at_ms:
        return _confirmed(ledger, seat, receipt, policy, now_ms, _settle(ledger, seat, receipt, policy, now_ms))
    if ask.grant_generation is not None:
        if grants is None:
            return grants_wanted()
        if ask.grant_generation <= grants.newest_dead(ask.session_id, now_ms):
            return Outcome(Gone(State.ENDED), changed=False)
    events = list(lapse_all(ask.user_id, ledger, now_ms))
    seat = _revive(ledger, lease, policy, now_ms)
    again = Lease(ask, seat.generation, seat.move, lease.admitted_ms)
    events += _settle(ledger, seat, replace(receipt, lease=again), policy, now_ms)
    return _confirmed(ledger, seat, receipt, policy, now_ms, events)


def _has_room(ledger: Ledger, ask: Ask, policy: Policy, now_ms: int) -> bool:
    """Would a new session be given a seat here, without replacing another?"""
    live = ledger.live(now_ms)
    if not policy.enforce:
        return len(live) < DRY_RUN_SEATS
    return not full_scopes(live, ledger.limit(ask.limit, policy), ask, policy)


def _revive(ledger: Ledger, lease: Lease, policy: Policy, now_ms: int) -> Seat:
    """A seat of a new generation that remembers the old one: its other receipts are this session's too."""
    seat = Seat(
        session_id=lease.ask.session_id,
        stream_id=lease.ask.stream_id,
        generation=max(now_ms, lease.generation + 1),
        started_at_ms=now_ms,
        expires_at_ms=now_ms,
        device=lease.ask.device,
        revives=lease.generation,
        given=gives_grant(lease.ask),
        plan=lease.ask.plan,
        limit=ledger.limit(lease.ask.limit, policy),
        is_own=ledger.max_sessions is not None,
    )
    ledger.seats.append(seat)
    return seat


def _gone(ledger: Ledger, lease: Lease, now_ms: int) -> Gone:
    """Why the lease's session holds no seat: it was ended or terminated, else its time ran out."""
    session_id = lease.ask.session_id
    terminated = ledger.mark_of(session_id, State.TERMINATED, now_ms)
    if terminated is not None:
        return Gone(State.TERMINATED, terminated)
    for mark in ledger.marks:  # of this seat, or of a later one of the same session: it left after the lease
        if mark.session_id in (session_id, NOBODYS) and mark.generation >= lease.generation and mark.until_ms > now_ms:
            return Gone(mark.state, mark)
    return Gone(State.EXPIRED)


def _confirmed(
    ledger: Ledger, seat: Seat, receipt: Receipt, policy: Policy, now_ms: int, events: list[Event]
) -> Outcome[Verdict]:
    ask, made = receipt.lease.ask, tuple(events)
    session = show(ask.user_id, seat, policy.state(seat.last_activity_ms, now_ms))
    limit, live = ledger.limit(ask.limit, policy), len(ledger.live(now_ms))
    return Outcome(Confirmed(session, limit, live, made), changed=True, events=made)
