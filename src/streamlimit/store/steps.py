"""The store's promises as rules of one user's ledger, for stores that run the rules of `rules/` themselves."""

from collections.abc import Callable
from typing import TypeAlias, TypeVar

from streamlimit import rules
from streamlimit.model import Event, Gone, Lease, Terms
from streamlimit.policy import Policy
from streamlimit.rules.grants import Grants
from streamlimit.rules.ledger import Ledger, Outcome, grants_wanted
from streamlimit.store.contract import Events

T = TypeVar("T")
Rule: TypeAlias = Callable[..., Outcome[T]]
"""Called with a ledger and the time; where its outcome says so again, with the grants that were ended, too."""


class Steps:
    """Makes the rule of each promise, by *policy*. What is asked is in the rule; a store applies it and saves."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    def prolong(self, lease: Lease) -> Rule[Gone | None]:
        return lambda ledger, now_ms: rules.prolong(ledger, lease, self._policy, now_ms)

    def abandon(self, lease: Lease) -> Rule[Events]:
        return lambda ledger, now_ms: rules.abandon(ledger, lease, self._policy, now_ms)

    def end(self, user_id: str, session_id: str, keep_grant: bool) -> Rule[Events]:
        def rule(ledger: Ledger, now_ms: int, grants: Grants | None = None) -> Outcome[Events]:
            if grants is None and not keep_grant:
                return grants_wanted()
            return rules.end(ledger, user_id, session_id, self._policy, now_ms, grants)

        return rule

    def terminate(self, user_id: str, session_id: str | None, by: str, reason: str) -> Rule[Events]:
        return lambda ledger, now_ms: rules.terminate(ledger, user_id, session_id, by, reason, self._policy, now_ms)

    def forgive(self, session_id: str | None) -> Rule[int]:
        return lambda ledger, now_ms: rules.forgive(ledger, session_id, self._policy, now_ms)

    def forget(self, user_id: str) -> Rule[Events]:
        def rule(ledger: Ledger, now_ms: int, grants: Grants | None = None) -> Outcome[Events]:
            return rules.forget(ledger, user_id, self._policy, now_ms, grants)

        return rule

    def lose_again(self, event: Event, keep_grant: bool) -> Rule[Events]:
        def rule(ledger: Ledger, now_ms: int, grants: Grants | None = None) -> Outcome[Events]:
            if grants is None and not keep_grant:
                return grants_wanted()
            return rules.lose_again(ledger, event, self._policy, now_ms, grants)

        return rule

    def set_limit(self, max_sessions: int | None, terms: Terms) -> Rule[None]:
        def rule(ledger: Ledger, now_ms: int) -> Outcome[None]:
            ledger.set_limit(max_sessions, terms, now_ms)
            return Outcome(None, changed=True)

        return rule
