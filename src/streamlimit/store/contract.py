"""The contract of stores. Each promise is one atomic step, judged by the store's own clock.

A store may answer at once (a file, in microseconds) or with an awaitable (a server across a wire; a file that makes
several changes together), which may be a `Deferred`: a caller awaits only what is awaitable, or adds a callback.
Every method raises `StoreUnavailable`, and nothing else, when the store does not answer: then nothing is known about
whether the step happened, and doing it again is safe.
"""

from collections.abc import Awaitable, Callable
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
Answer: TypeAlias = T | Awaitable[T]
Events: TypeAlias = tuple[Event, ...]


_coming: dict[type, bool] = {}
OnVerdict: TypeAlias = Callable[["Verdict | StoreUnavailable"], None]


async def resolved(answer: Answer[T]) -> T:
    """The answer itself, awaited where it must be."""
    return await answer if is_coming(answer) else answer


def is_coming(answer: object) -> TypeIs[Awaitable[Any]]:
    """Is *answer* still to be awaited? As `inspect.isawaitable`, much faster: few types are ever asked about."""
    kind = type(answer)
    found = _coming.get(kind)
    if found is None:
        found = _coming[kind] = hasattr(kind, "__await__")
    return found


class Store(Protocol):
    """The promises of a store. "Session" means one session of one user; events are written in the same step."""

    def admit(self, ask: Ask) -> Answer[Decision]:
        """Gives the session a seat or says which sessions hold them all; one with a seat is always admitted.

        In a race for the last seat one wins. The same lease twice is one seat and the same answer.
        """
        ...

    def confirm(self, receipt: Receipt) -> Answer[Verdict]:
        """The client has the segment: last activity is now. A session ended meanwhile stays ended.

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
        """Bytes still move: the session expires later. None, or why it holds no seat any more."""
        ...

    def abandon(self, lease: Lease) -> Answer[Events]:
        """Nothing was received. Frees a reservation's seat when no other lease of it is open. Twice is once."""
        ...

    def end(self, user_id: str, session_id: str, keep_grant: bool = False) -> Answer[Events]:
        """The viewer stops; the seat is free at once, and unless *keep_grant* the session's grant starts nothing more.

        The second time there is nothing to do.
        """
        ...

    def terminate(self, user_id: str, session_id: str | None, by: str, reason: str) -> Answer[Events]:
        """Terminates one session, or all (None); refused until silent for n·X. The second time: nothing."""
        ...

    def forgive(self, user_id: str, session_id: str | None) -> Answer[int]:
        """A terminated session, or all of the user's (None), may come back at once. How many could not; again: 0."""
        ...

    def forget(self, user_id: str) -> Answer[Events]:
        """Nothing of the user is kept: sessions end, marks and a limit of their own go. Again: nothing ends.

        Grants that were given before start nothing: until they would have expired that is remembered, and no more.
        """
        ...

    def lose_again(self, event: Event, keep_grant: bool = False) -> Answer[Events]:
        """The end or termination of *event* happens again, if that very seat is there: a failover forgot it.

        Also past its time: so the event has the id of the first one. Nothing happens to a later seat of the session.
        """
        ...

    def expire(self, at_most: int) -> Answer[Swept]:
        """Takes out what is due, about *at_most* sessions or fewer. Of many callers one gets each session.

        Nobody waits for it longer than a millisecond or so; `more` then says to go on, after a pause.
        """
        ...

    def sessions(self, user_id: str) -> Answer[Roster]:
        """Who is watching on this user's seats, oldest first. Changes nothing."""
        ...

    def browse(
        self, cursor: str | None, at_most: int, user_id: str | None, stream_id: str | None, state: str | None
    ) -> Answer[Page]:
        """A page of live sessions. One that is live during the whole browsing is shown exactly once.

        All that go on have a cursor; such a page may have fewer sessions than asked for, or none, and a few more.
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

        All pages that go on have a cursor; such a page may have fewer limits than asked for, or none, never more.
        """
        ...

    def secret(self, name: str, made: str) -> Answer[str]:
        """The secret kept under *name*; the first caller's *made* becomes it, for everyone and for ever."""
        ...

    def pending(self) -> Answer[int]:
        """Call backs that wait; an event that is not sorted yet into its endpoints' queues counts once."""
        ...

    def ping(self) -> Answer[None]:
        """Does the store answer, and take a write?"""
        ...

    def close(self) -> Answer[None]:
        """Lets go of files and connections. Twice is once."""
        ...


Clock = Callable[[], int]
"""Milliseconds since the epoch. Only tests hand one to a store; each store has its own."""
