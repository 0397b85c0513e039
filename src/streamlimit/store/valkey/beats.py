"""A heartbeat on Valkey: one script where it is simple (nearly always), else admission, then receipt.

A future of its own, since the script's is answered in either case. Where it is simple nobody waits for a
further turn of the event loop, and no task is made.
"""

from asyncio import Future, Task, ensure_future, get_running_loop
from collections.abc import Callable
from functools import partial
from typing import Protocol

from streamlimit.errors import StoreUnavailable
from streamlimit.model import Admitted, Ask, Decision, Receipt, Verdict
from streamlimit.rules.beat import beaten
from streamlimit.store.contract import Answer, resolved

Reply = Decision | StoreUnavailable | None
"""What beat.lua decided, that nobody knows it, or nothing: it was not simple."""


class Steps(Protocol):
    """What a heartbeat is made of."""

    def admit(self, ask: Ask) -> Answer[Decision]: ...

    def confirm(self, receipt: Receipt) -> Answer[Verdict]: ...


def beat(steps: Steps, ask: Ask, call: Callable[[Callable[[Reply], None]], None]) -> "Future[Decision]":
    """*call* runs beat.lua and tells what came of it; *steps* do what the script leaves to them."""
    answer: Future[Decision] = get_running_loop().create_future()

    def heard(reply: Reply) -> None:
        if reply is None:
            ensure_future(one_by_one(steps, ask)).add_done_callback(partial(_hand_over, answer))
        elif answer.done():
            return
        elif isinstance(reply, StoreUnavailable):
            answer.set_exception(reply)
        else:
            answer.set_result(reply)

    call(heard)
    return answer


async def one_by_one(steps: Steps, ask: Ask) -> Decision:
    """Admission, and then a receipt of its lease."""
    decision: Decision = await resolved(steps.admit(ask))
    if not isinstance(decision, Admitted) or decision.lease is None:
        return decision
    return beaten(decision, await resolved(steps.confirm(Receipt(decision.lease))))


def _hand_over(answer: "Future[Decision]", task: "Task[Decision]") -> None:
    if answer.done():
        return
    if task.cancelled():
        answer.cancel()
    elif (problem := task.exception()) is not None:
        answer.set_exception(problem)
    else:
        answer.set_result(task.result())
