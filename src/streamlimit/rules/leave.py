"""The rules by which sessions leave: abandoning, the viewer's end, termination, the sweep."""

from streamlimit.model import FOR_GOOD, Event, Lease, Mark, State
from streamlimit.policy import Policy
from streamlimit.rules.departure import dismiss, give_back, lapse_all, remember
from streamlimit.rules.grants import Grants, kill, revoke
from streamlimit.rules.ledger import NOBODYS, Ledger, Outcome, grants_wanted

Events = tuple[Event, ...]


def abandon(ledger: Ledger, lease: Lease, policy: Policy, now_ms: int) -> Outcome[Events]:
    """Closes *lease*, whose segment did not arrive; a reservation without another open lease is given back."""
    ledger.mend(policy, now_ms)
    seat = ledger.find(lease.ask.session_id)
    if seat is None or seat.generation != lease.generation or lease.ask.lease_id not in seat.leases:
        return Outcome((), changed=False)
    seat.leases.remove(lease.ask.lease_id)
    if seat.leases:
        return Outcome((), changed=True)
    events = (give_back(lease.ask.user_id, ledger, seat, now_ms, "nothing was received"),)
    return Outcome(events, changed=True, events=events)


def end(
    ledger: Ledger, user_id: str, session_id: str, policy: Policy, now_ms: int, grants: Grants | None = None
) -> Outcome[Events]:
    """Ends the viewer's session and, unless *grants* is None, its grant. The second time: nothing."""
    seat = ledger.find(session_id)
    outcome = _send_away(ledger, user_id, [session_id], policy, now_ms, State.ENDED, "viewer", "ended")
    if grants is not None and (seat is None or seat.given):
        generation = _given_until(ledger, session_id, now_ms) if seat is None else seat.generation
        kill(grants, session_id, generation, seat is not None, policy, now_ms)
        outcome.ended_grants = True
    return outcome


def terminate(
    ledger: Ledger, user_id: str, session_id: str | None, by: str, reason: str, policy: Policy, now_ms: int
) -> Outcome[Events]:
    """Terminates one session, or (None) all of the user's, for an operator. It stays out until silent for n·X."""
    named = [seat.session_id for seat in ledger.seats] if session_id is None else [session_id]
    return _send_away(ledger, user_id, named, policy, now_ms, State.TERMINATED, by, reason)


def forgive(ledger: Ledger, session_id: str | None, policy: Policy, now_ms: int) -> Outcome[int]:
    """Lets a terminated session (None: all of them) come back at once. The answer is how many.

    Receipts of its old seat still do not seat it again.
    """
    ledger.mend(policy, now_ms)
    forgiven = [
        mark
        for mark in ledger.marks
        if mark.state is State.TERMINATED and mark.until_ms > now_ms and session_id in (None, mark.session_id)
    ]
    ledger.marks = [mark for mark in ledger.marks if not any(mark is each for each in forgiven)]
    for mark in forgiven:
        remember(ledger, Mark(mark.session_id, mark.generation, State.ENDED, mark.at_ms, mark.until_ms), now_ms)
    return Outcome(len(forgiven), changed=bool(forgiven))


def forget(ledger: Ledger, user_id: str, policy: Policy, now_ms: int, grants: Grants | None = None) -> Outcome[Events]:
    """Forgets the user: sessions end; marks, limit and budget are removed; grants given so far start nothing.

    For n·X late receipts of the removed seats do not seat a session again.
    """
    if grants is None:
        return grants_wanted()
    ledger.mend(policy, now_ms)
    events = lapse_all(user_id, ledger, now_ms)
    generations = [seat.generation for seat in ledger.seats] + [mark.generation for mark in ledger.marks]
    newest = max(generations, default=0)
    for seat in list(ledger.seats):
        events += (dismiss(user_id, ledger, seat, policy, now_ms, State.ENDED, "operator", "forgotten"),)
    ledger.marks = [Mark(NOBODYS, newest, State.ENDED, now_ms, now_ms + policy.expiry_ms)] if newest else []
    ledger.set_limit(None, FOR_GOOD, now_ms)
    ledger.spent_until_ms = 0
    revoke(grants, max(now_ms, newest), policy, now_ms)
    return Outcome(events, True, events, ended_grants=True)


def lose_again(
    ledger: Ledger, event: Event, policy: Policy, now_ms: int, grants: Grants | None = None
) -> Outcome[Events]:
    """Repeats the loss of *event* if its very seat is there: a store that failed over had lost it (rule 7).

    Also past its expiry, so that it makes the same event again, not another one.
    """
    ledger.mend(policy, now_ms)
    lost = event.session
    seat = ledger.find(lost.session_id)
    if seat is None or seat.generation != lost.generation:
        return Outcome((), changed=False)
    events = (dismiss(lost.user_id, ledger, seat, policy, now_ms, lost.state, event.by or "", event.reason),)
    if grants is not None and seat.given:
        kill(grants, lost.session_id, lost.generation, True, policy, now_ms)
    return Outcome(events, True, events, ended_grants=grants is not None and seat.given)


def expire(ledger: Ledger, user_id: str, policy: Policy, now_ms: int) -> Outcome[Events]:
    """Removes all that is past its time: seats with an event each, and marks."""
    before = len(ledger.marks), ledger.spent_until_ms, ledger.max_sessions
    ledger.mend(policy, now_ms)
    if ledger.spent_until_ms <= now_ms:
        ledger.spent_until_ms = 0
    events = lapse_all(user_id, ledger, now_ms)
    marks = [mark for mark in ledger.marks if mark.until_ms > now_ms]
    changed = bool(events) or (len(marks), ledger.spent_until_ms, ledger.max_sessions) != before
    ledger.marks = marks
    return Outcome(events, changed, events)


def _given_until(ledger: Ledger, session_id: str, now_ms: int) -> int:
    """The youngest generation of a session's old grants: not this millisecond's, in which a new one may be given."""
    return max([now_ms - 1, *(mark.generation for mark in ledger.marks if mark.session_id == session_id)])


def _send_away(
    ledger: Ledger,
    user_id: str,
    session_ids: list[str],
    policy: Policy,
    now_ms: int,
    state: State,
    by: str,
    reason: str,
) -> Outcome[Events]:
    ledger.mend(policy, now_ms)
    events = lapse_all(user_id, ledger, now_ms)
    for seat in [seat for seat in ledger.seats if seat.session_id in session_ids]:
        events += (dismiss(user_id, ledger, seat, policy, now_ms, state, by, reason),)
    return Outcome(events, bool(events), events)
