"""A heartbeat on Valkey: one script in the simple cases (nearly all), else admission, then receipt."""

from typing import Protocol

from streamlimit.model import Admitted, Ask, Decision, Receipt, Verdict
from streamlimit.rules.beat import beaten, unnamed
from streamlimit.store.contract import Answer, resolved


class Steps(Protocol):
    """The steps of a heartbeat."""

    def admit(self, ask: Ask) -> Answer[Decision]: ...

    def confirm(self, receipt: Receipt) -> Answer[Verdict]: ...


async def one_by_one(steps: Steps, ask: Ask) -> Decision:
    """The admission of *ask*, then the receipt of its lease, as one decision."""
    decision: Decision = await resolved(steps.admit(unnamed(ask)))
    if not isinstance(decision, Admitted) or decision.lease is None:
        return decision
    return beaten(decision, await resolved(steps.confirm(Receipt(decision.lease))), ask)
