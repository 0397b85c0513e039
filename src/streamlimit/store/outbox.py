"""The contract of outboxes: events that wait for their delivery to endpoints. Each promise is one atomic step."""

from collections.abc import Collection
from typing import Protocol

from msgspec import Struct

from streamlimit.model import Event, Session
from streamlimit.store.contract import Answer


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
        """The next delivery of each of up to *at_most* users, longest due first; no other claim gets them for
        *lease_ms*.

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
