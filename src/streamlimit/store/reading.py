"""Readings of users: one consistent read each. For stores that keep users' ledgers themselves."""

from typing import Protocol

from streamlimit.model import LimitPage, OwnLimit, Page, Roster, Session
from streamlimit.policy import Policy
from streamlimit.rules.ledger import Ledger, show_live

LOOKED_AT = 500
"""Users that one page of `browse` looks at: some milliseconds, in which the process does nothing else."""


class Books(Protocol):
    """The place where ledgers are kept, to be read. Each call is one consistent read; it raises `StoreUnavailable`."""

    def load(self, user_id: str) -> tuple[Ledger, int]:
        """The user's ledger, and the store's time."""
        ...

    def after(self, user_id: str, count: int) -> tuple[list[tuple[str, Ledger]], int]:
        """The next so many users that have a ledger, in an order that stays, and the store's time."""
        ...


class Reading:
    """Reads *books*, under *policy*."""

    def __init__(self, books: Books, policy: Policy) -> None:
        self._books, self._policy = books, policy

    def roster(self, user_id: str) -> Roster:
        """Who watches on the user's seats."""
        ledger, now_ms = self._books.load(user_id)
        live = show_live(user_id, ledger, self._policy, now_ms)
        return Roster(user_id, ledger.shown_limit(self._policy, now_ms), live)

    def own_limit(self, user_id: str) -> OwnLimit | None:
        """The user's own limit that holds now."""
        ledger, now_ms = self._books.load(user_id)
        return ledger.own_limit(user_id, self._policy, now_ms)

    def limits(self, cursor: str | None, at_most: int) -> LimitPage:
        """Pages by user, as `page`."""
        found: list[OwnLimit] = []
        after = cursor or ""
        rows, now_ms = self._books.after(after, LOOKED_AT)
        for after, ledger in rows:
            own = ledger.own_limit(after, self._policy, now_ms)
            if own is not None:
                found.append(own)
            if len(found) == at_most:
                return LimitPage(tuple(found), after)
        return LimitPage(tuple(found), after if len(rows) == LOOKED_AT else None)

    def page(self, cursor: str | None, at_most: int, stream_id: str | None, state: str | None) -> Page:
        """Pages by user, so that all of a user's sessions are on one page; `cursor` is the last user seen.

        A page may have fewer sessions than asked for, or none: looking for rare ones must not keep viewers waiting.
        """
        found: list[Session] = []
        after = cursor or ""
        rows, now_ms = self._books.after(after, LOOKED_AT)
        for after, ledger in rows:
            found += matching(show_live(after, ledger, self._policy, now_ms), stream_id, state)
            if len(found) >= at_most:
                return Page(tuple(found), after)
        return Page(tuple(found), after if len(rows) == LOOKED_AT else None)


def matching(sessions: tuple[Session, ...], stream_id: str | None, state: str | None) -> tuple[Session, ...]:
    """The *sessions* on that stream and in that state (None: on any, in any)."""
    return tuple(s for s in sessions if stream_id in (None, s.stream_id) and state in (None, s.state))
