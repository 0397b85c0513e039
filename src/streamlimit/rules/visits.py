"""The budget of visits (rule 13): a person watches one thing after another, a tool rotates.

It is kept as one moment, `Ledger.spent_until_ms`: when it will be whole again if nothing is paid any more. A visit puts
that moment off by 2·X, shared among the user's seats, and may be paid as long as it is no farther ahead than the burst.
"""

from streamlimit.model import Ask
from streamlimit.policy import Policy
from streamlimit.rules import plays
from streamlimit.rules.ledger import Ledger, Paid, Seat

FORGIVEN_SEGMENTS = 3
"""A stream counts as watched to its end though this much of it was skipped, or fetched ahead."""


def cost_ms(limit: int, policy: Policy) -> int:
    """How long it takes until a visit of a user of *limit* seats has come back by itself."""
    return max(policy.visit_ms // max(limit, 1), 1)


def is_visit(seat: Seat, ask: Ask, policy: Policy, now_ms: int) -> bool:
    """Has the session, which has a seat, to pay? For another stream than its own, and for breaking a lock of plays
    (rule 8).

    Not for the stream (and there the play) that it has just paid for.
    """
    breaks = plays.breaks_lock(seat, plays.named(ask), policy, now_ms)
    if not policy.visit_burst or (ask.stream_id == seat.stream_id and not breaks):
        return False
    paid = seat.paid
    if paid is None or paid.stream_id != ask.stream_id or (breaks and paid.play != ask.play):
        return True
    return now_ms - paid.at_ms >= policy.segment_ms


def wait_ms(ledger: Ledger, limit: int, policy: Policy, now_ms: int) -> int:
    """How long until the next visit can be paid; 0: now."""
    if not policy.visit_burst:
        return 0
    return max(max(ledger.spent_until_ms - now_ms, 0) + cost_ms(limit, policy) - policy.burst_ms, 0)


def pay(ledger: Ledger, limit: int, policy: Policy, now_ms: int) -> int:
    """Pays a visit, where there is budget for it: how much of the budget (ms) is spent then."""
    if not policy.visit_burst or wait_ms(ledger, limit, policy, now_ms):
        return 0
    ledger.spent_until_ms = max(ledger.spent_until_ms, now_ms) + cost_ms(limit, policy)
    return ledger.spent_until_ms - now_ms


def give_back(ledger: Ledger, seat: Seat, ends_ms: int, limit: int, policy: Policy, now_ms: int) -> None:
    """The last segment of the session's stream, which plays for *ends_ms*, was received: was it watched to its end?

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
