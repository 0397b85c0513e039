"""What every store promises. Each promise is one atomic step, judged by the store's own clock.

A store may answer at once (SQLite, in microseconds) or with an awaitable (a server across a wire); whoever
calls awaits only what is awaitable. Every method raises `StoreUnavailable`, and nothing else, when
the store does not answer: then nothing is known about whether the step happened, and doing it again is safe.
"""

from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import Protocol, TypeAlias, TypeVar

from streamlimit.model import Ask, Decision, Event, Gone, Lease, Page, Receipt, Roster, Swept, Verdict

T = TypeVar("T")
Answer: TypeAlias = T | Awaitable[T]
Events: TypeAlias = tuple[Event, ...]


async def resolved(answer: Answer[T]) -> T:
    """The answer itself, awaited where it must be."""
    return await answer if isawaitable(answer) else answer


class Store(Protocol):
    """A dozen promises. "Session" means one session of one user; events are told in the same step."""

    def admit(self, ask: Ask) -> Answer[Decision]:
        """Gives the session a seat or says who holds them all; who sits is always admitted.

        In a race for the last seat one wins. The same lease twice is one seat and the same answer.
        """
        ...

    def confirm(self, receipt: Receipt) -> Answer[Verdict]:
        """The client has the segment: last activity is now. A session ended meanwhile stays ended.

        One that expired meanwhile sits again if there is room. Twice is once.
        """
        ...

    def prolong(self, lease: Lease) -> Answer[Gone | None]:
        """Bytes still move: the session expires later. None, or why it holds no seat any more."""
        ...

    def abandon(self, lease: Lease) -> Answer[Events]:
        """Nothing was received. Frees a reservation's seat when no other lease of it is open. Twice is once."""
        ...

    def end(self, user_id: str, session_id: str) -> Answer[Events]:
        """The viewer stops; the seat is free at once. The second time there is nothing to do."""
        ...

    def terminate(self, user_id: str, session_id: str | None, by: str, reason: str) -> Answer[Events]:
        """Sends one session away, or all (None); refused until silent for n·X. The second time: nothing."""
        ...

    def expire(self, at_most: int) -> Answer[Swept]:
        """Takes out what is due, about *at_most* sessions. Of many callers each session is told to one."""
        ...

    def sessions(self, user_id: str) -> Answer[Roster]:
        """Who is watching on this user's seats, oldest first. Changes nothing."""
        ...

    def browse(
        self, cursor: str | None, at_most: int, user_id: str | None, stream_id: str | None, state: str | None
    ) -> Answer[Page]:
        """A page of live sessions. One that sits during the whole browsing is shown exactly once."""
        ...

    def limit(self, user_id: str) -> Answer[int | None]:
        """The user's own limit, None where they have none."""
        ...

    def set_limit(self, user_id: str, max_sessions: int | None) -> Answer[None]:
        """Gives the user a limit of their own, or (None) the policy's again. Refuses nobody who sits."""
        ...

    def secret(self, name: str, made: str) -> Answer[str]:
        """The secret kept under *name*; the first caller's *made* becomes it, for everyone and for ever."""
        ...

    def pending(self) -> Answer[int]:
        """Events in the outbox that wait for their call back."""
        ...

    def ping(self) -> Answer[None]:
        """Does the store answer?"""
        ...

    def close(self) -> Answer[None]:
        """Lets go of files and connections. Twice is once."""
        ...


Clock = Callable[[], int]
"""Milliseconds since the epoch. Only tests hand one to a store; each store has its own."""
