"""The rule of admissions: existing sessions before new ones, then the limit (rules 1, 2, 3, 8, 12)."""

from msgspec.structs import replace

from streamlimit.model import Admitted, Ask, Decision, Event, Lease, Mark, Purpose, Refusal, State
from streamlimit.policy import DRY_RUN_SEATS, LEASES_KEPT, MARK_WRITES, OverLimit, Policy, Reclaim
from streamlimit.rules import visits
from streamlimit.rules.departure import dismiss, lapse_all
from streamlimit.rules.grants import Grants
from streamlimit.rules.ledger import (
    NOBODYS,
    Ledger,
    Outcome,
    Paid,
    Seat,
    admit_under,
    gives_grant,
    grants_wanted,
    show,
    show_live,
)
from streamlimit.rules.scopes import Scope, device_id, full_scopes
from streamlimit.rules.sharing import is_shared

BAD_GRANTS = frozenset({"grant-expired", "grant-ended"})
"""Refusals of the credential, not of the limit: a dry run refuses them, too."""


def admit(ledger: Ledger, ask: Ask, policy: Policy, now_ms: int, grants: Grants | None = None) -> Outcome[Decision]:
    """Gives *ask* a seat or says why not. The same session twice gets the same answer and one seat.

    *grants*: the user's ended grants; without them the outcome may be that the rule needs them.
    """
    ledger.mend(policy, now_ms)
    outcome = _decide(ledger, ask, policy, now_ms, grants)
    if policy.enforce or not isinstance(outcome.answer, Refusal) or outcome.answer.code in BAD_GRANTS:
        return outcome
    anyway = _admit_anyway(ledger, ask, outcome.answer.code, policy, now_ms, grants)
    anyway.changed |= outcome.changed  # a mark that was prolonged
    return anyway


def _decide(ledger: Ledger, ask: Ask, policy: Policy, now_ms: int, grants: Grants | None) -> Outcome[Decision]:
    mark = ledger.mark_of(ask.session_id, State.TERMINATED, now_ms)
    if mark is not None:
        return _refuse_terminated(ledger, ask, mark, policy, now_ms)
    seat = ledger.find(ask.session_id)
    if seat is None or seat.expires_at_ms <= now_ms:
        return _admit_new(ledger, ask, policy, now_ms, grants)
    if is_shared(seat, ask, policy, now_ms):
        return Outcome(refusal("session-shared", ledger, ask, policy, now_ms), changed=False)
    is_visit = visits.is_visit(seat, ask, policy, now_ms)
    if is_visit and _has_no_visit(ledger, ask, policy, now_ms):
        return Outcome(refuse_visit(ledger, ask, policy, now_ms), changed=False)
    return _admit_sitting(ledger, seat, ask, policy, now_ms, is_visit)


def _admit_anyway(
    ledger: Ledger, ask: Ask, code: str, policy: Policy, now_ms: int, grants: Grants | None
) -> Outcome[Decision]:
    """The outcome of a dry run: a refused session gets a seat beyond the limit, and the answer says so."""
    seat, live = ledger.find(ask.session_id), ledger.live(now_ms)
    if seat is not None and seat.expires_at_ms > now_ms:
        outcome = _admit_sitting(ledger, seat, ask, policy, now_ms, visits.is_visit(seat, ask, policy, now_ms))
    elif ask.purpose is Purpose.CHECK or len(live) >= DRY_RUN_SEATS:
        lease = None if ask.purpose is Purpose.CHECK else Lease(ask, 0, 0)
        answer = Admitted(None, lease, ledger.limit(ask.limit, policy), len(live), existing=False)
        outcome = Outcome[Decision](answer, changed=False)
    else:
        outcome = _seat_new(ledger, ask, [], policy, now_ms, grants)
    if outcome.wants_grants:
        return outcome
    assert isinstance(outcome.answer, Admitted)
    return Outcome(replace(outcome.answer, would_refuse=code), outcome.changed, outcome.events)


def _admit_sitting(
    ledger: Ledger, seat: Seat, ask: Ask, policy: Policy, now_ms: int, is_visit: bool
) -> Outcome[Decision]:
    adds_lease = ask.purpose is Purpose.LEASE and seat.last_activity_ms is None and ask.lease_id not in seat.leases
    if adds_lease:
        _open_lease(seat, ask, policy, now_ms)
    is_given = not seat.given and gives_grant(ask)
    if is_given:
        seat.given = True
    limit, spent_ms = ledger.limit(ask.limit, policy), 0
    if ask.purpose is not Purpose.CHECK and is_visit:
        spent_ms = visits.pay(ledger, limit, policy, now_ms)
        if spent_ms:
            seat.paid = Paid(ask.stream_id, now_ms, ask.play)
    is_other = ask.purpose is not Purpose.CHECK and admit_under(ledger, seat, ask, limit)
    answer = Admitted(
        session=show(ask.user_id, seat, policy.state(seat.last_activity_ms, now_ms)),
        lease=Lease(ask, seat.generation, seat.move, now_ms),
        limit=limit,
        live=len(ledger.live(now_ms)),
        existing=True,
        spent_ms=spent_ms,
    )
    return Outcome(answer, changed=adds_lease or is_given or is_other or bool(spent_ms))


def _open_lease(seat: Seat, ask: Ask, policy: Policy, now_ms: int) -> None:
    seat.leases = [*seat.leases, ask.lease_id][-LEASES_KEPT:]
    seat.expires_at_ms = max(seat.expires_at_ms, now_ms + policy.start_ms)


def _admit_new(ledger: Ledger, ask: Ask, policy: Policy, now_ms: int, grants: Grants | None) -> Outcome[Decision]:
    if not ask.may_start:
        return Outcome(refusal("grant-expired", ledger, ask, policy, now_ms), changed=False)
    if ask.grant_generation is not None:
        if grants is None:
            return grants_wanted()
        if ask.grant_generation <= grants.newest_dead(ask.session_id, now_ms):
            return Outcome(refusal("grant-ended", ledger, ask, policy, now_ms), changed=False)
    going = [seat for seat in ledger.live(now_ms) if _goes_anyway(seat, ask, policy)]
    live = staying(ledger, ask, policy, now_ms)
    full = full_scopes(live, ledger.limit(ask.limit, policy), ask, policy)
    if full:
        victim = _victim(_in_all(live, full), ask, policy, now_ms)
        # One session less makes no room where a limit was lowered below the number of seats.
        if victim is None or any(len(scope.seats) > scope.limit for scope in full):
            return Outcome(refuse_full(ledger, ask, full[0], policy, now_ms), changed=False)
        going.append(victim)
    if _has_no_visit(ledger, ask, policy, now_ms):
        return Outcome(refuse_visit(ledger, ask, policy, now_ms), changed=False)
    if ask.purpose is Purpose.CHECK:
        limit = ledger.limit(ask.limit, policy)
        return Outcome(Admitted(None, None, limit, len(ledger.live(now_ms)), existing=False), changed=False)
    return _seat_new(ledger, ask, going, policy, now_ms, grants)


def _seat_new(
    ledger: Ledger, ask: Ask, going: list[Seat], policy: Policy, now_ms: int, grants: Grants | None
) -> Outcome[Decision]:
    if grants is None and gives_grant(ask):
        return grants_wanted()  # its grant must be younger than its dead ones
    events = lapse_all(ask.user_id, ledger, now_ms)
    for seat in going:
        events += (_replace(ledger, seat, ask, policy, now_ms),)
    seat = _reserve(ledger, ask, policy, now_ms, grants)
    spent_ms = visits.pay(ledger, ledger.limit(ask.limit, policy), policy, now_ms)
    answer = Admitted(
        session=show(ask.user_id, seat, State.STARTING),
        lease=Lease(ask, seat.generation, seat.move, now_ms),
        limit=ledger.limit(ask.limit, policy),
        live=len(ledger.seats),
        existing=False,
        events=events,
        spent_ms=spent_ms,
    )
    return Outcome(answer, changed=True, events=events)


def _reserve(ledger: Ledger, ask: Ask, policy: Policy, now_ms: int, grants: Grants | None) -> Seat:
    ended = [mark.generation for mark in ledger.marks if mark.session_id in (ask.session_id, NOBODYS)]
    if grants is not None:
        ended.append(grants.newest_dead(ask.session_id, now_ms))
    seat = Seat(
        session_id=ask.session_id,
        stream_id=ask.stream_id,
        # An ended session that comes back within the same millisecond is still another one.
        generation=max([now_ms, *(old + 1 for old in ended)]),
        started_at_ms=now_ms,
        expires_at_ms=now_ms + policy.start_ms,
        device=ask.device,
        leases=[ask.lease_id] if ask.purpose is Purpose.LEASE else [],
        given=gives_grant(ask),
        plan=ask.plan,
        limit=ledger.limit(ask.limit, policy),
        is_own=ledger.max_sessions is not None,
    )
    ledger.seats.append(seat)
    return seat


def _in_all(live: list[Seat], scopes: list[Scope]) -> list[Seat]:
    """The sessions whose end makes room in every one of *scopes*."""
    return [seat for seat in live if all(any(seat is own for own in scope.seats) for scope in scopes)]


def _victim(live: list[Seat], ask: Ask, policy: Policy, now_ms: int) -> Seat | None:
    """The session that gives way: the one the viewer named, the device's own old session, else as `over_limit` says."""
    named = [seat for seat in live if seat.session_id == ask.replace]
    if named:
        return named[0]
    own = [seat for seat in live if _is_silent_of_device(seat, ask, policy, now_ms)]
    if own:
        return min(own, key=_silent_since_ms)
    if not live or policy.over_limit is OverLimit.REFUSE:
        return None
    if policy.over_limit is OverLimit.REPLACE_OLDEST:
        return min(live, key=lambda seat: seat.started_at_ms)
    longest = min(live, key=_silent_since_ms)
    return longest if now_ms - _silent_since_ms(longest) >= policy.idle_victim_ms else None


def staying(ledger: Ledger, ask: Ask, policy: Policy, now_ms: int) -> list[Seat]:
    """The sessions that stay beside the new one, whichever others may have to give way."""
    return [seat for seat in ledger.live(now_ms) if not _goes_anyway(seat, ask, policy)]


def _goes_anyway(seat: Seat, ask: Ask, policy: Policy) -> bool:
    """Does the new session replace *seat* though seats are free?

    With `reclaim_device = "always"`: one seat a device.
    """
    return policy.reclaim_device is Reclaim.ALWAYS and _is_of_device(seat, ask)


def _is_silent_of_device(seat: Seat, ask: Ask, policy: Policy, now_ms: int) -> bool:
    """Is *seat* an old session of the asking device, silent for X, as a crashed player leaves one?"""
    is_silent = now_ms - _silent_since_ms(seat) >= policy.segment_ms
    return policy.reclaim_device is Reclaim.SILENT and is_silent and _is_of_device(seat, ask)


def _is_of_device(seat: Seat, ask: Ask) -> bool:
    asking = device_id(ask.device)
    return asking is not None and asking == device_id(seat.device)


def _silent_since_ms(seat: Seat) -> int:
    return seat.started_at_ms if seat.last_activity_ms is None else seat.last_activity_ms


def _replace(ledger: Ledger, victim: Seat, ask: Ask, policy: Policy, now_ms: int) -> Event:
    reason = "replaced by another session of this user"
    return dismiss(
        ask.user_id,
        ledger,
        victim,
        policy,
        now_ms,
        State.TERMINATED,
        "viewer",
        reason,
        by_session_id=ask.session_id,
        by_device=ask.device,
    )


def _refuse_terminated(ledger: Ledger, ask: Ask, mark: Mark, policy: Policy, now_ms: int) -> Outcome[Decision]:
    """The refusal of a terminated session, which restarts the silence of n·X before it is forgiven.

    The mark is prolonged by another fiftieth of X, so that a hammering player's refusals are written only that often.
    """
    changed = mark.until_ms < now_ms + policy.expiry_ms
    if changed:
        mark.until_ms = now_ms + policy.expiry_ms + policy.segment_ms // MARK_WRITES
    return Outcome(refusal("session-terminated", ledger, ask, policy, now_ms, mark), changed)


def refuse_full(ledger: Ledger, ask: Ask, scope: Scope, policy: Policy, now_ms: int) -> Refusal:
    """The refusal where no seat of *scope* is free."""
    limit, sessions = ledger.limit(ask.limit, policy), show_live(ask.user_id, ledger, policy, now_ms)
    retry_after_ms = _room_in_ms(scope.seats, scope.limit, policy, now_ms)
    return Refusal("session-limit", limit, len(sessions), sessions, retry_after_ms, None, scope.name, scope.limit)


def _has_no_visit(ledger: Ledger, ask: Ask, policy: Policy, now_ms: int) -> bool:
    return visits.wait_ms(ledger, ledger.limit(ask.limit, policy), policy, now_ms) > 0


def refuse_visit(ledger: Ledger, ask: Ask, policy: Policy, now_ms: int) -> Refusal:
    """The refusal where the user's budget of visits is spent (rule 13)."""
    found = refusal("too-many-visits", ledger, ask, policy, now_ms)
    return replace(found, retry_after_ms=visits.wait_ms(ledger, found.limit, policy, now_ms))


def refusal(code: str, ledger: Ledger, ask: Ask, policy: Policy, now_ms: int, mark: Mark | None = None) -> Refusal:
    """A refusal with its explanation (rule 10): the sessions that hold the seats, and when there may be room."""
    live, limit = ledger.live(now_ms), ledger.limit(ask.limit, policy)
    sessions = show_live(ask.user_id, ledger, policy, now_ms)
    return Refusal(code, limit, len(live), sessions, _room_in_ms(live, limit, policy, now_ms), mark)


def _room_in_ms(seats: list[Seat], limit: int, policy: Policy, now_ms: int) -> int:
    """The time in ms until fewer than *limit* of *seats* are left, if no further request comes."""
    lapses = sorted(seat.expires_at_ms for seat in seats)
    nth = max(len(lapses) - max(limit, 1), 0)
    return lapses[nth] - now_ms if lapses else policy.segment_ms
