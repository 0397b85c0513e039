"""The worker of one endpoint: delivers from the outbox to the receiver, users in parallel, each user's events in order.

Each endpoint has its own worker, so that none waits for another's receiver. A failing endpoint is tried with single
deliveries and growing pauses until it answers; only its own queues wait.
"""

import asyncio
import random
import secrets
import time
from collections.abc import Callable, Collection
from itertools import count
from typing import assert_never

from msgspec import Struct

from streamlimit.errors import StoreUnavailable
from streamlimit.logs import EventLog
from streamlimit.model import Event
from streamlimit.store.contract import resolved
from streamlimit.store.outbox import Delivery, Outbox
from streamlimit.webhooks.sender import TIMEOUT_SECONDS, Failed, Outcome, Sender, Sent, Unwanted

PLACES = 32
"""Users whose deliveries are sent at the same time, per worker and endpoint."""

POLL_SECONDS = 1.0
GATHER_SECONDS = 0.01
"""How long a wake-up waits for others: one claim serves them all."""

LONGEST_WAIT_SECONDS = 3_600.0
GIVE_UP_SECONDS = 86_400.0

PATIENCE = 5
"""Failures in a row, of any users, after which the endpoint counts as failing."""

LONGEST_PAUSE_SECONDS = 30.0


class Counts(Struct):
    """Counts for the metrics of one endpoint, of this process. Each attempt is sent, failed or unwanted."""

    sent: int = 0
    failed: int = 0
    unwanted: int = 0
    given_up: int = 0
    seconds: float = 0.0


class WebhookWorker:
    """Delivers the webhooks of one endpoint. *timeout_seconds* is the sender's: a claim lasts three times as long."""

    def __init__(
        self,
        endpoint: str,
        outbox: Outbox,
        sender: Sender,
        log: EventLog,
        types: Collection[str] = (),
        timeout_seconds: float = TIMEOUT_SECONDS,
        places: int = PLACES,
        give_up_seconds: float = GIVE_UP_SECONDS,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.endpoint, self.counts, self.is_failing = endpoint, Counts(), False
        self._outbox, self._sender, self._log, self._types = outbox, sender, log, frozenset(types)
        self._places, self._lease_ms = places, round(timeout_seconds * 3_000)
        self._give_up_ms, self._clock, self._jitter = round(give_up_seconds * 1_000), clock, jitter
        self._tickets = map(f"{secrets.token_hex(6)}-{{:x}}".format, count())
        self._bell, self._woken = asyncio.Event(), set[str]()
        self._carrying: dict[asyncio.Task[None], Delivery] = {}
        self._failures, self._pause, self._paused_until = 0, 1.0, float("-inf")
        self._more, self._stopping, self._is_store_away = False, False, False

    @property
    def in_flight(self) -> int:
        """The number of pending deliveries."""
        return len(self._carrying)

    def wake(self, event: Event) -> None:
        """Wakes the worker for *event*, which is in the outbox: it need not wait for the next look."""
        if event.type in self._types:
            self._woken.add(event.session.user_id)
            self._bell.set()

    async def deliver_once(self, users: Collection[str] | None = None) -> int:
        """Claims deliveries for its free places, of *users* or of all, and begins to send them. Returns how many."""
        places = self._free_places()
        if places <= 0:
            self._more = True
            return 0
        deliveries = await resolved(
            self._outbox.claim(self.endpoint, next(self._tickets), places, self._lease_ms, users)
        )
        for delivery in deliveries:
            task = asyncio.create_task(self._carry(delivery))
            self._carrying[task] = delivery
            task.add_done_callback(self._is_back)
        self._more = len(deliveries) == places
        return len(deliveries)

    async def deliver_forever(self) -> None:
        """Delivers until cancelled: events of this process at once, those of others each second."""
        looked_at = float("-inf")
        while True:
            everywhere = self._more or self._clock() - looked_at >= POLL_SECONDS
            users, self._woken = self._woken, set()
            if everywhere:
                looked_at = self._clock()
            await self._try_once(None if everywhere else users)
            try:
                await asyncio.wait_for(self._bell.wait(), max(looked_at + POLL_SECONDS - self._clock(), 0))
                await asyncio.sleep(GATHER_SECONDS)
            except TimeoutError:
                pass
            self._bell.clear()

    async def deliver_for(self, seconds: float) -> bool:
        """Delivers what is due, for about *seconds*. False: more is left, or the endpoint does not answer."""
        deadline = self._clock() + seconds
        while (left := deadline - self._clock()) > 0:
            started = await self.deliver_once()
            if not started and not self.in_flight:
                return not self._more
            await asyncio.wait(self._carrying, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        return False

    async def stop(self, grace_seconds: float = 1.0) -> None:
        """Stops: pending deliveries get *grace_seconds*, then they are released for others. Twice is once."""
        self._stopping = True
        if self._carrying:
            await asyncio.wait(self._carrying, timeout=grace_seconds)
        left = dict(self._carrying)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        for delivery in left.values():
            await self._release(delivery)
        await self._sender.close()

    def wait_seconds(self, attempts: int) -> float:
        """The seconds from the failed attempt number *attempts* to the next: 1, 2, 4, 8 … and up to a fifth more."""
        return min(2.0 ** min(attempts - 1, 30), LONGEST_WAIT_SECONDS) * (1 + self._jitter() / 5)

    def _free_places(self) -> int:
        """The free places: of a failing endpoint one, and none during a pause."""
        if self._stopping or self._clock() < self._paused_until:
            return 0
        return (1 if self.is_failing else self._places) - self.in_flight

    async def _try_once(self, users: Collection[str] | None) -> None:
        if users is not None and not users:
            return
        try:
            await self.deliver_once(users)
        except StoreUnavailable as error:
            if not self._is_store_away:
                self._log.warning("callbacks_postponed", endpoint=self.endpoint, problem=str(error))
            self._is_store_away = True
        else:
            self._is_store_away = False

    async def _carry(self, delivery: Delivery) -> None:
        """Sends *delivery* and, as long as attempts succeed, the user's following ones."""
        task, following = asyncio.current_task(), delivery
        assert task is not None
        try:
            while True:
                outcome = await self._attempt(following.event)
                arrived = await self._after(following, outcome)
                if arrived is None:
                    return
                self._carrying[task] = following = arrived
                if self._stopping:
                    return await self._release(following)
        except StoreUnavailable:
            return  # the claim expires, and the delivery is sent again, with the same id

    async def _attempt(self, event: Event) -> Outcome:
        began = self._clock()
        outcome = await self._sender.send(event)
        self.counts.seconds += self._clock() - began
        return outcome

    async def _after(self, delivery: Delivery, outcome: Outcome) -> Delivery | None:
        """Reports the outcome to the outbox. Returns the user's next delivery, if that may be sent now."""
        match outcome:
            case Sent():
                self.counts.sent += 1
                self._note_success()
                return await resolved(self._outbox.settle(delivery, self._lease_ms))
            case Failed():
                self.counts.failed += 1
                await self._keep_or_give_up(delivery, outcome)
            case Unwanted():
                self.counts.unwanted += 1
                await self._disable(delivery)
            case _:
                assert_never(outcome)
        return None

    async def _keep_or_give_up(self, delivery: Delivery, outcome: Failed) -> None:
        wait = max(self.wait_seconds(delivery.attempts + 1), outcome.wait_seconds or 0.0)
        if delivery.waited_ms >= self._give_up_ms:
            self.counts.given_up += 1
            await resolved(self._outbox.give_up(delivery, outcome.problem))
            self._log.error(
                "callback_given_up", endpoint=self.endpoint, event_id=delivery.event.id, problem=outcome.problem
            )
        else:
            self._note_failure(outcome)
            await resolved(self._outbox.retry_later(delivery, round(wait * 1_000), outcome.problem))

    async def _disable(self, delivery: Delivery) -> None:
        if await resolved(self._outbox.disable(self.endpoint, "status 410")):
            self._log.error("callback_endpoint_disabled", endpoint=self.endpoint, problem="status 410")
        await resolved(self._outbox.release(delivery))

    def _note_failure(self, outcome: Failed) -> None:
        now = self._clock()
        self._failures += 1
        if outcome.wait_seconds is not None:  # it is meant for the whole endpoint
            self._paused_until = max(self._paused_until, now + outcome.wait_seconds)
        if self._failures >= PATIENCE and now >= self._paused_until:  # else the attempt began before the pause
            self._pause = min(self._pause * 2, LONGEST_PAUSE_SECONDS) if self.is_failing else 1.0
            self._paused_until = now + self._pause
        if self._failures >= PATIENCE and not self.is_failing:
            self.is_failing = True
            self._log.warning("callback_endpoint_failing", endpoint=self.endpoint, problem=outcome.problem)

    def _note_success(self) -> None:
        self._failures = 0
        if self.is_failing:
            self.is_failing, self._pause = False, 1.0
            self._paused_until, self._more = float("-inf"), True
            self._bell.set()
            self._log.info("callback_endpoint_back", endpoint=self.endpoint)

    def _is_back(self, task: "asyncio.Task[None]") -> None:
        del self._carrying[task]
        if self._more:
            self._bell.set()
        if not task.cancelled() and task.exception() is not None:
            self._log.error("callback_broken", endpoint=self.endpoint, exc_info=task.exception())

    async def _release(self, delivery: Delivery) -> None:
        try:
            await resolved(self._outbox.release(delivery))
        except StoreUnavailable:
            return  # its claim expires by itself
