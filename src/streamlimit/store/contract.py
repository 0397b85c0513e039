"""The contract of stores. Each promise is one atomic step, judged by the store's own clock.

A store may answer at once (a file, in microseconds) or with an awaitable (a server across a wire; a file that makes
several changes together), which may be a `Deferred`: a caller awaits only what is awaitable, or adds a callback.
Every method raises `StoreUnavailable`, and nothing else, when the store does not answer: then nothing is known about
whether the step happened, and doing it again is safe.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol, TypeAlias, TypeVar

from typing_extensions import TypeIs

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
    Swept,
    Terms,
    Verdict,
)

T = TypeVar("T")
P = TypeVar("P", Page, LimitPage)
Answer: TypeAlias = T | Awaitable[T]
Events: TypeAlias = tuple[Event, ...]


_coming: dict[type, bool] = {}
OnVerdict: TypeAlias = Callable[["Verdict | StoreUnavailable"], None]


async def resolved(answer: Answer[T]) -> T:
    """The answer itself, awaited where it is awaitable."""
    return await answer if is_coming(answer) else answer


def is_coming(answer: object) -> TypeIs[Awaitable[Any]]:
    """Is *answer* still to be awaited? As `inspect.isawaitable`, much faster: few types are ever asked about."""
    kind = type(answer)
    found = _coming.get(kind)
    if found is None:
        found = _coming[kind] = hasattr(kind, "__await__")
    return found


async def pages(fetch: Callable[[str | None], Answer[P]]) -> AsyncIterator[P]:
    """All pages of a store's listing, which *fetch* brings by their cursors. Others are served between two of them."""
    cursor: str | None = None
    while True:
        page: P = await resolved(fetch(cursor))
        yield page
        if page.cursor is None:
            return
        cursor = page.cursor
        await asyncio.sleep(0)


class Store(Protocol):
    """The promises of a store. "Session" means one session of one user; events are written in the same step."""

    def admit(self, ask: Ask) -> Answer[Decision]:
        """Admits a session: gives it a seat, or says which sessions hold them all. One with a seat is always admitted.

        In a race for the last seat one wins. The same lease twice is one seat and the same answer.
        """
        ...

    def confirm(self, receipt: Receipt) -> Answer[Verdict]:
        """Confirms that the client has the segment: last activity is now. A session ended meanwhile stays ended.

        One that expired meanwhile is seated again if there is room. Twice is once.
        """
        ...

    def report(self, receipt: Receipt, callback: OnVerdict) -> None:
        """As `confirm`, where no request waits: *callback* gets the answer or the error once, now or later."""
        ...

    def beat(self, ask: Ask) -> Answer[Decision]:
        """Admits and confirms in one step, where nothing is delivered (a heartbeat). Twice is once.

        Admitted: the session, its lease and `live` as they are after the confirmation, the events of both; no session
        where nothing was seated: a check, a session beyond those that a dry run records, one that was ended at this
        very moment.
        """
        ...

    def prolong(self, lease: Lease) -> Answer[Gone | None]:
        """Prolongs the session of *lease*, whose bytes still move. None, or why it holds no seat any more."""
        ...

    def abandon(self, lease: Lease) -> Answer[Events]:
        """Ends a lease without a receipt: frees a reservation's seat when no other lease of it is open.

        Twice is once.
        """
        ...

    def end(self, user_id: str, session_id: str, keep_grant: bool = False) -> Answer[Events]:
        """Ends a session for its viewer: the seat is free at once, and unless *keep_grant* the grant is dead.

        The second time there is nothing to do.
        """
        ...

    def terminate(self, user_id: str, session_id: str | None, by: str, reason: str) -> Answer[Events]:
        """Terminates one session, or all (None); refused until silent for n·X. The second time: nothing."""
        ...

    def forgive(self, user_id: str, session_id: str | None) -> Answer[int]:
        """Forgives a terminated session, or (None) all of the user's: they may come back at once. Returns how many.

        Again: 0.
        """
        ...

    def forget(self, user_id: str) -> Answer[Events]:
        """Forgets a user: sessions end, marks and an own limit are removed. Again: nothing ends.

        Only a revocation is kept, as long as grants that were given before would be valid: they start nothing.
        """
        ...

    def lose_again(self, event: Event, keep_grant: bool = False) -> Answer[Events]:
        """Repeats the end or termination of *event* after a failover lost it, if that very seat is there.

        Also past its expiry, so that the new event has the id of the first one. A later seat of the session stays.
        """
        ...

    def expire(self, at_most: int) -> Answer[Swept]:
        """Removes expired sessions and reservations, about *at_most*. Of several callers one gets each session.

        A step keeps others waiting for a millisecond or so; `more` says to go on, after a pause.
        """
        ...

    def sessions(self, user_id: str) -> Answer[Roster]:
        """The live sessions of the user, oldest first. Changes nothing."""
        ...

    def browse(
        self, cursor: str | None, at_most: int, user_id: str | None, stream_id: str | None, state: str | None
    ) -> Answer[Page]:
        """A page of live sessions. A session that is live during the whole walk is shown exactly once.

        Every page but the last has a cursor; such a page may have fewer sessions than *at_most*, or none, or a few
        more.
        """
        ...

    def own_limit(self, user_id: str) -> Answer[OwnLimit | None]:
        """The user's own limit, None where they have none, or none that holds now."""
        ...

    def set_limit(self, user_id: str, max_sessions: int | None, terms: Terms = FOR_GOOD) -> Answer[None]:
        """Gives the user a limit of their own, or (None) the policy's again. Refuses no session that has a seat.

        It ends by itself when *terms* say so: the next decision after that is by the policy's, swept or not.
        """
        ...

    def limits(self, cursor: str | None, at_most: int) -> Answer[LimitPage]:
        """A page of the own limits that hold now. One that holds during the whole walk is shown exactly once.

        Every page but the last has a cursor; such a page may have fewer limits than *at_most*, or none, never more.
        """
        ...

    def secret(self, name: str, made: str) -> Answer[str]:
        """The secret kept under *name*; the first caller's *made* becomes it, for everyone and for ever.

        Who makes none (an empty text) is answered an empty one where there is none yet.
        """
        ...

    def pending(self) -> Answer[int]:
        """The number of webhooks that wait; an event not sorted yet into its endpoints' queues counts once."""
        ...

    def ping(self) -> Answer[None]:
        """Does the store answer, and take a write?"""
        ...

    def close(self) -> Answer[None]:
        """Closes files and connections. Twice is once."""
        ...


Clock = Callable[[], int]
"""Milliseconds since the epoch. Only tests hand one to a store; each store has its own."""
