"""The budget of visits (rule 13): a person watches one thing after another, a tool rotates.

It is stored as one time, `Ledger.spent_until_ms`: when it will be whole again if nothing is paid any more. A visit
moves that time by 2·X divided by the user's seats, and may be paid as long as the time is no further ahead than the
burst.
"""

from streamlimit.model import Ask
from streamlimit.policy import Policy
from streamlimit.rules import plays
from streamlimit.rules.ledger import Ledger, Paid, Seat

FORGIVEN_SEGMENTS = 3
"""Segments that may be skipped, or fetched ahead, of a stream that counts as watched to its end."""


def cost_ms(limit: int, policy: Policy) -> int:
    """The cost of a visit of a user with *limit* seats: the time (ms) in which it comes back."""
    return max(policy.visit_ms // max(limit, 1), 1)


def is_visit(seat: Seat, ask: Ask, policy: Policy, now_ms: int) -> bool:
    """Is *ask*, of a session with a seat, a visit: for another stream, or to break a lock of plays (rule 8)?

    Not for the stream (and the play) that it has just paid for.
    """
    breaks = plays.breaks_lock(seat, plays.named(ask), policy, now_ms)
    if not policy.visit_burst or (ask.stream_id == seat.stream_id and not breaks):
        return False
    paid = seat.paid
    if paid is None or paid.stream_id != ask.stream_id or (breaks and paid.play != ask.play):
        return True
    return now_ms - paid.at_ms >= policy.segment_ms


def wait_ms(ledger: Ledger, limit: int, policy: Policy, now_ms: int) -> int:
    """The time (ms) until the next visit can be paid; 0: now."""
    if not policy.visit_burst:
        return 0
    return max(max(ledger.spent_until_ms - now_ms, 0) + cost_ms(limit, policy) - policy.burst_ms, 0)


def pay(ledger: Ledger, limit: int, policy: Policy, now_ms: int) -> int:
    """Pays a visit, if there is budget for it. Returns the spent budget (ms) after it."""
    if not policy.visit_burst or wait_ms(ledger, limit, policy, now_ms):
        return 0
    ledger.spent_until_ms = max(ledger.spent_until_ms, now_ms) + cost_ms(limit, policy)
    return ledger.spent_until_ms - now_ms


def give_back(ledger: Ledger, seat: Seat, ends_ms: int, limit: int, policy: Policy, now_ms: int) -> None:
    """Gives the visit back if the stream, of *ends_ms*, was watched to its end, whose last segment was received.

    A visit is given back once.
    """
    paid = seat.paid
    if paid is None and not seat.move and not seat.revives:
        paid = Paid(seat.stream_id, seat.started_at_ms)  # by starting
    if not policy.visit_burst or paid is None or not paid.at_ms or paid.stream_id != seat.stream_id:
        return
    if now_ms - paid.at_ms < ends_ms - FORGIVEN_SEGMENTS * policy.segment_ms:
        return
    ledger.spent_until_ms = max(ledger.spent_until_ms - cost_ms(limit, policy), 0)
    seat.paid = Paid(seat.stream_id, 0)
