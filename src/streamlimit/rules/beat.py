"""A heartbeat: admitted and received at once, since nothing is delivered (rules 3 and 5)."""

from msgspec.structs import replace

from streamlimit.model import Admitted, Ask, Confirmed, Decision, Lease, Receipt, Verdict
from streamlimit.policy import Policy
from streamlimit.rules.admit import admit
from streamlimit.rules.confirm import confirm
from streamlimit.rules.ledger import Ledger, Outcome


def beat(ledger: Ledger, ask: Ask, policy: Policy, now_ms: int) -> Outcome[Decision]:
    """What `admit` and then a receipt of its lease do. No lease stays open, so *ask* needs no name for one."""
    first = admit(ledger, ask, policy, now_ms)
    if not isinstance(first.answer, Admitted) or first.answer.lease is None:
        return first
    second = confirm(ledger, Receipt(first.answer.lease), policy, now_ms)
    answer = beaten(first.answer, second.answer)
    return Outcome(answer, first.changed or second.changed, first.events + second.events)


def beaten(admitted: Admitted, verdict: Verdict) -> Admitted:
    """The answer to both: the session as its receipt left it, or none."""
    events = admitted.events + verdict.events
    if not isinstance(verdict, Confirmed):
        return replace(admitted, session=None, events=events)
    lease, session = admitted.lease, verdict.session
    assert lease is not None
    lease = Lease(lease.ask, session.generation, session.move, lease.admitted_ms)
    return replace(admitted, session=session, lease=lease, limit=verdict.limit, live=verdict.live, events=events)
