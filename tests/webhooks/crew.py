"""Worker processes that run sessions and deliver their call backs, to be killed with SIGKILL at any moment.

What the store told such a worker it acknowledges through a pipe, at once: that must never be lost. What breaks one
ends its process, which `faults.Run` notices.
"""

import asyncio
import random
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from streamlimit.errors import StoreUnavailable
from streamlimit.model import Admitted, Ask, Event, Receipt
from streamlimit.policy import Policy
from streamlimit.settings import EVENT_TYPES
from streamlimit.store.contract import Answer, Store, resolved
from streamlimit.store.outbox import Outbox
from streamlimit.webhooks.addresses import Addresses
from streamlimit.webhooks.dispatcher import WebhookDispatcher
from streamlimit.webhooks.endpoint import Endpoint
from streamlimit.webhooks.sender import Sender
from streamlimit.webhooks.worker import WebhookWorker
from tests.processes import FORKED
from tests.webhooks.receiver import SECRET

T = TypeVar("T")
POLICY = Policy(max_sessions=8, segment_ms=300, missed_segments=3, start_ms=300)
TIMEOUT_SECONDS = 1.0
"""Of an attempt; so a killed worker's claims are anyone's after 3 s. A busy machine is late by half as much."""

USERS_AT_ONCE = 4
"""Side by side in one worker, or a run would mostly be waiting for answers."""

Opened = tuple[Store, Outbox]
Acknowledged = tuple[str, str, str, str]
"""User, session, type, id of an event that the store has told of."""


class Silent:
    """No log."""

    def info(self, event: str, **fields: object) -> None: ...

    warning = error = info


def start(open_parts: Callable[[], Opened], url: str, users: list[str], number: int) -> tuple[Any, Connection]:
    """A worker that runs the sessions of *users*; the process, and the pipe's reading end."""
    mine, theirs = FORKED.Pipe(duplex=False)
    process = FORKED.Process(target=work, args=(open_parts, url, users, number, theirs), daemon=True)
    process.start()
    theirs.close()
    return process, mine


def work(open_parts: Callable[[], Opened], url: str, users: list[str], number: int, pipe: Connection) -> None:
    asyncio.run(_work(open_parts, url, users, number, pipe))


async def _work(open_parts: Callable[[], Opened], url: str, users: list[str], number: int, pipe: Connection) -> None:
    store, outbox = open_parts()
    endpoint = Endpoint(url, [SECRET], EVENT_TYPES, "hook")
    sender = Sender(endpoint, Addresses(allow_private=True), timeout_seconds=TIMEOUT_SECONDS)
    dispatcher = WebhookDispatcher(
        outbox, [WebhookWorker("hook", outbox, sender, Silent(), EVENT_TYPES, TIMEOUT_SECONDS)]
    )

    def tell(events: tuple[Event, ...]) -> None:
        for event in events:
            session = event.session
            pipe.send((session.user_id, session.session_id, event.type.removeprefix("session."), event.id))
            dispatcher.wake(event)

    async with asyncio.TaskGroup() as group:
        for work in dispatcher.work():
            group.create_task(work())
        dice, left = random.Random(number), iter(users)

        async def drive() -> None:
            for user in left:
                for session in range(4):
                    await _live(store, tell, user, f"s{session}", dice)
                pipe.send(user)  # done with them
                await asyncio.sleep(0.002)

        await asyncio.gather(*(drive() for _ in range(USERS_AT_ONCE)))
        while True:  # sweeps and delivers until it is killed
            tell((await answered(lambda: store.expire(100))).events)
            await asyncio.sleep(0.05)


async def answered(call: Callable[[], Answer[T]]) -> T:
    """The answer, however often it takes: a busy machine's servers may be late, and each call is safe to repeat."""
    while True:
        try:
            return await resolved(call())
        except StoreUnavailable:
            await asyncio.sleep(0.05)


async def _live(
    store: Store, tell: Callable[[tuple[Event, ...]], None], user: str, session: str, dice: random.Random
) -> None:
    """One session: it starts, may move, and ends, is terminated, or falls silent."""
    for stream in range(dice.choice((1, 1, 2))):
        ask = Ask(user, session, f"stream-{stream}", lease_id=f"{session}-{stream}")
        answer = await answered(partial(store.admit, ask))
        if not isinstance(answer, Admitted) or answer.lease is None:
            return  # a session that its killed worker had terminated
        tell(answer.events)
        verdict = await answered(partial(store.confirm, Receipt(answer.lease, f"{stream}.m4s", stream)))
        tell(verdict.events)
    how = dice.random()
    if how < 0.4:
        tell(await answered(lambda: store.end(user, session)))
    elif how < 0.6:
        tell(await answered(lambda: store.terminate(user, session, "operator", "enough")))
