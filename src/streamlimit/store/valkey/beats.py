"""A heartbeat on Valkey: one script where it is simple (nearly always), else admission, then receipt.

A future of its own, since the script's is answered in either case. Where it is simple nobody waits for a
further turn of the event loop, and no task is made.
"""

from asyncio import Future, Task, get_running_loop
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from streamlimit.model import Admitted, Ask, Decision, Receipt, Verdict
from streamlimit.rules.beat import beaten
from streamlimit.store.contract import Answer, resolved


class Steps(Protocol):
    """What a heartbeat is made of."""

    def admit(self, ask: Ask) -> Answer[Decision]: ...

    def confirm(self, receipt: Receipt) -> Answer[Verdict]: ...


def beat(
    steps: Steps,
    ask: Ask,
    call: Callable[[Callable[[bytes], None]], Future[None]],
    read: Callable[[bytes], Decision],
) -> "Future[Decision]":
    """*call* runs beat.lua and hands its reply on, *read* makes an answer of one; *steps* do what it leaves to them."""
    loop = get_running_loop()
    answer: Future[Decision] = loop.create_future()

    def replied(reply: bytes) -> None:
        if not reply:
            loop.create_task(one_by_one(steps, ask)).add_done_callback(partial(_hand_over, answer))
        elif not answer.done():
            answer.set_result(read(reply))

    call(replied).add_done_callback(partial(_tell_failure, answer))
    return answer


async def one_by_one(steps: Steps, ask: Ask) -> Decision:
    """Admission, and then a receipt of its lease."""
    decision: Decision = await resolved(steps.admit(ask))
    if not isinstance(decision, Admitted) or decision.lease is None:
        return decision
    return beaten(decision, await resolved(steps.confirm(Receipt(decision.lease))))


def _hand_over(answer: "Future[Decision]", task: "Task[Decision]") -> None:
    if not task.cancelled() and task.exception() is None and not answer.done():
        answer.set_result(task.result())
    else:
        _tell_failure(answer, task)


def _tell_failure(answer: "Future[Decision]", done: "Future[Any]") -> None:
    if done.cancelled():
        answer.cancel()
    elif (problem := done.exception()) is not None and not answer.done():
        answer.set_exception(problem)
