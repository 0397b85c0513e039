"""The base of stores that run the rules of `rules/` themselves: the calls of `Store` as rules of one user's ledger.

A store implements how a ledger is read, and how a rule changes one in an atomic step.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias, TypeVar, cast

import msgspec

from streamlimit import rules
from streamlimit.errors import StoreUnavailable
from streamlimit.model import (
    FOR_GOOD,
    Ask,
    Decision,
    Event,
    Gone,
    Lease,
    LimitPage,
    OwnLimit,
    Page,
    Receipt,
    Roster,
    Session,
    Terms,
    Verdict,
)
from streamlimit.policy import Policy
from streamlimit.rules.grants import Grants
from streamlimit.rules.ledger import Ledger, Outcome, grants_wanted, show_live
from streamlimit.store.contract import Answer, Events, OnVerdict
from streamlimit.store.deferred import Deferred

T = TypeVar("T")
Rule: TypeAlias = Callable[..., Outcome[T]]
"""Called with a ledger and the time; called again with the ended grants where its outcome wants them."""

decode = msgspec.msgpack.Decoder(Ledger).decode
decode_grants = msgspec.msgpack.Decoder(Grants).decode
encode = msgspec.msgpack.Encoder().encode
"""A ledger as bytes; seats are arrays, half as long as with field names. A decoded one is shared with no other caller.
"""

LOOKED_AT = 500
"""Users that one page of `browse` looks at: some milliseconds, in which the process does nothing else."""


class Change(Protocol):
    """A way to change ledgers."""

    def __call__(self, user_id: str, rule: Rule[T], /) -> Answer[T]:
        """The answer of *rule* to the user's ledger. Its changes and events are written in the same step."""
        ...


class RuleStore(ABC):
    """The calls of `Store` under *policy*, as changes of three kinds.

    *now*: made at once. *soon*: receipts and heartbeats, made with others of this iteration. *leave*: ends of sessions,
    made after all earlier changes.
    """

    def __init__(self, policy: Policy, now: Change, soon: Change, leave: Change) -> None:
        self._policy = policy
        self._now, self._soon, self._leave = now, soon, leave

    @abstractmethod
    def _load(self, user_id: str) -> tuple[Ledger, int]:
        """The user's ledger, and the store's time: one consistent read. Raises `StoreUnavailable`."""

    @abstractmethod
    def _after(self, user_id: str, count: int) -> tuple[list[tuple[str, Ledger]], int]:
        """The ledgers of the next *count* users behind *user_id*, in a stable order, and the store's time.

        As `_load`.
        """

    def admit(self, ask: Ask) -> Answer[Decision]:
        return self._now(ask.user_id, self._by(rules.admit, ask))

    def confirm(self, receipt: Receipt) -> Answer[Verdict]:
        return self._soon(receipt.lease.ask.user_id, self._by(rules.confirm, receipt))

    def report(self, receipt: Receipt, callback: OnVerdict) -> None:
        try:
            answer: Any = self.confirm(receipt)
        except StoreUnavailable as error:
            answer = error
        if isinstance(answer, Deferred):
            answer.add_callback(cast(Any, callback))
        else:
            callback(answer)

    def beat(self, ask: Ask) -> Answer[Decision]:
        return self._soon(ask.user_id, self._by(rules.beat, ask))

    def prolong(self, lease: Lease) -> Answer[Gone | None]:
        return self._now(lease.ask.user_id, self._rule(rules.prolong, lease))

    def abandon(self, lease: Lease) -> Answer[Events]:
        return self._now(lease.ask.user_id, self._rule(rules.abandon, lease))

    def end(self, user_id: str, session_id: str, keep_grant: bool = False) -> Answer[Events]:
        rule = self._rule(rules.end, user_id, session_id)
        return self._leave(user_id, rule if keep_grant else _with_grants(rule))

    def terminate(self, user_id: str, session_id: str | None, by: str, reason: str) -> Answer[Events]:
        return self._leave(user_id, self._rule(rules.terminate, user_id, session_id, by, reason))

    def forgive(self, user_id: str, session_id: str | None) -> Answer[int]:
        return self._now(user_id, self._rule(rules.forgive, session_id))

    def forget(self, user_id: str) -> Answer[Events]:
        return self._leave(user_id, self._rule(rules.forget, user_id))

    def lose_again(self, event: Event, keep_grant: bool = False) -> Answer[Events]:
        rule = self._rule(rules.lose_again, event)
        return self._now(event.session.user_id, rule if keep_grant else _with_grants(rule))

    def set_limit(self, user_id: str, max_sessions: int | None, terms: Terms = FOR_GOOD) -> Answer[None]:
        def rule(ledger: Ledger, now_ms: int) -> Outcome[None]:
            ledger.mend(self._policy, now_ms)
            ledger.set_limit(max_sessions, terms, now_ms)
            return Outcome(None, changed=True)

        return self._now(user_id, rule)

    def sessions(self, user_id: str) -> Roster:
        ledger, now_ms = self._load(user_id)
        live = show_live(user_id, ledger, self._policy, now_ms)
        return Roster(user_id, ledger.shown_limit(self._policy, now_ms), live)

    def browse(
        self, cursor: str | None, at_most: int, user_id: str | None, stream_id: str | None, state: str | None
    ) -> Page:
        """A page of live sessions by user, all sessions of a user on one page; `cursor` is the last user seen.

        A page may have fewer sessions than *at_most*, or none: a search for rare ones must not keep viewers waiting.
        """
        if user_id is not None:
            return Page(matching(self.sessions(user_id).sessions, stream_id, state), None)

        def shown(user_id: str, ledger: Ledger, now_ms: int) -> tuple[Session, ...]:
            return matching(show_live(user_id, ledger, self._policy, now_ms), stream_id, state)

        return Page(*self._paged(cursor, at_most, shown))

    def own_limit(self, user_id: str) -> OwnLimit | None:
        ledger, now_ms = self._load(user_id)
        return ledger.own_limit(user_id, self._policy, now_ms)

    def limits(self, cursor: str | None, at_most: int) -> LimitPage:
        """A page of own limits by user, as `browse`."""

        def holding(user_id: str, ledger: Ledger, now_ms: int) -> tuple[OwnLimit, ...]:
            own = ledger.own_limit(user_id, self._policy, now_ms)
            return () if own is None else (own,)

        return LimitPage(*self._paged(cursor, at_most, holding))

    def _paged(
        self, cursor: str | None, at_most: int, found_in: Callable[[str, Ledger, int], tuple[T, ...]]
    ) -> tuple[tuple[T, ...], str | None]:
        """Values found in the ledgers of the next users (all of the last one's included), and where to go on."""
        found, after = list[T](), cursor or ""
        users, now_ms = self._after(after, LOOKED_AT)
        for after, ledger in users:
            found += found_in(after, ledger, now_ms)
            if len(found) >= at_most:
                return tuple(found), after
        return tuple(found), after if len(users) == LOOKED_AT else None

    def _by(self, rule: Callable[..., Outcome[T]], asked: Ask | Receipt) -> Rule[T]:
        """*rule* with *asked* and the policy bound: a function of a ledger and a time."""
        policy = self._policy
        return lambda ledger, now_ms, grants=None: rule(ledger, asked, policy, now_ms, grants)

    def _rule(self, rule: Callable[..., Outcome[T]], *asked: object) -> Rule[T]:
        """As `_by`, for any arguments, and for rules with or without grants; slower."""
        return lambda ledger, now_ms, *grants: rule(ledger, *asked, self._policy, now_ms, *grants)


def _with_grants(rule: Rule[T]) -> Rule[T]:
    """*rule* as one that asks to be called with the ended grants."""

    def wanting(ledger: Ledger, now_ms: int, grants: Grants | None = None) -> Outcome[T]:
        return grants_wanted() if grants is None else rule(ledger, now_ms, grants)

    return wanting


def matching(sessions: tuple[Session, ...], stream_id: str | None, state: str | None) -> tuple[Session, ...]:
    """The *sessions* on that stream and in that state (None: on any, in any)."""
    return tuple(s for s in sessions if stream_id in (None, s.stream_id) and state in (None, s.state))
