"""A store behind a simulated network: the product's own rules on one side, a worker's calls on the other.

Nothing happens by itself: the machine says which calls arrive, which answers come back, what a failover forgets.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import pytest

from streamlimit import rules
from streamlimit.errors import StoreUnavailable
from streamlimit.model import Ask, Event, Lease, Receipt
from streamlimit.policy import Policy
from streamlimit.rules.grants import Grants
from streamlimit.rules.ledger import Ledger, Outcome, Seat
from streamlimit.store.deferred import Deferred

Rule = Callable[[Ledger, Grants | None, int], Outcome[Any]]

USER = "ada"
LOSSES = frozenset({"session.expired", "session.ended", "session.terminated", "session.abandoned"})


class Primary:
    """The server that holds the user's ledger: it runs one rule after the other, by its own clock."""

    def __init__(self, policy: Policy) -> None:
        self.policy, self.now_ms = policy, 1_000_000
        self.ledger, self.grants = Ledger(), Grants()
        self.outbox: list[Event] = []
        self.failed_over = 0

    def run(self, rule: Rule) -> Any:
        """*rule* in one atomic step; its events go into the outbox in the same one."""
        outcome = rule(self.ledger, None, self.now_ms)
        if outcome.wants_grants:
            outcome = rule(self.ledger, self.grants, self.now_ms)
        self.outbox += outcome.events
        return outcome.answer

    def live(self) -> dict[str, Seat]:
        """The seats that count now, by session."""
        return {seat.session_id: seat for seat in self.ledger.live(self.now_ms)}

    def copied(self) -> tuple[Ledger, Grants]:
        """The state as a replica would have it."""
        return _copy(self.ledger), _copy(self.grants)

    def fail_over(self, replica: tuple[Ledger, Grants]) -> None:
        """*replica* takes over: what it was not sent in time is forgotten, and so are the events of that."""
        self.ledger, self.grants = _copy(replica[0]), _copy(replica[1])
        self.failed_over += 1


class Call:
    """One call on its way: what it does at the primary, and who waits for the answer."""

    def __init__(self, rule: Rule, coming: Deferred[Any]) -> None:
        self.rule, self.coming = rule, coming


class Link:
    """A worker's connection, as a `Store`: calls arrive in their order, and so do answers, unless it breaks."""

    def __init__(self, primary: Primary, policy: Policy) -> None:
        self._primary, self._policy = primary, policy
        self.is_down = False
        self.sent: list[Call] = []
        self.answers: list[tuple[Call, Any]] = []
        self.buried: list[Call] = []
        self.decided: set[str] = set()

    # --- what the machine does with it

    def arrive(self, count: int) -> None:
        """The oldest *count* calls are run at the primary; their answers are on the way back."""
        for call in self.sent[:count]:
            self.answers.append((call, self._primary.run(call.rule)))
        del self.sent[:count]

    def answer(self, count: int) -> None:
        """The oldest *count* answers reach the worker."""
        coming, self.answers = self.answers[:count], self.answers[count:]
        for call, answer in coming:
            call.coming.come(answer)

    def settle(self) -> None:
        """Everything arrives, and is answered, in its order."""
        while self.sent or self.answers:
            self.arrive(len(self.sent))
            self.answer(len(self.answers))

    def cut(self, is_down: bool) -> None:
        """The connection breaks: nobody knows what was run. What the server has read it may run later."""
        lost, self.answers = self.answers, []
        waiting, self.sent = self.sent, []
        self.buried += waiting
        self.is_down = is_down
        for call in [*(call for call, _ in lost), *waiting]:
            call.coming.come(StoreUnavailable("the connection broke"))

    def haunt(self) -> None:
        """The primary runs what it had read before the connection broke; nobody hears of it."""
        buried, self.buried = self.buried, []
        for call in buried:
            self._primary.run(call.rule)

    # --- the promises that a worker's memory asks for

    def __getattr__(self, name: str) -> Any:
        """The others, which nothing here asks for."""
        return partial(pytest.fail, f"{name} is not modelled")

    def admit(self, ask: Ask) -> Deferred[Any]:
        def rule(ledger: Ledger, grants: Grants | None, now: int) -> Outcome[Any]:
            self.decided.add(ask.lease_id)
            return rules.admit(ledger, ask, self._policy, now, grants)

        return self._send(rule)

    def beat(self, ask: Ask) -> Deferred[Any]:
        return self._send(lambda ledger, grants, now: rules.beat(ledger, ask, self._policy, now, grants))

    def confirm(self, receipt: Receipt) -> Deferred[Any]:
        return self._send(lambda ledger, grants, now: rules.confirm(ledger, receipt, self._policy, now, grants))

    def report(self, receipt: Receipt, heard: Callable[[Any], None]) -> None:
        try:
            coming = self.confirm(receipt)
        except StoreUnavailable as error:
            heard(error)
        else:
            coming.add_callback(heard)

    def prolong(self, lease: Lease) -> Deferred[Any]:
        return self._send(lambda ledger, grants, now: rules.prolong(ledger, lease, self._policy, now))

    def abandon(self, lease: Lease) -> Deferred[Any]:
        return self._send(lambda ledger, grants, now: rules.abandon(ledger, lease, self._policy, now))

    def end(self, user_id: str, session_id: str, keep_grant: bool = False) -> Deferred[Any]:
        return self._send(
            lambda ledger, grants, now: rules.end(
                ledger, user_id, session_id, self._policy, now, None if keep_grant else grants or self._primary.grants
            )
        )

    def terminate(self, user_id: str, session_id: str | None, by: str, reason: str) -> Deferred[Any]:
        return self._send(
            lambda ledger, grants, now: rules.terminate(ledger, user_id, session_id, by, reason, self._policy, now)
        )

    def lose_again(self, event: Event, keep_grant: bool = False) -> Deferred[Any]:
        return self._send(lambda ledger, grants, now: rules.lose_again(ledger, event, self._policy, now, None))

    def ping(self) -> Deferred[Any]:
        return self._send(lambda ledger, grants, now: Outcome(None, changed=False))

    def _send(self, rule: Rule) -> Deferred[Any]:
        if self.is_down:
            raise StoreUnavailable("no connection")
        call = Call(rule, Deferred())
        self.sent.append(call)
        return call.coming


def _copy(value: Any) -> Any:
    return msgspec.msgpack.decode(msgspec.msgpack.encode(value), type=type(value))
