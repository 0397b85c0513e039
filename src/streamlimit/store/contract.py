"""The contract of stores. Each promise is one atomic step, judged by the store's own clock.

A store may answer at once (a file, in microseconds) or with an awaitable (a server across a wire; a file that makes
several changes together), which may be a `Deferred`: whoever calls awaits only what is awaitable, or hears what comes.
Every method raises `StoreUnavailable`, and nothing else, when the store does not answer: then nothing is known about
whether the step happened, and doing it again is safe.
"""

from collections.abc import Awaitable, Callable, Collection
from typing import Any, Protocol, TypeAlias, TypeVar

from msgspec import Struct
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
    Session,
    Swept,
    Terms,
    Verdict,
)

T = TypeVar("T")
Answer: TypeAlias = T | Awaitable[T]
Events: TypeAlias = tuple[Event, ...]


_coming: dict[type, bool] = {}
Heard: TypeAlias = Callable[["Verdict | StoreUnavailable"], None]


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

    def report(self, receipt: Receipt, heard: Heard) -> None:
        """`confirm` where nobody waits: *heard* is told its answer once, now or later, or the error it would raise."""
        ...

    def beat(self, ask: Ask) -> Answer[Decision]:
        """Admits and confirms in one step, where nothing is delivered (a heartbeat). Twice is once.

        Admitted: the session, its lease and `live` as they are after the confirmation, the events of both; no session
        where nothing was seated: a check, who is beyond what a dry run records, who was sent away at this very moment.
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
        """Sends one session away, or all (None); refused until silent for n·X. The second time: nothing."""
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
        """The end or termination that *event* told happens again, if that very seat is there: a failover forgot it.

        Also past its time: so the event has the id of the first one. Nothing happens to a later seat of the session.
        """
        ...

    def expire(self, at_most: int) -> Answer[Swept]:
        """Takes out what is due, about *at_most* sessions or fewer. Of many callers each session is told to one.

        Nobody waits for it longer than a millisecond or so; `more` then says to go on, after a pause.
        """
        ...

    def sessions(self, user_id: str) -> Answer[Roster]:
        """Who is watching on this user's seats, oldest first. Changes nothing."""
        ...

    def browse(
        self, cursor: str | None, at_most: int, user_id: str | None, stream_id: str | None, state: str | None
    ) -> Answer[Page]:
        """A page of live sessions. One that sits during the whole browsing is shown exactly once.

        All that go on have a cursor; such a page may have fewer sessions than asked for, or none, and a few more.
        """
        ...

    def own_limit(self, user_id: str) -> Answer[OwnLimit | None]:
        """The user's own limit, None where they have none, or none that holds now."""
        ...

    def set_limit(self, user_id: str, max_sessions: int | None, terms: Terms = FOR_GOOD) -> Answer[None]:
        """Gives the user a limit of their own, or (None) the policy's again. Refuses nobody who sits.

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


class Delivery(Struct, frozen=True):
    """One event on its way to one endpoint. `number` names it there; who holds `ticket` may send it.

    `attempts`: how often sending failed. `waited_ms`: since it was put into the queue (or replayed).
    """

    endpoint: str
    number: int
    event: Event
    ticket: str
    attempts: int = 0
    waited_ms: int = 0


class DeadLetter(Struct, frozen=True):
    """A delivery that was given up at `at_ms`, and why."""

    endpoint: str
    number: int
    event: Event
    problem: str
    at_ms: int


class Backlog(Struct, frozen=True):
    """How one endpoint stands. `retrying`: users whose next delivery failed before; `problem`: one reason of those.

    `dropped`: events it wanted that found no room anywhere, or the endpoint disabled. `disabled`: why, None where it
    is not.
    """

    endpoint: str
    pending: int = 0
    retrying: int = 0
    dead: int = 0
    dropped: int = 0
    problem: str | None = None
    disabled: str | None = None


class Outbox(Protocol):
    """The events that `Store` keeps for webhooks, as deliveries: each endpoint has queues of its own, one per user.

    A user's deliveries leave in the order in which things happened, one at a time; those of different users and of
    different endpoints do not wait for each other. Who *claims* a delivery holds it by a ticket for so long; after that
    anyone may claim it again, so a killed worker loses nothing, and a late word of its old holder changes nothing.
    An endpoint's queues hold so many deliveries together, and as many dead ones; more are dropped, and counted.
    """

    def refused(
        self, session: Session, reason: str, quiet_ms: int, live_sessions: int | None = None
    ) -> Answer[Event | None]:
        """Keeps a refusal, dated by the store. None where the session's last is not *quiet_ms* old, also in a race."""
        ...

    def claim(
        self, endpoint: str, ticket: str, at_most: int, lease_ms: int, users: Collection[str] | None = None
    ) -> Answer[tuple[Delivery, ...]]:
        """The next delivery of each of up to *at_most* users, longest due first; nobody else gets them for *lease_ms*.

        *users*: only theirs need be looked for. A user with a delivery under claim has none to give; in a race one
        gets it. Nothing for a disabled endpoint. *ticket* is new for each call.
        """
        ...

    def settle(self, delivery: Delivery, lease_ms: int) -> Answer[Delivery | None]:
        """The delivery arrived: it is gone, and the user's next one is claimed by the same ticket. Twice: None."""
        ...

    def retry_later(self, delivery: Delivery, wait_ms: int, problem: str) -> Answer[None]:
        """The delivery failed: it stays the user's next one, and is due in *wait_ms*. Twice is once."""
        ...

    def release(self, delivery: Delivery) -> Answer[None]:
        """The delivery was not tried: anyone may claim it now. Twice is once."""
        ...

    def give_up(self, delivery: Delivery, problem: str) -> Answer[None]:
        """The delivery failed for the last time: it is a dead letter now, and the user's next one is due. Twice is
        once.

        Where there are too many dead letters the oldest is dropped.
        """
        ...

    def disable(self, endpoint: str, problem: str) -> Answer[bool]:
        """The endpoint wants no more: what waits for it stays, what comes is dropped. False: it was so already."""
        ...

    def replay(self, endpoint: str, at_most: int) -> Answer[int]:
        """Enables the endpoint, and puts up to *at_most* dead letters, the oldest first, back into its queues.

        There they come before younger ones of their user. How many: 0 when none are left.
        """
        ...

    def backlog(self) -> Answer[tuple[Backlog, ...]]:
        """How every endpoint stands, in the order of the settings; then those the settings do not name any more."""
        ...

    def dropped(self) -> Answer[dict[str, int]]:
        """How many events each endpoint of the settings did not get, all in all: as `Backlog.dropped`."""
        ...

    def dead_letters(self, endpoint: str, at_most: int) -> Answer[tuple[DeadLetter, ...]]:
        """Up to so many of them, the youngest first."""
        ...

    def retain(self, at_most: int) -> Answer[bool]:
        """Forgets, in steps of about *at_most* deliveries, endpoints that the settings do not name. True: go on."""
        ...

    def close(self) -> Answer[None]:
        """Lets go of files and connections. Twice is once."""
        ...


Clock = Callable[[], int]
"""Milliseconds since the epoch. Only tests hand one to a store; each store has its own."""
