"""A heartbeat on Valkey: one script where it is simple (nearly always), else admission, then receipt."""

from asyncio import ensure_future
from typing import Protocol

from streamlimit.errors import StoreUnavailable
from streamlimit.model import Admitted, Ask, Decision, Receipt, Verdict
from streamlimit.rules.beat import beaten, unnamed
from streamlimit.store.contract import Answer, resolved
from streamlimit.store.deferred import Deferred

Reply = Decision | StoreUnavailable | None
"""What beat.lua decided, that nobody knows it, or nothing: it was not simple."""


class Steps(Protocol):
    """What a heartbeat is made of."""

    def admit(self, ask: Ask) -> Answer[Decision]: ...

    def confirm(self, receipt: Receipt) -> Answer[Verdict]: ...


class Beating(Deferred[Decision]):
    """beat.lua's answer to *ask*; where it has none, what *parts* come to. Stands where a call has its future."""

    __slots__ = ("_ask", "_is_done", "_parts")

    def __init__(self, parts: Steps, ask: Ask) -> None:
        super().__init__()
        self._parts, self._ask, self._is_done = parts, ask, False

    def done(self) -> bool:
        """The script has answered, or never will."""
        return self._is_done

    def set_result(self, reply: Reply) -> None:
        """It has. Only what is not simple makes a task."""
        self._is_done = True
        if reply is None:
            self._context.run(ensure_future, self._one_by_one())
        else:
            self.come(reply)

    set_exception = set_result

    async def _one_by_one(self) -> None:
        try:
            answer: Decision | Exception = await one_by_one(self._parts, self._ask)
        except Exception as error:  # goes to whoever asked
            answer = error
        self.come(answer)


async def one_by_one(steps: Steps, ask: Ask) -> Decision:
    """Admission, and then a receipt of its lease."""
    decision: Decision = await resolved(steps.admit(unnamed(ask)))
    if not isinstance(decision, Admitted) or decision.lease is None:
        return decision
    return beaten(decision, await resolved(steps.confirm(Receipt(decision.lease))), ask)
