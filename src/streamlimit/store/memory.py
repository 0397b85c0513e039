"""The store in the memory of this process: for tests, and for embedding without a file.

The rules run as on SQLite, on a copy of the user's ledger, under one lock: threads may share a store. A sweep looks at
all users (half a millisecond for ten thousand), so a service with many viewers needs a file.
"""

import heapq
import time
from threading import RLock
from typing import TypeVar

from streamlimit import rules
from streamlimit.errors import StoreUnavailable
from streamlimit.model import Event, Swept
from streamlimit.policy import OUTBOX_MAX_EVENTS, Policy
from streamlimit.rules.grants import Grants
from streamlimit.rules.ledger import Ledger, Outcome
from streamlimit.store.contract import Clock, Events
from streamlimit.store.rule_store import Rule, RuleStore, decode, decode_grants, encode

T = TypeVar("T")


class Memory:
    """The memory that several stores of one process may share, as several connections share a file.

    *clock*: tests only.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        began_ms = time.time_ns() // 1_000_000 - time.monotonic_ns() // 1_000_000
        self.now_ms: Clock = clock or (lambda: began_ms + time.monotonic_ns() // 1_000_000)
        self.lock = RLock()
        self.bodies: dict[str, bytes] = {}
        self.due: dict[str, int] = {}
        self.grants: dict[str, Grants] = {}
        self.secrets: dict[str, str] = {}
        self.events: list[Event] = []
        """The subscribed events, the oldest first, for the embedding program to remove."""

    def load(self, user_id: str) -> tuple[Ledger, int]:
        """A copy of the user's ledger, and the time in ms."""
        with self.lock:
            body = self.bodies.get(user_id)
            return Ledger() if body is None else decode(body), self.now_ms()

    def after(self, user_id: str, count: int) -> tuple[list[tuple[str, Ledger]], int]:
        """The ledgers of the next *count* users behind *user_id*, by name, and the time in ms."""
        with self.lock:
            found = heapq.nsmallest(count, (name for name in self.bodies if name > user_id))
            return [(name, decode(self.bodies[name])) for name in found], self.now_ms()

    def save(self, user_id: str, ledger: Ledger, now_ms: int) -> None:
        """Stores the user's changed ledger."""
        if ledger.is_blank():
            self.bodies.pop(user_id, None)
            self.due.pop(user_id, None)
            return
        self.bodies[user_id] = encode(ledger)
        due_ms = ledger.due_at_ms(now_ms)
        if due_ms is None:
            self.due.pop(user_id, None)
        else:
            self.due[user_id] = due_ms


class MemoryStore(RuleStore):
    """A `Store` in *memory*, one of its own unless another is given. *subscribed* events are kept in it."""

    def __init__(
        self,
        policy: Policy,
        subscribed: frozenset[str] = frozenset(),
        clock: Clock | None = None,
        memory: Memory | None = None,
    ) -> None:
        super().__init__(policy, self._change, self._change, self._change)
        self._subscribed = subscribed
        self._memory: Memory | None = memory or Memory(clock)

    def expire(self, at_most: int) -> Swept:
        memory = self._opened()
        with memory.lock:
            now_ms = memory.now_ms()
            far_ms = now_ms + self._policy.spent_far_ms
            due = [name for name, at_ms in memory.due.items() if not now_ms < at_ms <= far_ms]
            events: Events = ()
            for user_id in due[:at_most]:
                ledger = memory.load(user_id)[0]
                events += rules.expire(ledger, user_id, self._policy, now_ms).events
                memory.save(user_id, ledger, now_ms)
            lapsed = [name for name, grants in memory.grants.items() if grants.until_ms() <= now_ms]
            for user_id in lapsed:
                del memory.grants[user_id]
            self._keep(events)
        return Swept(events, len(due) > at_most)

    def secret(self, name: str, made: str) -> str:
        memory = self._opened()
        with memory.lock:
            return memory.secrets.setdefault(name, made) if made else memory.secrets.get(name, "")

    def pending(self) -> int:
        return len(self._opened().events)

    def ping(self) -> None:
        self._opened()

    def close(self) -> None:
        """Closes the store; a memory of its own is discarded."""
        self._memory = None

    def _load(self, user_id: str) -> tuple[Ledger, int]:
        return self._opened().load(user_id)

    def _after(self, user_id: str, count: int) -> tuple[list[tuple[str, Ledger]], int]:
        return self._opened().after(user_id, count)

    def _change(self, user_id: str, rule: Rule[T]) -> T:
        memory = self._opened()
        with memory.lock:
            ledger, now_ms = memory.load(user_id)
            outcome = rule(ledger, now_ms)
            if outcome.wants_grants:
                outcome = self._with_grants(memory, user_id, rule, ledger, now_ms)
            if outcome.changed:
                memory.save(user_id, ledger, now_ms)
                self._keep(outcome.events)
            return outcome.answer

    def _with_grants(self, memory: Memory, user_id: str, rule: Rule[T], ledger: Ledger, now_ms: int) -> Outcome[T]:
        """Runs a rule that needs the user's ended grants, and may end more."""
        kept = memory.grants.get(user_id)
        grants = Grants() if kept is None else decode_grants(encode(kept))
        outcome = rule(ledger, now_ms, grants)
        if outcome.ended_grants:
            memory.grants[user_id] = grants
        return outcome

    def _keep(self, events: Events) -> None:
        kept = self._opened().events
        kept += [event for event in events if event.type in self._subscribed]
        del kept[:-OUTBOX_MAX_EVENTS]

    def _opened(self) -> Memory:
        if self._memory is None:
            raise StoreUnavailable("memory: the store is closed")
        return self._memory
